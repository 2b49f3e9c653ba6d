/*
 * transport/quic_aead.h: packet protection (RFC 9001 5) straight on wolfCrypt. ngtcp2's helper goes through
 * wolfSSL's EVP layer, which copies each packet and allocates for it; where the cipher is AES-GCM
 * these use the same context's key without. ChaCha20 is left to the helper.
 */
#ifndef MQ_TRANSPORT_QUIC_AEAD_H
#define MQ_TRANSPORT_QUIC_AEAD_H

#include "transport/quic_ngtcp2.h"

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
