#include "transport/quic_aead.h"

#include <string.h>

#define TAG_LENGTH 16u

/* The key of an AES-GCM context that ngtcp2's helper made, or NULL. */
static Aes *gcm_key(const ngtcp2_crypto_aead_ctx *context) {
    WOLFSSL_EVP_CIPHER_CTX *evp = context->native_handle;
    bool gcm = evp->cipherType == WC_AES_128_GCM_TYPE || evp->cipherType == WC_AES_256_GCM_TYPE;
    return gcm ? &evp->cipher.aes : NULL;
}

int mq_quic_encrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                    const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t nonce_length,
                    const uint8_t *aad, size_t aad_length) {
    Aes *key = gcm_key(context);
    if (!key) {
        return ngtcp2_crypto_encrypt_cb(to, aead, context, plaintext, length, nonce, nonce_length, aad, aad_length);
    }
    int error = wc_AesGcmEncrypt(key, to, plaintext, (word32)length, nonce, (word32)nonce_length, to + length,
                                 TAG_LENGTH, aad, (word32)aad_length);
    return error ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

int mq_quic_decrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                    const uint8_t *ciphertext, size_t length, const uint8_t *nonce, size_t nonce_length,
                    const uint8_t *aad, size_t aad_length) {
    Aes *key = gcm_key(context);
    if (!key) {
        return ngtcp2_crypto_decrypt_cb(to, aead, context, ciphertext, length, nonce, nonce_length, aad, aad_length);
    }
    if (length < TAG_LENGTH) {
        return NGTCP2_ERR_DECRYPT;
    }
    size_t plain = length - TAG_LENGTH;
    int error = wc_AesGcmDecrypt(key, to, ciphertext, (word32)plain, nonce, (word32)nonce_length, ciphertext + plain,
                                 TAG_LENGTH, aad, (word32)aad_length);
    return error ? NGTCP2_ERR_DECRYPT : 0;
}

int mq_quic_mask(uint8_t *to, const ngtcp2_crypto_cipher *hp, const ngtcp2_crypto_cipher_ctx *context,
                 const uint8_t *sample) {
    WOLFSSL_EVP_CIPHER_CTX *evp = context->native_handle;
    uint8_t block[NGTCP2_HP_SAMPLELEN];
    bool aes = evp->cipherType == WC_AES_128_CTR_TYPE || evp->cipherType == WC_AES_256_CTR_TYPE;
    if (!aes) {
        return ngtcp2_crypto_hp_mask_cb(to, hp, context, sample);
    }
    /* RFC 9001 5.4.3: AES-ECB of the sample; of what the counter mode's key is for. */
    if (wc_AesEcbEncrypt(&evp->cipher.aes, block, sample, sizeof block) != 0) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    memcpy(to, block, NGTCP2_HP_MASKLEN);
    return 0;
}
