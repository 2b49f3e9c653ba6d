/*
 * support/issuer.h: an issuer of Privacy Pass and its client in one, for tests of the origin: makes tokens of type 2
 * for any challenge, with the key of tests/data/unit-rsa-key.pem.
 */
#ifndef SUPPORT_ISSUER_H
#define SUPPORT_ISSUER_H

#include "auth/privacypass/token.h"
#include "crypto/rsa_key.h"

typedef struct support_issuer {
    const masque_runtime *runtime;
    mq_rsa_key *key;
    uint8_t spki[MQ_RSA_SPKI_MAX];
    size_t spki_length;
} support_issuer;

/* What is in PEM; returns its length, and aborts when there is none. */
size_t support_pem(uint8_t *der, size_t capacity, const char *pem, size_t length);

/* The private key in PEM; aborts when there is none. */
mq_rsa_key *support_rsa_key(const masque_allocator *allocator, const char *pem, size_t length);

/* Aborts when anything fails; RUNTIME, with an allocator that is set, outlives it. */
void support_issuer_init(support_issuer *issuer, const masque_runtime *runtime);
void support_issuer_free(support_issuer *issuer);

/* For a challenge of issuer NAME, ORIGIN_INFO and CONTEXT, which may be NULL. */
void support_token(const support_issuer *issuer, const char *name, const char *origin_info, const uint8_t *context,
                   uint8_t token[MQ_PRIVATE_TOKEN_MAX]);

#endif
