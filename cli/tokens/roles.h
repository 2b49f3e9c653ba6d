/*
 * tokens/roles.h: the roles that masqueproxyd plays beside, or instead of, the proxy, as the main program sees them.
 */
#ifndef TOKENS_ROLES_H
#define TOKENS_ROLES_H

#include "tokens/role.h"

typedef struct token_roles {
    token_role issuer;
    token_role attester;
} token_roles;

/* Are there any? */
bool token_roles_wanted(const mqd_settings *settings);
/* Reads what they need, and serves nothing. False with MESSAGE set, as of all that follow. */
bool token_roles_check(const mqd_settings *settings, mqd_message *message);
bool token_roles_bind(token_roles *roles, const mqd_settings *settings, mqd_message *message);
/* Also again, for a reload: sockets stay, and roles that are new or gone are so after a restart. */
bool token_roles_serve(token_roles *roles, const mqd_settings *settings, const log_options *log, mqd_message *message);
void token_roles_stop(token_roles *roles);
/* The rest of the line that says where we listen. */
void token_roles_print(const token_roles *roles);

#endif
