/*
 * crypto/raw_key.h: raw public keys (RFC 7250): what TLS shows in place of a certificate, and trusts by nothing but its
 * hash.
 */
#ifndef MQ_CRYPTO_RAW_KEY_H
#define MQ_CRYPTO_RAW_KEY_H

#include "base/memory.h"

/* The longest SubjectPublicKeyInfo: RSA with 4,096 bits. */
#define MQ_RAW_KEY_MAX 600u

/* The SubjectPublicKeyInfo of a private key, PEM, of ECDSA or RSA. 0, MASQUE_ERR_NO_MEMORY, or MASQUE_ERR_PRIVATE_KEY.
 */
int mq_raw_key_of(uint8_t spki[MQ_RAW_KEY_MAX], size_t *length, const uint8_t *pem, size_t pem_length,
                  const masque_allocator *allocator);

#endif
