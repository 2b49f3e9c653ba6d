/*
 * token_options.h: what `masqueproxy token …` was told.
 */
#ifndef PROBE_TOKEN_OPTIONS_H
#define PROBE_TOKEN_OPTIONS_H

#include "options.h"

typedef struct token_options {
    const char *issuer;   /* URLs */
    const char *attester; /* NULL: none */
    const char *user;     /* at the attester */
    const char *password_file;
    const char *issuer_name;        /* as challenges have it */
    const char *origin;             /* NULL: tokens for any */
    const char *redemption_context; /* Base64, or NULL */
    masque_token_type type;         /* 0: not told */
    uint64_t count;
    const char *wallet;
    const char *ca;
    const char *certificate; /* who we are, for the issuer; NULL: nobody */
    const char *private_key;
    const char *out;
    uint64_t timeout_ms;
    bool help; /* is all that is wanted */
} token_options;

/* Reads ARGV behind the second word. False with MESSAGE set. */
bool token_options_read(token_options *options, int argc, char **argv, mqd_message *message);
/* What --help says of flags. */
void token_options_print(void);

#endif
