/*
 * crypto/rsa_key.h: RSA keys for blind signatures (RFC 9474): from 2,048 to 4,096 bits, whole bytes. Public ones come
 * as SubjectPublicKeyInfo with id-RSASSA-PSS, SHA-384 and a salt of 48 bytes, as RFC 9578 8.2.2 wants them; what is
 * hashed for a key ID are those very bytes, so nothing is ever encoded again.
 *
 * A public key is read-only once it is there: any threads. A private one has a random generator: one thread at a time.
 */
#ifndef MQ_CRYPTO_RSA_KEY_H
#define MQ_CRYPTO_RSA_KEY_H

#include "base/memory.h"

#define MQ_RSA_MIN 256u
#define MQ_RSA_MAX 512u
/* The longest SubjectPublicKeyInfo: the modulus, an exponent of 8 bytes, and what is around them. */
#define MQ_RSA_SPKI_MAX (MQ_RSA_MAX + 96)

typedef struct mq_rsa_key mq_rsa_key;

/* 0, MASQUE_ERR_NO_MEMORY, MASQUE_ERR_CRYPTO, or MASQUE_ERR_INVALID: not such a key. */
int mq_rsa_public_new(mq_rsa_key **key, const masque_allocator *allocator, const uint8_t *spki, size_t length);
/* DER of PKCS #8 or PKCS #1. The same errors. */
int mq_rsa_private_new(mq_rsa_key **key, const masque_allocator *allocator, const uint8_t *der, size_t length);
/* Wipes it. KEY may be NULL. */
void mq_rsa_del(mq_rsa_key *key);

/* Bytes of the modulus, and so of a signature. */
size_t mq_rsa_length(const mq_rsa_key *key);
/* The modulus, mq_rsa_length() bytes. */
void mq_rsa_modulus(const mq_rsa_key *key, uint8_t *modulus);
/* Writes the public half; returns its length, at most MQ_RSA_SPKI_MAX, or 0 when wolfCrypt fails. */
size_t mq_rsa_write_spki(const mq_rsa_key *key, uint8_t spki[MQ_RSA_SPKI_MAX]);

/* RFC 8017 5.2.2 and 5.2.1, on mq_rsa_length() bytes. 0, MASQUE_ERR_NO_MEMORY, or MASQUE_ERR_INVALID: IN is no number
   below the modulus. The second is for private keys, takes the same time whatever they are, and checks its result. */
int mq_rsa_public_op(const mq_rsa_key *key, uint8_t *out, const uint8_t *in);
int mq_rsa_private_op(mq_rsa_key *key, uint8_t *out, const uint8_t *in);

#endif
