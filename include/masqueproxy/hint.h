/*
 * masqueproxy/hint.h: hints of a client's place that somebody vouches for: a first hop, or a vendor's location service.
 * In `sec-ch-geohash` they are a String with Parameters (RFC 9651 3.3.3 and 3.1.2) that end with the signature:
 *
 *   "xn76c-JP";exp=1767225600;aud="b.example.net";kid="a1";sig=:MEUC…:
 *
 * What is signed, by ECDSA on P-256 with SHA-256, is `sec-ch-geohash: ` and all that stands before `;sig`. The audience
 * is the proxy that the hint is for, so no other one takes it, and it ends after minutes; until then whoever has it can
 * show it. It names nobody.
 */
#ifndef MASQUE_HINT_H
#define MASQUE_HINT_H

#include <masqueproxy/geo.h>
#include <masqueproxy/privacy_pass.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest field value, with its end. */
#define MASQUE_HINT_MAX 640
#define MASQUE_HINT_AUDIENCE_MAX 255
#define MASQUE_HINT_KID_MAX 32

typedef struct masque_hint {
    masque_place place;
    masque_unix_time expires;                    /* 0: it has no exp */
    char audience[MASQUE_HINT_AUDIENCE_MAX + 1]; /* "": none */
    char kid[MASQUE_HINT_KID_MAX + 1];           /* of the key that signed it; "": none */
    bool is_signed;                              /* there is a signature, good or not */
} masque_hint;

/* Reads a field value: a bare xn76c-JP, or a String with or without parameters, of which unknown ones are passed over.
   False: malformed. Says nothing of the signature. Any thread, as all of these. */
MASQUE_EXTERN bool masque_hint_read(masque_hint *hint, const char *text, size_t length);

/* Writes the field value of HINT, whose time, audience and kid (visible ASCII without quote and backslash) are all
   needed, signed by a private key of P-256 in PEM. 0, MASQUE_ERR_INVALID: HINT can't be written;
   MASQUE_ERR_PRIVATE_KEY: the key can't be used; MASQUE_ERR_NO_MEMORY, MASQUE_ERR_CRYPTO. */
MASQUE_EXTERN int masque_hint_sign(const masque_runtime *runtime, const masque_hint *hint, const char *private_pem,
                                   size_t pem_length, char text[MASQUE_HINT_MAX]);

/* Is TEXT signed by the key, of which this is the public half in PEM? Whoever asks has looked at time, audience and
   kid. 0; MASQUE_ERR_DENIED: no; MASQUE_ERR_INVALID: it is malformed, or the key none of P-256; MASQUE_ERR_NO_MEMORY.
 */
MASQUE_EXTERN int masque_hint_verify(const masque_runtime *runtime, const char *text, size_t length,
                                     const char *public_pem, size_t pem_length);

/* --- whom a proxy believes ---------------------------------------------------------------- */

typedef enum masque_hint_need {
    MASQUE_HINTS_OPTIONAL, /* unsigned hints count, too; a wrong signature makes a hint absent */
    MASQUE_HINTS_NEEDED,   /* unsigned ones are absent, too, but for those of servers known by their certificates */
    MASQUE_HINTS_ENFORCED  /* what would be absent gets 403 */
} masque_hint_need;

typedef struct masque_hints {
    const char *audience; /* ours, exactly as hints have it; copied */
    masque_hint_need need;
    uint64_t lifetime_max_s; /* a hint that ends later is none, but for a minute; 1 to 86,400; 0: 600 */
    /* Seconds since 1970, UTC. Any engine's thread. */
    masque_unix_time (*clock)(void *context);
    void *context;
} masque_hints;

/* Signed hints are looked at, after the request is allowed; a connection's last one is remembered, for a look costs 90
   µs. MASQUE_ERR_INVALID: no audience, or a number out of range; MASQUE_ERR_STATE: sealed. */
MASQUE_EXTERN int masque_config_set_hints(masque_config *config, const masque_hints *hints);
/* One more key: its public half in PEM, of P-256, and the kid that hints name it by; several are for rotation.
   MASQUE_ERR_INVALID: the kid is there already or no such name, or the key none of P-256; MASQUE_ERR_NO_MEMORY;
   MASQUE_ERR_STATE: sealed. */
MASQUE_EXTERN int masque_config_add_hint_key(masque_config *config, const char *kid, const char *pem, size_t length);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_HINT_H */
