/*
 * config_roles.h: the sections `issuer` and `attester` of the configuration file.
 */
#ifndef CLI_CONFIG_ROLES_H
#define CLI_CONFIG_ROLES_H

#include "config_auth.h"

typedef struct file_role_listener file_role_listener;
typedef struct file_issuer_key file_issuer_key;

/* As the file has them; texts that it does not have are NULL. */
typedef struct file_issuer {
    file_role_listener *listen;
    unsigned listen_count;
    char *certificate;
    char *private_key;
    char *client_ca;
    file_issuer_key *keys;
    unsigned keys_count;
} file_issuer;

typedef struct file_attester {
    file_role_listener *listen;
    unsigned listen_count;
    char *certificate;
    char *private_key;
    char *issuer;
    char *issuer_ca;
    file_accounts *basic;
    char *tokens_per_account;
    char *period;
} file_attester;

extern const cyaml_schema_field_t CONFIG_ISSUER_FIELDS[];
extern const cyaml_schema_field_t CONFIG_ATTESTER_FIELDS[];

/* Each may be NULL. False with the message set. */
bool config_take_issuer(mqd_reader *reader, const file_issuer *issuer);
bool config_take_attester(mqd_reader *reader, const file_attester *attester);

#endif
