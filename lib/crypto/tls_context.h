/*
 * crypto/tls_context.h: what all TLS connections of one engine and one
 * configuration share: certificate, trusted ones, ciphers, key exchange groups, ticket keys.
 *
 * An engine makes its own from the configuration's bytes, so that no lock and
 * no random generator is shared between threads. The one place that knows which
 * algorithms we offer.
 */
#ifndef MQ_CRYPTO_TLS_CONTEXT_H
#define MQ_CRYPTO_TLS_CONTEXT_H

#include <masqueproxy/config.h>

#include "base/memory.h"

#define MQ_TICKET_KEYS_MAX 3

/* The configuration's part: plain bytes, read-only after sealing. */
typedef struct mq_credentials {
    uint8_t *key_pem; /* NULL: we are no server */
    size_t key_length;
    uint8_t *chain_pem; /* NULL: the key's public half is shown itself (RFC 7250) */
    size_t chain_length;
    uint8_t ticket_keys[MQ_TICKET_KEYS_MAX][MASQUE_TICKET_KEY_LENGTH]; /* the first one seals */
    size_t ticket_key_count;
    uint8_t *trust_pem; /* whom a client trusts */
    size_t trust_length;
    bool trust_anybody;
    uint8_t (*trusted_keys)[32]; /* or whose raw public keys, by hash; then no certificate is trusted */
    size_t trusted_key_count;
    size_t trusted_key_capacity;
    uint8_t *identity_key_pem; /* whom a client says it is; NULL: nobody */
    size_t identity_key_length;
    uint8_t *identity_pem; /* as chain_pem */
    size_t identity_length;
    bool asks_clients;      /* for certificates, or raw public keys */
    uint8_t *client_ca_pem; /* whose clients a server knows; NULL: nobody's certificate */
    size_t client_ca_length;
    uint8_t *client_crl; /* or NULL */
    size_t client_crl_length;
    bool client_raw_keys;
    bool client_certificate_needed;
} mq_credentials;

/* Can connections to servers be made with them? */
static inline bool mq_credentials_are_clients(const mq_credentials *credentials) {
    return credentials->trust_pem || credentials->trust_anybody || credentials->trusted_key_count > 0;
}

/* Do both ask the same of clients' certificates? */
bool mq_credentials_same_clients(const mq_credentials *a, const mq_credentials *b);

/* Makes of the ticket keys such as open no ticket of others: of whoever shows another certificate (OWN: it is not the
   configuration's), or asks clients for other certificates, or for none. Once. 0 or MASQUE_ERR_CRYPTO. */
int mq_credentials_bind_tickets(mq_credentials *credentials, bool own);

void mq_credentials_free(mq_credentials *credentials, const masque_allocator *allocator);

typedef struct mq_tls_context mq_tls_context;

/* CREDENTIALS must outlive it. RANDOM makes the nonces of tickets. Returns 0 or
   MASQUE_ERR_NO_MEMORY, _CERTIFICATE, _PRIVATE_KEY, _KEY_MISMATCH, _CLIENT_CA, _CLIENT_CRL, _CRYPTO. */
int mq_tls_context_new(mq_tls_context **context, const mq_credentials *credentials, const masque_runtime *runtime);
void mq_tls_context_del(mq_tls_context *context);

/* A WOLFSSL_CTX. A pointer without a type, so that no other header needs wolfSSL's. */
void *mq_tls_context_handle(mq_tls_context *context);
/* The same for QUIC: TLS 1.3 without records (RFC 9001). */
void *mq_tls_context_quic_handle(mq_tls_context *context);
/* The same of clients; NULL when the credentials are none of a client. */
void *mq_tls_context_client_handle(mq_tls_context *context);
void *mq_tls_context_quic_client_handle(mq_tls_context *context);

/* Frees a WOLFSSL of any of them; it may be NULL. */
void mq_tls_free(void *ssl);

/* SSL, a client's WOLFSSL, is to talk to SERVER only: a host name, which SNI says too (RFC 6066 3),
   or an address without port. 0 or MASQUE_ERR_NO_MEMORY. */
int mq_tls_expect(const mq_tls_context *context, void *ssl, const char *server);
/* Behind the handshake: 0, or MASQUE_ERR_UNTRUSTED: the server of a client's WOLFSSL showed a raw public key that is
   not trusted, or none where one is wanted: wolfSSL itself takes any; or MASQUE_ERR_NO_MEMORY. */
int mq_tls_check_server_key(const mq_tls_context *context, void *ssl);
/* Is ALERT one that says what is wrong with the peer's certificate (RFC 8446 6.2)? */
bool mq_tls_alert_is_of_certificate(int alert);

#endif
