#include "base/block.h"

#include <assert.h>
#include <string.h>

/* A queue's first ring, and what it is while it waits for the next queue. */
union mq_ring {
    mq_slice slices[MQ_RING_FIRST];
    mq_ring *next;
};

void mq_pool_init(mq_pool *pool, const masque_allocator *allocator) {
    *pool = (mq_pool){.allocator = allocator};
}

void mq_pool_free(mq_pool *pool) {
    assert(pool->live == 0 && pool->live_bytes == 0);
    while (pool->spare) {
        mq_block *block = pool->spare;
        pool->spare = block->next;
        mq_free(pool->allocator, block);
    }
    pool->spare_count = 0;
    while (pool->rings) {
        mq_ring *ring = pool->rings;
        pool->rings = ring->next;
        mq_free(pool->allocator, ring);
    }
    pool->ring_count = 0;
}

void *mq_pool_resize(mq_pool *pool, void *memory, size_t from, size_t to) {
    assert(from <= pool->live_bytes && (memory != NULL) == (from > 0));
    void *resized = NULL;
    if (to == 0) {
        mq_free(pool->allocator, memory);
    } else if (!(resized = mq_resize(pool->allocator, memory, to))) {
        return NULL;
    }
    pool->live_bytes += to - from;
    return resized;
}

static mq_block *begin(mq_pool *pool, mq_block *block, uint32_t capacity) {
    block->next = NULL;
    block->references = 1;
    block->used = 0;
    block->capacity = capacity;
    pool->live++;
    pool->live_bytes += sizeof *block + capacity;
    return block;
}

mq_block *mq_block_new(mq_pool *pool) {
    mq_block *block = pool->spare;
    if (block) {
        pool->spare = block->next;
        pool->spare_count--;
    } else {
        block = mq_alloc(pool->allocator, sizeof *block + MQ_BLOCK_SIZE);
        if (!block) {
            return NULL;
        }
    }
    return begin(pool, block, MQ_BLOCK_SIZE);
}

mq_block *mq_block_new_small(mq_pool *pool, uint32_t length) {
    assert(length <= MQ_SMALL_MAX);
    uint32_t capacity = MQ_BLOCK_HEADROOM + length;
    mq_block *block = mq_alloc(pool->allocator, sizeof *block + capacity);
    return block ? begin(pool, block, capacity) : NULL;
}

void mq_block_release(mq_pool *pool, mq_block *block) {
    assert(block->references > 0);
    if (--block->references > 0) {
        return;
    }
    pool->live--;
    pool->live_bytes -= sizeof *block + block->capacity;
    if (pool->spare_count >= MQ_POOL_SPARE_MAX || block->capacity < MQ_BLOCK_SIZE) {
        mq_free(pool->allocator, block);
        return;
    }
    block->next = pool->spare;
    pool->spare = block;
    pool->spare_count++;
}

static mq_slice *ring_new(mq_pool *pool, uint32_t capacity) {
    mq_ring *ring = pool->rings;
    if (capacity > MQ_RING_FIRST) {
        return mq_alloc(pool->allocator, capacity * sizeof(mq_slice));
    }
    if (ring) {
        pool->rings = ring->next;
        pool->ring_count--;
    } else {
        ring = mq_alloc(pool->allocator, sizeof *ring);
    }
    return ring ? ring->slices : NULL;
}

static void ring_del(mq_pool *pool, mq_slice *slices, uint32_t capacity) {
    mq_ring *ring = (mq_ring *)slices;
    if (capacity != MQ_RING_FIRST || pool->ring_count == MQ_POOL_RINGS_MAX) {
        mq_free(pool->allocator, slices);
        return;
    }
    ring->next = pool->rings;
    pool->rings = ring;
    pool->ring_count++;
}

static int make_room(mq_queue *queue, mq_pool *pool) {
    if (queue->count < queue->capacity) {
        return 0;
    }
    uint32_t capacity = queue->capacity ? queue->capacity * 2 : MQ_RING_FIRST;
    mq_slice *slices = ring_new(pool, capacity);
    if (!slices) {
        return MASQUE_ERR_NO_MEMORY;
    }
    for (uint32_t i = 0; i < queue->count; i++) {
        slices[i] = *mq_queue_at(queue, i);
    }
    ring_del(pool, queue->slices, queue->capacity);
    queue->slices = slices;
    queue->capacity = capacity;
    queue->head = 0;
    return 0;
}

static void give_back_ring(mq_queue *queue, mq_pool *pool) {
    ring_del(pool, queue->slices, queue->capacity);
    *queue = (mq_queue){.slices = NULL};
}

void mq_queue_clear(mq_queue *queue, mq_pool *pool) {
    mq_queue_drop(queue, pool, queue->bytes);
    assert(queue->count == 0);
    give_back_ring(queue, pool);
}

int mq_queue_push(mq_queue *queue, mq_pool *pool, mq_block *block, uint32_t start, uint32_t end) {
    assert(start < end && end <= block->used);
    if (make_room(queue, pool)) {
        return MASQUE_ERR_NO_MEMORY;
    }
    *mq_queue_at(queue, queue->count++) = (mq_slice){.block = block, .start = start, .end = end};
    queue->bytes += end - start;
    return 0;
}

mq_block *mq_queue_open_tail(const mq_queue *queue) {
    if (!queue->count) {
        return NULL;
    }
    const mq_slice *last = mq_queue_at(queue, queue->count - 1);
    mq_block *block = last->block;
    bool ours = block->references == 1 && block->used == last->end && block->used < block->capacity;
    return ours ? block : NULL;
}

bool mq_queue_ends_with(const mq_queue *queue, const mq_block *block) {
    const mq_slice *last = queue->count ? mq_queue_at(queue, queue->count - 1) : NULL;
    return last && last->block == block && last->end == block->used;
}

void mq_queue_extend_tail(mq_queue *queue, uint32_t length) {
    mq_slice *last = mq_queue_at(queue, queue->count - 1);
    assert(last->block->used == last->end && length <= last->block->capacity - last->end);
    last->block->used += length;
    last->end += length;
    queue->bytes += length;
}

uint8_t *mq_queue_extend(mq_queue *queue, mq_pool *pool, uint32_t length, bool may_be_small) {
    mq_block *tail = mq_queue_open_tail(queue);
    if (tail && tail->capacity - tail->used >= length) {
        mq_queue_extend_tail(queue, length);
        return tail->bytes + tail->used - length;
    }
    bool small = may_be_small && queue->count == 0 && length <= MQ_SMALL_MAX;
    mq_block *own = small ? mq_block_new_small(pool, length) : mq_block_new(pool);
    if (!own) {
        return NULL;
    }
    own->used = MQ_BLOCK_HEADROOM + length;
    if (mq_queue_push(queue, pool, own, MQ_BLOCK_HEADROOM, own->used)) {
        mq_block_release(pool, own);
        return NULL;
    }
    return own->bytes + MQ_BLOCK_HEADROOM;
}

int mq_queue_copy(mq_queue *queue, mq_pool *pool, const uint8_t *bytes, uint32_t length) {
    uint8_t *room = mq_queue_extend(queue, pool, length, true);
    if (!room) {
        return MASQUE_ERR_NO_MEMORY;
    }
    memcpy(room, bytes, length);
    return 0;
}

int mq_queue_append(mq_queue *queue, mq_pool *pool, mq_block *block, uint32_t start, uint32_t end) {
    if (end - start <= (queue->count ? MQ_COPY_MAX : MQ_SMALL_MAX)) {
        return mq_queue_copy(queue, pool, block->bytes + start, end - start);
    }
    block->references++;
    int error = mq_queue_push(queue, pool, block, start, end);
    if (error) {
        block->references--;
    }
    return error;
}

size_t mq_queue_pieces(const mq_queue *queue, masque_iovec *pieces, size_t count) {
    size_t filled = 0;
    while (filled < count && filled < queue->count) {
        const mq_slice *slice = mq_queue_at(queue, (uint32_t)filled);
        pieces[filled++] =
            (masque_iovec){.base = slice->block->bytes + slice->start, .length = slice->end - slice->start};
    }
    return filled;
}

int mq_queue_move(mq_queue *to, mq_queue *from, mq_pool *pool) {
    const mq_slice slice = *mq_queue_at(from, 0);
    slice.block->references++;
    if (mq_queue_push(to, pool, slice.block, slice.start, slice.end)) {
        slice.block->references--;
        return MASQUE_ERR_NO_MEMORY;
    }
    mq_queue_drop(from, pool, slice.end - slice.start);
    return 0;
}

void mq_queue_drop(mq_queue *queue, mq_pool *pool, size_t length) {
    assert(length <= queue->bytes);
    queue->bytes -= length;
    while (length > 0) {
        mq_slice *slice = mq_queue_at(queue, 0);
        uint32_t have = slice->end - slice->start;
        if (have > length) {
            slice->start += (uint32_t)length;
            return;
        }
        length -= have;
        mq_block_release(pool, slice->block);
        queue->head = (queue->head + 1) & (queue->capacity - 1);
        queue->count--;
    }
    /* An idle tunnel holds no memory but its own (a ring over 4 slices is not kept either). */
    if (!queue->count && queue->slices) {
        give_back_ring(queue, pool);
    }
}
