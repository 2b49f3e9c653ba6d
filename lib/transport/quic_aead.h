/*
 * transport/quic_aead.h: one key of QUIC's packet protection (RFC 9001 5.3, 5.4) straight on wolfCrypt. ngtcp2's
 * helper for wolfSSL goes through its EVP layer, which copies each packet and allocates for it.
 */
#ifndef MQ_TRANSPORT_QUIC_AEAD_H
#define MQ_TRANSPORT_QUIC_AEAD_H

#include "base/memory.h"
#include "transport/quic_ngtcp2.h"

#define MQ_AEAD_TAG 16u
#define MQ_AEAD_KEY_MAX 32u

typedef enum mq_aead { MQ_AES_128_GCM, MQ_AES_256_GCM, MQ_CHACHA20_POLY1305 } mq_aead;

/* For ngtcp2: the native_handle of an ngtcp2_crypto_aead_ctx or an ngtcp2_crypto_cipher_ctx. */
typedef struct mq_packet_key mq_packet_key;

typedef enum mq_key_use {
    MQ_KEY_PACKETS,
    MQ_KEY_HEADERS,
    MQ_KEY_LATER /* for packets behind a key update: small until it is used, which is mostly never */
} mq_key_use;

/* In bytes. */
size_t mq_aead_key_length(mq_aead aead);
/* 0, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_CRYPTO. BYTES, mq_aead_key_length() of them, are copied; ALLOCATOR
   outlives it. */
int mq_packet_key_new(mq_packet_key **out, const masque_allocator *allocator, mq_aead aead, mq_key_use use,
                      const uint8_t *bytes);
/* Wipes it. KEY may be NULL. */
void mq_packet_key_del(const masque_allocator *allocator, mq_packet_key *key);

/* ngtcp2's encrypt, decrypt and hp_mask. */
int mq_quic_encrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                    const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t nonce_length,
                    const uint8_t *aad, size_t aad_length);
int mq_quic_decrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                    const uint8_t *ciphertext, size_t length, const uint8_t *nonce, size_t nonce_length,
                    const uint8_t *aad, size_t aad_length);
int mq_quic_mask(uint8_t *to, const ngtcp2_crypto_cipher *hp, const ngtcp2_crypto_cipher_ctx *context,
                 const uint8_t *sample);

#endif
