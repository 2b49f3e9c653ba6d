/*
 * http/h3_client.c: HTTP/3 as a client: requests for tunnels (RFC 9114 4.4, RFC 9220), and heads
 * of answers.
 */
#include <string.h>

#include "http/h3_session.h"

/* --- answers ------------------------------------------------------------------------ */

static int on_header(nghttp3_conn *ng, int64_t id, int32_t token, nghttp3_rcbuf *name, nghttp3_rcbuf *value,
                     uint8_t flags, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    const nghttp3_vec name_bytes = nghttp3_rcbuf_get_buf(name);
    const nghttp3_vec value_bytes = nghttp3_rcbuf_get_buf(value);
    (void)ng;
    (void)token;
    (void)flags;
    if (!stream || !stream->stream) {
        return 0;
    }
    int error = mq_answer_field(&stream->answer, h3->base.allocator, h3->base.limits, (const char *)name_bytes.base,
                                name_bytes.len, (const char *)value_bytes.base, value_bytes.len);
    if (error) {
        mq_h3_lose_stream(h3, stream, true);
        mq_h3_abort_stream(h3, id,
                           error == MASQUE_ERR_NO_MEMORY ? NGHTTP3_H3_INTERNAL_ERROR : NGHTTP3_H3_EXCESSIVE_LOAD);
    }
    return 0;
}

static int on_end_headers(nghttp3_conn *ng, int64_t id, int fin, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    (void)fin;
    if (!stream || !stream->stream) {
        return 0;
    }
    if (mq_answer_is_interim(&stream->answer)) {
        mq_answer_free(&stream->answer);
        return 0;
    }
    mq_stream *near = stream->stream;
    bool opened = stream->answer.status / 100 == 2;
    if (opened && near->datagrams && !mq_answer_opens_capsules(&stream->answer, false)) {
        mq_h3_lose_stream(h3, stream, true);
        mq_h3_abort_stream(h3, id, NGHTTP3_H3_MESSAGE_ERROR);
        return h3->dead ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
    }
    if (!opened) {
        mq_h3_forget_stream(h3, stream);
        mq_h3_note(h3, nghttp3_conn_resume_stream(ng, id));
    }
    h3->base.events->answered(h3->base.owner, near, &stream->answer, opened);
    mq_answer_free(&stream->answer);
    mq_h3_replay_early(h3, stream);
    return h3->dead ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

/* GOAWAY: it takes no new requests (RFC 9114 5.2). */
static int on_goaway(nghttp3_conn *ng, int64_t id, void *user) {
    mq_h3_session *h3 = user;
    (void)ng;
    (void)id;
    h3->goaway_seen = true;
    return 0;
}

void mq_h3_client_callbacks(nghttp3_callbacks *callbacks) {
    callbacks->recv_header = on_header;
    callbacks->end_headers = on_end_headers;
    callbacks->shutdown = on_goaway;
}

/* --- requests -------------------------------------------------------------------------- */

static int submit(mq_h3_session *h3, mq_h3_stream *stream, const mq_call *call) {
    nghttp3_nv headers[MQ_CALL_FIELDS_MAX];
    masque_field fields[MQ_CALL_FIELDS_MAX];
    size_t count = mq_call_fields(call, fields);
    for (size_t i = 0; i < count; i++) {
        headers[i] = mq_h3_field(fields[i].name, fields[i].value);
    }
    const nghttp3_data_reader reader = {.read_data = mq_h3_on_read};
    int code = nghttp3_conn_submit_request(mq_h3_ng(h3), stream->id, headers, count, &reader, stream);
    return code == NGHTTP3_ERR_NOMEM ? MASQUE_ERR_NO_MEMORY : code ? MASQUE_ERR_INVALID : 0;
}

int mq_h3_request(mq_session *session, mq_stream *stream, const mq_call *call) {
    mq_h3_session *h3 = mq_h3_of(session);
    int64_t id;
    if (h3->dead || h3->goaway_seen) {
        return MASQUE_ERR_DRAINED;
    }
    if (call->udp && !h3->peer_takes_protocols) {
        return MASQUE_ERR_PROTOCOL;
    }
    int error = mq_quic_open_request(h3->quic, &id);
    if (error) {
        return error;
    }
    mq_h3_stream *owner = mq_h3_stream_new(h3, id);
    if (!owner) {
        mq_quic_reset(h3->quic, id, NGHTTP3_H3_REQUEST_CANCELLED);
        return MASQUE_ERR_NO_MEMORY;
    }
    error = submit(h3, owner, call);
    if (error) {
        mq_quic_stop(h3->quic, id, NGHTTP3_H3_REQUEST_CANCELLED);
        mq_quic_reset(h3->quic, id, NGHTTP3_H3_REQUEST_CANCELLED);
        return error;
    }
    mq_h3_tie(h3, owner, stream);
    return 0;
}
