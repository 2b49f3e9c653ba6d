/*
 * transport/quic_events.c: what ngtcp2 reports of a connection, whatever side we are on, handed on
 * to whom it concerns.
 */
#include <assert.h>

#include "transport/quic_conn.h"
#include "transport/quic_packet.h"
#include "transport/quic_tls.h"

static int told(int result) {
    return result ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
}

static void on_random(uint8_t *bytes, size_t length, const ngtcp2_rand_ctx *context) {
    const masque_runtime *runtime = context->native_handle;
    runtime->random(runtime->context, bytes, length);
}

static int on_path_challenge(ngtcp2_conn *ng, ngtcp2_path_challenge_data *data, void *user) {
    const mq_quic *quic = user;
    const masque_runtime *runtime = quic->setup.endpoint->runtime;
    (void)ng;
    runtime->random(runtime->context, data->data, sizeof data->data);
    return 0;
}

static int on_new_cid(ngtcp2_conn *ng, ngtcp2_cid *cid, ngtcp2_stateless_reset_token *token, size_t length,
                      void *user) {
    mq_quic *quic = user;
    mq_quic_endpoint *endpoint = quic->setup.endpoint;
    mq_cid made;
    (void)ng;
    assert(length == MASQUE_CONNECTION_ID_LENGTH);
    if (mq_cid_make(quic->setup.keys, &endpoint->self, endpoint->runtime, &made) ||
        mq_reset_token(token->data, &made, quic->setup.keys) || mq_quic_add_cid(quic, &made)) {
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    ngtcp2_cid_init(cid, made.bytes, made.length);
    return 0;
}

static int on_cid_gone(ngtcp2_conn *ng, const ngtcp2_cid *cid, void *user) {
    mq_quic *quic = user;
    const mq_cid gone = mq_cid_of(cid);
    (void)ng;
    mq_quic_remove_cid(quic, &gone);
    return 0;
}

static int on_key(ngtcp2_conn *ng, ngtcp2_encryption_level level, void *user) {
    const mq_quic *quic = user;
    (void)ng;
    return level == NGTCP2_ENCRYPTION_LEVEL_1RTT ? told(quic->setup.ready(quic->setup.owner)) : 0;
}

static void send_address_token(mq_quic *quic) {
    uint8_t token[MQ_TOKEN_MAX];
    const masque_address client = mq_address_of(&ngtcp2_conn_get_path2(quic->ng)->remote);
    size_t length =
        mq_address_token_seal(token, &quic->setup.keys->keys[0], quic->setup.endpoint->runtime, &client, quic->now);
    if (length > 0) {
        /* Without it the client only has to prove its address again. */
        (void)ngtcp2_conn_submit_new_token(quic->ng, token, length);
    }
}

static int on_handshake_done(ngtcp2_conn *ng, void *user) {
    mq_quic *quic = user;
    (void)ng;
    uint8_t alert = mq_quic_finish_tls(quic);
    if (alert) {
        mq_quic_choose_alert(quic, alert);
        return NGTCP2_ERR_CALLBACK_FAILURE;
    }
    quic->state = quic->state == MQ_QUIC_HANDSHAKE ? MQ_QUIC_OPEN : quic->state;
    quic->opened_at = quic->now;
    if (!quic->is_client) {
        mq_quic_remove_cid(quic, &quic->client_dcid);
        send_address_token(quic);
    }
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

void mq_quic_callbacks(ngtcp2_callbacks *callbacks) {
    *callbacks = (ngtcp2_callbacks){
        .get_path_challenge_data2 = on_path_challenge,
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
    mq_quic_crypto_callbacks(callbacks);
}
