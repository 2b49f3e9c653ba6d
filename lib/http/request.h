/*
 * http/request.h: the head of one request, as far as a proxy needs it.
 *
 * The sessions (h1.c, h2.c, h3.c) feed pseudo-header values and fields as they come;
 * only the handful we use is kept, everything is counted against the limits.
 * Knows no transport and no syntax of its own beyond tokens.
 */
#ifndef MQ_HTTP_REQUEST_H
#define MQ_HTTP_REQUEST_H

#include <masqueproxy/limits.h>

#include "base/memory.h"
#include "wire/authority.h"

typedef enum mq_method {
    MQ_METHOD_OTHER,
    MQ_METHOD_CONNECT, /* with :protocol: extended (RFC 8441) */
    MQ_METHOD_GET
} mq_method;

/* A kept value: a copy with a final zero, NULL when absent. */
typedef struct mq_text {
    char *bytes;
    size_t length;
} mq_text;

typedef struct mq_request {
    const masque_allocator *allocator;
    mq_method method;
    mq_text authority; /* :authority, or the request target of an HTTP/1.1 CONNECT */
    mq_text path;      /* :path, or the request target of any other HTTP/1.1 request */
    mq_text proxy_authorization;
    mq_text authorization;
    mq_text geohash; /* Sec-CH-Geohash */
    uint32_t geohash_count;
    uint32_t credential_count; /* fields named so; Authorization counts only without the other */
    uint32_t authorization_count;
    uint32_t host_count;
    bool bad_host;         /* one of them can be no host */
    bool has_body;         /* Content-Length or Transfer-Encoding was there */
    bool has_content_type; /* Content-Type was there */
    bool has_protocol;     /* :protocol was there */
    bool has_upgrade;      /* Upgrade was there (HTTP/1.1) ... */
    bool is_upgrade;       /* ... and Connection: Upgrade */
    bool is_for_udp;       /* :protocol is connect-udp, or Upgrade names it */
    bool too_large;        /* a limit on fields or bytes was passed: 431 */
    bool no_memory;        /* 503 */
    uint64_t field_count;
    uint64_t byte_count;     /* names and values, 32 for each field */
    masque_time complete_at; /* when the head was complete */
} mq_request;

/* Is WORD, in lower case, in the comma-separated LIST, in any case (RFC 9110 5.6.1, 7.6.1, 7.8)? */
bool mq_list_names(const char *list, size_t length, const char *word);

void mq_request_init(mq_request *request, const masque_allocator *allocator);
/* Wipes credentials. */
void mq_request_free(mq_request *request);

/* The method's name, any case-sensitive token (RFC 9110 9.1). */
void mq_request_set_method(mq_request *request, const char *name, size_t length);
void mq_request_set_authority(mq_request *request, const char *text, size_t length);
void mq_request_set_path(mq_request *request, const char *text, size_t length);
void mq_request_set_protocol(mq_request *request, const char *text, size_t length);

/* Counts LENGTH bytes of a pseudo-header or request line. */
void mq_request_count(mq_request *request, const masque_limits *limits, size_t length);

/* One field. NAME in any case. */
void mq_request_field(mq_request *request, const masque_limits *limits, const char *name, size_t name_length,
                      const char *value, size_t value_length);

/* The one credential: Proxy-Authorization's, or Authorization's when that is
   absent. False when it stands there more than once. An absent one is the empty text. */
bool mq_request_credential(const mq_request *request, const mq_text **credential);

#endif
