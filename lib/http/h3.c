#include "http/h3.h"

#include <assert.h>
#include <string.h>

#include "http/h3_session.h"

/* QPACK's table for what clients repeat; no stream ever waits for it. */
#define QPACK_TABLE 4096u

/* Where nghttp3's debug printing would go, which nobody calls. The archive we get of it is
   compiled for programs, and its references to the C library's stderr can't stand in a shared
   library: cmake/dependencies.sh gives them this name instead. */
extern void *const masque_nghttp3_stderr;
void *const masque_nghttp3_stderr = NULL;

/* nghttp3 failed: its connection can't go on. */
int mq_h3_fail(mq_h3_session *h3, int code) {
    int error = code == NGHTTP3_ERR_NOMEM               ? MASQUE_ERR_NO_MEMORY
                : code == NGHTTP3_ERR_H3_EXCESSIVE_LOAD ? MASQUE_ERR_FLOOD
                                                        : MASQUE_ERR_PROTOCOL;
    return mq_h3_close(h3, nghttp3_err_infer_quic_app_error_code(code), error);
}

int mq_h3_close(mq_h3_session *h3, uint64_t code, int error) {
    h3->dead = true;
    mq_quic_close(h3->quic, code, error);
    return -1;
}

static void note(mq_h3_session *h3, int code) {
    if (code && code != NGHTTP3_ERR_STREAM_NOT_FOUND) {
        mq_h3_fail(h3, code);
    }
}

int mq_h3_count_reset(mq_h3_session *h3) {
    const masque_limits *limits = h3->base.limits;
    if (mq_bucket_take(&h3->resets, h3->base.now, limits->resets_rate, limits->resets_burst)) {
        return 0;
    }
    return mq_h3_close(h3, NGHTTP3_H3_EXCESSIVE_LOAD, MASQUE_ERR_FLOOD);
}

/* --- streams ---------------------------------------------------------------------------- */

static void report_heads(mq_h3_session *h3) {
    bool none = mq_link_alone(&h3->heads);
    masque_time since = none ? MASQUE_NEVER : MQ_MEMBER(h3->heads.next, mq_h3_stream, in_heads)->since;
    h3->base.events->head_since(h3->base.owner, since);
}

void mq_h3_end_head(mq_h3_session *h3, mq_h3_stream *stream) {
    mq_head_drop(&stream->head);
    if (!mq_link_alone(&stream->in_heads)) {
        mq_link_remove(&stream->in_heads);
        report_heads(h3);
    }
}

static void forget_stream(mq_h3_session *h3, mq_h3_stream *stream) {
    mq_windows_close(&h3->windows, stream->stream);
    mq_link_remove(&stream->in_datagrams);
    stream->stream->session = NULL;
    stream->stream = NULL;
}

void mq_h3_lose_stream(mq_h3_session *h3, mq_h3_stream *stream, bool reset) {
    mq_stream *lost = stream->stream;
    if (lost) {
        forget_stream(h3, stream);
        h3->base.events->closed(h3->base.owner, lost, reset);
    }
}

void mq_h3_stream_del(mq_h3_session *h3, mq_h3_stream *stream) {
    mq_h3_end_head(h3, stream);
    assert(!stream->stream && h3->base.unacked >= stream->unacked.bytes);
    h3->base.unacked -= stream->unacked.bytes;
    h3->throttled -= stream->throttled;
    mq_queue_clear(&stream->unacked, h3->base.pool);
    mq_link_remove(&stream->link);
    mq_link_remove(&stream->in_datagrams);
    mq_free(h3->base.allocator, stream);
}

/* Ends both directions of what is not, or no more, a tunnel. */
static void abort_stream(mq_h3_session *h3, int64_t id, uint64_t code) {
    mq_quic_stop(h3->quic, id, code);
    mq_quic_reset(h3->quic, id, code);
    if (!h3->dead) {
        note(h3, nghttp3_conn_shutdown_stream_read(h3->ng, id));
        nghttp3_conn_shutdown_stream_write(h3->ng, id);
    }
}

/* What all streams together may have under way. */
static bool is_throttled(const mq_h3_session *h3) {
    return h3->base.unacked >= h3->base.limits->connection_buffer_max / 2;
}

void mq_h3_unthrottle(mq_h3_session *h3) {
    if (h3->throttled == 0 || is_throttled(h3)) {
        return;
    }
    h3->throttled = 0;
    for (mq_link *link = h3->streams.next; link != &h3->streams; link = link->next) {
        mq_h3_stream *stream = MQ_MEMBER(link, mq_h3_stream, link);
        if (stream->throttled) {
            stream->throttled = false;
            note(h3, nghttp3_conn_resume_stream(h3->ng, stream->id));
        }
    }
}

/* --- nghttp3 reports ------------------------------------------------------------------------ */

/* Resets of ours that the client's requests cause count as its own (CVE-2025-8671). */
static int count_own_reset(mq_h3_session *h3) {
    return mq_h3_count_reset(h3) ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

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
        abort_stream(h3, id, NGHTTP3_H3_EXCESSIVE_LOAD);
        return count_own_reset(h3);
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
        abort_stream(h3, id, NGHTTP3_H3_INTERNAL_ERROR);
    }
    mq_h3_end_head(h3, stream);
    mq_h3_replay_early(h3, stream);
    return h3->dead ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_trailers(nghttp3_conn *ng, int64_t id, void *user, void *stream_user) {
    (void)ng;
    (void)id;
    (void)stream_user;
    /* RFC 9114 4.4: nothing but DATA on a tunnel. */
    mq_h3_close(user, NGHTTP3_H3_FRAME_UNEXPECTED, MASQUE_ERR_PROTOCOL);
    return NGHTTP3_ERR_CALLBACK_FAILURE;
}

static int on_data(nghttp3_conn *ng, int64_t id, const uint8_t *bytes, size_t length, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    (void)ng;
    if (!stream || !stream->stream) {
        mq_quic_credit(h3->quic, -1, length); /* of a stream that was refused */
        return 0;
    }
    while (length > 0) {
        if (!stream->stream) {
            mq_quic_credit(h3->quic, -1, length); /* what came before ended it */
            break;
        }
        size_t piece = length < MQ_COPY_MAX ? length : MQ_COPY_MAX;
        stream->stream->untaken += piece;
        if (!h3->base.events->bytes(h3->base.owner, stream->stream, bytes, piece)) {
            /* At once, or what follows would go on behind the hole. */
            stream->stream->untaken -= piece;
            mq_quic_credit(h3->quic, -1, length);
            mq_h3_lose_stream(h3, stream, true);
            abort_stream(h3, id, NGHTTP3_H3_INTERNAL_ERROR);
            break;
        }
        bytes += piece;
        length -= piece;
    }
    return 0;
}

static int on_end_stream(nghttp3_conn *ng, int64_t id, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    (void)ng;
    (void)id;
    if (stream) {
        stream->finished = true;
        if (stream->stream) {
            h3->base.events->finished(h3->base.owner, stream->stream);
        }
    }
    return 0;
}

static int on_acked(nghttp3_conn *ng, int64_t id, uint64_t length, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    (void)ng;
    (void)id;
    if (stream) {
        assert(length <= stream->unacked.bytes);
        mq_queue_drop(&stream->unacked, h3->base.pool, (size_t)length);
        h3->base.unacked -= (size_t)length;
        if (stream->stream) {
            stream->stream->unacked -= (size_t)length;
        }
    }
    return 0;
}

static int on_stop_sending(nghttp3_conn *ng, int64_t id, uint64_t code, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    (void)ng;
    (void)stream_user;
    mq_quic_stop(h3->quic, id, code);
    return 0;
}

/* A malformed request. */
static int on_reset_stream(nghttp3_conn *ng, int64_t id, uint64_t code, void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *stream = stream_user;
    (void)ng;
    if (stream) {
        mq_h3_end_head(h3, stream);
        mq_h3_lose_stream(h3, stream, true);
    }
    mq_quic_reset(h3->quic, id, code);
    return count_own_reset(h3);
}

static int on_settings(nghttp3_conn *ng, const nghttp3_proto_settings *settings, void *user) {
    mq_h3_session *h3 = user;
    h3->settings_seen = true;
    h3->client_takes_datagrams = settings->h3_datagram;
    /* Now it is known how datagrams are carried. */
    for (mq_link *link = h3->streams.next; link != &h3->streams; link = link->next) {
        mq_h3_stream *stream = MQ_MEMBER(link, mq_h3_stream, link);
        if (stream->stream && stream->stream->datagrams) {
            mq_h3_offer_datagrams(h3, stream);
            int code = nghttp3_conn_resume_stream(ng, stream->id);
            if (code && code != NGHTTP3_ERR_STREAM_NOT_FOUND) {
                return NGHTTP3_ERR_CALLBACK_FAILURE;
            }
        }
    }
    return 0;
}

/* --- output: nghttp3 asks for a tunnel's bytes ------------------------------------------------ */

static nghttp3_ssize read_end(mq_stream *stream, uint32_t *flags) {
    if (!stream->outgoing_end) {
        return NGHTTP3_ERR_WOULDBLOCK;
    }
    *flags |= NGHTTP3_DATA_FLAG_EOF;
    stream->end_sent = true;
    return 0;
}

static nghttp3_ssize on_read(nghttp3_conn *ng, int64_t id, nghttp3_vec *vector, size_t count, uint32_t *flags,
                             void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    mq_h3_stream *owner = stream_user;
    mq_stream *stream = owner ? owner->stream : NULL;
    (void)ng;
    (void)id;
    if (!stream) {
        return NGHTTP3_ERR_WOULDBLOCK;
    }
    if (stream->outgoing.bytes == 0) {
        return read_end(stream, flags);
    }
    if (stream->datagrams && (!h3->settings_seen || mq_h3_uses_datagrams(h3))) {
        return NGHTTP3_ERR_WOULDBLOCK;
    }
    if (is_throttled(h3)) {
        h3->throttled += !owner->throttled;
        owner->throttled = true;
        return NGHTTP3_ERR_WOULDBLOCK;
    }
    size_t moved = 0;
    size_t filled = 0;
    while (filled < count && stream->outgoing.bytes > 0) {
        const mq_slice slice = *mq_queue_first(&stream->outgoing);
        if (mq_queue_move(&owner->unacked, &stream->outgoing, h3->base.pool)) {
            break;
        }
        vector[filled++] = (nghttp3_vec){.base = slice.block->bytes + slice.start, .len = slice.end - slice.start};
        moved += slice.end - slice.start;
    }
    if (filled == 0) {
        mq_h3_close(h3, NGHTTP3_H3_INTERNAL_ERROR, MASQUE_ERR_NO_MEMORY);
        return NGHTTP3_ERR_CALLBACK_FAILURE;
    }
    h3->base.unacked += moved;
    stream->unacked += moved;
    h3->base.events->sent(h3->base.owner, stream, moved);
    if (stream->outgoing.bytes == 0) {
        read_end(stream, flags);
    }
    return (nghttp3_ssize)filled;
}

/* --- session.h --------------------------------------------------------------------------------- */

static void h3_free(mq_session *session) {
    mq_h3_session *h3 = mq_h3_of(session);
    mq_quic_attach(h3->quic, NULL, NULL);
    for (mq_link *link = h3->streams.next; link != &h3->streams;) {
        mq_h3_stream *stream = MQ_MEMBER(link, mq_h3_stream, link);
        link = link->next;
        mq_quic_set_stream_owner(h3->quic, stream->id, NULL);
        stream->stream = NULL;
        mq_h3_stream_del(h3, stream);
    }
    mq_h3_free_early(h3);
    nghttp3_conn_del(h3->ng);
    mq_free(session->allocator, h3);
}

static void h3_open(mq_session *session, mq_stream *stream, int64_t id) {
    mq_h3_session *h3 = mq_h3_of(session);
    mq_h3_stream *owner = mq_h3_find(h3, id);
    stream->session = session;
    stream->id = id;
    owner->stream = stream;
    mq_windows_open(&h3->windows, stream, session->now);
    /* Tunnels take turns (RFC 9218 4.2): without this the oldest would have them all. */
    const nghttp3_pri turns = {.urgency = NGHTTP3_DEFAULT_URGENCY, .inc = 1};
    note(h3, nghttp3_conn_set_server_stream_priority(h3->ng, id, &turns));
}

static nghttp3_nv field_of(const char *name, const char *value) {
    return (nghttp3_nv){.name = (const uint8_t *)name,
                        .value = (const uint8_t *)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP3_NV_FLAG_NONE};
}

static int submit(mq_h3_session *h3, int64_t id, const mq_response *response) {
    mq_response_text values;
    mq_field fields[MQ_RESPONSE_FIELDS_MAX + 1];
    size_t count = mq_response_fields_with_status(response, &values, fields);
    nghttp3_nv headers[MQ_RESPONSE_FIELDS_MAX + 1];
    for (size_t i = 0; i < count; i++) {
        headers[i] = field_of(fields[i].name, fields[i].value);
    }
    const nghttp3_data_reader reader = {.read_data = on_read};
    bool tunnel = response->refusal == MQ_REFUSAL_NONE;
    return nghttp3_conn_submit_response(h3->ng, id, headers, count, tunnel ? &reader : NULL);
}

static int h3_respond(mq_session *session, mq_stream *stream, const mq_response *response) {
    mq_h3_session *h3 = mq_h3_of(session);
    mq_h3_stream *owner = mq_h3_find(h3, stream->id);
    int code = h3->dead ? NGHTTP3_ERR_INVALID_STATE : submit(h3, stream->id, response);
    if (response->refusal == MQ_REFUSAL_NONE && !code) {
        return 0;
    }
    forget_stream(h3, owner);
    /* A client that is refused and goes on sending is not told to stop (RFC 9114 4.1 would let
       us): some take STOP_SENDING for an error and lose the answer. Its window stays shut. */
    if (code) {
        abort_stream(h3, owner->id, NGHTTP3_H3_INTERNAL_ERROR);
    }
    return code ? MASQUE_ERR_NO_MEMORY : 0;
}

static void h3_resume(mq_session *session, mq_stream *stream) {
    mq_h3_session *h3 = mq_h3_of(session);
    if (h3->dead) {
        return;
    }
    if (stream->datagrams) {
        mq_h3_offer_datagrams(h3, mq_h3_find(h3, stream->id));
    }
    note(h3, nghttp3_conn_resume_stream(h3->ng, stream->id));
}

static void h3_credit(mq_session *session, mq_stream *stream, size_t length) {
    mq_h3_session *h3 = mq_h3_of(session);
    uint32_t growth = mq_windows_credit(&h3->windows, stream, length, session->now, session->may_grow);
    if (!stream->session) {
        mq_quic_credit(h3->quic, -1, length);
        return;
    }
    mq_quic_credit(h3->quic, stream->id, length);
    if (growth > 0) {
        mq_quic_widen(h3->quic, stream->id, growth);
        mq_windows_grow(&h3->windows, stream, growth);
    }
}

static void h3_reset(mq_session *session, mq_stream *stream) {
    mq_h3_session *h3 = mq_h3_of(session);
    mq_h3_stream *owner = mq_h3_find(h3, stream->id);
    forget_stream(h3, owner);
    abort_stream(h3, owner->id, stream->malformed ? NGHTTP3_H3_MESSAGE_ERROR : NGHTTP3_H3_CONNECT_ERROR);
}

static bool h3_owes(const mq_session *session, const mq_stream *stream) {
    (void)session;
    /* RESET_STREAM lets go of what was sent but is not acknowledged (RFC 9000 3.1). */
    return stream->outgoing.bytes > 0 || stream->unacked > 0 || (stream->outgoing_end && !stream->end_sent);
}

static void h3_drain(mq_session *session, bool final) {
    mq_h3_session *h3 = mq_h3_of(session);
    if (!h3->dead) {
        h3->said_final = h3->said_final || final;
        note(h3, final ? nghttp3_conn_shutdown(h3->ng) : nghttp3_conn_submit_shutdown_notice(h3->ng));
    }
}

static void h3_terminate(mq_session *session, int error) {
    mq_h3_session *h3 = mq_h3_of(session);
    uint64_t code = NGHTTP3_H3_GENERAL_PROTOCOL_ERROR;
    if (error == 0 || error == MASQUE_ERR_TIMEOUT || error == MASQUE_ERR_DRAINED) {
        code = MQ_H3_NO_ERROR;
    } else if (error == MASQUE_ERR_FLOOD || error == MASQUE_ERR_AUTH_FAILURES) {
        code = NGHTTP3_H3_EXCESSIVE_LOAD;
    } else if (error == MASQUE_ERR_NO_MEMORY) {
        code = NGHTTP3_H3_INTERNAL_ERROR;
    }
    mq_h3_close(h3, code, error);
}

static bool h3_is_done(const mq_session *session) {
    const mq_h3_session *h3 = (const mq_h3_session *)session;
    return h3->dead || (h3->said_final && mq_link_alone(&h3->streams));
}

static const mq_session_ops H3_OPS = {
    .free = h3_free,
    .open = h3_open,
    .respond = h3_respond,
    .resume = h3_resume,
    .credit = h3_credit,
    .reset = h3_reset,
    .cut = h3_reset,
    .owes = h3_owes,
    .drain = h3_drain,
    .terminate = h3_terminate,
    .is_done = h3_is_done,
};

/* --- life ------------------------------------------------------------------------------------------ */

static const nghttp3_callbacks CALLBACKS = {
    .acked_stream_data = on_acked,
    .recv_data = on_data,
    .begin_headers = on_begin_headers,
    .recv_header = on_header,
    .end_headers = on_end_headers,
    .begin_trailers = on_begin_trailers,
    .stop_sending = on_stop_sending,
    .end_stream = on_end_stream,
    .reset_stream = on_reset_stream,
    .recv_settings2 = on_settings,
};

static int start(mq_h3_session *h3) {
    const masque_limits *limits = h3->base.limits;
    h3->memory = (nghttp3_mem){.user_data = (void *)(uintptr_t)h3->base.allocator,
                               .malloc = mq_library_malloc,
                               .free = mq_library_free,
                               .calloc = mq_library_calloc,
                               .realloc = mq_library_realloc};
    nghttp3_settings settings;
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = limits->header_bytes_max;
    settings.qpack_max_dtable_capacity = QPACK_TABLE;
    settings.qpack_encoder_max_dtable_capacity = 0; /* our answers are short and differ */
    settings.enable_connect_protocol = 1;
    settings.h3_datagram = 1;
    settings.glitch_ratelim_burst = limits->glitches_burst;
    settings.glitch_ratelim_rate = limits->glitches_rate;
    if (nghttp3_conn_server_new(&h3->ng, &CALLBACKS, &settings, &h3->memory, h3) != 0) {
        return MASQUE_ERR_NO_MEMORY;
    }
    nghttp3_conn_set_max_client_streams_bidi(h3->ng, limits->tunnels_per_connection_max);
    int64_t control;
    int64_t encoder;
    int64_t decoder;
    bool opened = mq_quic_open_stream(h3->quic, &control) == 0 && mq_quic_open_stream(h3->quic, &encoder) == 0 &&
                  mq_quic_open_stream(h3->quic, &decoder) == 0;
    return opened && nghttp3_conn_bind_control_stream(h3->ng, control) == 0 &&
                   nghttp3_conn_bind_qpack_streams(h3->ng, encoder, decoder) == 0
               ? 0
               : MASQUE_ERR_PROTOCOL;
}

mq_session *mq_h3_new(const mq_session_setup *setup, mq_quic *quic) {
    mq_h3_session *h3 = mq_zalloc(setup->allocator, sizeof *h3);
    if (!h3) {
        return NULL;
    }
    h3->base = mq_session_base(&H3_OPS, setup, true);
    h3->quic = quic;
    h3->newest = -1;
    h3->windows.limits = setup->limits;
    mq_link_init(&h3->streams);
    mq_link_init(&h3->heads);
    mq_link_init(&h3->datagrams);
    mq_quic_attach(quic, &MQ_H3_STREAMS, h3);
    if (start(h3)) {
        h3_free(&h3->base);
        return NULL;
    }
    return &h3->base;
}
