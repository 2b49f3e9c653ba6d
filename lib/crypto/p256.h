/*
 * crypto/p256.h: ECDSA on P-256 with SHA-256 (FIPS 186-5); signatures are r and s, 32 bytes each, as JOSE has them (RFC
 * 7518 3.4). Keys are values without state: any threads.
 */
#ifndef MQ_CRYPTO_P256_H
#define MQ_CRYPTO_P256_H

#include "crypto/digest.h"

#define MQ_P256_SIGNATURE_LENGTH 64u

typedef struct mq_p256_key {
    uint8_t x[32], y[32];
    uint8_t secret[32]; /* of a private one; to be wiped */
} mq_p256_key;

/* From PEM. 0, MASQUE_ERR_NO_MEMORY, or MASQUE_ERR_INVALID: it is no such key, or of another curve. */
int mq_p256_read_public(mq_p256_key *key, const char *pem, size_t length, const masque_allocator *allocator);
int mq_p256_read_private(mq_p256_key *key, const char *pem, size_t length, const masque_allocator *allocator);

/* 0 or MASQUE_ERR_CRYPTO. */
int mq_p256_sign(const mq_p256_key *key, const uint8_t digest[MQ_SHA256_LENGTH],
                 uint8_t signature[MQ_P256_SIGNATURE_LENGTH]);
bool mq_p256_verify(const mq_p256_key *key, const uint8_t digest[MQ_SHA256_LENGTH],
                    const uint8_t signature[MQ_P256_SIGNATURE_LENGTH]);

#endif
