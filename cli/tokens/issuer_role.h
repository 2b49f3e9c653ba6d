/*
 * tokens/issuer_role.h: `issuer:` in the configuration: an issuer of Privacy Pass tokens with its directory.
 */
#ifndef TOKENS_ISSUER_ROLE_H
#define TOKENS_ISSUER_ROLE_H

#include "tokens/role.h"

/* Reads keys, to be served next. False with MESSAGE set. */
bool issuer_role_prepare(token_role_next *next, const mqd_settings *settings, mqd_message *message);

/* A private key file of TYPE in the form that the library takes: PEM, or a line of Base64. To be given to
   forget_secret(). NULL with MESSAGE set. */
char *issuer_key_read(const char *path, masque_token_type type, size_t *length, mqd_message *message);

#endif
