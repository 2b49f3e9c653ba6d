/*
 * http/h3_server.c: HTTP/3 as a server: heads of requests, and answers to them.
 */
#include <string.h>

#include "http/h3_session.h"

static int on_begin_headers(nghttp3_conn *ng, int64_t id, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = mq_h3_find(h3, id);
    (void)stream_user;
    if (!stream || !mq_head_begin(&stream->head, h3->base.allocator, id)) {
        mq_h3_close(h3, NGHTTP3_H3_INTERNAL_ERROR, MASQUE_ERR_NO_MEMORY);
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    return nghttp3_conn_set_stream_user_data(ng, id, stream);
}

static int on_header(nghttp3_conn *ng, int64_t id, int32_t token, nghttp3_rcbuf *name, nghttp3_rcbuf *value,
                     uint8_t flags, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    const nghttp3_vec name_bytes = nghttp3_rcbuf_get_buf(name);
    const nghttp3_vec value_bytes = nghttp3_rcbuf_get_buf(value);
    (void)ng;
    (void)token;
    (void)flags;
    if (!stream || !mq_head_is(&stream->head, id)) {
        return 0;
    }
    if (!mq_head_field(&stream->head, h3->base.limits, (const char *)name_bytes.base, name_bytes.len,
                       (const char *)value_bytes.base, value_bytes.len)) {
        mq_h3_end_head(h3, stream);
        mq_h3_abort_stream(h3, id, NGHTTP3_H3_EXCESSIVE_LOAD);
        return mq_h3_count_own_reset(h3);
    }
    return 0;
}

static int on_end_headers(nghttp3_conn *ng, int64_t id, int fin, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    (void)ng;
    (void)fin;
    if (!stream || !mq_head_is(&stream->head, id)) {
        return 0;
    }
    mq_request *request = stream->head.request;
    request->complete_at = h3->base.now;
    if (!h3->base.events->request(h3->base.owner, id, request, mq_head_refusal(&stream->head))) {
        mq_h3_abort_stream(h3, id, NGHTTP3_H3_INTERNAL_ERROR);
    }
    mq_h3_end_head(h3, stream);
    mq_h3_replay_early(h3, stream);
    return h3->dead ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

nghttp3_nv mq_h3_field(const char *name, const char *value) {
    return (nghttp3_nv){.name = (const uint8_t *)name,
                        .value = (const uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP3_NV_FLAG_NONE};
}

static int submit(mq_h3_session *h3, int64_t id, const mq_response *response) {
    mq_response_text values;
    masque_field fields[MQ_RESPONSE_FIELDS_MAX + 1];
    size_t count = mq_response_fields_with_status(response, &values, fields);
    nghttp3_nv headers[MQ_RESPONSE_FIELDS_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        headers[i] = mq_h3_field(fields[i].name, fields[i].value);
    }
    const nghttp3_data_reader reader = {.read_data = mq_h3_on_read};
    bool tunnel = response->refusal == MQ_REFUSAL_NONE;
    return nghttp3_conn_submit_response(mq_h3_ng(h3), id, headers, count, tunnel ? &reader : NULL);
}

int mq_h3_respond(mq_session *session, mq_stream *stream, const mq_response *response) {
    mq_h3_session *h3 = mq_h3_of(session);
    mq_h3_stream *owner = mq_h3_find(h3, stream->id);
    int code = h3->dead ? NGHTTP3_ERR_INVALID_STATE : submit(h3, stream->id, response);
    if (response->refusal == MQ_REFUSAL_NONE && !code) {
        return 0;
    }
    mq_h3_forget_stream(h3, owner);
    /* A client that is refused and goes on sending is not told to stop (RFC 9114 4.1 would let
       us): some take STOP_SENDING for an error and lose the answer. Its window stays shut. */
    if (code) {
        mq_h3_abort_stream(h3, owner->id, NGHTTP3_H3_INTERNAL_ERROR);
    }
    return code ? MASQUE_ERR_NO_MEMORY : 0;
}

void mq_h3_server_callbacks(nghttp3_callbacks *callbacks) {
    callbacks->begin_headers = on_begin_headers;
    callbacks->recv_header = on_header;
    callbacks->end_headers = on_end_headers;
}
