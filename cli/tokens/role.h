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

/* What a role is to serve next, made as a whole before anything of what it serves now ends. */
typedef struct token_role_next {
    bool prepared;
    char *certificate; /* PEM, as the other two */
    char *private_key;
    size_t private_key_length;
    char *client_ca; /* or NULL */
    http_handler *handler;
    void *context;
    void (*context_free)(void *context);
    http_server *servers[ROLE_LISTENERS_MAX];
} token_role_next;

/* Reads and checks the files of SETTINGS, to be served with HANDLER and CONTEXT, which NEXT owns, also after an error.
   False with MESSAGE set. */
bool token_role_prepare(token_role_next *next, const role_settings *settings, http_handler *handler, void *context,
                        void (*context_free)(void *context), mqd_message *message);
/* Serves beside what is served now, on the same sockets. False with MESSAGE set. */
bool token_role_start(const token_role *role, token_role_next *next, mqd_message *message);
/* What was served before ends; NEXT is empty. */
void token_role_swap(token_role *role, token_role_next *next);
/* NEXT is not wanted. */
void token_role_discard(token_role_next *next);
void token_role_stop(token_role *role);

/* " 127.0.0.1:8443 (issuer) …" to standard output. */
void token_role_print(const token_role *role);

/* Answers what is neither of the two paths, or by another method than theirs: 404 or 405. True: it did. */
bool token_role_refuse(const http_request *request, http_answer *answer);

#endif
