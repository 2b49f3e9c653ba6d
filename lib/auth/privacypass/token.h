/*
 * auth/privacypass/token.h: Privacy Pass tokens as an origin gets them (RFC 9577 2.2): in the field's text, and the
 * bytes that are in there. Whether one is good is for origin.h.
 */
#ifndef MQ_AUTH_PRIVACYPASS_TOKEN_H
#define MQ_AUTH_PRIVACYPASS_TOKEN_H

#include "auth/privacypass/challenge.h"

#define MQ_TOKEN_NONCE 32u
/* What is signed: type, nonce, challenge digest, key ID. */
#define MQ_TOKEN_INPUT (2 + MQ_TOKEN_NONCE + 2 * MQ_TOKEN_DIGEST)
#define MQ_TOKEN_AUTHENTICATOR_VOPRF 48u
#define MQ_TOKEN_AUTHENTICATOR_RSA 256u
#define MQ_PRIVATE_TOKEN_MAX (MQ_TOKEN_INPUT + MQ_TOKEN_AUTHENTICATOR_RSA)

typedef struct mq_token {
    uint8_t bytes[MQ_PRIVATE_TOKEN_MAX];
    size_t length;
    uint16_t type; /* one that we know */
} mq_token;

static inline const uint8_t *mq_token_nonce(const mq_token *token) {
    return token->bytes + 2;
}
static inline const uint8_t *mq_token_challenge_digest_of(const mq_token *token) {
    return token->bytes + 2 + MQ_TOKEN_NONCE;
}
static inline const uint8_t *mq_token_key_id(const mq_token *token) {
    return token->bytes + 2 + MQ_TOKEN_NONCE + MQ_TOKEN_DIGEST;
}
static inline const uint8_t *mq_token_authenticator(const mq_token *token) {
    return token->bytes + MQ_TOKEN_INPUT;
}

/* Reads the credential of the PrivateToken scheme: parameters (RFC 9110 11.4), of which one is `token`, as a token
   or quoted; others are ignored. False: there is none or a second, it is no Base64, of a type that we don't know, or
   not as long as its type is. */
bool mq_token_read(mq_token *token, const char *credential, size_t length);

#endif
