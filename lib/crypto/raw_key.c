#include "crypto/raw_key.h"

#include "crypto/wolfssl.h"

/* 0: it is none of ECDSA. */
static int write_ecc(uint8_t *spki, const uint8_t *der, word32 length) {
    ecc_key key;
    word32 at = 0;
    int written = 0;
    if (wc_ecc_init(&key) != 0) {
        return 0;
    }
    if (wc_EccPrivateKeyDecode(der, &at, &key, length) == 0 &&
        (key.type != ECC_PRIVATEKEY_ONLY || wc_ecc_make_pub(&key, NULL) == 0)) {
        written = wc_EccPublicKeyToDer(&key, spki, MQ_RAW_KEY_MAX, 1);
    }
    wc_ecc_free(&key);
    return written > 0 ? written : 0;
}

static int write_rsa(uint8_t *spki, const uint8_t *der, word32 length) {
    RsaKey key;
    word32 at = 0;
    int written = 0;
    if (wc_InitRsaKey(&key, NULL) != 0) {
        return 0;
    }
    if (wc_RsaPrivateKeyDecode(der, &at, &key, length) == 0) {
        written = wc_RsaKeyToPublicDer(&key, spki, MQ_RAW_KEY_MAX);
    }
    wc_FreeRsaKey(&key);
    return written > 0 ? written : 0;
}

int mq_raw_key_of(uint8_t spki[MQ_RAW_KEY_MAX], size_t *length, const uint8_t *pem, size_t pem_length,
                  const masque_allocator *allocator) {
    if (pem_length == 0) {
        return MASQUE_ERR_PRIVATE_KEY;
    }
    uint8_t *der = mq_alloc(allocator, pem_length); /* it is shorter */
    if (!der) {
        return MASQUE_ERR_NO_MEMORY;
    }
    int der_length = wc_KeyPemToDer(pem, (int)pem_length, der, (int)pem_length, NULL);
    int written = der_length > 0 ? write_ecc(spki, der, (word32)der_length) : 0;
    if (der_length > 0 && written == 0) {
        written = write_rsa(spki, der, (word32)der_length);
    }
    mq_wipe(der, pem_length);
    mq_free(allocator, der);
    *length = (size_t)written;
    return written > 0 ? 0 : MASQUE_ERR_PRIVATE_KEY;
}
