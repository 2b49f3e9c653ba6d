/*
 * auth/privacypass/challenge.h: TokenChallenge (RFC 9577 2.1.1): what an origin asks for, and by its digest what a
 * token was made for.
 */
#ifndef MQ_AUTH_PRIVACYPASS_CHALLENGE_H
#define MQ_AUTH_PRIVACYPASS_CHALLENGE_H

#include "base/memory.h"

/* RFC 9578 8.2. */
typedef enum mq_token_type {
    MQ_TOKEN_VOPRF = 0x0001,    /* VOPRF(P-384, SHA-384), for who has the issuer's key */
    MQ_TOKEN_BLIND_RSA = 0x0002 /* Blind RSA, 2,048 bits, for anybody */
} mq_token_type;

#define MQ_TOKEN_DIGEST 32u
#define MQ_REDEMPTION_CONTEXT 32u

/* Names are ASCII without final zeros. */
typedef struct mq_token_challenge {
    uint16_t type;
    const char *issuer;
    size_t issuer_length; /* 1 to 65,535 */
    const uint8_t *redemption_context;
    size_t redemption_context_length; /* 0 or MQ_REDEMPTION_CONTEXT */
    const char *origin_info;          /* names with commas between them */
    size_t origin_info_length;        /* at most 65,535; 0: any origin */
} mq_token_challenge;

/* Reads all of BYTES, which CHALLENGE then points into. False: it is malformed. Of any type. */
bool mq_token_challenge_read(mq_token_challenge *challenge, const uint8_t *bytes, size_t length);

size_t mq_token_challenge_length(const mq_token_challenge *challenge);
/* Writes so many bytes. */
void mq_token_challenge_write(const mq_token_challenge *challenge, uint8_t *bytes);

/* SHA-256 of it (2.1.3). 0 or MASQUE_ERR_CRYPTO. */
int mq_token_challenge_digest(const mq_token_challenge *challenge, uint8_t digest[MQ_TOKEN_DIGEST]);

#endif
