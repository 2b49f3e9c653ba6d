/*
 * wire/varint.h: variable-length integers (RFC 9000 16), as capsules, contexts and
 * HTTP datagrams use them. Pure functions.
 */
#ifndef MQ_WIRE_VARINT_H
#define MQ_WIRE_VARINT_H

#include <masqueproxy/base.h>

#define MQ_VARINT_MAX ((UINT64_C(1) << 62) - 1)
#define MQ_VARINT_LENGTH_MAX 8u

/* The length of the one that begins with FIRST: 1, 2, 4 or 8. */
static inline size_t mq_varint_length(uint8_t first) {
    return (size_t)1 << (first >> 6);
}

/* Reads one; returns its length, or 0 when BYTES ends before it does. Longer forms than
   needed are fine (RFC 9000 16). */
size_t mq_varint_read(const uint8_t *bytes, size_t length, uint64_t *value);

/* Writes VALUE <= MQ_VARINT_MAX in its shortest form; returns the length. */
size_t mq_varint_write(uint8_t bytes[MQ_VARINT_LENGTH_MAX], uint64_t value);

#endif
