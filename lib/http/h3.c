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

void mq_h3_note(mq_h3_session *h3, int code) {
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

void mq_h3_forget_stream(mq_h3_session *h3, mq_h3_stream *stream) {
    mq_windows_close(&h3->windows, stream->stream);
    mq_link_remove(&stream->in_datagrams);
    stream->stream->session = NULL;
    stream->stream = NULL;
}

void mq_h3_lose_stream(mq_h3_session *h3, mq_h3_stream *stream, bool reset) {
    mq_stream *lost = stream->stream;
    if (lost) {
        mq_h3_forget_stream(h3, stream);
        h3->base.events->closed(h3->base.owner, lost, reset);
    }
}

void mq_h3_stream_del(mq_h3_session *h3, mq_h3_stream *stream) {
    mq_h3_end_head(h3, stream);
    mq_answer_free(&stream->answer);
    assert(!stream->stream && h3->base.unacked >= stream->unacked.bytes);
    h3->base.unacked -= stream->unacked.bytes;
    h3->throttled -= stream->throttled;
    mq_queue_clear(&stream->unacked, h3->base.pool);
    mq_link_remove(&stream->link);
    mq_link_remove(&stream->in_datagrams);
    mq_free(h3->base.allocator, stream);
}

/* Ends both directions of what is not, or no more, a tunnel. */
void mq_h3_abort_stream(mq_h3_session *h3, int64_t id, uint64_t code) {
    mq_quic_stop(h3->quic, id, code);
    mq_quic_reset(h3->quic, id, code);
    if (!h3->dead) {
        mq_h3_note(h3, nghttp3_conn_shutdown_stream_read(mq_h3_ng(h3), id));
        nghttp3_conn_shutdown_stream_write(mq_h3_ng(h3), id);
    }
}

/* Resets of ours that the client's requests cause count as its own (CVE-2025-8671). */
int mq_h3_count_own_reset(mq_h3_session *h3) {
    return mq_h3_count_reset(h3) ? NGHTTP3_ERR_CALLBACK_FAILURE : 0;
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

void mq_h3_tie(mq_h3_session *h3, mq_h3_stream *owner, mq_stream *stream) {
    stream->session = &h3->base;
    stream->id = owner->id;
    owner->stream = stream;
    mq_windows_open(&h3->windows, stream, h3->base.now);
}

static void h3_open(mq_session *session, mq_stream *stream, int64_t id) {
    mq_h3_session *h3 = mq_h3_of(session);
    mq_h3_tie(h3, mq_h3_find(h3, id), stream);
    /* Tunnels take turns (RFC 9218 4.2): without this the oldest would have them all. */
    const nghttp3_pri turns = {.urgency = NGHTTP3_DEFAULT_URGENCY, .inc = 1};
    mq_h3_note(h3, nghttp3_conn_set_server_stream_priority(mq_h3_ng(h3), id, &turns));
}

static void h3_resume(mq_session *session, mq_stream *stream) {
    mq_h3_session *h3 = mq_h3_of(session);
    if (h3->dead) {
        return;
    }
    if (stream->datagrams) {
        mq_h3_offer_datagrams(h3, mq_h3_find(h3, stream->id));
        if (mq_h3_uses_datagrams(h3) && stream->partial == 0 && !stream->outgoing_end) {
            return; /* nothing for the stream itself */
        }
    }
    mq_h3_note(h3, nghttp3_conn_resume_stream(mq_h3_ng(h3), stream->id));
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
    mq_h3_forget_stream(h3, owner);
    uint64_t code = h3->is_client ? NGHTTP3_H3_REQUEST_CANCELLED : NGHTTP3_H3_CONNECT_ERROR;
    mq_h3_abort_stream(h3, owner->id, stream->malformed ? NGHTTP3_H3_MESSAGE_ERROR : code);
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
        mq_h3_note(h3, final ? nghttp3_conn_shutdown(mq_h3_ng(h3)) : nghttp3_conn_submit_shutdown_notice(mq_h3_ng(h3)));
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

static void h3_give_up_head(mq_session *session) {
    mq_h3_session *h3 = mq_h3_of(session);
    assert(!mq_link_alone(&h3->heads));
    mq_h3_stream *stream = MQ_MEMBER(h3->heads.next, mq_h3_stream, in_heads);
    mq_h3_end_head(h3, stream);
    mq_h3_abort_stream(h3, stream->id, NGHTTP3_H3_REQUEST_INCOMPLETE);
    (void)mq_h3_count_reset(h3);
}

static bool h3_is_done(const mq_session *session) {
    const mq_h3_session *h3 = (const mq_h3_session *)session;
    bool parting = h3->said_final || h3->goaway_seen;
    return h3->dead || (parting && mq_link_alone(&h3->streams));
}

static const mq_session_ops H3_OPS = {
    .free = h3_free,
    .open = h3_open,
    .respond = mq_h3_respond,
    .request = mq_h3_request,
    .resume = h3_resume,
    .credit = h3_credit,
    .reset = h3_reset,
    .cut = h3_reset,
    .owes = h3_owes,
    .drain = h3_drain,
    .terminate = h3_terminate,
    .give_up_head = h3_give_up_head,
    .is_done = h3_is_done,
};

/* --- life ------------------------------------------------------------------------------------------ */

/* Streams of our own: control, and QPACK's two (RFC 9114 6.2). */
static int open_own_streams(mq_h3_session *h3) {
    int64_t ids[3];
    for (size_t i = 0; i < 3; i++) {
        if (mq_quic_open_stream(h3->quic, &ids[i])) {
            return MASQUE_ERR_PROTOCOL;
        }
    }
    bool bound = nghttp3_conn_bind_control_stream(mq_h3_ng(h3), ids[0]) == 0 &&
                 nghttp3_conn_bind_qpack_streams(mq_h3_ng(h3), ids[1], ids[2]) == 0;
    return bound ? 0 : MASQUE_ERR_PROTOCOL;
}

static int start_nghttp3(mq_h3_session *h3) {
    const masque_limits *limits = h3->base.limits;
    nghttp3_callbacks callbacks = {.recv_data = NULL};
    nghttp3_settings settings;
    h3->memory = (nghttp3_mem){.user_data = (void *)(uintptr_t)h3->base.allocator,
                               .malloc = mq_library_malloc,
                               .free = mq_library_free,
                               .calloc = mq_library_calloc,
                               .realloc = mq_library_realloc};
    nghttp3_settings_default(&settings);
    settings.max_field_section_size = limits->header_bytes_max;
    settings.qpack_max_dtable_capacity = QPACK_TABLE;
    settings.qpack_encoder_max_dtable_capacity = 0; /* our heads are short and differ */
    settings.enable_connect_protocol = !h3->is_client;
    settings.h3_datagram = 1;
    settings.glitch_ratelim_burst = limits->glitches_burst;
    settings.glitch_ratelim_rate = limits->glitches_rate;
    mq_h3_stream_callbacks(&callbacks);
    if (h3->is_client) {
        mq_h3_client_callbacks(&callbacks);
        return nghttp3_conn_client_new(&h3->ng, &callbacks, &settings, &h3->memory, h3);
    }
    mq_h3_server_callbacks(&callbacks);
    int code = nghttp3_conn_server_new(&h3->ng, &callbacks, &settings, &h3->memory, h3);
    if (!code) {
        nghttp3_conn_set_max_client_streams_bidi(mq_h3_ng(h3), limits->tunnels_per_connection_max);
    }
    return code;
}

static mq_session *h3_new(const mq_session_setup *setup, mq_quic *quic, bool is_client) {
    mq_h3_session *h3 = mq_zalloc(setup->allocator, sizeof *h3);
    if (!h3) {
        return NULL;
    }
    h3->base = mq_session_base(&H3_OPS, setup, true);
    h3->quic = quic;
    h3->is_client = is_client;
    h3->newest = -1;
    h3->windows.limits = setup->limits;
    mq_link_init(&h3->streams);
    mq_link_init(&h3->heads);
    mq_link_init(&h3->datagrams);
    mq_quic_attach(quic, &MQ_H3_STREAMS, h3);
    if (start_nghttp3(h3) || open_own_streams(h3)) {
        h3_free(&h3->base);
        return NULL;
    }
    return &h3->base;
}

mq_session *mq_h3_new(const mq_session_setup *setup, mq_quic *quic) {
    return h3_new(setup, quic, false);
}

mq_session *mq_h3_client_new(const mq_session_setup *setup, mq_quic *quic) {
    return h3_new(setup, quic, true);
}
