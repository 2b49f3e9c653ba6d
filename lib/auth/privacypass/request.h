/*
 * auth/privacypass/request.h: TokenRequest and TokenResponse (RFC 9578 5.1, 5.2, 6.1, 6.2), alone and in batches
 * (draft-ietf-privacypass-batched-tokens, arbitrary batches): their forms, for issuer, attester and client.
 */
#ifndef MQ_AUTH_PRIVACYPASS_REQUEST_H
#define MQ_AUTH_PRIVACYPASS_REQUEST_H

#include "auth/privacypass/token.h"
#include "crypto/blind_rsa.h"
#include "crypto/voprf.h"

#define MQ_TOKEN_REQUEST_HEAD 3u /* type, and the last byte of the key ID */
#define MQ_VOPRF_REQUEST (MQ_TOKEN_REQUEST_HEAD + MQ_P384_POINT)
#define MQ_VOPRF_RESPONSE (MQ_P384_POINT + MQ_VOPRF_PROOF)
#define MQ_RSA_REQUEST (MQ_TOKEN_REQUEST_HEAD + MQ_TOKEN_AUTHENTICATOR_RSA)
#define MQ_RSA_RESPONSE MQ_TOKEN_AUTHENTICATOR_RSA

typedef struct mq_token_request {
    uint16_t type;
    uint8_t key;            /* the last byte of its ID */
    const uint8_t *blinded; /* as long as the type's requests are, behind the head */
} mq_token_request;

/* Bytes of a request, and of a response, of TYPE; 0: no such type. */
size_t mq_token_request_length(uint16_t type);
size_t mq_token_response_length(uint16_t type);

/* A body that is read from its begin to its end. */
typedef struct mq_token_body {
    const uint8_t *at;
    size_t left;
} mq_token_body;

/* Takes off the length of a batch. False: it is another than what follows. */
bool mq_token_batch_open(mq_token_body *body, const uint8_t *bytes, size_t length);

/* 0, or the HTTP status for what is wrong: 400: it is cut; 422: there is no such type. */
unsigned mq_token_request_next(mq_token_body *body, mq_token_request *request);

/* Is MEDIA_TYPE, but for its parameters, TYPE? */
bool mq_media_type_is(const char *media_type, const char *type);

/* Puts the length of a batch in front of LENGTH bytes that lie MQ_VARINT_LENGTH_MAX behind BYTES; returns that of
   both. */
size_t mq_token_batch_close(uint8_t *bytes, size_t length);

#endif
