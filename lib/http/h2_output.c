/*
 * http/h2_output.c: the frames nghttp2 wants written, as TLS records. A DATA frame's
 * header is put into the bytes before its payload (base/block.h), so that a full
 * frame is a full record without a copy; small frames share a record.
 */
#include <assert.h>
#include <string.h>

#include "http/h2_session.h"
#include "wire/capsule.h"

/* Frames up to this size are gathered into one record with their neighbours. */
#define GATHER_MAX 2048u

int mq_h2_flush_gathered(mq_h2_session *h2) {
    if (h2->gathered_length == 0) {
        return 0;
    }
    int error = mq_tls_stream_write(h2->tls, h2->gathered, h2->gathered_length);
    h2->gathered_length = 0;
    h2->fatal = error ? error : h2->fatal;
    return error;
}

static int gather(mq_h2_session *h2, const uint8_t *bytes, size_t length) {
    if (h2->gathered_length + length > MQ_RECORD_MAX && mq_h2_flush_gathered(h2)) {
        return h2->fatal;
    }
    memcpy(h2->gathered + h2->gathered_length, bytes, length);
    h2->gathered_length += length;
    return 0;
}

static bool has_room(const mq_h2_session *h2) {
    return mq_tls_stream_has_room(h2->tls);
}

nghttp2_ssize mq_h2_on_send(nghttp2_session *ng, const uint8_t *bytes, size_t length, int flags, void *user) {
    mq_h2_session *h2 = user;
    (void)ng;
    (void)flags;
    if (!has_room(h2)) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    size_t take = length < MQ_RECORD_MAX ? length : MQ_RECORD_MAX;
    return gather(h2, bytes, take) ? NGHTTP2_ERR_CALLBACK_FAILURE : (nghttp2_ssize)take;
}

/* A frame of one slice at most: its header has room only before a slice. */
nghttp2_ssize mq_h2_on_read_length(nghttp2_session *ng, uint8_t type, int32_t id, int32_t connection_window,
                                   int32_t stream_window, uint32_t frame_max, void *user) {
    (void)ng;
    (void)type;
    (void)id;
    (void)user;
    nghttp2_ssize length = MQ_BLOCK_PAYLOAD;
    length = length < connection_window ? length : connection_window;
    length = length < stream_window ? length : stream_window;
    return (uint32_t)length < frame_max ? length : (nghttp2_ssize)frame_max;
}

nghttp2_ssize mq_h2_on_read(nghttp2_session *ng, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags,
                            nghttp2_data_source *source, void *user) {
    const mq_h2_session *h2 = user;
    const mq_stream *stream = mq_h2_find_stream(ng, id);
    (void)buffer;
    (void)source;
    if (!stream) {
        /* A client has nothing more to say to whoever refused it. */
        *flags |= h2->is_client ? NGHTTP2_DATA_FLAG_EOF : 0u;
        return h2->is_client ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (!has_room(h2)) {
        return NGHTTP2_ERR_PAUSE;
    }
    const mq_slice *slice = mq_queue_first(&stream->outgoing);
    if (!slice) {
        *flags |= stream->outgoing_end ? NGHTTP2_DATA_FLAG_EOF : 0u;
        return stream->outgoing_end ? 0 : NGHTTP2_ERR_DEFERRED;
    }
    size_t have = slice->end - slice->start;
    size_t take = have < length ? have : length;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (stream->outgoing_end && take == stream->outgoing.bytes) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (nghttp2_ssize)take;
}

static int write_data_frame(mq_h2_session *h2, const mq_slice *slice, const uint8_t *header, size_t length) {
    uint8_t *payload = slice->block->bytes + slice->start;
    if (MQ_BLOCK_HEADROOM + length <= GATHER_MAX || slice->start < MQ_BLOCK_HEADROOM) {
        return gather(h2, header, MQ_BLOCK_HEADROOM) || gather(h2, payload, length);
    }
    if (mq_h2_flush_gathered(h2)) {
        return h2->fatal;
    }
    memcpy(payload - MQ_BLOCK_HEADROOM, header, MQ_BLOCK_HEADROOM);
    h2->fatal = mq_tls_stream_write(h2->tls, payload - MQ_BLOCK_HEADROOM, MQ_BLOCK_HEADROOM + length);
    return h2->fatal;
}

/* LENGTH bytes of SLICE's capsules are being sent: where the last of them is cut. */
static void note_partial(mq_stream *stream, const mq_slice *slice, size_t length) {
    size_t at = stream->partial;
    while (at < length) {
        size_t value;
        at += mq_capsule_own_length(slice->block->bytes + slice->start + at, &value);
    }
    stream->partial = at - length;
}

int mq_h2_on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *header, size_t length,
                       nghttp2_data_source *source, void *user) {
    mq_h2_session *h2 = user;
    (void)source;
    mq_stream *stream = mq_h2_find_stream(ng, frame->hd.stream_id);
    if (!stream && !h2->is_client) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    if (length == 0) {
        return gather(h2, header, MQ_BLOCK_HEADROOM) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    }
    const mq_slice *slice = mq_queue_first(&stream->outgoing);
    assert(slice && length <= slice->end - slice->start);
    if (write_data_frame(h2, slice, header, length)) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (stream->datagrams) {
        note_partial(stream, slice, length);
    }
    mq_queue_drop(&stream->outgoing, h2->base.pool, length);
    h2->base.events->sent(h2->base.owner, stream, length);
    return 0;
}
