/*
 * tokens/role.h: what the roles issuer and attester have in common: sockets that stay over reloads, and an HTTPS server
 * on each. The main thread's.
 */
#ifndef TOKENS_ROLE_H
#define TOKENS_ROLE_H

#include "http/server.h"
#include "log.h"
#include "settings.h"

/* Where tokens are asked for, below an issuer's or attester's URL. */
#define TOKEN_REQUEST_PATH "/token-request"

typedef struct token_role {
    const char *name; /* "issuer" */
    int fds[ROLE_LISTENERS_MAX];
    http_server *servers[ROLE_LISTENERS_MAX];
    size_t count;
    /* Of what is served now. */
    void *context;
    void (*context_free)(void *context);
} token_role;

/* Binds; NAME is for messages. False with MESSAGE set. */
bool token_role_bind(token_role *role, const char *name, const role_settings *settings, mqd_message *message);

/* Serves with HANDLER and CONTEXT, which it owns, also after an error; what was served before ends then. False with
   MESSAGE set, and nothing has changed. */
bool token_role_serve(token_role *role, const role_settings *settings, http_handler *handler, void *context,
                      void (*context_free)(void *context), mqd_message *message);
void token_role_stop(token_role *role);

/* " 127.0.0.1:8443 …" to standard output. */
void token_role_print(const token_role *role);

/* Answers what is neither of the two paths, or by another method than theirs: 404 or 405. True: it did. */
bool token_role_refuse(const http_request *request, http_answer *answer);

#endif
