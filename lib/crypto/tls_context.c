#include "crypto/tls_context.h"

#include <string.h>

#include "crypto/crl.h"
#include "crypto/digest.h"
#include "crypto/peer.h"
#include "crypto/raw_key.h"
#include "crypto/secret.h"
#include "crypto/ticket.h"
#include "crypto/wolfssl.h"

/* AES-128 first: half the cost of AES-256 where AES is in hardware, and enough.
   Clients that list ChaCha20 first get it (tls_stream.c). */
static const char CIPHERS[] = "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES256-GCM-SHA384:"
                              "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                              "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
                              "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";

/* QUIC is TLS 1.3 (RFC 9001 4.2). */
static const char QUIC_CIPHERS[] = "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES256-GCM-SHA384";

struct mq_tls_context {
    masque_allocator allocator;
    const mq_credentials *credentials;
    WOLFSSL_CTX *ctx;
    WOLFSSL_CTX *quic_ctx;
    WOLFSSL_CTX *client_ctx;
    WOLFSSL_CTX *quic_client_ctx;
    mq_ticket_sealer sealer;
};

static bool same_bytes(const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length) {
    return a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

bool mq_credentials_same_clients(const mq_credentials *a, const mq_credentials *b) {
    return a == b || /* as long as no reload came between, for each request */
           (same_bytes(a->client_ca_pem, a->client_ca_length, b->client_ca_pem, b->client_ca_length) &&
            same_bytes(a->client_crl, a->client_crl_length, b->client_crl, b->client_crl_length));
}

void mq_credentials_free(mq_credentials *credentials, const masque_allocator *allocator) {
    if (credentials->key_pem) {
        mq_wipe(credentials->key_pem, credentials->key_length);
    }
    mq_free(allocator, credentials->chain_pem);
    mq_free(allocator, credentials->key_pem);
    mq_free(allocator, credentials->trust_pem);
    if (credentials->identity_key_pem) {
        mq_wipe(credentials->identity_key_pem, credentials->identity_key_length);
    }
    mq_free(allocator, credentials->trusted_keys);
    mq_free(allocator, credentials->identity_pem);
    mq_free(allocator, credentials->identity_key_pem);
    mq_free(allocator, credentials->client_ca_pem);
    mq_free(allocator, credentials->client_crl);
    mq_wipe(credentials, sizeof *credentials);
}

static int bind_key(uint8_t key[MASQUE_TICKET_KEY_LENGTH], const mq_piece *pieces, size_t count) {
    int error = 0;
    for (size_t i = 0; i < count && !error; i++) {
        uint8_t bound[MASQUE_TICKET_KEY_LENGTH];
        error = mq_secret_digest(bound, key, pieces[i].length > 0 ? pieces[i].bytes : "", pieces[i].length);
        if (!error) {
            memcpy(key, bound, sizeof bound);
        }
        mq_wipe(bound, sizeof bound);
    }
    return error;
}

int mq_credentials_bind_tickets(mq_credentials *credentials, bool own) {
    const uint8_t how[] = {credentials->client_raw_keys, credentials->client_certificate_needed};
    const bool has_chain = credentials->chain_pem != NULL;
    const mq_piece pieces[] = {
        {has_chain ? credentials->chain_pem : credentials->key_pem,
         has_chain ? credentials->chain_length : credentials->key_length},
        {credentials->client_ca_pem, credentials->client_ca_length},
        {credentials->client_crl, credentials->client_crl_length},
        {how, sizeof how},
    };
    const size_t count = sizeof pieces / sizeof pieces[0];
    uint8_t keys[MQ_TICKET_KEYS_MAX][MASQUE_TICKET_KEY_LENGTH];
    int error = 0;
    memcpy(keys, credentials->ticket_keys, sizeof keys);
    for (size_t i = 0; i < credentials->ticket_key_count && !error; i++) {
        error = own ? bind_key(keys[i], pieces, 1) : 0;
        error = error || !credentials->asks_clients ? error : bind_key(keys[i], pieces + 1, count - 1);
    }
    if (!error) {
        memcpy(credentials->ticket_keys, keys, sizeof keys);
    }
    mq_wipe(keys, sizeof keys);
    return error;
}

static int set_algorithms(WOLFSSL_CTX *ctx, int version, const char *ciphers) {
    /* A post-quantum hybrid wherever the client has it, then the fastest curve. */
    int groups[] = {WOLFSSL_X25519MLKEM768, WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1, WOLFSSL_ECC_SECP384R1};
    bool done = wolfSSL_CTX_SetMinVersion(ctx, version) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_set_cipher_list(ctx, ciphers) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_set_groups(ctx, groups, (int)(sizeof groups / sizeof groups[0])) == WOLFSSL_SUCCESS;
    return done ? 0 : MASQUE_ERR_CRYPTO;
}

static int set_raw_key(WOLFSSL_CTX *ctx, const uint8_t *key, size_t key_length, const masque_allocator *allocator) {
    uint8_t spki[MQ_RAW_KEY_MAX];
    size_t length;
    int error = mq_raw_key_of(spki, &length, key, key_length, allocator);
    if (error) {
        return error;
    }
    bool done = wolfSSL_CTX_use_certificate_buffer(ctx, spki, (long)length, WOLFSSL_FILETYPE_ASN1) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_use_PrivateKey_buffer(ctx, key, (long)key_length, WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS;
    return done ? 0 : MASQUE_ERR_PRIVATE_KEY;
}

static int set_certificate(WOLFSSL_CTX *ctx, const uint8_t *chain, size_t chain_length, const uint8_t *key,
                           size_t key_length, const masque_allocator *allocator) {
    if (!chain) {
        return set_raw_key(ctx, key, key_length, allocator);
    }
    if (wolfSSL_CTX_use_certificate_chain_buffer_format(ctx, chain, (long)chain_length, WOLFSSL_FILETYPE_PEM) !=
        WOLFSSL_SUCCESS) {
        return MASQUE_ERR_CERTIFICATE;
    }
    if (wolfSSL_CTX_use_PrivateKey_buffer(ctx, key, (long)key_length, WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
        return MASQUE_ERR_PRIVATE_KEY;
    }
    return wolfSSL_CTX_check_private_key(ctx) == WOLFSSL_SUCCESS ? 0 : MASQUE_ERR_KEY_MISMATCH;
}

/* A host may have other servers of wolfSSL's, which share a cache of sessions with ours, whatever we say. */
static int set_sessions(WOLFSSL_CTX *ctx, mq_ticket_sealer *sealer) {
    static const unsigned char name[] = "masqueproxy";
    /* wolfSSL's own cache is one table for the process, behind a lock; tickets need none. */
    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    bool done = wolfSSL_CTX_set_TicketEncCb(ctx, mq_ticket_callback) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_set_TicketEncCtx(ctx, sealer) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_set_TicketHint(ctx, MQ_TICKET_LIFETIME_S) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_set_timeout(ctx, MQ_TICKET_LIFETIME_S) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_set_max_early_data(ctx, 0) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_set_session_id_context(ctx, name, sizeof name) == WOLFSSL_SUCCESS;
    return done ? 0 : MASQUE_ERR_CRYPTO;
}

static bool load_one_crl(void *ctx, const uint8_t *bytes, size_t length, bool pem) {
    return wolfSSL_CTX_LoadCRLBuffer(ctx, bytes, (long)length, pem ? WOLFSSL_FILETYPE_PEM : WOLFSSL_FILETYPE_ASN1) ==
           WOLFSSL_SUCCESS;
}

static bool load_crl(WOLFSSL_CTX *ctx, const mq_credentials *credentials) {
    return wolfSSL_CTX_EnableCRL(ctx, 0) == WOLFSSL_SUCCESS &&
           mq_crl_each(credentials->client_crl, credentials->client_crl_length, load_one_crl, ctx);
}

static int set_client_certificates(WOLFSSL_CTX *ctx, const mq_credentials *credentials) {
    static const char types[] = {WOLFSSL_CERT_TYPE_RPK, WOLFSSL_CERT_TYPE_X509};
    int type_count = credentials->client_ca_pem ? 2 : 1;
    int mode = WOLFSSL_VERIFY_PEER | (credentials->client_certificate_needed ? WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    if (credentials->client_raw_keys && wolfSSL_CTX_set_client_cert_type(ctx, types, type_count) != WOLFSSL_SUCCESS) {
        return MASQUE_ERR_CRYPTO;
    }
    if (credentials->client_ca_pem &&
        wolfSSL_CTX_load_verify_buffer(ctx, credentials->client_ca_pem, (long)credentials->client_ca_length,
                                       WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS) {
        return MASQUE_ERR_CLIENT_CA;
    }
    if (credentials->client_crl && !load_crl(ctx, credentials)) {
        return MASQUE_ERR_CLIENT_CRL;
    }
    wolfSSL_CTX_set_verify(ctx, mode, NULL);
    return 0;
}

static int set_up(WOLFSSL_CTX *ctx, int version, const char *ciphers, const mq_credentials *credentials,
                  mq_ticket_sealer *sealer, const masque_allocator *allocator) {
    /* Said always, or clients that offer both would be refused. */
    const char type = credentials->chain_pem ? WOLFSSL_CERT_TYPE_X509 : WOLFSSL_CERT_TYPE_RPK;
    int error = set_algorithms(ctx, version, ciphers);
    if (!error) {
        error = set_certificate(ctx, credentials->chain_pem, credentials->chain_length, credentials->key_pem,
                                credentials->key_length, allocator);
    }
    if (!error && wolfSSL_CTX_set_server_cert_type(ctx, &type, 1) != WOLFSSL_SUCCESS) {
        error = MASQUE_ERR_CRYPTO;
    }
    error = error ? error : set_sessions(ctx, sealer);
    return error || !credentials->asks_clients ? error : set_client_certificates(ctx, credentials);
}

static int set_up_servers(mq_tls_context *context, const mq_credentials *credentials, const masque_runtime *runtime) {
    context->ctx = wolfSSL_CTX_new(wolfSSLv23_server_method());
    context->quic_ctx = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
    if (!context->ctx || !context->quic_ctx) {
        return MASQUE_ERR_NO_MEMORY;
    }
    int error = mq_ticket_sealer_init(&context->sealer, credentials, runtime);
    if (!error) {
        error = set_up(context->ctx, WOLFSSL_TLSV1_2, CIPHERS, credentials, &context->sealer, &context->allocator);
    }
    if (!error) {
        error = set_up(context->quic_ctx, WOLFSSL_TLSV1_3, QUIC_CIPHERS, credentials, &context->sealer,
                       &context->allocator);
    }
    return error;
}

/* Whose certificates are taken. The server's name is each connection's, see mq_tls_expect(). */
static int set_trust(WOLFSSL_CTX *ctx, const mq_credentials *credentials) {
    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
    if (credentials->trust_anybody) {
        wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
        return 0;
    }
    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, NULL);
    if (credentials->trusted_key_count > 0) {
        const char type = WOLFSSL_CERT_TYPE_RPK;
        return wolfSSL_CTX_set_server_cert_type(ctx, &type, 1) == WOLFSSL_SUCCESS ? 0 : MASQUE_ERR_CRYPTO;
    }
    /* A system's bundle always holds some that wolfSSL can't read. */
    int done = wolfSSL_CTX_load_verify_buffer_ex(ctx, credentials->trust_pem, (long)credentials->trust_length,
                                                 WOLFSSL_FILETYPE_PEM, 0, WOLFSSL_LOAD_FLAG_IGNORE_ERR);
    return done == WOLFSSL_SUCCESS ? 0 : MASQUE_ERR_CERTIFICATE;
}

static int set_up_client(WOLFSSL_CTX *ctx, int version, const char *ciphers, const mq_credentials *credentials,
                         const masque_allocator *allocator) {
    const char type = WOLFSSL_CERT_TYPE_RPK;
    int error = set_algorithms(ctx, version, ciphers);
    if (!error && credentials->identity_key_pem) {
        error = set_certificate(ctx, credentials->identity_pem, credentials->identity_length,
                                credentials->identity_key_pem, credentials->identity_key_length, allocator);
    }
    bool raw = credentials->identity_key_pem && !credentials->identity_pem;
    if (!error && raw && wolfSSL_CTX_set_client_cert_type(ctx, &type, 1) != WOLFSSL_SUCCESS) {
        error = MASQUE_ERR_CRYPTO;
    }
    return error ? error : set_trust(ctx, credentials);
}

static int set_up_clients(mq_tls_context *context, const mq_credentials *credentials) {
    context->client_ctx = wolfSSL_CTX_new(wolfSSLv23_client_method());
    context->quic_client_ctx = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    if (!context->client_ctx || !context->quic_client_ctx) {
        return MASQUE_ERR_NO_MEMORY;
    }
    int error = set_up_client(context->client_ctx, WOLFSSL_TLSV1_2, CIPHERS, credentials, &context->allocator);
    if (!error) {
        error =
            set_up_client(context->quic_client_ctx, WOLFSSL_TLSV1_3, QUIC_CIPHERS, credentials, &context->allocator);
    }
    return error;
}

int mq_tls_context_new(mq_tls_context **out, const mq_credentials *credentials, const masque_runtime *runtime) {
    *out = NULL;
    masque_allocator allocator;
    mq_allocator_init(&allocator, &runtime->allocator);
    mq_tls_context *context = mq_zalloc(&allocator, sizeof *context);
    if (!context) {
        return MASQUE_ERR_NO_MEMORY;
    }
    context->allocator = allocator;
    context->credentials = credentials;
    int error = credentials->key_pem ? set_up_servers(context, credentials, runtime) : 0;
    if (!error && mq_credentials_are_clients(credentials)) {
        error = set_up_clients(context, credentials);
    }
    if (error) {
        mq_tls_context_del(context);
        return error;
    }
    *out = context;
    return 0;
}

void mq_tls_context_del(mq_tls_context *context) {
    if (!context) {
        return;
    }
    wolfSSL_CTX_free(context->ctx);
    wolfSSL_CTX_free(context->quic_ctx);
    wolfSSL_CTX_free(context->client_ctx);
    wolfSSL_CTX_free(context->quic_client_ctx);
    mq_ticket_sealer_free(&context->sealer);
    masque_allocator allocator = context->allocator;
    mq_free(&allocator, context);
}

void *mq_tls_context_handle(mq_tls_context *context) {
    return context->ctx;
}

void *mq_tls_context_quic_handle(mq_tls_context *context) {
    return context->quic_ctx;
}

void *mq_tls_context_client_handle(mq_tls_context *context) {
    return context->client_ctx;
}

void *mq_tls_context_quic_client_handle(mq_tls_context *context) {
    return context->quic_client_ctx;
}

void mq_tls_free(void *ssl) {
    mq_ticket_client_forget(ssl);
    wolfSSL_free(ssl);
}

int mq_tls_expect(const mq_tls_context *context, void *ssl, const char *server) {
    masque_address address;
    /* A raw public key has no name. */
    bool trusts_anybody = context->credentials->trust_anybody || context->credentials->trusted_key_count > 0;
    if (masque_address_parse(&address, server, strlen(server)) == 0) {
        bool expected = trusts_anybody || wolfSSL_check_ip_address(ssl, server) == WOLFSSL_SUCCESS;
        return expected ? 0 : MASQUE_ERR_NO_MEMORY;
    }
    bool done = wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, server, (word16)strlen(server)) == WOLFSSL_SUCCESS &&
                (trusts_anybody || wolfSSL_check_domain_name(ssl, server) == WOLFSSL_SUCCESS);
    return done ? 0 : MASQUE_ERR_NO_MEMORY;
}

int mq_tls_check_server_key(const mq_tls_context *context, void *ssl) {
    const mq_credentials *credentials = context->credentials;
    mq_peer *peer = NULL;
    bool trusted = false;
    if (credentials->trust_anybody) {
        return 0;
    }
    if (credentials->trusted_key_count == 0) {
        /* wolfSSL would take a key that nobody asked for (RFC 7250 4.2), and trust it. */
        return mq_peer_has_certificate(ssl) ? 0 : MASQUE_ERR_UNTRUSTED;
    }
    int error = mq_peer_of_tls(&peer, &context->allocator, ssl);
    for (size_t i = 0; i < credentials->trusted_key_count && peer && peer->told.is_raw_key; i++) {
        trusted = trusted || memcmp(peer->told.key_hash, credentials->trusted_keys[i], 32) == 0;
    }
    mq_peer_del(peer, &context->allocator);
    return error == MASQUE_ERR_NO_MEMORY ? error : trusted ? 0 : MASQUE_ERR_UNTRUSTED;
}

bool mq_tls_alert_is_of_certificate(int alert) {
    return (alert >= 42 && alert <= 46) || alert == 48;
}
