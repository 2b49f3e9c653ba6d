/*
 * wire/uri_template.h: the URI Template of a CONNECT-UDP proxy (RFC 9298 2, RFC 6570): compiled
 * once, then matched against the paths of requests, or expanded to them.
 *
 * A template has target_host and target_port once each, in simple expansions or in a query:
 *
 *     /.well-known/masque/udp/{target_host}/{target_port}/
 *     https://proxy.example/masque{?target_host,target_port}
 *
 * What stands before the path is of no matter here: the authority of a request is our own.
 */
#ifndef MQ_WIRE_URI_TEMPLATE_H
#define MQ_WIRE_URI_TEMPLATE_H

#include "wire/authority.h"

#define MQ_TEMPLATE_DEFAULT "/.well-known/masque/udp/{target_host}/{target_port}/"
#define MQ_TEMPLATE_MAX 256

typedef struct mq_uri_template {
    char literals[MQ_TEMPLATE_MAX]; /* the three, back to back */
    uint16_t ends[3];
    bool port_first;
} mq_uri_template;

/* Compiles TEXT. 0 or MASQUE_ERR_INVALID (*COMPILED is undefined then): not two variables with
   something between them, another operator than ? or &, no path, or longer than MQ_TEMPLATE_MAX. */
int mq_uri_template_compile(mq_uri_template *compiled, const char *text);

/* The target that PATH names: origin-form, or absolute-form as HTTP/1.1 allows (RFC 9112 3.2.2).
   0 or MASQUE_ERR_INVALID. An IPv6 address may stand with its colons and brackets escaped or not. */
int mq_uri_template_match(const mq_uri_template *compiled, const char *path, size_t length, mq_authority *target);

/* What its two values may add: an IPv6 address's colons are escaped, a name's letters are not. */
#define MQ_EXPANSION_MAX (MQ_HOST_NAME_MAX + 6)

/* The path of a request for TARGET, with a final zero (RFC 6570 3.2.2). */
void mq_uri_template_expand(const mq_uri_template *compiled, const mq_authority *target,
                            char path[MQ_TEMPLATE_MAX + MQ_EXPANSION_MAX]);

#endif
