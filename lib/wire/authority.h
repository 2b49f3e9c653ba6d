/*
 * wire/authority.h: the target of a CONNECT, `host:port` (RFC 9110 9.3.6,
 * RFC 3986 3.2). Strict: one spelling in, one canonical form out. Never looks
 * anything up, never allocates, never decides what is allowed.
 */
#ifndef MQ_WIRE_AUTHORITY_H
#define MQ_WIRE_AUTHORITY_H

#include <masqueproxy/base.h>

/* RFC 1035 2.3.4 in text form, without the final dot. */
#define MQ_HOST_NAME_MAX 253

typedef struct mq_authority {
    /* A literal address with the port; family NONE when the host is a name. */
    masque_address address;
    uint16_t port;
    uint16_t name_length;            /* 0 for a literal address */
    char name[MQ_HOST_NAME_MAX + 1]; /* lower case, no final dot, ends with a zero */
} mq_authority;

/* Returns 0 or MASQUE_ERR_INVALID (then *AUTHORITY is undefined). A host is an
   IPv4 address in four decimal numbers, an IPv6 address in brackets without a
   zone, or a name of letters, digits, hyphens, underscores and dots whose last
   label isn't a number (so "127.1", "0x7f.1" and "2130706433" are neither). One
   final dot is dropped. The port is 1..65535 without leading zeros. */
int mq_authority_parse(mq_authority *authority, const char *text, size_t length);

/* Writes the canonical form, `name:port`, `192.0.2.1:port` or `[v6]:port`. Returns
   the length it needs without the final zero. */
size_t mq_authority_format(const mq_authority *authority, char *text, size_t size);

#endif
