/*
 * masqueproxy/quota.h: what one identity may use: a pre-shared key, an account, a certificate; or, as tokens are
 * anonymous, an issuer of tokens. Over all its connections, all protocols, and all engines that have the configuration.
 *
 * Engines that share quotas have to share a clock as well: their moments are compared.
 *
 * A request beyond its quota is answered 503 with connection_limit_reached (RFC 9209 2.3.12). A tunnel that carries
 * bytes beyond those of an hour ends, with a reset.
 */
#ifndef MASQUE_QUOTA_H
#define MASQUE_QUOTA_H

#include <masqueproxy/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct masque_quota {
    /* Whose: the name of an authentication method, such as "preshared" or "privacy-pass", or "certificate" for clients
       that a certificate alone authenticates. */
    const char *method;
    /* As the method calls it (masque_auth_identify()): the name of a key, an account, an issuer. Of a certificate a
       rule as in masque_client_certificates; all that fit it share the quota. NULL: each of the method's that has no
       quota of its own. */
    const char *identity;
    /* 0: no bound. */
    uint64_t tunnels_max;    /* at once */
    uint64_t tunnels_rate;   /* new ones a second; as many at once */
    uint64_t bytes_per_hour; /* of tunnels, both directions together; what was used comes back evenly */
} masque_quota;

/* Copies QUOTA. MASQUE_ERR_INVALID: no method, an identity that is longer than MASQUE_IDENTITY_MAX or no such rule, no
   bound at all, or one that is there already. MASQUE_ERR_STATE: sealed. MASQUE_ERR_NO_MEMORY. */
MASQUE_EXTERN int masque_config_add_quota(masque_config *config, const masque_quota *quota);

/* What was counted of BEFORE's identities goes on in CONFIG, which is to take its place; or each reload would give
   everybody a new hour. Both may be in use by engines then. Before CONFIG is sealed, else MASQUE_ERR_STATE. BEFORE may
   be NULL. */
MASQUE_EXTERN int masque_config_continue(masque_config *config, const masque_config *before);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_QUOTA_H */
