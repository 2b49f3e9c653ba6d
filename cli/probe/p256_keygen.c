#include "p256_keygen.h"

#include <string.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>

/* PKCS #8, and SubjectPublicKeyInfo. */
static bool write_pems(ecc_key *key, p256_keypair *pair) {
    byte der[256];
    word32 size = sizeof der;
    bool good =
        wc_EccPrivateKeyToPKCS8(key, der, &size) > 0 &&
        wc_DerToPem(der, size, (byte *)pair->private_pem, sizeof pair->private_pem - 1, PKCS8_PRIVATEKEY_TYPE) > 0;
    memset(der, 0, sizeof der);
    int length = good ? wc_EccPublicKeyToDer(key, der, sizeof der, 1) : 0;
    return length > 0 &&
           wc_DerToPem(der, (word32)length, (byte *)pair->public_pem, sizeof pair->public_pem - 1, PUBLICKEY_TYPE) > 0;
}

bool p256_keygen(p256_keypair *pair) {
    ecc_key key;
    WC_RNG rng;
    memset(pair, 0, sizeof *pair);
    if (wc_InitRng(&rng) != 0) {
        return false;
    }
    if (wc_ecc_init(&key) != 0) {
        wc_FreeRng(&rng);
        return false;
    }
    bool good = wc_ecc_make_key_ex(&rng, 32, &key, ECC_SECP256R1) == 0 && write_pems(&key, pair);
    wc_ecc_free(&key);
    wc_FreeRng(&rng);
    return good;
}
