/*
 * http/h3_datagrams.c: HTTP datagrams in QUIC's (RFC 9297 2.1, RFC 9221).
 *
 * A UDP tunnel's datagrams wait as DATAGRAM capsules in its stream's outgoing queue (see
 * session.h); here their values go out behind a Quarter Stream ID. Tunnels of one connection
 * share it by deficit round robin: each in its turn may send QUANTUM bytes, and what a large
 * datagram takes beyond is missing next time.
 */
#include <string.h>

#include "http/h3_session.h"
#include "wire/capsule.h"

#define QUANTUM 4096u
/* About a round trip: what came earlier is of no use to a request that comes now. */
#define EARLY_LIFETIME MASQUE_SECOND
#define QUARTER_MAX ((UINT64_C(1) << 60) - 1)

bool mq_h3_uses_datagrams(const mq_h3_session *h3) {
    return h3->peer_takes_datagrams && mq_quic_datagram_max(h3->quic) > 0;
}

/* --- from the peer ------------------------------------------------------------------------ */

static void drop_early(mq_h3_session *h3, mq_early_datagram *early) {
    h3->early_bytes -= early->length;
    mq_free(h3->base.allocator, early->bytes);
    *early = (mq_early_datagram){.bytes = NULL};
}

void mq_h3_free_early(mq_h3_session *h3) {
    for (size_t i = 0; i < MQ_EARLY_DATAGRAMS; i++) {
        if (h3->early[i].bytes) {
            drop_early(h3, &h3->early[i]);
        }
    }
}

static void keep_early(mq_h3_session *h3, int64_t id, const uint8_t *bytes, size_t length) {
    mq_early_datagram *place = NULL;
    for (size_t i = 0; i < MQ_EARLY_DATAGRAMS; i++) {
        mq_early_datagram *early = &h3->early[i];
        if (early->bytes && h3->base.now - early->at >= EARLY_LIFETIME) {
            drop_early(h3, early);
        }
        place = early->bytes || place ? place : early;
    }
    if (!place || length == 0 || h3->early_bytes + length > MQ_EARLY_BYTES) {
        return;
    }
    uint8_t *copy = mq_alloc(h3->base.allocator, length);
    if (copy) {
        memcpy(copy, bytes, length);
        *place = (mq_early_datagram){.stream = id, .at = h3->base.now, .length = length, .bytes = copy};
        h3->early_bytes += length;
    }
}

/* RFC 9297 2: a request that has no use for datagrams ends. 2.1: none comes behind the peer's end. */
static void deliver(mq_h3_session *h3, mq_h3_stream *stream, const uint8_t *bytes, size_t length) {
    if (!stream->stream->datagrams) {
        mq_h3_lose_stream(h3, stream, true);
        mq_h3_abort_stream(h3, stream->id, MQ_H3_DATAGRAM_ERROR);
    } else if (!stream->finished) {
        h3->base.events->datagram(h3->base.owner, stream->stream, bytes, length);
    }
}

void mq_h3_replay_early(mq_h3_session *h3, mq_h3_stream *stream) {
    for (size_t i = 0; i < MQ_EARLY_DATAGRAMS && h3->early_bytes > 0; i++) {
        mq_early_datagram *early = &h3->early[i];
        if (!early->bytes || early->stream != stream->id) {
            continue;
        }
        if (stream->stream && h3->base.now - early->at < EARLY_LIFETIME) {
            deliver(h3, stream, early->bytes, early->length);
        }
        drop_early(h3, early);
    }
}

int mq_h3_datagram(void *owner, const uint8_t *bytes, size_t length) {
    mq_h3_session *h3 = owner;
    uint64_t quarter;
    size_t used = mq_varint_read(bytes, length, &quarter);
    if (h3->dead) {
        return -1;
    }
    if (used == 0 || quarter > QUARTER_MAX) {
        return mq_h3_close(h3, MQ_H3_DATAGRAM_ERROR, MASQUE_ERR_PROTOCOL); /* RFC 9297 2.1 */
    }
    int64_t id = (int64_t)(quarter * 4);
    mq_h3_stream *stream = mq_h3_find(h3, id);
    if (stream && stream->stream) {
        deliver(h3, stream, bytes + used, length - used);
    } else if (id > h3->newest || (stream && !mq_link_alone(&stream->in_heads))) {
        keep_early(h3, id, bytes + used, length - used);
    }
    return h3->dead ? -1 : 0; /* of a stream that is over: dropped */
}

/* --- to the peer -------------------------------------------------------------------------------- */

void mq_h3_offer_datagrams(mq_h3_session *h3, mq_h3_stream *stream) {
    bool some = stream->stream && stream->stream->outgoing.bytes > 0 && mq_h3_uses_datagrams(h3);
    if (some && mq_link_alone(&stream->in_datagrams)) {
        mq_list_append(&h3->datagrams, &stream->in_datagrams);
        stream->deficit = QUANTUM;
    }
}

/* Takes the first capsule of STREAM, of LENGTH bytes, out of its queue. */
static void drop_first(mq_h3_session *h3, mq_h3_stream *stream, size_t length) {
    mq_stream *near = stream->stream;
    mq_queue_drop(&near->outgoing, h3->base.pool, length);
    h3->base.events->sent(h3->base.owner, near, length);
    if (near->outgoing.bytes == 0) {
        mq_link_remove(&stream->in_datagrams);
        if (near->outgoing_end) {
            nghttp3_conn_resume_stream(mq_h3_ng(h3), stream->id);
        }
    } else if (stream->deficit <= length) {
        mq_link_remove(&stream->in_datagrams);
        mq_list_append(&h3->datagrams, &stream->in_datagrams);
        stream->deficit += QUANTUM;
    }
    stream->deficit -= length < stream->deficit ? length : stream->deficit;
}

bool mq_h3_next_datagram(void *owner, masque_iovec pieces[2], size_t limit) {
    mq_h3_session *h3 = owner;
    while (!h3->dead && !mq_link_alone(&h3->datagrams)) {
        mq_h3_stream *stream = MQ_MEMBER(h3->datagrams.next, mq_h3_stream, in_datagrams);
        const mq_slice *slice = mq_queue_first(&stream->stream->outgoing);
        uint8_t *capsule = slice->block->bytes + slice->start;
        size_t value;
        size_t length = mq_capsule_own_length(capsule, &value);
        size_t quarter = mq_varint_write(h3->quarter, (uint64_t)stream->id / 4);
        if (quarter + length - value <= limit) {
            pieces[0] = (masque_iovec){.base = h3->quarter, .length = quarter};
            pieces[1] = (masque_iovec){.base = capsule + value, .length = length - value};
            return true;
        }
        if (mq_quic_may_widen_datagrams(h3->quic, quarter + length - value)) {
            return false;
        }
        /* RFC 9298 5: never fragmented, and never in a capsule, or the path would seem wider. */
        h3->base.events->too_big(h3->base.owner);
        drop_first(h3, stream, length);
    }
    return false;
}

void mq_h3_sent_datagram(void *owner) {
    mq_h3_session *h3 = owner;
    mq_h3_stream *stream = MQ_MEMBER(h3->datagrams.next, mq_h3_stream, in_datagrams);
    const mq_slice *slice = mq_queue_first(&stream->stream->outgoing);
    size_t value;
    drop_first(h3, stream, mq_capsule_own_length(slice->block->bytes + slice->start, &value));
}
