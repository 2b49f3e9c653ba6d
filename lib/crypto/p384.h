/*
 * crypto/p384.h: the group P-384 as RFC 9497 4.4 uses it: points, scalars, and hashing to both (RFC 9380, suite
 * P384_XMD:SHA-384_SSWU_RO_). Multiplying takes the same time for all scalars. Any thread.
 */
#ifndef MQ_CRYPTO_P384_H
#define MQ_CRYPTO_P384_H

#include "base/memory.h"
#include "crypto/digest.h"

#define MQ_P384_SCALAR 48u
#define MQ_P384_POINT 49u
#define MQ_P384_DST_MAX 64u

/* A number below the order, big-endian. */
typedef struct mq_p384_scalar {
    uint8_t bytes[MQ_P384_SCALAR];
} mq_p384_scalar;

/* A point of the curve, never the identity. */
typedef struct mq_p384_point {
    uint8_t x[MQ_P384_SCALAR];
    uint8_t y[MQ_P384_SCALAR];
} mq_p384_point;

/* SEC 1 2.3.4, compressed. False: it is no point. */
bool mq_p384_point_read(mq_p384_point *point, const uint8_t bytes[MQ_P384_POINT]);
void mq_p384_point_write(const mq_p384_point *point, uint8_t bytes[MQ_P384_POINT]);

/* False: it is zero, or not below the order. */
bool mq_p384_scalar_read(mq_p384_scalar *scalar, const uint8_t bytes[MQ_P384_SCALAR]);
/* Never zero. 0 or MASQUE_ERR_CRYPTO. */
int mq_p384_scalar_random(mq_p384_scalar *scalar, const masque_runtime *runtime);

/* All of these: 0, MASQUE_ERR_CRYPTO, MASQUE_ERR_NO_MEMORY, or MASQUE_ERR_INVALID: the result is the identity or zero.
 */

/* BY times POINT, which may be OUT; and BY times the generator. */
int mq_p384_multiply(mq_p384_point *out, const mq_p384_scalar *by, const mq_p384_point *point);
int mq_p384_multiply_base(mq_p384_point *out, const mq_p384_scalar *by);
/* A times P plus B times Q; of public numbers. */
int mq_p384_multiply_two(mq_p384_point *out, const mq_p384_scalar *a, const mq_p384_point *p, const mq_p384_scalar *b,
                         const mq_p384_point *q);

/* A - B * SECRET, of which the time tells nothing; RUNTIME's random numbers hide it. */
int mq_p384_scalar_less(mq_p384_scalar *out, const mq_p384_scalar *a, const mq_p384_scalar *b,
                        const mq_p384_scalar *secret, const masque_runtime *runtime);
/* 1 / SCALAR. */
int mq_p384_scalar_invert(mq_p384_scalar *out, const mq_p384_scalar *scalar);

/* BY times HashToGroup; and HashToScalar. With the domain separation tag DST, of at most MQ_P384_DST_MAX bytes. */
int mq_p384_multiply_hash(mq_p384_point *out, const mq_p384_scalar *by, const mq_piece *message, size_t count,
                          const char *dst);
int mq_p384_hash_to_scalar(mq_p384_scalar *out, const mq_piece *message, size_t count, const char *dst);

/* SHA-384. 0 or MASQUE_ERR_CRYPTO. */
#define MQ_SHA384_LENGTH 48u
int mq_sha384(uint8_t digest[MQ_SHA384_LENGTH], const mq_piece *pieces, size_t count);

#endif
