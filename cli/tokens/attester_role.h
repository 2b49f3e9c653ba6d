/*
 * tokens/attester_role.h: `attester:` in the configuration: knows accounts, counts their tokens, and passes blinded
 * requests on to the issuer, which sees neither who asks nor from where.
 */
#ifndef TOKENS_ATTESTER_ROLE_H
#define TOKENS_ATTESTER_ROLE_H

#include "tokens/role.h"

/* Reads accounts and serves with them; also again, for a reload, over which accounts keep their counts unless their
   limits changed. False with MESSAGE set; then what was there goes on. */
bool attester_role_serve(token_role *role, const mqd_settings *settings, const log_options *log, mqd_message *message);

/* The same without serving. */
bool attester_role_check(const mqd_settings *settings, mqd_message *message);

#endif
