#include "crypto/secret.h"

#include "crypto/wolfssl.h"

int mq_secret_digest(uint8_t digest[MQ_SECRET_DIGEST_LENGTH], const uint8_t key[MQ_SECRET_DIGEST_LENGTH],
                     const void *text, size_t length) {
    Hmac hmac;
    if (wc_HmacInit(&hmac, NULL, INVALID_DEVID) != 0) {
        return MASQUE_ERR_CRYPTO;
    }
    bool done = wc_HmacSetKey(&hmac, WC_SHA256, key, MQ_SECRET_DIGEST_LENGTH) == 0 &&
                wc_HmacUpdate(&hmac, text, (word32)length) == 0 && wc_HmacFinal(&hmac, digest) == 0;
    wc_HmacFree(&hmac);
    return done ? 0 : MASQUE_ERR_CRYPTO;
}

bool mq_secret_same(const uint8_t *a, const uint8_t *b, size_t length) {
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < length; i++) {
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    }
    return difference == 0;
}
