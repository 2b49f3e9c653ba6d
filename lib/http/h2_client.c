/*
 * http/h2_client.c: HTTP/2 as a client: requests for tunnels (RFC 9113 8.5, RFC 8441), and heads of
 * answers.
 */
#include <string.h>

#include "http/h2_session.h"

/* --- answers ------------------------------------------------------------------------ */

int mq_h2_answer_field(mq_h2_session *h2, int32_t id, const uint8_t *name, size_t name_length, const uint8_t *value,
                       size_t value_length) {
    const mq_stream *stream = mq_h2_find_stream(h2->ng, id);
    if (!stream || stream->answered) {
        return 0;
    }
    int error = mq_answer_field(&h2->answer, h2->base.allocator, h2->base.limits, (const char *)name, name_length,
                                (const char *)value, value_length);
    if (error) {
        mq_answer_free(&h2->answer);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

int mq_h2_answer_end(mq_h2_session *h2, int32_t id) {
    mq_stream *stream = mq_h2_find_stream(h2->ng, id);
    if (stream && !mq_answer_is_interim(&h2->answer)) {
        bool opened = h2->answer.status / 100 == 2;
        stream->answered = true;
        if (opened && stream->datagrams && !mq_answer_opens_capsules(&h2->answer, false)) {
            mq_answer_free(&h2->answer);
            return nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
        }
        if (!opened) {
            nghttp2_session_set_stream_user_data(h2->ng, id, NULL);
            mq_h2_forget_stream(h2, stream);
            nghttp2_session_resume_data(h2->ng, id);
        }
        h2->base.events->answered(h2->base.owner, stream, &h2->answer, opened);
    }
    mq_answer_free(&h2->answer);
    return 0;
}

/* --- requests -------------------------------------------------------------------------- */

static int may_request(const mq_h2_session *h2, const mq_call *call) {
    if (h2->dead || !nghttp2_session_check_request_allowed(h2->ng)) {
        return MASQUE_ERR_DRAINED;
    }
    if (call->udp && !nghttp2_session_get_remote_settings(h2->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL)) {
        return MASQUE_ERR_PROTOCOL;
    }
    uint32_t most = nghttp2_session_get_remote_settings(h2->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return h2->windows.open_streams >= most ? MASQUE_ERR_OVERLOAD : 0;
}

int mq_h2_request(mq_session *session, mq_stream *stream, const mq_call *call) {
    mq_h2_session *h2 = (mq_h2_session *)session;
    masque_field fields[MQ_CALL_FIELDS_MAX];
    nghttp2_nv headers[MQ_CALL_FIELDS_MAX];
    int error = may_request(h2, call);
    if (error) {
        return error;
    }
    size_t count = mq_call_fields(call, fields);
    for (size_t i = 0; i < count; i++) {
        headers[i] = mq_h2_field(fields[i].name, fields[i].value);
    }
    const nghttp2_data_provider2 provider = {.read_callback = mq_h2_on_read};
    int32_t id = nghttp2_submit_request2(h2->ng, NULL, headers, count, &provider, stream);
    if (id < 0) {
        return id == NGHTTP2_ERR_NOMEM ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_INVALID;
    }
    mq_h2_tie(h2, stream, id);
    return 0;
}
