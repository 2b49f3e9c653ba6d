/*
 * http/response.h: what we answer, as fields that both HTTP versions write:
 * Server-Timing on every answer, Proxy-Status (RFC 9209) on every refusal, Allow
 * on 405. Fixed words only: no address, no name, no text of a peer.
 */
#ifndef MQ_HTTP_RESPONSE_H
#define MQ_HTTP_RESPONSE_H

#include <masqueproxy/base.h>

/* Why a request was refused. X(name, status, Proxy-Status error type, rcode or
   NULL, details or NULL). 403 is what the product's documentation wants for
   failed authentication; 407 is an option, for requests without credentials; 502 for time-outs (the registry suggests
   504). */
#define MQ_REFUSALS(X)                                                                                                 \
    X(MALFORMED, 400, "http_request_error", NULL, "malformed request")                                                 \
    X(BAD_AUTHORITY, 400, "http_request_error", NULL, "malformed authority")                                           \
    X(BAD_GEOHASH, 400, "http_request_error", NULL, "malformed sec-ch-geohash")                                        \
    X(UNAUTHORIZED, 403, "http_request_denied", NULL, NULL)                                                            \
    X(BAD_HINT, 403, "http_request_denied", NULL, "sec-ch-geohash without a good signature")                           \
    X(TARGET_DENIED, 403, "destination_ip_prohibited", NULL, NULL)                                                     \
    X(CHALLENGE, 407, "http_request_denied", NULL, "authentication required")                                          \
    X(METHOD, 405, "http_request_error", NULL, "method not supported")                                                 \
    X(TOO_LARGE, 431, "http_request_error", NULL, "request head too large")                                            \
    X(PROTOCOL, 501, "http_request_error", NULL, "protocol not supported")                                             \
    X(NAME_NOT_FOUND, 502, "dns_error", "NXDOMAIN", NULL)                                                              \
    X(NAME_EMPTY, 502, "dns_error", "NOERROR", NULL)                                                                   \
    X(NAME_FAILED, 502, "dns_error", "SERVFAIL", NULL)                                                                 \
    X(NAME_TIMEOUT, 502, "dns_timeout", NULL, NULL)                                                                    \
    X(REFUSED, 502, "connection_refused", NULL, NULL)                                                                  \
    X(UNREACHABLE, 502, "destination_ip_unroutable", NULL, NULL)                                                       \
    X(DIAL_TIMEOUT, 502, "connection_timeout", NULL, NULL)                                                             \
    X(DIAL_FAILED, 502, "connection_terminated", NULL, NULL)                                                           \
    X(EXHAUSTED, 503, "connection_limit_reached", NULL, "no descriptor or port left")                                  \
    X(NO_EGRESS, 503, "connection_limit_reached", NULL, "no egress address")                                           \
    X(LIMIT, 503, "connection_limit_reached", NULL, NULL)                                                              \
    X(QUOTA, 503, "connection_limit_reached", NULL, "quota")                                                           \
    X(DRAINING, 503, "connection_limit_reached", NULL, "draining")                                                     \
    X(AUTH_UNAVAILABLE, 503, "proxy_internal_error", NULL, "authentication unavailable")                               \
    X(INTERNAL, 503, "proxy_internal_error", NULL, NULL)

typedef enum mq_refusal {
    MQ_REFUSAL_NONE,
#define MASQUE_X(name, status, type, rcode, details) MQ_REFUSAL_##name,
    MQ_REFUSALS(MASQUE_X)
#undef MASQUE_X
} mq_refusal;

/* Durations; MASQUE_NEVER: the phase did not happen. */
typedef struct mq_timing {
    masque_time proxy; /* ours, without the others */
    masque_time dns;
    masque_time connect;
    masque_time auth;
} mq_timing;

typedef struct mq_response {
    mq_refusal refusal;            /* NONE: 200 */
    bool udp;                      /* of CONNECT-UDP: datagrams follow (RFC 9298) */
    uint16_t h3_port;              /* named in Alt-Svc (RFC 7838); 0: none */
    const char *const *challenges; /* of CHALLENGE: values of Proxy-Authenticate (RFC 9110 11.7.1) */
    size_t challenge_count;        /* at most MQ_CHALLENGES_MAX */
    mq_timing timing;
} mq_response;

#define MQ_CHALLENGES_MAX 4
#define MQ_CHALLENGE_LENGTH_MAX 4096u
#define MQ_RESPONSE_FIELDS_MAX (5 + MQ_CHALLENGES_MAX)

/* Room for the texts of one response. */
typedef struct mq_response_text {
    char status[4];
    char server_timing[128];
    char proxy_status[128];
    char alt_svc[16];
} mq_response_text;

unsigned mq_response_status(const mq_response *response);

/* "OK", "Forbidden", … */
const char *mq_status_reason(unsigned status);

/* Fills FIELDS, whose values point into TEXT or are static; returns how many. */
size_t mq_response_fields(const mq_response *response, mq_response_text *text,
                          masque_field fields[MQ_RESPONSE_FIELDS_MAX]);

/* The same behind :status, as HTTP/2 and 3 begin a response (RFC 9113 8.3.2, RFC 9114 4.3.2). */
size_t mq_response_fields_with_status(const mq_response *response, mq_response_text *text,
                                      masque_field fields[MQ_RESPONSE_FIELDS_MAX + 1]);

/* The Proxy-Status error type of a refusal, for logs; NULL for NONE. */
const char *mq_refusal_type(mq_refusal refusal);

#endif
