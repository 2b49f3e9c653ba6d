/*
 * masqueproxy/privacy_pass.h: Privacy Pass (RFC 9576 to 9578). Here: the origin, which a proxy is to its clients. They
 * send `Proxy-Authorization: PrivateToken token=...`, one token a request, and the token tells that an issuer vouches
 * for somebody, but not for whom.
 *
 *   masque_token_origin *origin = masque_token_origin_new(&options, &runtime);
 *   masque_token_origin_add_key(origin, &key);                 // one or more, of one or more issuers
 *   const masque_auth_method method = masque_token_origin_method(origin);
 *   masque_config_add_auth_method(config, &method);            // which frees it in the end
 *
 * A token is good when a key that is in its time has signed it, for the challenge (RFC 9577 2.1) that stands beside
 * that key; and when the host's `spend` has not seen it before. Anything else is one denial.
 */
#ifndef MASQUE_PRIVACY_PASS_H
#define MASQUE_PRIVACY_PASS_H

#include <masqueproxy/auth.h>
#include <masqueproxy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* RFC 9578 8.2. */
typedef enum masque_token_type {
    MASQUE_TOKEN_VOPRF = 0x0001,    /* VOPRF(P-384, SHA-384): whoever checks tokens needs the issuer's private key */
    MASQUE_TOKEN_BLIND_RSA = 0x0002 /* Blind RSA with 2,048 bits, for anybody who knows the public key */
} masque_token_type;

#define MASQUE_VOPRF_PUBLIC_LENGTH 49  /* a compressed point */
#define MASQUE_VOPRF_PRIVATE_LENGTH 48 /* a scalar, big-endian */

/* Seconds since 1970, UTC. */
typedef int64_t masque_unix_time;

/* A token that is good but for its being new. */
typedef struct masque_spent_token {
    masque_tunnel_id tunnel; /* for masque_authorized() */
    uint8_t id[32];          /* hash of key ID and nonce: the same for every spelling of one token, for no other one */
    uint8_t key_id[32];      /* of the key that it was made with (RFC 9578 5.5 and 6.5) */
    uint32_t key;            /* that key's place in the order of masque_token_origin_add_key(), from 0 */
    masque_unix_time not_after; /* of the key: then the token may be forgotten; 0: never */
} masque_spent_token;

/* Where the redemption context of challenges comes from (RFC 9577 2.1.1.2). */
typedef enum masque_redemption {
    MASQUE_REDEMPTION_NONE,    /* empty: tokens may be fetched long before they are used */
    MASQUE_REDEMPTION_FIXED,   /* always `redemption_bytes` */
    MASQUE_REDEMPTION_ROTATING /* made of `redemption_bytes` and the time, a new one each `redemption_period`; the one
                                  before is good, too */
} masque_redemption;

#define MASQUE_REDEMPTION_LENGTH 32

/* All fields are mandatory. Both functions get CONTEXT, from every thread that has an engine with the configuration. */
typedef struct masque_token_origin_options {
    masque_unix_time (*clock)(void *context);
    /* Notes TOKEN, which has passed all else, if it is new: ALLOW; or DENY: it was there; or UNAVAILABLE; or PENDING,
       as a method's check. Insert-if-absent in one step, or two requests with one token may both pass. */
    masque_verdict (*spend)(void *context, const masque_spent_token *token);
    void *context;
} masque_token_origin_options;

/* A key of an issuer's, and the challenge that its tokens are made for. */
typedef struct masque_token_key {
    const char *issuer; /* its name as challenges have it, e.g. "issuer.example" */
    /* The origin's names, with commas between them (2.1.1); NULL or empty: tokens are for any origin. */
    const char *origin_info;
    masque_redemption redemption;
    const uint8_t *redemption_bytes; /* MASQUE_REDEMPTION_LENGTH; of ROTATING a secret that a fleet shares */
    uint32_t redemption_period;      /* ROTATING: seconds, at least 1 */
    masque_token_type type;
    /* As the issuer's directory gives it, decoded: of Blind RSA SubjectPublicKeyInfo with id-RSASSA-PSS (RFC 9578 6.5),
       of VOPRF MASQUE_VOPRF_PUBLIC_LENGTH bytes (5.5). */
    const uint8_t *bytes;
    size_t length;
    const uint8_t *private_bytes; /* VOPRF: MASQUE_VOPRF_PRIVATE_LENGTH bytes; copied, and wiped in the end */
    /* When tokens of it are taken; 0: no such bound. */
    masque_unix_time not_before;
    masque_unix_time not_after;
} masque_token_key;

typedef struct masque_token_origin masque_token_origin;

/* *ORIGIN is NULL unless 0 is returned: MASQUE_ERR_NO_MEMORY, or MASQUE_ERR_INVALID: a function is missing. */
MASQUE_EXTERN int masque_token_origin_new(masque_token_origin **origin, const masque_token_origin_options *options,
                                          const masque_runtime *runtime);
/* Only while no method was made of it. ORIGIN may be NULL. Until then one thread at a time uses it. */
MASQUE_EXTERN void masque_token_origin_free(masque_token_origin *origin);

/* KEY is copied. Before a method is made of ORIGIN; MASQUE_ERR_STATE: too late. MASQUE_ERR_INVALID: another type, no
   issuer, a text longer than 65,535 bytes, a redemption context without its bytes or period, bytes that are no such
   key, an RSA key of another length than 2,048 bits, private bytes that are none or another key's, or a key that is
   there already with the same challenge.
   MASQUE_ERR_NO_MEMORY; MASQUE_ERR_CRYPTO. */
MASQUE_EXTERN int masque_token_origin_add_key(masque_token_origin *origin, const masque_token_key *key);

/* More keys will come, with another configuration: tokens of unknown ones are answered UNAVAILABLE until then, for they
   may be good. Before a method is made. */
MASQUE_EXTERN void masque_token_origin_expect_keys(masque_token_origin *origin);

/* The method, named "privacy-pass"; it owns ORIGIN now, and its `release` frees
   it, which the host calls itself when no configuration takes the method. Any threads may use it. */
MASQUE_EXTERN masque_auth_method masque_token_origin_method(masque_token_origin *origin);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_PRIVACY_PASS_H */
