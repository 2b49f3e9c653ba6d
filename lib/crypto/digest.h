/*
 * crypto/digest.h: SHA-256 of what lies in pieces.
 */
#ifndef MQ_CRYPTO_DIGEST_H
#define MQ_CRYPTO_DIGEST_H

#include "base/memory.h"

#define MQ_SHA256_LENGTH 32u

typedef struct mq_piece {
    const void *bytes;
    size_t length;
} mq_piece;

/* 0 or MASQUE_ERR_CRYPTO. */
int mq_sha256(uint8_t digest[MQ_SHA256_LENGTH], const mq_piece *pieces, size_t count);

#endif
