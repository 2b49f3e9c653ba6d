#include "transport/quic_tls.h"

#include <string.h>

#include "crypto/ticket_client.h"
#include "transport/quic_keys.h"

/* RFC 8446 4 and 6. */
#define NEW_SESSION_TICKET 4
#define UNEXPECTED_MESSAGE 10
#define CERTIFICATE_UNKNOWN 46
#define NO_APPLICATION_PROTOCOL 120
#define PARAMS_MAX 256

static const masque_allocator *allocator_of(const mq_quic *quic) {
    return &quic->setup.endpoint->runtime->allocator;
}

/* --- secrets become keys ------------------------------------------------------------------- */

static const mq_quic_suite *suite_of(mq_quic *quic) {
    const mq_quic_suite *suite = mq_quic_suite_told(ngtcp2_conn_get_crypto_ctx2(quic->ng));
    if (!suite) {
        suite = mq_quic_suite_of(wolfSSL_get_current_cipher_suite(quic->ssl));
        if (suite) {
            const ngtcp2_crypto_ctx crypto = mq_quic_crypto(suite);
            ngtcp2_conn_set_crypto_ctx(quic->ng, &crypto);
        }
    }
    return suite;
}

static bool install(mq_quic *quic, WOLFSSL_ENCRYPTION_LEVEL level, bool receiving, const uint8_t *secret,
                    size_t length) {
    mq_protection keys;
    const mq_quic_suite *suite = suite_of(quic);
    ngtcp2_conn *ng = quic->ng;
    int code;
    if (!suite || length != suite->secret_length ||
        mq_protection_init(&keys, allocator_of(quic), suite, ngtcp2_conn_get_negotiated_version2(ng), secret, true)) {
        return false;
    }
    if (level == wolfssl_encryption_handshake) {
        code = (receiving ? ngtcp2_conn_install_rx_handshake_key
                          : ngtcp2_conn_install_tx_handshake_key)(ng, &keys.aead, keys.iv, sizeof keys.iv, &keys.hp);
    } else {
        code = (receiving ? ngtcp2_conn_install_rx_key : ngtcp2_conn_install_tx_key)(ng, secret, length, &keys.aead,
                                                                                     keys.iv, sizeof keys.iv, &keys.hp);
    }
    if (code) {
        mq_protection_free(&keys, allocator_of(quic));
    }
    return code == 0;
}

/* The peer's transport parameters (8.2). */
static bool take_params(mq_quic *quic) {
    const uint8_t *params = NULL;
    size_t length = 0;
    wolfSSL_get_peer_quic_transport_params(quic->ssl, &params, &length);
    int code = ngtcp2_conn_decode_and_set_remote_transport_params(quic->ng, params, length);
    if (code) {
        ngtcp2_conn_set_tls_error(quic->ng, code);
    }
    return code == 0;
}

static bool give_params(mq_quic *quic) {
    uint8_t params[PARAMS_MAX];
    ngtcp2_ssize length = ngtcp2_conn_encode_local_transport_params2(quic->ng, params, sizeof params);
    return length > 0 && wolfSSL_set_quic_transport_params(quic->ssl, params, (size_t)length) == WOLFSSL_SUCCESS;
}

/* A server reads the parameters before its first key, for they may choose another version, and answers
   behind it; a client reads them when the server has shown who it is. */
static int on_secrets(WOLFSSL *ssl, WOLFSSL_ENCRYPTION_LEVEL level, const uint8_t *receive, const uint8_t *send,
                      size_t length) {
    mq_quic *quic = wolfSSL_get_app_data(ssl);
    bool handshake = level == wolfssl_encryption_handshake;
    bool serves = !quic->is_client;
    if (level == wolfssl_encryption_early_data) {
        return 1; /* nobody offers or takes any */
    }
    bool params_due = serves ? handshake && !ngtcp2_conn_get_negotiated_version2(quic->ng) : !handshake && receive;
    bool done = (!params_due || take_params(quic)) && (!receive || install(quic, level, true, receive, length)) &&
                (!send || install(quic, level, false, send, length)) &&
                (!(serves && handshake && send) || give_params(quic));
    return done ? 1 : 0;
}

static int install_initial(mq_quic *quic, uint32_t version, const ngtcp2_cid *dcid, bool negotiated) {
    const mq_quic_suite *suite = mq_quic_suite_initial();
    const masque_allocator *allocator = allocator_of(quic);
    uint8_t client[MQ_INITIAL_SECRET];
    uint8_t server[MQ_INITIAL_SECRET];
    mq_protection rx;
    mq_protection tx = {.aead = {NULL}};
    if (mq_initial_secrets(client, server, version, dcid)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    int error = mq_protection_init(&rx, allocator, suite, version, quic->is_client ? server : client, true);
    if (!error) {
        error = mq_protection_init(&tx, allocator, suite, version, quic->is_client ? client : server, true);
    }
    if (!error && negotiated) {
        error = ngtcp2_conn_install_vneg_initial_key(quic->ng, version, &rx.aead, rx.iv, &rx.hp, &tx.aead, tx.iv,
                                                     &tx.hp, sizeof rx.iv);
    } else if (!error) {
        error =
            ngtcp2_conn_install_initial_key(quic->ng, &rx.aead, rx.iv, &rx.hp, &tx.aead, tx.iv, &tx.hp, sizeof rx.iv);
    }
    if (error) {
        mq_protection_free(&rx, allocator);
        mq_protection_free(&tx, allocator);
    }
    return error ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static int begin_initial(mq_quic *quic, const ngtcp2_cid *dcid) {
    const ngtcp2_crypto_ctx crypto = mq_quic_crypto(mq_quic_suite_initial());
    ngtcp2_conn_set_initial_crypto_ctx(quic->ng, &crypto);
    return install_initial(quic, ngtcp2_conn_get_client_chosen_version2(quic->ng), dcid, false);
}

static int on_client_initial(ngtcp2_conn *ng, const ngtcp2_cid *dcid, void *user) {
    (void)ng;
    return begin_initial(user, dcid);
}

static int on_retry(ngtcp2_conn *ng, const ngtcp2_pkt_hd *head, void *user) {
    (void)ng;
    return begin_initial(user, &head->scid);
}

static int on_version(ngtcp2_conn *ng, uint32_t version, const ngtcp2_cid *dcid, void *user) {
    (void)ng;
    return install_initial(user, version, dcid, true);
}

static int on_key_update(ngtcp2_conn *ng, uint8_t *rx_secret, uint8_t *tx_secret, ngtcp2_crypto_aead_ctx *rx,
                         uint8_t *rx_iv, ngtcp2_crypto_aead_ctx *tx, uint8_t *tx_iv, const uint8_t *rx_now,
                         const uint8_t *tx_now, size_t length, void *user) {
    const mq_quic *quic = user;
    const masque_allocator *allocator = allocator_of(quic);
    const mq_quic_suite *suite = mq_quic_suite_told(ngtcp2_conn_get_crypto_ctx2(ng));
    uint32_t version = ngtcp2_conn_get_negotiated_version2(ng);
    mq_protection receive = {.aead = {NULL}};
    mq_protection send = {.aead = {NULL}};
    bool done = length == suite->secret_length && mq_next_secret(rx_secret, suite, version, rx_now) == 0 &&
                mq_next_secret(tx_secret, suite, version, tx_now) == 0 &&
                mq_protection_init(&receive, allocator, suite, version, rx_secret, false) == 0 &&
                mq_protection_init(&send, allocator, suite, version, tx_secret, false) == 0;
    if (!done) {
        mq_protection_free(&receive, allocator);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    *rx = receive.aead;
    *tx = send.aead;
    memcpy(rx_iv, receive.iv, sizeof receive.iv);
    memcpy(tx_iv, send.iv, sizeof send.iv);
    return 0;
}

static void on_aead_gone(ngtcp2_conn *ng, ngtcp2_crypto_aead_ctx *context, void *user) {
    (void)ng;
    mq_packet_key_del(allocator_of(user), context->native_handle);
}

static void on_cipher_gone(ngtcp2_conn *ng, ngtcp2_crypto_cipher_ctx *context, void *user) {
    (void)ng;
    mq_packet_key_del(allocator_of(user), context->native_handle);
}

/* --- handshake messages ---------------------------------------------------------------------- */

static ngtcp2_encryption_level level_of(WOLFSSL_ENCRYPTION_LEVEL level) {
    return level == wolfssl_encryption_initial     ? NGTCP2_ENCRYPTION_LEVEL_INITIAL
           : level == wolfssl_encryption_handshake ? NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE
                                                   : NGTCP2_ENCRYPTION_LEVEL_1RTT;
}

static WOLFSSL_ENCRYPTION_LEVEL level_for_tls(ngtcp2_encryption_level level) {
    return level == NGTCP2_ENCRYPTION_LEVEL_INITIAL     ? wolfssl_encryption_initial
           : level == NGTCP2_ENCRYPTION_LEVEL_HANDSHAKE ? wolfssl_encryption_handshake
                                                        : wolfssl_encryption_application;
}

static int on_message(WOLFSSL *ssl, WOLFSSL_ENCRYPTION_LEVEL level, const uint8_t *bytes, size_t length) {
    const mq_quic *quic = wolfSSL_get_app_data(ssl);
    int code = ngtcp2_conn_submit_crypto_data(quic->ng, level_of(level), bytes, length);
    if (code) {
        ngtcp2_conn_set_tls_error(quic->ng, code);
    }
    return code == 0;
}

static int on_flush(WOLFSSL *ssl) {
    (void)ssl;
    return 1; /* packets are made when the host asks */
}

static int on_alert(WOLFSSL *ssl, WOLFSSL_ENCRYPTION_LEVEL level, uint8_t alert) {
    const mq_quic *quic = wolfSSL_get_app_data(ssl);
    (void)level;
    ngtcp2_conn_set_tls_alert(quic->ng, alert);
    return 1;
}

static bool waits(WOLFSSL *ssl, int result) {
    int error = wolfSSL_get_error(ssl, result);
    return error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE;
}

/* wolfSSL goes on with what it was given. */
static bool advance(mq_quic *quic) {
    if (!ngtcp2_conn_get_handshake_completed2(quic->ng)) {
        int done = wolfSSL_quic_do_handshake(quic->ssl);
        if (done <= 0) {
            return waits(quic->ssl, done);
        }
        ngtcp2_conn_tls_handshake_completed(quic->ng);
    }
    int done = wolfSSL_process_quic_post_handshake(quic->ssl);
    return done == WOLFSSL_SUCCESS || waits(quic->ssl, done);
}

static int on_client_begins(ngtcp2_conn *ng, void *user) {
    mq_quic *quic = user;
    mq_packet_key *key;
    uint32_t version = ngtcp2_conn_get_client_chosen_version2(ng);
    if (begin_initial(quic, ngtcp2_conn_get_dcid2(ng)) || mq_retry_key(&key, allocator_of(quic), version)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    const ngtcp2_crypto_ctx crypto = mq_quic_crypto(mq_quic_suite_initial());
    const ngtcp2_crypto_aead_ctx context = {.native_handle = key};
    ngtcp2_conn_set_retry_aead(ng, &crypto.aead, &context);
    return give_params(quic) && advance(quic) ? 0 : NGTCP2_ERR_CALLBACK_FAILURE;
}

/* Behind the handshake a server sends tickets, and a client nothing. RFC 9001 6: KeyUpdate is an error;
   wolfSSL would follow it, and ngtcp2 not expect that. */
static bool are_messages_fine(mq_quic *quic, const uint8_t *bytes, size_t length) {
    mq_message_reader *reader = &quic->messages;
    while (length > 0) {
        if (reader->left > 0) {
            size_t take = length < reader->left ? length : reader->left;
            reader->left -= (uint32_t)take;
            bytes += take;
            length -= take;
            continue;
        }
        reader->head[reader->head_length++] = *bytes++;
        length--;
        if (!quic->is_client || reader->head[0] != NEW_SESSION_TICKET) {
            return false;
        }
        if (reader->head_length == sizeof reader->head) {
            reader->head_length = 0;
            reader->left = (uint32_t)reader->head[1] << 16 | (uint32_t)reader->head[2] << 8 | reader->head[3];
        }
    }
    return true;
}

static int on_crypto_data(ngtcp2_conn *ng, ngtcp2_encryption_level level, uint64_t offset, const uint8_t *bytes,
                          size_t length, void *user) {
    mq_quic *quic = user;
    (void)offset;
    if (!quic->ssl || (level == NGTCP2_ENCRYPTION_LEVEL_1RTT && !are_messages_fine(quic, bytes, length))) {
        ngtcp2_conn_set_tls_alert(ng, UNEXPECTED_MESSAGE);
        return NGTCP2_ERR_CRYPTO;
    }
    bool taken =
        length == 0 || wolfSSL_provide_quic_data(quic->ssl, level_for_tls(level), bytes, length) == WOLFSSL_SUCCESS;
    if (taken && advance(quic)) {
        return 0;
    }
    int code = ngtcp2_conn_get_tls_error2(ng);
    return code ? code : NGTCP2_ERR_CRYPTO;
}

/* --- life --------------------------------------------------------------------------------------- */

int mq_quic_start_tls(mq_quic *quic, WOLFSSL_CTX *ctx) {
    static const WOLFSSL_QUIC_METHOD method = {on_secrets, on_message, on_flush, on_alert};
    static char protocols[] = "h3";
    quic->ssl = wolfSSL_new(ctx);
    if (!quic->ssl || wolfSSL_set_quic_method(quic->ssl, &method) != WOLFSSL_SUCCESS) {
        return MASQUE_ERR_NO_MEMORY;
    }
    wolfSSL_set_app_data(quic->ssl, quic);
    bool done =
        wolfSSL_UseALPN(quic->ssl, protocols, sizeof protocols - 1, WOLFSSL_ALPN_FAILED_ON_MISMATCH) == WOLFSSL_SUCCESS;
    return done ? 0 : MASQUE_ERR_NO_MEMORY;
}

/* What is wrong with whom the peer says it is; 0: nothing. */
static uint8_t check_peer(mq_quic *quic) {
    if (quic->is_client) {
        return mq_tls_check_server_key(quic->setup.tls, quic->ssl) ? CERTIFICATE_UNKNOWN : 0;
    }
    bool read = !quic->setup.asks_certificates || mq_ticket_client_of(&quic->peer, allocator_of(quic), quic->ssl) == 0;
    return read ? 0 : CERTIFICATE_UNKNOWN;
}

uint8_t mq_quic_finish_tls(mq_quic *quic) {
    char *name = NULL;
    unsigned short length = 0;
    bool ours = wolfSSL_ALPN_GetProtocol(quic->ssl, &name, &length) == WOLFSSL_SUCCESS && length > 0;
    uint8_t alert = ours ? check_peer(quic) : NO_APPLICATION_PROTOCOL;
    quic->resumed = wolfSSL_session_reused(quic->ssl) == 1;
    if (!quic->is_client) {
        mq_tls_free(quic->ssl);
        quic->ssl = NULL;
    }
    return alert;
}

void mq_quic_crypto_callbacks(ngtcp2_callbacks *callbacks) {
    callbacks->client_initial = on_client_begins;
    callbacks->recv_client_initial = on_client_initial;
    callbacks->recv_retry = on_retry;
    callbacks->version_negotiation = on_version;
    callbacks->recv_crypto_data = on_crypto_data;
    callbacks->encrypt = mq_quic_encrypt;
    callbacks->decrypt = mq_quic_decrypt;
    callbacks->hp_mask = mq_quic_mask;
    callbacks->update_key = on_key_update;
    callbacks->delete_crypto_aead_ctx = on_aead_gone;
    callbacks->delete_crypto_cipher_ctx = on_cipher_gone;
}
