/*
 * masqueproxy/config.h: what a proxy is told before it runs.
 *
 * Build one, seal it, give it to engines. A sealed configuration never changes
 * and may be shared by threads; it is counted, and freed with its last user. To
 * change something build another and hand it over with masque_engine_set_config():
 * live connections keep the one they began with.
 *
 * All functions but retain and release belong to the building thread.
 */
#ifndef MASQUE_CONFIG_H
#define MASQUE_CONFIG_H

#include <masqueproxy/auth.h>
#include <masqueproxy/base.h>
#include <masqueproxy/limits.h>
#include <masqueproxy/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct masque_config masque_config;

/* A new, empty configuration with default limits, counted once for the caller.
   RUNTIME's allocator and random source are used (copied); its log is not.
   Returns NULL without memory. */
MASQUE_EXTERN masque_config *masque_config_new(const masque_runtime *runtime);

/* One user more. Any thread. Returns CONFIG. */
MASQUE_EXTERN masque_config *masque_config_retain(masque_config *config);

/* One user less; frees it (keys are wiped) after the last. NULL is fine. Any thread. */
MASQUE_EXTERN void masque_config_release(masque_config *config);

/* Every setter below copies what it is given. They return MASQUE_ERR_STATE on a
   sealed configuration, MASQUE_ERR_NO_MEMORY, and what is said. After an error
   the configuration is as before. */

/* The server's certificate chain and private key, both PEM, in place of earlier ones.
   Checked when sealed, but for dates: the library knows no calendar. CHAIN_PEM NULL: the private key's public half is
   shown itself, as a raw public key (RFC 7250), and clients trust it by its hash. */
MASQUE_EXTERN int masque_config_set_certificate(masque_config *config, const void *chain_pem, size_t chain_length,
                                                const void *key_pem, size_t key_length);

/* The certificates, PEM, of those whom connections that masque_connect() makes trust, in place of
   earlier ones. A system's are a file such as /etc/ssl/certs/ca-certificates.crt. NULL: anybody's;
   for tests only. Dates are compared with the system's clock, by wolfSSL. Without a call there are
   no such connections; with one a configuration may do without certificate and authentication,
   and its engine then serves nobody. MASQUE_ERR_INVALID: 0 bytes, or keys are trusted, see below. */
MASQUE_EXTERN int masque_config_set_trust(masque_config *config, const void *pem, size_t length);

/* Instead: connections that masque_connect() makes trust servers that show a raw public key (RFC 7250) whose
   SubjectPublicKeyInfo has this SHA-256, and nobody else. Several may be added. MASQUE_ERR_INVALID: certificates are
   trusted, too. */
MASQUE_EXTERN int masque_config_add_trusted_key(masque_config *config, const uint8_t hash[32]);

/* 32 bytes that seal session tickets (RFC 8446 4.6.1). Engines, processes and
   machines that share them resume each other's sessions. Call again for older
   keys that still open tickets, at most 3; the first one seals. Without a call
   a random key is made when sealed. A ticket opens nothing at a listener with
   another certificate, nor where clients are known by other means, nor a day
   after the full handshake. MASQUE_ERR_INVALID: too many. */
#define MASQUE_TICKET_KEY_LENGTH 32
MASQUE_EXTERN int masque_config_add_ticket_key(masque_config *config, const uint8_t key[MASQUE_TICKET_KEY_LENGTH]);

/* The path of CONNECT-UDP requests, a URI Template with target_host and target_port (RFC 9298 2);
   what stands before the path is ignored. The default is RFC 9298's,
   "/.well-known/masque/udp/{target_host}/{target_port}/". NULL: no CONNECT-UDP, its requests are
   answered 501; for a host that dials TCP only. MASQUE_ERR_INVALID: it is none, uses another
   operator than ? or &, or is longer than 256 bytes. */
MASQUE_EXTERN int masque_config_set_udp_template(masque_config *config, const char *text);

/* Replaces all limits. MASQUE_ERR_INVALID: one is out of range, see
   masque_limits_check(). */
MASQUE_EXTERN int masque_config_set_limits(masque_config *config, const masque_limits *limits);

/* The limits in force. Valid as long as CONFIG. */
MASQUE_EXTERN const masque_limits *masque_config_limits(const masque_config *config);

/* Adds a key of the Preshared scheme: `Proxy-Authorization: Preshared KEY`. All
   keys are compared, each in constant time. NAME appears in metrics, never the
   key. MASQUE_ERR_INVALID: a length outside auth.h's bounds, a byte in the key
   that is not visible ASCII, or a NAME or key that exists: to rotate, give the new key a new name. */
MASQUE_EXTERN int masque_config_add_preshared(masque_config *config, const char *name, const char *key, size_t length);

/* Adds a method after those that exist. MASQUE_ERR_INVALID: a mandatory slot is
   NULL, or its name is "certificate", which means mutual TLS. On success the library calls METHOD->release once, later.
 */
MASQUE_EXTERN int masque_config_add_auth_method(masque_config *config, const masque_auth_method *method);

/* Clients' certificates, or raw public keys (mutual TLS), on TCP and QUIC. */
typedef struct masque_client_certificates {
    /* Who signs them: their chain has to lead there, and be for TLS clients (RFC 5280 4.2.1.12). NULL: raw keys alone.
     */
    const void *ca_pem;
    size_t ca_length;
    const void *crl; /* PEM or DER of their CA's list of revoked ones; NULL: none */
    size_t crl_length;
    /* Of whom it signs: "subject:CN=gateway,O=Example" (RFC 4514), "dns:a.example", any URI such as
       "spiffe://example/a", or "sha256:…" of the SubjectPublicKeyInfo, in hexadecimal or Base64. None: all. */
    const char *const *allow;
    size_t allow_count;
    /* A client may show a raw public key (RFC 7250) instead: one that a sha256: rule names. */
    bool raw_keys;
    /* False: a certificate that is allowed authenticates every request of its connection, and who has none may come
       with another method's credential. True: nobody gets through the handshake without one, and where there are other
       methods, one of them has to allow each request as well. */
    bool needed;
} masque_client_certificates;

#define MASQUE_PEER_RULE_MAX 1024

/* Asks clients for certificates. A session that is resumed shows none, but keeps who its client was, for a day and as
   long as the certificate itself is good and CA and CRL are these, the latter no older than it says; rules are asked as
   ever. Where wolfSSL has no room for that in its tickets (README.md, Other systems), or somebody's names are too long,
   the handshake is a full one. MASQUE_ERR_INVALID: neither CA nor raw keys, a CRL without CA, or a rule that is none:
   *WRONG is which. What is wrong with CA and CRL is found when sealed: MASQUE_ERR_CLIENT_CA, MASQUE_ERR_CLIENT_CRL. */
MASQUE_EXTERN int masque_config_set_client_certificates(masque_config *config,
                                                        const masque_client_certificates *certificates, size_t *wrong);

/* The certificate chain and key, PEM, that connections made by masque_connect() show to servers that ask for one; with
   CHAIN_PEM NULL a raw public key, as the server's. Found to be wrong when sealed, as the server's. */
MASQUE_EXTERN int masque_config_set_client_identity(masque_config *config, const void *chain_pem, size_t chain_length,
                                                    const void *key_pem, size_t key_length);

/* What is different at one of a host's listeners. */
typedef struct masque_listener {
    /* Its own certificate chain and key, as masque_config_set_certificate() takes them. KEY_PEM NULL: the
     * configuration's. */
    const void *chain_pem;
    size_t chain_length;
    const void *key_pem;
    size_t key_length;
    /* Names of the methods that let somebody in, "certificate" for mutual TLS among them. NULL: all that there are, as
       everywhere. */
    const char *const *methods;
    size_t method_count;
    bool needs_certificate; /* with METHODS: as masque_client_certificates.needed, here */
} masque_listener;

#define MASQUE_LISTENER_MAX 255

/* LISTENER for connections that masque_conn_set_listener(), or masque_packets, says NUMBER of, from 1 on. Behind
   methods and certificates. MASQUE_ERR_INVALID: a number out of range, a name that is no method's, no name, a chain
   without key, or a certificate needed that isn't asked for. What is wrong with chain and key is found when sealed. */
MASQUE_EXTERN int masque_config_set_listener(masque_config *config, unsigned number, const masque_listener *listener);
/* Whose chain or key it was, after masque_config_seal() has failed; 0: the configuration's own. */
MASQUE_EXTERN unsigned masque_config_wrong_listener(const masque_config *config);

/* A request without any credential is answered by 407 and what the methods ask for, which tells that this is a proxy;
   unless told it gets the 403 of a wrong credential. */
MASQUE_EXTERN int masque_config_set_challenge(masque_config *config, bool on);

/* ON: an engine that gets this configuration by masque_engine_set_config() ends, with a reset, tunnels of whoever it
   would allow no longer: whose method, key, account or issuer is gone, or whose certificate no rule names any more; of
   all certificates, when CA or CRL are others. Unless told they go on. */
MASQUE_EXTERN int masque_config_set_revocation(masque_config *config, bool on);

/* Adds a rule; the order among allow rules, and among deny rules, is free.
   MASQUE_ERR_INVALID: a prefix with host bits or a wrong length or range. */
MASQUE_EXTERN int masque_config_add_target_rule(masque_config *config, const masque_target_rule *rule);

/* Names an address this proxy listens on (port set) or sends from (port 0). To be called
   for each: without it a proxy on a public address may be told to dial itself.
   MASQUE_ERR_INVALID: no IP address. */
MASQUE_EXTERN int masque_config_add_own_address(masque_config *config, const masque_address *address);

/* Checks everything and closes CONFIG for changes. MASQUE_ERR_NO_CREDENTIALS,
   MASQUE_ERR_NO_AUTH, MASQUE_ERR_CERTIFICATE, MASQUE_ERR_PRIVATE_KEY,
   MASQUE_ERR_KEY_MISMATCH, MASQUE_ERR_CLIENT_CA, MASQUE_ERR_CLIENT_CRL, MASQUE_ERR_CRYPTO; it can be corrected and
   sealed again then. */
MASQUE_EXTERN int masque_config_seal(masque_config *config);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_CONFIG_H */
