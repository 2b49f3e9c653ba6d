/*
 * http/h3_transport.c: what QUIC's streams report goes to nghttp3, and what nghttp3 has to
 * send goes to QUIC. Knows no request and no tunnel.
 */
#include "http/h3_session.h"

mq_h3_stream *mq_h3_stream_new(mq_h3_session *h3, int64_t id) {
    mq_h3_stream *stream = mq_zalloc(h3->base.allocator, sizeof *stream);
    if (!stream) {
        return NULL;
    }
    stream->id = id;
    stream->since = h3->base.now;
    mq_link_init(&stream->link);
    mq_link_init(&stream->in_heads);
    mq_link_init(&stream->in_datagrams);
    mq_list_append(&h3->streams, &stream->link);
    h3->newest = id > h3->newest ? id : h3->newest;
    mq_quic_set_stream_owner(h3->quic, id, stream);
    return stream;
}

/* The client opened a request stream; its head has a time limit from now on. */
static int on_opened(void *owner, int64_t id) {
    mq_h3_session *h3 = owner;
    if (h3->is_client) {
        /* RFC 9114 6.1: servers open none. */
        return mq_h3_close(h3, NGHTTP3_H3_STREAM_CREATION_ERROR, MASQUE_ERR_PROTOCOL);
    }
    mq_h3_stream *stream = mq_h3_stream_new(h3, id);
    if (!stream) {
        return mq_h3_close(h3, NGHTTP3_H3_INTERNAL_ERROR, MASQUE_ERR_NO_MEMORY);
    }
    mq_list_append(&h3->heads, &stream->in_heads);
    if (h3->heads.next == &stream->in_heads) {
        h3->base.events->head_since(h3->base.owner, stream->since);
    }
    return 0;
}

static int on_data(void *owner, int64_t id, const uint8_t *bytes, size_t length, bool fin) {
    mq_h3_session *h3 = owner;
    if (h3->dead) {
        return -1;
    }
    nghttp3_ssize taken = nghttp3_conn_read_stream2(mq_h3_ng(h3), id, bytes, length, fin, h3->base.now);
    if (taken < 0) {
        return mq_h3_fail(h3, (int)taken);
    }
    mq_quic_credit(h3->quic, id, (uint64_t)taken);
    return h3->dead ? -1 : 0;
}

static int on_acked(void *owner, int64_t id, uint64_t length) {
    mq_h3_session *h3 = owner;
    int code = h3->dead ? 0 : nghttp3_conn_add_ack_offset(h3->ng, id, length);
    if (code && code != NGHTTP3_ERR_STREAM_NOT_FOUND) {
        return mq_h3_fail(h3, code);
    }
    mq_h3_unthrottle(h3);
    return 0;
}

/* RESET_STREAM: the peer gives up, both ways (RFC 9114 4.4: for a tunnel a TCP error). */
static int on_reset(void *owner, int64_t id, uint64_t code) {
    mq_h3_session *h3 = owner;
    mq_h3_stream *stream = mq_h3_find(h3, id);
    (void)code;
    if (h3->dead || !stream) {
        return 0;
    }
    mq_h3_end_head(h3, stream);
    mq_h3_lose_stream(h3, stream, true);
    mq_quic_reset(h3->quic, id, NGHTTP3_H3_REQUEST_CANCELLED);
    int failed = nghttp3_conn_shutdown_stream_read(mq_h3_ng(h3), id);
    nghttp3_conn_shutdown_stream_write(mq_h3_ng(h3), id);
    if (failed) {
        return mq_h3_fail(h3, failed);
    }
    return mq_h3_count_reset(h3);
}

bool mq_h3_is_error(uint64_t code) {
    bool h3 = code > MQ_H3_NO_ERROR && code <= NGHTTP3_H3_VERSION_FALLBACK;
    bool qpack = code >= NGHTTP3_QPACK_DECOMPRESSION_FAILED && code <= NGHTTP3_QPACK_DECODER_STREAM_ERROR;
    return h3 || qpack || code == MQ_H3_DATAGRAM_ERROR;
}

/* STOP_SENDING: the peer reads no more. With no error it may still send, and say its
   end: some close a tunnel so. A UDP tunnel without answers is of no use, though. */
static int on_stopped(void *owner, int64_t id, uint64_t code) {
    mq_h3_session *h3 = owner;
    mq_h3_stream *stream = mq_h3_find(h3, id);
    if (h3->dead) {
        return 0;
    }
    if (!stream) {
        /* RFC 9114 6.2.1: none of our own streams may be stopped. */
        return id & 2 ? mq_h3_close(h3, NGHTTP3_H3_CLOSED_CRITICAL_STREAM, MASQUE_ERR_PROTOCOL) : 0;
    }
    nghttp3_conn_shutdown_stream_write(mq_h3_ng(h3), id);
    bool in_order = !mq_h3_is_error(code);
    if (stream->stream && (!in_order || stream->stream->datagrams)) {
        mq_h3_lose_stream(h3, stream, !in_order);
        mq_quic_stop(h3->quic, id, NGHTTP3_H3_REQUEST_CANCELLED);
    }
    return in_order ? 0 : mq_h3_count_reset(h3);
}

static int on_closed(void *owner, int64_t id, void *stream_owner, uint64_t code) {
    mq_h3_session *h3 = owner;
    mq_h3_stream *stream = stream_owner;
    int failed = h3->dead ? 0 : nghttp3_conn_close_stream(mq_h3_ng(h3), id, code ? code : MQ_H3_NO_ERROR);
    if (failed && failed != NGHTTP3_ERR_STREAM_NOT_FOUND) {
        return mq_h3_fail(h3, failed);
    }
    if (!stream) {
        return 0;
    }
    bool in_order = !mq_h3_is_error(code) && stream->finished;
    mq_h3_lose_stream(h3, stream, !in_order);
    mq_h3_stream_del(h3, stream);
    if (!h3->is_client) {
        mq_quic_admit(h3->quic);
    }
    return h3->dead ? -1 : 0;
}

static int on_may_send(void *owner, int64_t id) {
    mq_h3_session *h3 = owner;
    int code = h3->dead ? 0 : nghttp3_conn_unblock_stream(mq_h3_ng(h3), id);
    return code && code != NGHTTP3_ERR_STREAM_NOT_FOUND ? mq_h3_fail(h3, code) : 0;
}

/* --- output ------------------------------------------------------------------------------ */

static int next_data(void *owner, mq_quic_chunk *chunk) {
    mq_h3_session *h3 = owner;
    nghttp3_vec vector[MQ_QUIC_PIECES_MAX];
    int fin = 0;
    nghttp3_ssize count;
    if (h3->dead || h3->silent) {
        return 0;
    }
    h3->silent = true; /* unless its callbacks wake a stream */
    do {
        /* It names no stream either when the first one turns out to have nothing; the next may have. */
        h3->came_empty = false;
        count = nghttp3_conn_writev_stream(h3->ng, &chunk->stream, &fin, vector, MQ_QUIC_PIECES_MAX);
    } while (count >= 0 && chunk->stream < 0 && h3->came_empty);
    if (count < 0) {
        return mq_h3_fail(h3, (int)count);
    }
    h3->silent = h3->silent && chunk->stream < 0;
    chunk->fin = fin;
    chunk->count = (size_t)count;
    for (size_t i = 0; i < chunk->count; i++) {
        chunk->pieces[i] = (masque_iovec){.base = vector[i].base, .length = vector[i].len};
    }
    return 0;
}

static int on_wrote(void *owner, int64_t id, size_t length) {
    mq_h3_session *h3 = owner;
    int code = h3->dead ? 0 : nghttp3_conn_add_write_offset(h3->ng, id, length);
    return code ? mq_h3_fail(h3, code) : 0;
}

static int on_blocked(void *owner, int64_t id) {
    mq_h3_session *h3 = owner;
    nghttp3_conn_block_stream(h3->ng, id);
    return 0;
}

static int on_shut(void *owner, int64_t id) {
    mq_h3_session *h3 = owner;
    nghttp3_conn_shutdown_stream_write(mq_h3_ng(h3), id);
    return 0;
}

const mq_quic_streams MQ_H3_STREAMS = {
    .opened = on_opened,
    .data = on_data,
    .acked = on_acked,
    .reset = on_reset,
    .stopped = on_stopped,
    .closed = on_closed,
    .may_send = on_may_send,
    .datagram = mq_h3_datagram,
    .next_data = next_data,
    .wrote = on_wrote,
    .blocked = on_blocked,
    .shut = on_shut,
    .next_datagram = mq_h3_next_datagram,
    .sent_datagram = mq_h3_sent_datagram,
};
