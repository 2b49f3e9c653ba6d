#include "transport/quic.h"

#include <assert.h>
#include <string.h>

#include "transport/quic_conn.h"
#include "transport/quic_packet.h"

/* RFC 9000 20.1. */
#define TRANSPORT_INTERNAL_ERROR 0x1u
/* A client needs three of its own: control, and QPACK's two (RFC 9114 6.2). */
#define UNI_STREAMS_MAX 8u
#define UNI_WINDOW 16384u
/* ngtcp2's least; more would only cost memory. */
#define PEER_CIDS_MAX NGTCP2_DEFAULT_ACTIVE_CONNECTION_ID_LIMIT
/* RFC 9298 needs room for any UDP payload that a path takes. */
#define DATAGRAM_FRAME_MAX 65535u
/* An immediate ACK for each so many packets: half of what GRO brings at once costs less. */
#define ACK_THRESHOLD 10u

/* What PMTU discovery tries (RFC 8899): room for a QUIC packet of 1,200 bytes inside, then
   Ethernet's 1500 bytes with IPv6, then what tunnels usually leave of it. */
static const uint16_t PROBES[] = {1252, MQ_PACKET_MAX, 1392, 1332};

/* --- ends -------------------------------------------------------------------------------- */

static void choose_close(mq_quic *quic, int error) {
    quic->close_chosen = true;
    quic->error = error;
}

static void begin_closing(mq_quic *quic) {
    if (quic->state < MQ_QUIC_CLOSING) {
        quic->state = MQ_QUIC_CLOSING;
        quic->close_due = true;
    }
}

void mq_quic_drop(mq_quic *quic, int error) {
    if (quic->state < MQ_QUIC_DRAINING) {
        quic->state = MQ_QUIC_DRAINING;
        quic->error = quic->close_chosen ? quic->error : error;
    }
}

/* The client said CONNECTION_CLOSE. */
static void note_goodbye(mq_quic *quic) {
    const ngtcp2_ccerr *said = ngtcp2_conn_get_ccerr2(quic->ng);
    bool in_order = said->type == NGTCP2_CCERR_TYPE_APPLICATION ? said->error_code == quic->setup.goodbye_code
                                                                : said->error_code == NGTCP2_NO_ERROR;
    mq_quic_drop(quic, in_order ? 0 : MASQUE_ERR_PROTOCOL);
}

static void fail_crypto(mq_quic *quic) {
    uint8_t alert = ngtcp2_conn_get_tls_alert2(quic->ng);
    if (!quic->close_chosen) {
        ngtcp2_ccerr_set_tls_alert(&quic->close, alert, NULL, 0);
        choose_close(quic, MASQUE_ERR_TLS_HANDSHAKE);
    }
    begin_closing(quic);
}

void mq_quic_fail(mq_quic *quic, int code) {
    switch (code) {
    case NGTCP2_ERR_DRAINING:
        note_goodbye(quic);
        return;
    case NGTCP2_ERR_CLOSING:
        return;
    case NGTCP2_ERR_IDLE_CLOSE:
    case NGTCP2_ERR_HANDSHAKE_TIMEOUT:
        mq_quic_drop(quic, MASQUE_ERR_TIMEOUT);
        return;
    case NGTCP2_ERR_DROP_CONN:
    case NGTCP2_ERR_RETRY: /* we ask for one before there is a connection, or not at all */
        mq_quic_drop(quic, MASQUE_ERR_PROTOCOL);
        return;
    case NGTCP2_ERR_CRYPTO:
        fail_crypto(quic);
        return;
    default:
        break;
    }
    if (!quic->close_chosen) {
        ngtcp2_ccerr_set_liberr(&quic->close, code, NULL, 0);
        choose_close(quic, code == NGTCP2_ERR_NOMEM ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_PROTOCOL);
    }
    begin_closing(quic);
}

void mq_quic_close(mq_quic *quic, uint64_t code, int error) {
    if (!quic->close_chosen) {
        ngtcp2_ccerr_set_application_error(&quic->close, code, NULL, 0);
        choose_close(quic, error);
    }
    begin_closing(quic);
}

void mq_quic_close_transport(mq_quic *quic, uint64_t code, int error) {
    if (!quic->close_chosen) {
        ngtcp2_ccerr_set_transport_error(&quic->close, code, NULL, 0);
        choose_close(quic, error);
    }
    begin_closing(quic);
}

/* --- ngtcp2 reports ------------------------------------------------------------------------ */

static int told(int result) {
    return result ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static ngtcp2_conn *conn_of(ngtcp2_crypto_conn_ref *ref) {
    const mq_quic *quic = ref->user_data;
    return quic->ng;
}

static void on_random(uint8_t *bytes, size_t length, const ngtcp2_rand_ctx *context) {
    const masque_runtime *runtime = context->native_handle;
    runtime->random(runtime->context, bytes, length);
}

static int on_new_cid(ngtcp2_conn *ng, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token, size_t length,
                      void *user) {
    mq_quic *quic = user;
    mq_quic_endpoint *endpoint = quic->setup.endpoint;
    mq_cid made;
    (void)ng;
    assert(length == MASQUE_CONNECTION_ID_LENGTH);
    if (mq_cid_make(quic->setup.keys, &endpoint->self, endpoint->runtime, &made) ||
        mq_reset_token(token->data, &made, quic->setup.keys) ||
        mq_cid_table_add(&endpoint->table, &made, quic->setup.owner)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_cid_init(cid, made.bytes, made.length);
    return 0;
}

static int on_cid_gone(ngtcp2_conn *ng, const ngtcp2_cid *cid, void *user) {
    mq_quic *quic = user;
    const mq_cid gone = mq_cid_of(cid);
    (void)ng;
    mq_cid_table_remove(&quic->setup.endpoint->table, &gone, quic->setup.owner);
    return 0;
}

static int on_key(ngtcp2_conn *ng, ngtcp2_encryption_level level, void *user) {
    const mq_quic *quic = user;
    (void)ng;
    return level == NGTCP2_ENCRYPTION_LEVEL_1RTT ? told(quic->setup.ready(quic->setup.owner)) : 0;
}

static void send_address_token(mq_quic *quic) {
    uint8_t token[MQ_ADDRESS_TOKEN_MAX];
    const masque_address client = mq_address_of(&ngtcp2_conn_get_path2(quic->ng)->remote);
    size_t length = mq_write_address_token(token, quic->setup.keys, &client, quic->now);
    if (length > 0) {
        /* Without it the client only has to prove its address again. */
        (void)ngtcp2_conn_submit_new_token(quic->ng, token, length);
    }
}

static bool spoke_our_protocol(const mq_quic *quic) {
    char *name = NULL;
    unsigned short length = 0;
    return wolfSSL_ALPN_GetProtocol(quic->ssl, &name, &length) == WOLFSSL_SUCCESS && length > 0;
}

static int on_handshake_done(ngtcp2_conn *ng, void *user) {
    mq_quic *quic = user;
    (void)ng;
    if (!spoke_our_protocol(quic)) {
        /* RFC 9001 8.1: no_application_protocol. */
        ngtcp2_ccerr_set_tls_alert(&quic->close, 120, NULL, 0);
        choose_close(quic, MASQUE_ERR_TLS_HANDSHAKE);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    mq_cid_table_remove(&quic->setup.endpoint->table, &quic->client_dcid, quic->setup.owner);
    quic->state = quic->state == MQ_QUIC_HANDSHAKE ? MQ_QUIC_OPEN : quic->state;
    send_address_token(quic);
    return told(quic->setup.opened(quic->setup.owner));
}

static int on_stream_open(ngtcp2_conn *ng, int64_t stream, void *user) {
    const mq_quic *quic = user;
    (void)ng;
    return ngtcp2_is_bidi_stream(stream) ? told(quic->streams->opened(quic->owner, stream)) : 0;
}

static int on_stream_data(ngtcp2_conn *ng, uint32_t flags, int64_t stream, uint64_t offset, const uint8_t *bytes,
                          size_t length, void *user, void *stream_user) {
    const mq_quic *quic = user;
    (void)ng;
    (void)offset;
    (void)stream_user;
    return told(quic->streams->data(quic->owner, stream, bytes, length, flags & NGTCP2_STREAM_DATA_FLAG_FIN));
}

static int on_acked(ngtcp2_conn *ng, int64_t stream, uint64_t offset, uint64_t length, void *user, void *stream_user) {
    const mq_quic *quic = user;
    (void)ng;
    (void)offset;
    (void)stream_user;
    return told(quic->streams->acked(quic->owner, stream, length));
}

static int on_stream_close(ngtcp2_conn *ng, uint32_t flags, int64_t stream, uint64_t code, void *user,
                           void *stream_user) {
    const mq_quic *quic = user;
    (void)ng;
    code = flags & NGTCP2_STREAM_CLOSE_FLAG_APP_ERROR_CODE_SET ? code : 0;
    return told(quic->streams->closed(quic->owner, stream, stream_user, code));
}

static int on_stream_reset(ngtcp2_conn *ng, int64_t stream, uint64_t final_size, uint64_t code, void *user,
                           void *stream_user) {
    const mq_quic *quic = user;
    (void)ng;
    (void)final_size;
    (void)stream_user;
    return told(quic->streams->reset(quic->owner, stream, code));
}

static int on_stop_sending(ngtcp2_conn *ng, int64_t stream, uint64_t code, void *user, void *stream_user) {
    const mq_quic *quic = user;
    (void)ng;
    (void)stream_user;
    return told(quic->streams->stopped(quic->owner, stream, code));
}

static int on_wider(ngtcp2_conn *ng, int64_t stream, uint64_t max_data, void *user, void *stream_user) {
    const mq_quic *quic = user;
    (void)ng;
    (void)max_data;
    (void)stream_user;
    return told(quic->streams->may_send(quic->owner, stream));
}

static int on_datagram(ngtcp2_conn *ng, uint32_t flags, const uint8_t *bytes, size_t length, void *user) {
    const mq_quic *quic = user;
    (void)ng;
    (void)flags;
    return quic->streams ? told(quic->streams->datagram(quic->owner, bytes, length)) : 0;
}

static const ngtcp2_callbacks CALLBACKS = {
    .recv_client_initial = ngtcp2_crypto_recv_client_initial_cb,
    .recv_crypto_data = ngtcp2_crypto_recv_crypto_data_cb,
    .encrypt = ngtcp2_crypto_encrypt_cb,
    .decrypt = ngtcp2_crypto_decrypt_cb,
    .hp_mask = ngtcp2_crypto_hp_mask_cb,
    .update_key = ngtcp2_crypto_update_key_cb,
    .delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb,
    .delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb,
    .get_path_challenge_data2 = ngtcp2_crypto_get_path_challenge_data2_cb,
    .version_negotiation = ngtcp2_crypto_version_negotiation_cb,
    .handshake_completed = on_handshake_done,
    .rand = on_random,
    .get_new_connection_id2 = on_new_cid,
    .remove_connection_id = on_cid_gone,
    .recv_tx_key = on_key,
    .stream_open = on_stream_open,
    .recv_stream_data = on_stream_data,
    .acked_stream_data_offset = on_acked,
    .stream_close = on_stream_close,
    .stream_reset = on_stream_reset,
    .recv_stop_sending = on_stop_sending,
    .extend_max_stream_data = on_wider,
    .recv_datagram = on_datagram,
};

/* --- life ----------------------------------------------------------------------------------- */

static ngtcp2_settings settings_of(const mq_quic_setup *setup, const mq_quic_initial *initial, masque_time now) {
    const masque_limits *limits = setup->limits;
    ngtcp2_settings settings;
    ngtcp2_settings_default(&settings);
    settings.initial_ts = now;
    settings.cc_algo = setup->congestion == MASQUE_BBR ? NGTCP2_CC_ALGO_BBR : NGTCP2_CC_ALGO_CUBIC;
    settings.max_tx_udp_payload_size = MQ_PACKET_MAX;
    settings.pmtud_probes = PROBES;
    settings.pmtud_probeslen = sizeof PROBES / sizeof PROBES[0];
    settings.handshake_timeout = limits->handshake_timeout_ms * MASQUE_MILLISECOND;
    settings.preferred_versions = MQ_QUIC_VERSIONS;
    settings.preferred_versionslen = sizeof MQ_QUIC_VERSIONS / sizeof MQ_QUIC_VERSIONS[0];
    settings.available_versions = MQ_QUIC_VERSIONS;
    settings.available_versionslen = settings.preferred_versionslen;
    settings.glitch_ratelim_burst = limits->glitches_burst;
    settings.glitch_ratelim_rate = limits->glitches_rate;
    settings.ack_thresh = ACK_THRESHOLD;
    settings.rand_ctx.native_handle = (void *)(uintptr_t)setup->endpoint->runtime;
    if (mq_initial_is_validated(initial)) {
        settings.token = initial->token;
        settings.tokenlen = initial->token_length;
        settings.token_type =
            initial->token_state == MQ_TOKEN_RETRY ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
    }
    return settings;
}

static ngtcp2_transport_params params_of(const mq_quic_setup *setup, const mq_quic_initial *initial) {
    const masque_limits *limits = setup->limits;
    ngtcp2_transport_params params;
    ngtcp2_transport_params_default(&params);
    params.initial_max_stream_data_bidi_remote = setup->stream_window;
    params.initial_max_stream_data_uni = UNI_WINDOW;
    params.initial_max_data = setup->connection_window;
    params.initial_max_streams_bidi = limits->tunnels_per_connection_max;
    params.initial_max_streams_uni = UNI_STREAMS_MAX;
    params.max_idle_timeout = limits->idle_timeout_ms * MASQUE_MILLISECOND;
    params.active_connection_id_limit = PEER_CIDS_MAX;
    params.disable_active_migration = !setup->may_migrate;
    params.max_datagram_frame_size = DATAGRAM_FRAME_MAX;
    params.grease_quic_bit = 1;
    params.original_dcid = mq_ngtcp2_cid(&initial->original_dcid);
    params.original_dcid_present = 1;
    if (initial->token_state == MQ_TOKEN_RETRY) {
        params.retry_scid = mq_ngtcp2_cid(&initial->dcid);
        params.retry_scid_present = 1;
    }
    return params;
}

static int start_ngtcp2(mq_quic *quic, const mq_quic_initial *initial, const masque_packets *from, masque_time now) {
    mq_quic_endpoint *endpoint = quic->setup.endpoint;
    const masque_allocator *allocator = &endpoint->runtime->allocator;
    quic->memory = (ngtcp2_mem){.user_data = (void *)(uintptr_t)allocator,
                                .malloc = mq_library_malloc,
                                .free = mq_library_free,
                                .calloc = mq_library_calloc,
                                .realloc = mq_library_realloc};
    mq_cid scid;
    mq_quic_path path;
    if (mq_cid_make(quic->setup.keys, &endpoint->self, endpoint->runtime, &scid)) {
        return MASQUE_ERR_CRYPTO;
    }
    ngtcp2_settings settings = settings_of(&quic->setup, initial, now);
    ngtcp2_transport_params params = params_of(&quic->setup, initial);
    if (mq_reset_token(params.stateless_reset_token, &scid, quic->setup.keys)) {
        return MASQUE_ERR_CRYPTO;
    }
    params.stateless_reset_token_present = 1;
    const ngtcp2_cid ours = mq_ngtcp2_cid(&scid);
    const ngtcp2_cid theirs = mq_ngtcp2_cid(&initial->scid);
    mq_quic_path_init(&path, from);
    if (ngtcp2_conn_server_new(&quic->ng, &theirs, &ours, &path.path, initial->version, &CALLBACKS, &settings, &params,
                               &quic->memory, quic) != 0) {
        return MASQUE_ERR_NO_MEMORY;
    }
    int error = mq_cid_table_add(&endpoint->table, &scid, quic->setup.owner);
    return error ? error : mq_cid_table_add(&endpoint->table, &quic->client_dcid, quic->setup.owner);
}

static int start_tls(mq_quic *quic) {
    static char protocols[] = "h3";
    quic->ssl = wolfSSL_new(mq_tls_context_quic_handle(quic->setup.tls));
    if (!quic->ssl) {
        return MASQUE_ERR_NO_MEMORY;
    }
    quic->ref = (ngtcp2_crypto_conn_ref){.get_conn = conn_of, .user_data = quic};
    wolfSSL_set_app_data(quic->ssl, &quic->ref);
    wolfSSL_set_accept_state(quic->ssl);
    if (wolfSSL_UseALPN(quic->ssl, protocols, sizeof protocols - 1, WOLFSSL_ALPN_FAILED_ON_MISMATCH) !=
        WOLFSSL_SUCCESS) {
        return MASQUE_ERR_NO_MEMORY;
    }
    ngtcp2_conn_set_tls_native_handle(quic->ng, quic->ssl);
    return 0;
}

int mq_quic_new(mq_quic **out, const mq_quic_setup *setup, const mq_quic_initial *initial, const masque_packets *from,
                masque_time now) {
    *out = NULL;
    mq_quic *quic = mq_zalloc(&setup->endpoint->runtime->allocator, sizeof *quic);
    if (!quic) {
        return MASQUE_ERR_NO_MEMORY;
    }
    quic->setup = *setup;
    quic->client_dcid = initial->dcid;
    quic->now = now;
    ngtcp2_ccerr_default(&quic->close);
    int error = start_ngtcp2(quic, initial, from, now);
    if (!error) {
        error = start_tls(quic);
    }
    if (error) {
        mq_quic_del(quic);
        return error;
    }
    *out = quic;
    return 0;
}

static void remove_cids(mq_quic *quic) {
    mq_cid_table *table = &quic->setup.endpoint->table;
    ngtcp2_cid ids[16];
    size_t count = ngtcp2_conn_get_scid2(quic->ng, NULL);
    assert(count <= sizeof ids / sizeof ids[0]);
    count = ngtcp2_conn_get_scid2(quic->ng, ids);
    for (size_t i = 0; i < count; i++) {
        const mq_cid cid = mq_cid_of(&ids[i]);
        mq_cid_table_remove(table, &cid, quic->setup.owner);
    }
    mq_cid_table_remove(table, &quic->client_dcid, quic->setup.owner);
}

void mq_quic_del(mq_quic *quic) {
    const masque_allocator *allocator = &quic->setup.endpoint->runtime->allocator;
    if (quic->ng) {
        remove_cids(quic);
    }
    ngtcp2_conn_del(quic->ng);
    wolfSSL_free(quic->ssl);
    mq_free(allocator, quic->goodbye);
    mq_free(allocator, quic);
}

void mq_quic_attach(mq_quic *quic, const mq_quic_streams *streams, void *owner) {
    quic->streams = streams;
    quic->owner = owner;
}

mq_quic_state mq_quic_state_of(const mq_quic *quic) {
    return quic->state;
}

int mq_quic_error(const mq_quic *quic) {
    return quic->error;
}

bool mq_quic_is_resumed(const mq_quic *quic) {
    return wolfSSL_session_reused(quic->ssl) == 1;
}

/* --- input ------------------------------------------------------------------------------------ */

/* RFC 9000 10.2.1: what comes behind CONNECTION_CLOSE is answered by it, ever more seldom. */
static void answer_with_goodbye(mq_quic *quic) {
    if (++quic->closing_packets >= quic->closing_answer_at && quic->goodbye) {
        quic->closing_answer_at *= 2;
        quic->close_due = true;
    }
}

void mq_quic_input(mq_quic *quic, const masque_packets *from, const uint8_t *bytes, size_t length, masque_time now) {
    mq_quic_path path;
    if (quic->state >= MQ_QUIC_CLOSING) {
        answer_with_goodbye(quic);
        return;
    }
    const ngtcp2_pkt_info info = {.ecn = from->ecn};
    quic->now = now;
    mq_quic_path_init(&path, from);
    int code = ngtcp2_conn_read_pkt(quic->ng, &path.path, &info, bytes, length, now);
    if (code) {
        mq_quic_fail(quic, code);
    }
}

/* --- time ------------------------------------------------------------------------------------------ */

masque_time mq_quic_due(const mq_quic *quic) {
    return quic->state < MQ_QUIC_CLOSING ? ngtcp2_conn_get_expiry2(quic->ng) : MASQUE_NEVER;
}

void mq_quic_tick(mq_quic *quic, masque_time now) {
    quic->now = now;
    if (quic->state >= MQ_QUIC_CLOSING || ngtcp2_conn_get_expiry2(quic->ng) > now) {
        return;
    }
    int code = ngtcp2_conn_handle_expiry(quic->ng, now);
    if (code) {
        mq_quic_fail(quic, code);
    }
}

masque_time mq_quic_closing_period(const mq_quic *quic) {
    return 3 * ngtcp2_conn_get_pto2(quic->ng);
}

void mq_quic_keep_alive(mq_quic *quic, masque_time duration) {
    ngtcp2_conn_set_keep_alive_timeout(quic->ng, duration);
}

/* --- for the owner of the streams ------------------------------------------------------------------- */

int mq_quic_open_stream(mq_quic *quic, int64_t *stream) {
    return ngtcp2_conn_open_uni_stream(quic->ng, stream, NULL) ? MASQUE_ERR_PROTOCOL : 0;
}

/* These fail only without memory, or for a stream that is gone; ngtcp2 remembers the former. */
void mq_quic_credit(mq_quic *quic, int64_t stream, uint64_t length) {
    if (stream >= 0) {
        mq_quic_widen(quic, stream, length);
    }
    ngtcp2_conn_extend_max_offset(quic->ng, length);
}

static void note(mq_quic *quic, int code) {
    if (code == NGTCP2_ERR_NOMEM) {
        mq_quic_close_transport(quic, TRANSPORT_INTERNAL_ERROR, MASQUE_ERR_NO_MEMORY);
    }
}

void mq_quic_widen(mq_quic *quic, int64_t stream, uint64_t length) {
    note(quic, ngtcp2_conn_extend_max_stream_offset(quic->ng, stream, length));
}

void mq_quic_set_stream_owner(mq_quic *quic, int64_t stream, void *owner) {
    (void)ngtcp2_conn_set_stream_user_data(quic->ng, stream, owner);
}

void *mq_quic_stream_owner(const mq_quic *quic, int64_t stream) {
    return ngtcp2_conn_get_stream_user_data2(quic->ng, stream);
}

void mq_quic_admit(mq_quic *quic) {
    ngtcp2_conn_extend_max_streams_bidi(quic->ng, 1);
}

void mq_quic_stop(mq_quic *quic, int64_t stream, uint64_t code) {
    note(quic, ngtcp2_conn_shutdown_stream_read(quic->ng, 0, stream, code));
}

void mq_quic_reset(mq_quic *quic, int64_t stream, uint64_t code) {
    note(quic, ngtcp2_conn_shutdown_stream_write(quic->ng, 0, stream, code));
}

uint64_t mq_quic_datagram_max(const mq_quic *quic) {
    const ngtcp2_transport_params *params = ngtcp2_conn_get_remote_transport_params2(quic->ng);
    return params ? params->max_datagram_frame_size : 0;
}
