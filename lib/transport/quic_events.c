/*
 * transport/quic_events.c: what ngtcp2 reports of a connection, whatever side we are on, handed on
 * to whom it concerns.
 */
#include <assert.h>

#include "transport/quic_aead.h"
#include "transport/quic_conn.h"
#include "transport/quic_packet.h"

/* RFC 8446 4 and 6. */
#define NEW_SESSION_TICKET 4
#define UNEXPECTED_MESSAGE 10

static int told(int result) {
    return result ? NGTCP2_ERR_CALLBACK_FAILURE : 0;
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
    if (level == NGTCP2_ENCRYPTION_LEVEL_1RTT && !are_messages_fine(quic, bytes, length)) {
        ngtcp2_conn_set_tls_alert(ng, UNEXPECTED_MESSAGE);
        return NGTCP2_ERR_CRYPTO;
    }
    return ngtcp2_crypto_recv_crypto_data_cb(ng, level, offset, bytes, length, user);
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
        mq_quic_choose_alert(quic, 120);
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
        .recv_crypto_data = on_crypto_data,
        .encrypt = mq_quic_encrypt,
        .decrypt = mq_quic_decrypt,
        .hp_mask = mq_quic_mask,
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
}
