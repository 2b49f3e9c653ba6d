/*
 * http/h2.c: HTTP/2 behind session.h, on nghttp2.
 *
 * nghttp2 keeps the protocol; here are the limits it leaves to its user (header
 * fields and bytes, resets, useless frames) and flow control (window.h): credit is given
 * only for bytes that were taken. h2_output.c writes.
 */
#include <assert.h>
#include <string.h>

#include "http/h2_session.h"

/* Of glitches_burst: from there on no new tunnels. */
#define GLITCHES_PARTING_PERCENT 75u

static mq_h2_session *h2_of(mq_session *session) {
    return (mq_h2_session *)session;
}

static int32_t id_of(const mq_stream *stream) {
    return (int32_t)stream->id;
}

void mq_h2_note(mq_h2_session *h2, int code) {
    if (nghttp2_is_fatal(code)) {
        h2->fatal = code == NGHTTP2_ERR_NOMEM ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_PROTOCOL;
        h2->base.must_abort = true;
    }
}

static void reset_stream(mq_h2_session *h2, int32_t id, uint32_t code) {
    mq_h2_note(h2, nghttp2_submit_rst_stream(h2->ng, NGHTTP2_FLAG_NONE, id, code));
}

/* --- what was written ------------------------------------------------------------- */

/* nghttp2 says goodbye by itself when the client breaks the protocol. */
static void note_goaway(mq_h2_session *h2, uint32_t code) {
    if (code != NGHTTP2_NO_ERROR && h2->base.error == 0) {
        h2->base.error = code == NGHTTP2_ENHANCE_YOUR_CALM ? MASQUE_ERR_FLOOD : MASQUE_ERR_PROTOCOL;
    }
}

static int on_frame_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user) {
    mq_h2_session *h2 = user;
    int32_t id = frame->hd.stream_id;
    mq_stream *stream = id > 0 ? mq_h2_find_stream(ng, id) : NULL;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        note_goaway(h2, frame->goaway.error_code);
    } else if (stream && frame->hd.type == NGHTTP2_DATA && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        stream->end_sent = true;
    } else if (!h2->is_client && frame->hd.type == NGHTTP2_HEADERS && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
               nghttp2_session_get_stream_remote_close(ng, id) == 0) {
        /* Refused, and the client may go on: tell it to stop (RFC 9113 8.1). */
        reset_stream(h2, id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

/* --- input: nghttp2 reports frames ----------------------------------------------- */

static void drop_head(mq_h2_session *h2) {
    if (mq_head_drop(&h2->head)) {
        h2->base.events->head_since(h2->base.owner, MASQUE_NEVER);
    }
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user) {
    mq_h2_session *h2 = user;
    (void)ng;
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    drop_head(h2);
    if (!mq_head_begin(&h2->head, h2->base.allocator, frame->hd.stream_id)) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    h2->base.events->head_since(h2->base.owner, h2->base.now);
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *user) {
    mq_h2_session *h2 = user;
    (void)ng;
    (void)flags;
    if (h2->is_client) {
        return mq_h2_answer_field(h2, frame->hd.stream_id, name, name_length, value, value_length);
    }
    if (!mq_head_is(&h2->head, frame->hd.stream_id)) {
        return 0;
    }
    if (!mq_head_field(&h2->head, h2->base.limits, (const char *)name, name_length, (const char *)value,
                       value_length)) {
        drop_head(h2);
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return 0;
}

/* Without this nghttp2 would drop the field and go on. */
static int on_invalid_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                             const uint8_t *value, size_t value_length, uint8_t flags, void *user) {
    (void)ng;
    (void)frame;
    (void)name;
    (void)name_length;
    (void)value;
    (void)value_length;
    (void)flags;
    (void)user;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void finish_request(mq_h2_session *h2, int32_t id) {
    if (!mq_head_is(&h2->head, id)) {
        return;
    }
    mq_request *request = h2->head.request;
    request->complete_at = h2->base.now;
    h2->base.events->head_since(h2->base.owner, MASQUE_NEVER);
    if (!h2->base.events->request(h2->base.owner, id, request, mq_head_refusal(&h2->head))) {
        reset_stream(h2, id, NGHTTP2_INTERNAL_ERROR);
    }
    mq_head_drop(&h2->head);
}

static void say_goaway(mq_h2_session *h2) {
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->ng);
    mq_h2_note(h2, nghttp2_submit_goaway(h2->ng, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0));
}

static int count_glitch(mq_h2_session *h2) {
    const masque_limits *limits = h2->base.limits;
    if (!mq_bucket_take(&h2->glitches, h2->base.now, limits->glitches_rate, limits->glitches_burst)) {
        h2->fatal = MASQUE_ERR_FLOOD;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    /* An honest client that is only odd takes its next tunnels elsewhere, and loses none. */
    bool many = mq_bucket_is_past(&h2->glitches, h2->base.now, limits->glitches_rate, limits->glitches_burst,
                                  GLITCHES_PARTING_PERCENT);
    if (many && h2->base.error == 0) {
        h2->base.error = MASQUE_ERR_FLOOD; /* what its end is called, once its tunnels are over */
        say_goaway(h2);
    }
    return 0;
}

/* A proxy resets a tunnel whose target did; a client's resets cost us dials. */
static int count_reset(mq_h2_session *h2) {
    const masque_limits *limits = h2->base.limits;
    if (h2->is_client || mq_bucket_take(&h2->resets, h2->base.now, limits->resets_rate, limits->resets_burst)) {
        return 0;
    }
    h2->fatal = MASQUE_ERR_FLOOD;
    return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int code, void *user) {
    (void)ng;
    (void)frame;
    (void)code;
    return count_glitch(user);
}

/* What no tunnel needs often: a client that sends many is up to something. */
static bool is_glitch(const nghttp2_frame_hd *header) {
    switch (header->type) {
    case NGHTTP2_PING:
    case NGHTTP2_SETTINGS:
        return !(header->flags & NGHTTP2_FLAG_ACK);
    case NGHTTP2_DATA:
        return header->length == 0 && !(header->flags & NGHTTP2_FLAG_END_STREAM);
    case NGHTTP2_HEADERS:
    case NGHTTP2_RST_STREAM:
    case NGHTTP2_WINDOW_UPDATE:
        return false;
    default:
        return true; /* GOAWAY, PRIORITY_UPDATE, …; nghttp2 hides PRIORITY and unknown types */
    }
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user) {
    mq_h2_session *h2 = user;
    int32_t id = frame->hd.stream_id;
    bool first_settings = frame->hd.type == NGHTTP2_SETTINGS && !h2->settings_seen;
    h2->settings_seen = h2->settings_seen || first_settings;
    if (first_settings && h2->is_client) {
        h2->base.events->opened(h2->base.owner);
    }
    if (!first_settings && is_glitch(&frame->hd) && count_glitch(h2)) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code == NGHTTP2_NO_ERROR) {
        return count_reset(h2); /* a reset all the same; on_stream_close() takes it for an end */
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS) {
        const mq_stream *near = mq_h2_find_stream(ng, id);
        if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            finish_request(h2, id);
        } else if (h2->is_client && (!near || !near->answered)) {
            if (mq_h2_answer_end(h2, id)) {
                return NGHTTP2_ERR_CALLBACK_FAILURE;
            }
        } else {
            /* RFC 9113 8.5: nothing but DATA on a tunnel. */
            reset_stream(h2, id, NGHTTP2_PROTOCOL_ERROR);
            return 0;
        }
    }
    mq_stream *stream = mq_h2_find_stream(ng, id);
    if (stream && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        h2->base.events->finished(h2->base.owner, stream);
    }
    return 0;
}

void mq_h2_forget_stream(mq_h2_session *h2, mq_stream *stream) {
    mq_windows_close(&h2->windows, stream);
    stream->session = NULL;
}

void mq_h2_lose_stream(mq_h2_session *h2, mq_stream *stream, bool reset) {
    nghttp2_session_set_stream_user_data(h2->ng, id_of(stream), NULL);
    mq_h2_forget_stream(h2, stream);
    h2->base.events->closed(h2->base.owner, stream, reset);
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length, void *user) {
    mq_h2_session *h2 = user;
    mq_stream *stream = mq_h2_find_stream(ng, id);
    (void)flags;
    if (!stream) {
        mq_h2_note(h2, nghttp2_session_consume_connection(ng, length)); /* of a stream that was refused */
        return 0;
    }
    uint32_t start = (uint32_t)(bytes - h2->block->bytes);
    stream->untaken += length;
    if (!h2->base.events->data(h2->base.owner, stream, h2->block, start, start + (uint32_t)length)) {
        /* At once, or what follows in this input would go on behind the hole. */
        mq_h2_note(h2, nghttp2_session_consume_connection(ng, length));
        stream->untaken -= length;
        mq_h2_lose_stream(h2, stream, true);
        reset_stream(h2, id, NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user) {
    mq_h2_session *h2 = user;
    mq_stream *stream = mq_h2_find_stream(ng, id);
    if (stream) {
        mq_h2_lose_stream(h2, stream, code != NGHTTP2_NO_ERROR || !stream->end_sent);
    }
    if (mq_head_is(&h2->head, id)) {
        drop_head(h2);
    }
    return code != NGHTTP2_NO_ERROR ? count_reset(h2) : 0;
}

/* --- session.h --------------------------------------------------------------------- */

static void h2_free(mq_session *session) {
    mq_h2_session *h2 = h2_of(session);
    const masque_allocator *allocator = session->allocator;
    mq_head_drop(&h2->head);
    mq_answer_free(&h2->answer);
    nghttp2_session_del(h2->ng);
    mq_free(allocator, h2);
}

static int error_of(const mq_h2_session *h2, nghttp2_ssize code) {
    if (h2->fatal) {
        return h2->fatal;
    }
    switch (code) {
    case NGHTTP2_ERR_NOMEM:
        return MASQUE_ERR_NO_MEMORY;
    case NGHTTP2_ERR_FLOODED:
        return MASQUE_ERR_FLOOD;
    default:
        return MASQUE_ERR_PROTOCOL;
    }
}

/* What may wait for a client that reads: an answer, an end and two window updates a stream,
   those of streams that are gone as well, and what control_frames_max allows. */
static uint64_t frames_waiting_max(const masque_limits *limits) {
    return 8 * limits->tunnels_per_connection_max + limits->control_frames_max;
}

static int h2_input(mq_session *session, mq_block *block, uint32_t start, uint32_t end) {
    mq_h2_session *h2 = h2_of(session);
    if (h2->dead) {
        return MASQUE_ERR_PROTOCOL;
    }
    h2->block = block;
    nghttp2_ssize taken = nghttp2_session_mem_recv2(h2->ng, block->bytes + start, end - start);
    h2->block = NULL;
    if (taken < 0) {
        h2->dead = true;
        return error_of(h2, taken);
    }
    if (nghttp2_session_get_outbound_queue_size(h2->ng) > frames_waiting_max(session->limits)) {
        h2->dead = true;
        return MASQUE_ERR_FLOOD; /* it asks, and reads no answers */
    }
    return 0;
}

static void h2_input_end(mq_session *session) {
    (void)session; /* the owner ends an HTTP/2 connection then */
}

static bool h2_wants_input(const mq_session *session) {
    (void)session;
    return true; /* windows bound what may come */
}

static int h2_output(mq_session *session, mq_tls_stream *tls) {
    mq_h2_session *h2 = h2_of(session);
    uint8_t gathered[MQ_RECORD_MAX];
    if (h2->dead) {
        return 0;
    }
    h2->tls = tls;
    h2->gathered = gathered;
    h2->gathered_length = 0;
    int code = nghttp2_session_send(h2->ng);
    int error = mq_h2_flush_gathered(h2);
    h2->tls = NULL;
    h2->gathered = NULL;
    if (code < 0 || error) {
        h2->dead = true;
        return error ? error : error_of(h2, code);
    }
    return 0;
}

static bool h2_wants_output(const mq_session *session) {
    const mq_h2_session *h2 = (const mq_h2_session *)session;
    return !h2->dead && nghttp2_session_want_write(h2->ng);
}

void mq_h2_tie(mq_h2_session *h2, mq_stream *stream, int32_t id) {
    stream->session = &h2->base;
    stream->id = id;
    mq_windows_open(&h2->windows, stream, h2->base.now);
    nghttp2_session_set_stream_user_data(h2->ng, id, stream);
}

static void h2_open(mq_session *session, mq_stream *stream, int64_t id) {
    mq_h2_tie(h2_of(session), stream, (int32_t)id);
}

nghttp2_nv mq_h2_field(const char *name, const char *value) {
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

static int h2_respond(mq_session *session, mq_stream *stream, const mq_response *response) {
    mq_h2_session *h2 = h2_of(session);
    mq_response_text values;
    masque_field fields[MQ_RESPONSE_FIELDS_MAX + 1];
    size_t count = mq_response_fields_with_status(response, &values, fields);
    nghttp2_nv headers[MQ_RESPONSE_FIELDS_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        headers[i] = mq_h2_field(fields[i].name, fields[i].value);
    }
    bool tunnel = response->refusal == MQ_REFUSAL_NONE;
    nghttp2_data_provider2 provider = {.read_callback = mq_h2_on_read};
    int error = nghttp2_submit_response2(h2->ng, id_of(stream), headers, count, tunnel ? &provider : NULL);
    if (tunnel && !error) {
        return 0;
    }
    nghttp2_session_set_stream_user_data(h2->ng, id_of(stream), NULL);
    if (error) {
        reset_stream(h2, id_of(stream), NGHTTP2_INTERNAL_ERROR);
    }
    mq_h2_forget_stream(h2, stream);
    return error ? MASQUE_ERR_NO_MEMORY : 0;
}

static void h2_resume(mq_session *session, mq_stream *stream) {
    /* Fails when it isn't deferred; then it will be read anyway. */
    nghttp2_session_resume_data(h2_of(session)->ng, id_of(stream));
}

static void h2_credit(mq_session *session, mq_stream *stream, size_t length) {
    mq_h2_session *h2 = h2_of(session);
    if (h2->dead) {
        return;
    }
    uint32_t growth = mq_windows_credit(&h2->windows, stream, length, session->now, session->may_grow);
    if (!stream->session) {
        mq_h2_note(h2, nghttp2_session_consume_connection(h2->ng, length));
        return;
    }
    mq_h2_note(h2, nghttp2_session_consume(h2->ng, id_of(stream), length));
    int32_t wider = (int32_t)(stream->window + growth);
    if (growth > 0 && nghttp2_session_set_local_window_size(h2->ng, NGHTTP2_FLAG_NONE, id_of(stream), wider) == 0) {
        mq_windows_grow(&h2->windows, stream, growth);
    }
}

static void h2_reset(mq_session *session, mq_stream *stream) {
    mq_h2_session *h2 = h2_of(session);
    nghttp2_session_set_stream_user_data(h2->ng, id_of(stream), NULL);
    mq_h2_forget_stream(h2, stream);
    if (!h2->dead) {
        uint32_t code = h2->is_client ? NGHTTP2_CANCEL : NGHTTP2_CONNECT_ERROR;
        reset_stream(h2, id_of(stream), stream->malformed ? NGHTTP2_PROTOCOL_ERROR : code);
    }
}

static bool h2_owes(const mq_session *session, const mq_stream *stream) {
    (void)session;
    return stream->outgoing.bytes > 0 || (stream->outgoing_end && !stream->end_sent);
}

static void h2_drain(mq_session *session, bool final) {
    mq_h2_session *h2 = h2_of(session);
    if (h2->dead) {
        return;
    }
    if (!final) {
        mq_h2_note(h2, nghttp2_submit_shutdown_notice(h2->ng));
        return;
    }
    say_goaway(h2);
}

static void h2_terminate(mq_session *session, int error) {
    mq_h2_session *h2 = h2_of(session);
    uint32_t code = NGHTTP2_PROTOCOL_ERROR;
    if (error == 0 || error == MASQUE_ERR_TIMEOUT || error == MASQUE_ERR_DRAINED) {
        code = NGHTTP2_NO_ERROR;
    } else if (error == MASQUE_ERR_FLOOD || error == MASQUE_ERR_AUTH_FAILURES) {
        code = NGHTTP2_ENHANCE_YOUR_CALM;
    } else if (error == MASQUE_ERR_NO_MEMORY) {
        code = NGHTTP2_INTERNAL_ERROR;
    }
    if (!h2->dead) {
        mq_h2_note(h2, nghttp2_session_terminate_session(h2->ng, code));
    }
}

static bool h2_is_done(const mq_session *session) {
    const mq_h2_session *h2 = (const mq_h2_session *)session;
    return h2->dead || (!nghttp2_session_want_read(h2->ng) && !nghttp2_session_want_write(h2->ng));
}

static const mq_session_ops H2_OPS = {
    .free = h2_free,
    .input = h2_input,
    .input_end = h2_input_end,
    .wants_input = h2_wants_input,
    .output = h2_output,
    .wants_output = h2_wants_output,
    .open = h2_open,
    .respond = h2_respond,
    .request = mq_h2_request,
    .resume = h2_resume,
    .credit = h2_credit,
    .reset = h2_reset,
    .cut = h2_reset, /* frames keep their order */
    .owes = h2_owes,
    .drain = h2_drain,
    .terminate = h2_terminate,
    .is_done = h2_is_done,
};

static const mq_h2_callbacks CALLBACKS = {
    .send = mq_h2_on_send,
    .read_length = mq_h2_on_read_length,
    .send_data = mq_h2_on_send_data,
    .frame_sent = on_frame_sent,
    .begin_headers = on_begin_headers,
    .header = on_header,
    .invalid_header = on_invalid_header,
    .frame = on_frame,
    .invalid_frame = on_invalid_frame,
    .data = on_data,
    .stream_close = on_stream_close,
};

static mq_session *h2_new(const mq_session_setup *setup, bool is_client) {
    mq_h2_session *h2 = mq_zalloc(setup->allocator, sizeof *h2);
    if (!h2) {
        return NULL;
    }
    h2->base = mq_session_base(&H2_OPS, setup, true);
    h2->is_client = is_client;
    h2->windows.limits = setup->limits;
    h2->ng = mq_h2_nghttp2_new(&CALLBACKS, is_client, setup->limits, setup->allocator, h2);
    if (!h2->ng) {
        mq_free(setup->allocator, h2);
        return NULL;
    }
    return &h2->base;
}

mq_session *mq_h2_new(const mq_session_setup *setup) {
    return h2_new(setup, false);
}

mq_session *mq_h2_client_new(const mq_session_setup *setup) {
    return h2_new(setup, true);
}
