/*
 * masqueproxy/token_issuer.h: the issuer of Privacy Pass tokens (RFC 9578): what it answers to token requests, alone or
 * in batches. HTTP is the host's: it gets the body and media type of a POST and sends what is answered here.
 *
 *   masque_token_issuer *issuer;
 *   masque_token_issuer_new(&issuer, &runtime);
 *   masque_token_issuer_add_key(issuer, &key);       // one or more
 *   masque_token_answer answer;
 *   masque_token_issuer_answer(issuer, media_type, body, length, &answer);   // status, media type, body
 *
 * An issuer sees blinded numbers, and nothing of who asks or what for: that is the attester's, in another process.
 *
 * Threads: one at a time for each issuer; several with the same keys are fine.
 */
#ifndef MASQUE_TOKEN_ISSUER_H
#define MASQUE_TOKEN_ISSUER_H

#include <masqueproxy/privacy_pass.h>

#ifdef __cplusplus
extern "C" {
#endif

/* RFC 9578 8.3 and 4; and those of draft-ietf-privacypass-batched-tokens. */
#define MASQUE_TOKEN_REQUEST_TYPE "application/private-token-request"
#define MASQUE_TOKEN_RESPONSE_TYPE "application/private-token-response"
#define MASQUE_TOKEN_BATCH_REQUEST_TYPE "application/private-token-generic-batch-request"
#define MASQUE_TOKEN_BATCH_RESPONSE_TYPE "application/private-token-generic-batch-response"
#define MASQUE_TOKEN_DIRECTORY_TYPE "application/private-token-issuer-directory"
#define MASQUE_TOKEN_DIRECTORY_PATH "/.well-known/private-token-issuer-directory"

/* Tokens in a batch. */
#define MASQUE_TOKEN_BATCH_MAX 100
/* Bytes of any request or answer: a length of at most 8, and 100 of at most 259. */
#define MASQUE_TOKEN_BODY_MAX (8 + MASQUE_TOKEN_BATCH_MAX * 259)
/* The longest public key: SubjectPublicKeyInfo of an RSA key of 2,048 bits. */
#define MASQUE_TOKEN_PUBLIC_KEY_MAX 400

typedef struct masque_issuer_key {
    masque_token_type type;
    /* Blind RSA: DER of PKCS #8 or PKCS #1, 2,048 bits. VOPRF: MASQUE_VOPRF_PRIVATE_LENGTH bytes. Copied, and wiped in
       the end. */
    const uint8_t *private_bytes;
    size_t private_length;
} masque_issuer_key;

typedef struct masque_token_issuer masque_token_issuer;

/* *ISSUER is NULL unless 0 is returned: MASQUE_ERR_NO_MEMORY. The runtime needs `random`. */
MASQUE_EXTERN int masque_token_issuer_new(masque_token_issuer **issuer, const masque_runtime *runtime);
/* ISSUER may be NULL. */
MASQUE_EXTERN void masque_token_issuer_free(masque_token_issuer *issuer);

/* MASQUE_ERR_INVALID: no such key, or one that requests could not tell from one that is there: they name a type and the
   last byte of the key's ID. MASQUE_ERR_NO_MEMORY; MASQUE_ERR_CRYPTO. */
MASQUE_EXTERN int masque_token_issuer_add_key(masque_token_issuer *issuer, const masque_issuer_key *key);

/* The public half of key NUMBER, from 0, as directories and origins have it, and its length; 0: there is no such key.
 */
MASQUE_EXTERN size_t masque_token_issuer_public_key(const masque_token_issuer *issuer, size_t number,
                                                    uint8_t bytes[MASQUE_TOKEN_PUBLIC_KEY_MAX]);

/* A new private key for VOPRF; RSA's are made by others, as `openssl genpkey` does. 0 or MASQUE_ERR_CRYPTO. */
MASQUE_EXTERN int masque_voprf_generate_key(const masque_runtime *runtime, uint8_t key[MASQUE_VOPRF_PRIVATE_LENGTH]);

typedef struct masque_token_answer {
    unsigned status;        /* of HTTP: 200; 400 malformed; 415 another media type; 422 no such type or key; 500 */
    const char *media_type; /* with 200; static */
    size_t length;
    uint8_t bytes[MASQUE_TOKEN_BODY_MAX];
} masque_token_answer;

/* What is to be answered to a POST of LENGTH bytes BODY with Content-Type MEDIA_TYPE, whose parameters don't matter. In
   a batch each request has its own fate. */
MASQUE_EXTERN void masque_token_issuer_answer(masque_token_issuer *issuer, const char *media_type, const uint8_t *body,
                                              size_t length, masque_token_answer *answer);

/* How many tokens such a POST asks for, by its form alone: for who counts them, as an attester does. 0: it is
   malformed, or of another media type. */
MASQUE_EXTERN size_t masque_token_request_count(const char *media_type, const uint8_t *body, size_t length);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_TOKEN_ISSUER_H */
