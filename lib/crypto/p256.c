#include "crypto/p256.h"

#include "crypto/wolfssl.h"

/* A signature in DER: two numbers of at most 33 bytes. */
#define DER_MAX 80u

static int export_public(mq_p256_key *to, ecc_key *key) {
    word32 x = sizeof to->x, y = sizeof to->y;
    bool good = wc_ecc_get_curve_id(key->idx) == ECC_SECP256R1 && wc_ecc_check_key(key) == 0 &&
                wc_ecc_export_public_raw(key, to->x, &x, to->y, &y) == 0 && x == sizeof to->x && y == sizeof to->y;
    return good ? 0 : MASQUE_ERR_INVALID;
}

int mq_p256_read_public(mq_p256_key *key, const char *pem, size_t length, const masque_allocator *allocator) {
    word32 at = 0;
    ecc_key ecc;
    uint8_t *der = length > 0 ? mq_alloc(allocator, length) : NULL; /* it is shorter */
    int error = MASQUE_ERR_INVALID;
    if (!der || wc_ecc_init(&ecc) != 0) {
        mq_free(allocator, der);
        return length > 0 ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_INVALID;
    }
    int der_length = wc_PubKeyPemToDer((const uint8_t *)pem, (int)length, der, (int)length);
    if (der_length > 0 && wc_EccPublicKeyDecode(der, &at, &ecc, (word32)der_length) == 0) {
        error = export_public(key, &ecc);
    }
    wc_ecc_free(&ecc);
    mq_free(allocator, der);
    return error;
}

int mq_p256_read_private(mq_p256_key *key, const char *pem, size_t length, const masque_allocator *allocator) {
    word32 at = 0, size = sizeof key->secret;
    ecc_key ecc;
    uint8_t *der = length > 0 ? mq_alloc(allocator, length) : NULL;
    int error = MASQUE_ERR_INVALID;
    if (!der || wc_ecc_init(&ecc) != 0) {
        mq_free(allocator, der);
        return length > 0 ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_INVALID;
    }
    int der_length = wc_KeyPemToDer((const uint8_t *)pem, (int)length, der, (int)length, NULL);
    if (der_length > 0 && wc_EccPrivateKeyDecode(der, &at, &ecc, (word32)der_length) == 0 &&
        (ecc.type != ECC_PRIVATEKEY_ONLY || wc_ecc_make_pub(&ecc, NULL) == 0) &&
        wc_ecc_export_private_only(&ecc, key->secret, &size) == 0 && size == sizeof key->secret) {
        error = export_public(key, &ecc);
    }
    wc_ecc_free(&ecc);
    mq_wipe(der, length);
    mq_free(allocator, der);
    return error;
}

int mq_p256_sign(const mq_p256_key *key, const uint8_t digest[MQ_SHA256_LENGTH],
                 uint8_t signature[MQ_P256_SIGNATURE_LENGTH]) {
    uint8_t der[DER_MAX], r[33], s[33];
    word32 length = sizeof der, r_length = sizeof r, s_length = sizeof s;
    ecc_key ecc;
    WC_RNG rng;
    if (wc_ecc_init(&ecc) != 0) {
        return MASQUE_ERR_CRYPTO;
    }
    if (wc_InitRng(&rng) != 0) {
        wc_ecc_free(&ecc);
        return MASQUE_ERR_CRYPTO;
    }
    int code = wc_ecc_import_unsigned(&ecc, key->x, key->y, key->secret, ECC_SECP256R1);
#ifdef ECC_TIMING_RESISTANT
    code = code ? code : wc_ecc_set_rng(&ecc, &rng);
#endif
    code = code ? code : wc_ecc_sign_hash(digest, MQ_SHA256_LENGTH, der, &length, &rng, &ecc);
    code = code ? code : wc_ecc_sig_to_rs(der, length, r, &r_length, s, &s_length);
    bool good = code == 0 && r_length <= 32 && s_length <= 32;
    memset(signature, 0, MQ_P256_SIGNATURE_LENGTH);
    if (good) {
        memcpy(signature + 32 - r_length, r, r_length);
        memcpy(signature + 64 - s_length, s, s_length);
    }
    wc_FreeRng(&rng);
    wc_ecc_free(&ecc);
    return good ? 0 : MASQUE_ERR_CRYPTO;
}

bool mq_p256_verify(const mq_p256_key *key, const uint8_t digest[MQ_SHA256_LENGTH],
                    const uint8_t signature[MQ_P256_SIGNATURE_LENGTH]) {
    uint8_t der[DER_MAX];
    word32 length = sizeof der;
    ecc_key ecc;
    int good = 0;
    if (wc_ecc_init(&ecc) != 0) {
        return false;
    }
    int code = wc_ecc_import_unsigned(&ecc, key->x, key->y, NULL, ECC_SECP256R1);
    code = code ? code : wc_ecc_rs_raw_to_sig(signature, 32, signature + 32, 32, der, &length);
    code = code ? code : wc_ecc_verify_hash(der, length, digest, MQ_SHA256_LENGTH, &good, &ecc);
    wc_ecc_free(&ecc);
    return code == 0 && good == 1;
}
