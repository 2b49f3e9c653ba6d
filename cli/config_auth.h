/*
 * config_auth.h: the sections `auth` and `quotas` of the configuration file.
 */
#ifndef CLI_CONFIG_AUTH_H
#define CLI_CONFIG_AUTH_H

#include "config_reader.h"

typedef struct file_preshared file_preshared;
typedef struct file_private_token file_private_token;
typedef struct file_spent_tokens file_spent_tokens;
typedef struct file_mtls file_mtls;
typedef struct file_accounts {
    char *file;
} file_accounts;

/* As the file has it; texts that it does not have are NULL. */
typedef struct file_auth {
    char *challenge;
    char *revoke_now;
    file_preshared *preshared;
    unsigned preshared_count;
    file_private_token *private_token;
    unsigned private_token_count;
    file_spent_tokens *spent_tokens;
    file_accounts *basic;
    file_mtls *mtls;
} file_auth;

typedef struct file_quota {
    char *method;
    char *identity;
    char *tunnels;
    char *tunnels_per_second;
    char *bytes_per_hour;
} file_quota;

extern const cyaml_schema_field_t CONFIG_ACCOUNTS_FIELDS[];
extern const cyaml_schema_field_t CONFIG_AUTH_FIELDS[];
extern const cyaml_schema_value_t CONFIG_QUOTA_ENTRY;

/* AUTH may be NULL. False with the message set. */
bool config_take_auth(mqd_reader *reader, const file_auth *auth);
/* The section `quotas`. */
bool config_take_quotas(mqd_reader *reader, const file_quota *entries, unsigned count);

#endif
