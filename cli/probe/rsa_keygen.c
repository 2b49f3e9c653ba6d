#include "rsa_keygen.h"

#include <string.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/rsa.h>

#define BITS 2048
#define EXPONENT 65537

bool rsa_keygen(rsa_keypair *pair) {
    RsaKey key;
    WC_RNG rng;
    memset(pair, 0, sizeof *pair);
    if (wc_InitRng(&rng) != 0) {
        return false;
    }
    if (wc_InitRsaKey(&key, NULL) != 0) {
        wc_FreeRng(&rng);
        return false;
    }
    int length = wc_MakeRsaKey(&key, BITS, EXPONENT, &rng);
    length = length < 0 ? length : wc_RsaKeyToDer(&key, pair->der, sizeof pair->der);
    pair->der_length = length > 0 ? (size_t)length : 0;
    int pem = length > 0
                  ? wc_DerToPem(pair->der, (word32)length, (uint8_t *)pair->pem, sizeof pair->pem - 1, PRIVATEKEY_TYPE)
                  : -1;
    wc_FreeRsaKey(&key);
    wc_FreeRng(&rng);
    return pem > 0;
}
