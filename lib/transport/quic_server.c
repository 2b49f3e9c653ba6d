/*
 * transport/quic_server.c: a QUIC connection begins, with a client's first packet.
 */
#include "transport/quic_conn.h"
#include "transport/quic_packet.h"
#include "transport/quic_tls.h"

static void use_token(ngtcp2_settings *settings, const mq_quic_initial *initial) {
    if (mq_initial_is_validated(initial)) {
        settings->token = initial->token;
        settings->tokenlen = initial->token_length;
        settings->token_type =
            initial->token_state == MQ_TOKEN_RETRY ? NGTCP2_TOKEN_TYPE_RETRY : NGTCP2_TOKEN_TYPE_NEW_TOKEN;
    }
}

static ngtcp2_transport_params params_of(const mq_quic_setup *setup, const mq_quic_initial *initial) {
    ngtcp2_transport_params params = mq_quic_params(setup);
    params.initial_max_stream_data_bidi_remote = setup->stream_window;
    params.initial_max_streams_bidi = setup->limits->tunnels_per_connection_max;
    params.original_dcid = mq_ngtcp2_cid(&initial->original_dcid);
    params.original_dcid_present = 1;
    if (initial->token_state == MQ_TOKEN_RETRY) {
        params.retry_scid = mq_ngtcp2_cid(&initial->dcid);
        params.retry_scid_present = 1;
    }
    return params;
}

static int start_ngtcp2(mq_quic *quic, const mq_quic_initial *initial, const masque_packets *from) {
    mq_quic_endpoint *endpoint = quic->setup.endpoint;
    ngtcp2_callbacks callbacks;
    mq_cid scid;
    mq_quic_path path;
    if (mq_cid_make(quic->setup.keys, &endpoint->self, endpoint->runtime, &scid)) {
        return MASQUE_ERR_CRYPTO;
    }
    mq_quic_callbacks(&callbacks);
    ngtcp2_settings settings = mq_quic_settings(&quic->setup, quic->now);
    ngtcp2_transport_params params = params_of(&quic->setup, initial);
    use_token(&settings, initial);
    if (mq_reset_token(params.stateless_reset_token, &scid, quic->setup.keys)) {
        return MASQUE_ERR_CRYPTO;
    }
    params.stateless_reset_token_present = 1;
    const ngtcp2_cid ours = mq_ngtcp2_cid(&scid);
    const ngtcp2_cid theirs = mq_ngtcp2_cid(&initial->scid);
    mq_quic_path_init(&path, from);
    if (ngtcp2_conn_server_new(&quic->ng, &theirs, &ours, &path.path, initial->version, &callbacks, &settings, &params,
                               &quic->memory, quic) != 0) {
        return MASQUE_ERR_NO_MEMORY;
    }
    int error = mq_quic_add_cid(quic, &scid);
    return error ? error : mq_quic_add_cid(quic, &quic->client_dcid);
}

int mq_quic_new(mq_quic **out, const mq_quic_setup *setup, const mq_quic_initial *initial, const masque_packets *from,
                masque_time now) {
    *out = NULL;
    mq_quic *quic = mq_quic_alloc(setup, now);
    if (!quic) {
        return MASQUE_ERR_NO_MEMORY;
    }
    quic->client_dcid = initial->dcid;
    int error = start_ngtcp2(quic, initial, from);
    if (!error) {
        error = mq_quic_start_tls(quic, mq_tls_context_quic_handle(setup->tls));
    }
    if (error) {
        mq_quic_del(quic);
        return error;
    }
    wolfSSL_set_accept_state(quic->ssl);
    *out = quic;
    return 0;
}
