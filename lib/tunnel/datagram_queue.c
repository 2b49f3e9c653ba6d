#include "tunnel/datagram_queue.h"

#include <assert.h>
#include <string.h>

int mq_datagrams_add(mq_queue *queue, mq_pool *pool, const uint8_t *payload, size_t length) {
    assert(length <= MQ_DATAGRAM_PAYLOAD_MAX);
    size_t head = mq_capsule_head_length(length);
    uint8_t *at = mq_queue_extend(queue, pool, (uint32_t)(head + length), false);
    if (!at) {
        return MASQUE_ERR_NO_MEMORY;
    }
    mq_capsule_write_head(at, length);
    if (length > 0) {
        memcpy(at + head, payload, length);
    }
    return 0;
}

size_t mq_datagrams_drop(mq_queue *queue, mq_pool *pool) {
    const mq_slice *first = mq_queue_first(queue);
    size_t value;
    size_t size = mq_capsule_own_length(first->block->bytes + first->start, &value);
    mq_queue_drop(queue, pool, size);
    return size;
}

size_t mq_datagrams_list(const mq_queue *queue, masque_iovec *payloads, size_t count) {
    size_t filled = 0;
    for (uint32_t i = 0; i < queue->count && filled < count; i++) {
        const mq_slice *slice = mq_queue_at(queue, i);
        for (size_t at = slice->start; at < slice->end && filled < count;) {
            uint8_t *capsule = slice->block->bytes + at;
            size_t value;
            size_t size = mq_capsule_own_length(capsule, &value);
            /* The value is a context ID of one byte, and the payload. */
            payloads[filled++] = (masque_iovec){.base = capsule + value + 1, .length = size - value - 1};
            at += size;
        }
    }
    return filled;
}
