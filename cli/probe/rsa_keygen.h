/*
 * rsa_keygen.h: a new RSA key of 2,048 bits for an issuer, by wolfCrypt.
 */
#ifndef PROBE_RSA_KEYGEN_H
#define PROBE_RSA_KEYGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* To be wiped. */
typedef struct rsa_keypair {
    uint8_t der[2048]; /* PKCS #1 */
    size_t der_length;
    char pem[4096];
} rsa_keypair;

bool rsa_keygen(rsa_keypair *pair);

#endif
