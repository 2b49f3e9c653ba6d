/*
 * crypto/secret.h: comparing secrets without telling how alike they are.
 */
#ifndef MQ_CRYPTO_SECRET_H
#define MQ_CRYPTO_SECRET_H

#include "base/memory.h"

#define MQ_SECRET_DIGEST_LENGTH 32

/* HMAC-SHA-256 of TEXT under KEY: a fixed length to compare, of which an
   attacker who doesn't have KEY can't choose a byte. 0 or MASQUE_ERR_CRYPTO. */
int mq_secret_digest(uint8_t digest[MQ_SECRET_DIGEST_LENGTH], const uint8_t key[MQ_SECRET_DIGEST_LENGTH],
                     const void *text, size_t length);

/* The time depends on LENGTH alone. */
bool mq_secret_same(const uint8_t *a, const uint8_t *b, size_t length);

#endif
