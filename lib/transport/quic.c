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

/* What PMTU discovery tries (RFC 8899): room for a QUIC packet of 1,200 bytes inside, what a tunnel
   like ours leaves of Ethernet, then Ethernet's 1500 bytes with IPv6. The largest is not second:
   inside a tunnel its loss is certain, and takes three timeouts to be believed. */
static const uint16_t PROBES[] = {1252, 1392, MQ_PACKET_MAX, 1332};

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
    bool in_order = said->type == NGTCP2_CCERR_TYPE_APPLICATION ? !quic->setup.is_error(said->error_code)
                                                                : said->error_code == NGTCP2_NO_ERROR;
    mq_quic_drop(quic, in_order ? 0 : MASQUE_ERR_PROTOCOL);
}

void mq_quic_choose_alert(mq_quic *quic, uint8_t alert) {
    if (!quic->close_chosen) {
        ngtcp2_ccerr_set_tls_alert(&quic->close, alert, NULL, 0);
        bool untrusted = quic->is_client && mq_tls_alert_is_of_certificate(alert);
        choose_close(quic, untrusted ? MASQUE_ERR_UNTRUSTED : MASQUE_ERR_TLS_HANDSHAKE);
    }
}

static void fail_crypto(mq_quic *quic) {
    mq_quic_choose_alert(quic, ngtcp2_conn_get_tls_alert2(quic->ng));
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
    case NGTCP2_ERR_RECV_VERSION_NEGOTIATION: /* the server has no version of ours */
    case NGTCP2_ERR_RETRY:                    /* we ask for one before there is a connection, or not at all */
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

/* --- life ----------------------------------------------------------------------------------- */

ngtcp2_settings mq_quic_settings(const mq_quic_setup *setup, masque_time now) {
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
    return settings;
}

ngtcp2_transport_params mq_quic_params(const mq_quic_setup *setup) {
    ngtcp2_transport_params params;
    ngtcp2_transport_params_default(&params);
    params.initial_max_stream_data_uni = UNI_WINDOW;
    params.initial_max_data = setup->connection_window;
    params.initial_max_streams_uni = UNI_STREAMS_MAX;
    params.max_idle_timeout = setup->limits->idle_timeout_ms * MASQUE_MILLISECOND;
    params.active_connection_id_limit = PEER_CIDS_MAX;
    params.disable_active_migration = !setup->may_migrate;
    params.max_datagram_frame_size = DATAGRAM_FRAME_MAX;
    params.grease_quic_bit = 1;
    return params;
}

mq_quic *mq_quic_alloc(const mq_quic_setup *setup, masque_time now) {
    const masque_allocator *allocator = &setup->endpoint->runtime->allocator;
    mq_quic *quic = mq_zalloc(allocator, sizeof *quic);
    if (quic) {
        quic->setup = *setup;
        quic->now = now;
        quic->memory = (ngtcp2_mem){.user_data = (void *)(uintptr_t)allocator,
                                    .malloc = mq_library_malloc,
                                    .free = mq_library_free,
                                    .calloc = mq_library_calloc,
                                    .realloc = mq_library_realloc};
        ngtcp2_ccerr_default(&quic->close);
    }
    return quic;
}

int mq_quic_add_cid(mq_quic *quic, const mq_cid *cid) {
    int error = mq_cid_table_add(&quic->setup.endpoint->table, cid, quic->setup.owner);
    quic->cid_count += !error;
    return error;
}

void mq_quic_remove_cid(mq_quic *quic, const mq_cid *cid) {
    quic->cid_count -= mq_cid_table_remove(&quic->setup.endpoint->table, cid, quic->setup.owner);
}

static void remove_cids(mq_quic *quic) {
    ngtcp2_cid ids[16];
    size_t count = quic->ng ? ngtcp2_conn_get_scid2(quic->ng, NULL) : 0;
    assert(count <= sizeof ids / sizeof ids[0]);
    if (count > 0) {
        count = ngtcp2_conn_get_scid2(quic->ng, ids);
    }
    for (size_t i = 0; i < count; i++) {
        const mq_cid cid = mq_cid_of(&ids[i]);
        mq_quic_remove_cid(quic, &cid);
    }
    mq_quic_remove_cid(quic, &quic->client_dcid);
    if (quic->cid_count > 0) {
        /* ngtcp2 asked for one, and then had no memory to keep it. */
        mq_cid_table_remove_all(&quic->setup.endpoint->table, quic->setup.owner);
    }
}

void mq_quic_del(mq_quic *quic) {
    const masque_allocator *allocator = &quic->setup.endpoint->runtime->allocator;
    remove_cids(quic);
    ngtcp2_conn_del(quic->ng);
    mq_tls_free(quic->ssl);
    mq_peer_del(quic->peer, &quic->setup.endpoint->runtime->allocator);
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

mq_peer *mq_quic_take_peer(mq_quic *quic) {
    mq_peer *peer = quic->peer;
    quic->peer = NULL;
    return peer;
}

bool mq_quic_is_resumed(const mq_quic *quic) {
    return quic->resumed;
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

int mq_quic_open_request(mq_quic *quic, int64_t *stream) {
    int code = ngtcp2_conn_open_bidi_stream(quic->ng, stream, NULL);
    return code == NGTCP2_ERR_STREAM_ID_BLOCKED ? MASQUE_ERR_OVERLOAD : code ? MASQUE_ERR_NO_MEMORY : 0;
}

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
