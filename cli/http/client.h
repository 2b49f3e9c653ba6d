/*
 * http/client.h: one HTTPS request at a time, on libcurl: an issuer's directory, token requests, an attester's
 * forwarding. Any thread. https:// only; redirections are not followed, as none is to be expected and each would tell
 * somebody else.
 */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "settings.h"

typedef struct http_call {
    const char *url;
    const char *ca_file;     /* PEM; NULL: the system's */
    const char *certificate; /* a PEM file that proves who we are, where it is asked for; NULL: none */
    const char *private_key;
    const char *content_type; /* of BODY; NULL: a GET */
    const char *accept;
    const char *user; /* Basic; NULL: none */
    const char *password;
    const uint8_t *body;
    size_t length;
    size_t answer_max; /* bytes; a longer answer is an error */
    unsigned timeout_s;
} http_call;

typedef struct http_result {
    long status;
    char content_type[256]; /* "" when there is none */
    char cache_control[256];
    uint8_t *body; /* to be freed; a zero behind it */
    size_t length;
} http_result;

/* Once in a process, before any thread. */
void http_client_init(void);

/* False with MESSAGE set: there was no answer. RESULT->body is to be freed when true. */
bool http_client_call(const http_call *call, http_result *result, mqd_message *message);

#endif
