/*
 * masqueproxy/token_client.h: who gets Privacy Pass tokens (RFC 9578): makes requests to an issuer, or to an attester
 * that passes them on, and tokens of the answers. HTTP is the host's.
 *
 *   masque_token_order *order;
 *   masque_token_order_new(&order, &what, &runtime);
 *   masque_token_order_request(order, &request);         // to be POSTed
 *   masque_token_order_finish(order, body, length);      // of an answer 200
 *   masque_token_order_token(order, 0, &token);          // each is good for one request of ours to the proxy
 *
 * Threads: one at a time for each order.
 */
#ifndef MASQUE_TOKEN_CLIENT_H
#define MASQUE_TOKEN_CLIENT_H

#include <masqueproxy/token_issuer.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What tokens are made for (RFC 9577 2.1.1). */
typedef struct masque_token_challenge {
    masque_token_type type;
    const char *issuer;
    const char *origin_info;           /* names with commas between them; NULL or empty: any origin */
    const uint8_t *redemption_context; /* MASQUE_REDEMPTION_LENGTH bytes; NULL: none */
} masque_token_challenge;

#define MASQUE_TOKEN_CHALLENGE_MAX 2048

/* Reads the bytes of a challenge, which the texts are copied of into TEXTS. MASQUE_ERR_INVALID: it is malformed, or of
   another type, or longer than MASQUE_TOKEN_CHALLENGE_MAX. */
MASQUE_EXTERN int masque_token_challenge_read(masque_token_challenge *challenge, char texts[MASQUE_TOKEN_CHALLENGE_MAX],
                                              const uint8_t *bytes, size_t length);
/* Writes it; returns its length, or 0: there is no issuer, or it is longer than MASQUE_TOKEN_CHALLENGE_MAX. */
MASQUE_EXTERN size_t masque_token_challenge_write(const masque_token_challenge *challenge,
                                                  uint8_t bytes[MASQUE_TOKEN_CHALLENGE_MAX]);

typedef struct masque_token_order_options {
    masque_token_challenge challenge;
    const uint8_t *key; /* the issuer's, as its directory gives it, decoded */
    size_t key_length;
    size_t count; /* of tokens: 1 to MASQUE_TOKEN_BATCH_MAX */
    bool batch;   /* as a batch, though it is only one */
} masque_token_order_options;

typedef struct masque_token_order masque_token_order;

/* *ORDER is NULL unless 0 is returned. MASQUE_ERR_INVALID: no such challenge, key or count; MASQUE_ERR_NO_MEMORY;
   MASQUE_ERR_CRYPTO. The runtime needs `random`. */
MASQUE_EXTERN int masque_token_order_new(masque_token_order **order, const masque_token_order_options *options,
                                         const masque_runtime *runtime);
/* Wipes what it holds. ORDER may be NULL. */
MASQUE_EXTERN void masque_token_order_free(masque_token_order *order);

typedef struct masque_token_post {
    const char *media_type; /* for Content-Type; static */
    const char *accept;     /* for Accept, and what the answer's Content-Type must be; static */
    const uint8_t *body;    /* the order's */
    size_t length;
} masque_token_post;

MASQUE_EXTERN void masque_token_order_request(const masque_token_order *order, masque_token_post *post);

/* Takes the body of the answer. Returns how many tokens it made, at least 1; or MASQUE_ERR_INVALID: none, for the
   answer is malformed, is not by that key, or the issuer refused each. MASQUE_ERR_STATE: it has been answered. */
MASQUE_EXTERN int masque_token_order_finish(masque_token_order *order, const uint8_t *body, size_t length);

/* The longest token. */
#define MASQUE_TOKEN_MAX 354

typedef struct masque_token {
    size_t length;
    uint8_t bytes[MASQUE_TOKEN_MAX];
} masque_token;

/* Token NUMBER of those that were made, from 0. False: there are fewer. */
MASQUE_EXTERN bool masque_token_order_token(const masque_token_order *order, size_t number, masque_token *token);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_TOKEN_CLIENT_H */
