/*
 * http/h3_streams.c: what nghttp3 reports of streams whatever side we are on, and a tunnel's bytes
 * that it asks for. Heads are h3_server.c's and h3_client.c's.
 */
#include <assert.h>

#include "http/h3_session.h"

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
            mq_h3_note(h3, nghttp3_conn_resume_stream(mq_h3_ng(h3), stream->id));
        }
    }
}

/* --- nghttp3 reports ------------------------------------------------------------------------ */

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
        /* Of a stream that was refused: a client reads on to its end. */
        mq_quic_credit(h3->quic, h3->is_client ? id : -1, length);
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
            mq_h3_abort_stream(h3, id, NGHTTP3_H3_INTERNAL_ERROR);
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
    return mq_h3_count_own_reset(h3);
}

static int on_settings(nghttp3_conn *ng, const nghttp3_proto_settings *settings, void *user) {
    mq_h3_session *h3 = user;
    h3->settings_seen = true;
    h3->peer_takes_datagrams = settings->h3_datagram;
    h3->peer_takes_protocols = settings->enable_connect_protocol;
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
    if (h3->is_client) {
        h3->base.events->opened(h3->base.owner);
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

static nghttp3_ssize read_tunnel(mq_h3_session *h3, mq_h3_stream *owner, nghttp3_vec *vector, size_t count,
                                 uint32_t *flags) {
    mq_stream *stream = owner ? owner->stream : NULL;
    if (!stream) {
        /* A client has nothing more to say to whoever refused it. */
        *flags |= h3->is_client ? NGHTTP3_DATA_FLAG_EOF : 0u;
        return h3->is_client ? 0 : NGHTTP3_ERR_WOULDBLOCK;
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

nghttp3_ssize mq_h3_on_read(nghttp3_conn *ng, int64_t id, nghttp3_vec *vector, size_t count, uint32_t *flags,
                            void *user, void *stream_user) {
    mq_h3_session *h3 = user;
    (void)ng;
    (void)id;
    nghttp3_ssize filled = read_tunnel(h3, stream_user, vector, count, flags);
    h3->came_empty = filled == NGHTTP3_ERR_WOULDBLOCK;
    return filled;
}

void mq_h3_stream_callbacks(nghttp3_callbacks *callbacks) {
    callbacks->acked_stream_data = on_acked;
    callbacks->recv_data = on_data;
    callbacks->begin_trailers = on_begin_trailers;
    callbacks->stop_sending = on_stop_sending;
    callbacks->end_stream = on_end_stream;
    callbacks->reset_stream = on_reset_stream;
    callbacks->recv_settings2 = on_settings;
}
