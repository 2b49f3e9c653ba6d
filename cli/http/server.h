/*
 * http/server.h: HTTPS for the small roles of masqueproxyd, issuer and attester, on libmicrohttpd: whole requests in,
 * whole answers out. Each connection has a thread, so that a handler may wait; their number is bounded.
 */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "settings.h"

typedef struct http_request {
    const char *method;
    const char *path;
    masque_address client;
    const char *content_type;  /* without parameters; "" when there is none */
    const char *authorization; /* NULL when there is none */
    bool certified;            /* by a certificate of client_ca's */
    const uint8_t *body;
    size_t length;
} http_request;

typedef struct http_answer {
    unsigned status;
    const char *content_type; /* NULL: none; static, or as long as the handler's context */
    const char *field;        /* one more field's name, and its value; or NULL */
    const char *value;
    uint8_t *body; /* malloc()ed; freed by the server */
    size_t length;
} http_answer;

/* In one of many threads. ANSWER is all zero. */
typedef void http_handler(void *context, const http_request *request, http_answer *answer);

typedef struct http_server_options {
    int fd;                  /* a listening socket; stays the caller's */
    const char *certificate; /* PEM; copied */
    const char *private_key;
    const char *client_ca; /* PEM; NULL: clients are not asked for certificates */
    size_t body_max;       /* bytes; longer ones get 413 */
    http_handler *handler;
    void *context;
} http_server_options;

typedef struct http_server http_server;

/* Both PEM: is that the certificate's key? False with MESSAGE set. */
bool http_server_fits(const char *certificate, const char *private_key, mqd_message *message);
/* Is there a certificate in this PEM? */
bool http_trust_is_good(const char *pem);

/* NULL with MESSAGE set. */
http_server *http_server_start(const http_server_options *options, mqd_message *message);
/* Waits for the requests that are being answered. SERVER may be NULL. */
void http_server_stop(http_server *server);

#endif
