/*
 * p256_keygen.h: a new key of P-256 for who signs hints, by wolfCrypt.
 */
#ifndef PROBE_P256_KEYGEN_H
#define PROBE_P256_KEYGEN_H

#include <stdbool.h>

/* In PEM, ends with a zero; the private one is to be wiped. */
typedef struct p256_keypair {
    char private_pem[512];
    char public_pem[512];
} p256_keypair;

bool p256_keygen(p256_keypair *pair);

#endif
