/*
 * http/call.h: a request of ours for a tunnel, as a client: what all versions of HTTP say of it.
 */
#ifndef MQ_HTTP_CALL_H
#define MQ_HTTP_CALL_H

#include <masqueproxy/base.h>

/* Pseudo-headers, Capsule-Protocol, and the caller's. */
#define MQ_CALL_EXTRA_MAX 16u
#define MQ_CALL_FIELDS_MAX (6u + MQ_CALL_EXTRA_MAX)

typedef struct mq_call {
    bool udp;              /* CONNECT-UDP (RFC 9298), else CONNECT (RFC 9110 9.3.6) */
    const char *authority; /* the target of CONNECT; the proxy of CONNECT-UDP */
    const char *path;      /* of CONNECT-UDP */
    const masque_field *fields;
    size_t field_count; /* at most MQ_CALL_EXTRA_MAX */
} mq_call;

/* All of them as HTTP/2 and 3 want them (RFC 9113 8.5, RFC 8441 4), by reference. */
size_t mq_call_fields(const mq_call *call, masque_field fields[MQ_CALL_FIELDS_MAX]);

#endif
