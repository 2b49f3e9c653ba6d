/*
 * transport/quic_client.c: a QUIC connection begins, to a server.
 */
#include "transport/quic_conn.h"
#include "transport/quic_tls.h"

/* RFC 9000 7.2: at least 8, and unpredictable. */
#define FIRST_DCID_LENGTH 18u

/* A token for the next connection: none is kept, for it would tie the two together. */
static int on_token(ngtcp2_conn *ng, const uint8_t *token, size_t length, void *user) {
    (void)ng;
    (void)token;
    (void)length;
    (void)user;
    return 0;
}

static int start_ngtcp2(mq_quic *quic, const masque_packets *to) {
    mq_quic_endpoint *endpoint = quic->setup.endpoint;
    ngtcp2_callbacks callbacks;
    mq_cid scid;
    mq_cid first = {.length = FIRST_DCID_LENGTH};
    mq_quic_path path;
    if (mq_cid_make(quic->setup.keys, &endpoint->self, endpoint->runtime, &scid)) {
        return MASQUE_ERR_CRYPTO;
    }
    endpoint->runtime->random(endpoint->runtime->context, first.bytes, first.length);
    mq_quic_callbacks(&callbacks);
    callbacks.recv_new_token = on_token;
    ngtcp2_settings settings = mq_quic_settings(&quic->setup, quic->now);
    ngtcp2_transport_params params = mq_quic_params(&quic->setup);
    params.initial_max_stream_data_bidi_local = quic->setup.stream_window;
    const ngtcp2_cid ours = mq_ngtcp2_cid(&scid);
    const ngtcp2_cid theirs = mq_ngtcp2_cid(&first);
    mq_quic_path_init(&path, to);
    if (ngtcp2_conn_client_new(&quic->ng, &theirs, &ours, &path.path, NGTCP2_PROTO_VER_V1, &callbacks, &settings,
                               &params, &quic->memory, quic) != 0) {
        return MASQUE_ERR_NO_MEMORY;
    }
    return mq_quic_add_cid(quic, &scid);
}

int mq_quic_client_new(mq_quic **out, const mq_quic_setup *setup, const char *server, const masque_packets *to,
                       masque_time now) {
    *out = NULL;
    mq_quic *quic = mq_quic_alloc(setup, now);
    if (!quic) {
        return MASQUE_ERR_NO_MEMORY;
    }
    quic->is_client = true;
    int error = start_ngtcp2(quic, to);
    if (!error) {
        error = mq_quic_start_tls(quic, mq_tls_context_quic_client_handle(setup->tls));
    }
    if (!error) {
        wolfSSL_set_connect_state(quic->ssl);
        error = mq_tls_expect(setup->tls, quic->ssl, server);
    }
    if (error) {
        mq_quic_del(quic);
        return error;
    }
    *out = quic;
    return 0;
}
