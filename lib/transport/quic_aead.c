#include "transport/quic_aead.h"

#include <string.h>

struct mq_packet_key {
    const masque_allocator *allocator;
    mq_aead aead;
    Aes *aes;                       /* NULL: not AES, or MQ_KEY_LATER before its first packet */
    bool is_late;                   /* `aes` is a block of its own, and not behind this struct */
    uint8_t bytes[MQ_AEAD_KEY_MAX]; /* while `aes` is NULL */
};

/* AES that is used at once comes in one block. */
typedef struct aes_packet_key {
    mq_packet_key key;
    Aes aes;
} aes_packet_key;

size_t mq_aead_key_length(mq_aead aead) {
    return aead == MQ_AES_128_GCM ? 16 : 32;
}

static int set_aes_key(Aes *aes, mq_key_use use, const uint8_t *bytes, size_t length) {
    if (wc_AesInit(aes, NULL, INVALID_DEVID) != 0) {
        return MASQUE_ERR_CRYPTO;
    }
    int error = use == MQ_KEY_PACKETS ? wc_AesGcmSetKey(aes, bytes, (word32)length)
                                      : wc_AesSetKey(aes, bytes, (word32)length, NULL, AES_ENCRYPTION);
    if (error) {
        wc_AesFree(aes);
    }
    return error ? MASQUE_ERR_CRYPTO : 0;
}

int mq_packet_key_new(mq_packet_key **out, const masque_allocator *allocator, mq_aead aead, mq_key_use use,
                      const uint8_t *bytes) {
    bool expands = aead != MQ_CHACHA20_POLY1305 && use != MQ_KEY_LATER;
    *out = NULL;
    mq_packet_key *key = mq_zalloc(allocator, expands ? sizeof(aes_packet_key) : sizeof *key);
    if (!key) {
        return MASQUE_ERR_NO_MEMORY;
    }
    key->allocator = allocator;
    key->aead = aead;
    if (!expands) {
        memcpy(key->bytes, bytes, mq_aead_key_length(aead));
    } else {
        Aes *aes = &((aes_packet_key *)key)->aes;
        int error = set_aes_key(aes, use, bytes, mq_aead_key_length(aead));
        if (error) {
            mq_free(allocator, key);
            return error;
        }
        key->aes = aes;
    }
    *out = key;
    return 0;
}

void mq_packet_key_del(const masque_allocator *allocator, mq_packet_key *key) {
    if (!key) {
        return;
    }
    if (key->aes) {
        wc_AesFree(key->aes);
        mq_wipe(key->aes, sizeof *key->aes);
    }
    if (key->is_late) {
        mq_free(allocator, key->aes);
    }
    mq_wipe(key, sizeof *key);
    mq_free(allocator, key);
}

/* Of a key that waited. NULL: no memory, or wolfCrypt fails. */
static Aes *expand_late(mq_packet_key *key) {
    Aes *aes = mq_zalloc(key->allocator, sizeof *aes);
    if (aes && set_aes_key(aes, MQ_KEY_PACKETS, key->bytes, mq_aead_key_length(key->aead))) {
        mq_free(key->allocator, aes);
        aes = NULL;
    }
    if (aes) {
        mq_wipe(key->bytes, sizeof key->bytes);
        key->aes = aes;
        key->is_late = true;
    }
    return aes;
}

/* False: it should be AES, and there is no memory for it. */
static bool is_ready(mq_packet_key *key) {
    return key->aes || key->aead == MQ_CHACHA20_POLY1305 || expand_late(key);
}

int mq_quic_encrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                    const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t nonce_length,
                    const uint8_t *aad, size_t aad_length) {
    mq_packet_key *key = context->native_handle;
    (void)aead;
    if (!is_ready(key)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    int error = key->aes ? wc_AesGcmEncrypt(key->aes, to, plaintext, (word32)length, nonce, (word32)nonce_length,
                                            to + length, MQ_AEAD_TAG, aad, (word32)aad_length)
                         : wc_ChaCha20Poly1305_Encrypt(key->bytes, nonce, aad, (word32)aad_length, plaintext,
                                                       (word32)length, to, to + length);
    return error ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

int mq_quic_decrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                    const uint8_t *ciphertext, size_t length, const uint8_t *nonce, size_t nonce_length,
                    const uint8_t *aad, size_t aad_length) {
    mq_packet_key *key = context->native_handle;
    (void)aead;
    if (length < MQ_AEAD_TAG) {
        return NGTCP2_ERR_DECRYPT;
    }
    if (!is_ready(key)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    size_t plain = length - MQ_AEAD_TAG;
    const uint8_t *tag = ciphertext + plain;
    int error = key->aes ? wc_AesGcmDecrypt(key->aes, to, ciphertext, (word32)plain, nonce, (word32)nonce_length, tag,
                                            MQ_AEAD_TAG, aad, (word32)aad_length)
                         : wc_ChaCha20Poly1305_Decrypt(key->bytes, nonce, aad, (word32)aad_length, ciphertext,
                                                       (word32)plain, tag, to);
    return error ? NGTCP2_ERR_DECRYPT : 0;
}

/* RFC 9001 5.4.3: AES-ECB of the sample. */
static int mask_by_aes(Aes *aes, uint8_t *to, const uint8_t *sample) {
    uint8_t block[NGTCP2_HP_SAMPLELEN];
    int error = wc_AesEcbEncrypt(aes, block, sample, sizeof block);
    memcpy(to, block, NGTCP2_HP_MASKLEN);
    return error;
}

/* 5.4.4: the sample is counter and nonce. */
static int mask_by_chacha(const uint8_t *key, uint8_t *to, const uint8_t *sample) {
    static const uint8_t zeros[NGTCP2_HP_MASKLEN];
    ChaCha chacha;
    uint32_t counter =
        (uint32_t)sample[3] << 24 | (uint32_t)sample[2] << 16 | (uint32_t)sample[1] << 8 | (uint32_t)sample[0];
    int error = wc_Chacha_SetKey(&chacha, key, MQ_AEAD_KEY_MAX);
    if (!error) {
        error = wc_Chacha_SetIV(&chacha, sample + 4, counter);
    }
    if (!error) {
        error = wc_Chacha_Process(&chacha, to, zeros, sizeof zeros);
    }
    mq_wipe(&chacha, sizeof chacha);
    return error;
}

int mq_quic_mask(uint8_t *to, const ngtcp2_crypto_cipher *hp, const ngtcp2_crypto_cipher_ctx *context,
                 const uint8_t *sample) {
    mq_packet_key *key = context->native_handle;
    (void)hp;
    int error = key->aes ? mask_by_aes(key->aes, to, sample) : mask_by_chacha(key->bytes, to, sample);
    return error ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}
