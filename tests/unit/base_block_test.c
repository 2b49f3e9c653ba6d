/*
 * base_block_test.c: blocks, slices and queues. Goal: a queue gives back the
 * bytes that were put in, in order; blocks are freed with their last reference;
 * and memory stays in proportion to the bytes held, whatever their pieces.
 */
#include "base/block.h"

#include <stdlib.h>
#include <string.h>

#include "unit_pool.h"

/* A block whose first USED bytes count up from FIRST. */
static mq_block *make_block(uint8_t first, uint32_t used) {
    mq_block *block = mq_block_new(&pool);
    assert_non_null(block);
    for (uint32_t i = 0; i < used; i++) {
        block->bytes[i] = (uint8_t)(first + i);
    }
    block->used = used;
    return block;
}

/* All bytes of the queue in one piece; free() it. */
static uint8_t *flatten(const mq_queue *queue) {
    masque_iovec pieces[512];
    size_t count = mq_queue_pieces(queue, pieces, COUNT(pieces));
    assert_int_equal(count, queue->count);
    uint8_t *bytes = malloc(queue->bytes + 1);
    assert_non_null(bytes);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(pieces[i].length > 0 && at + pieces[i].length <= queue->bytes);
        memcpy(bytes + at, pieces[i].base, pieces[i].length);
        at += pieces[i].length;
    }
    assert_int_equal(at, queue->bytes);
    return bytes;
}

static void test_memory_beside_blocks(void **state) {
    (void)state;
    char *bytes = mq_pool_resize(&pool, NULL, 0, 100);
    assert_non_null(bytes);
    memcpy(bytes, "kept", 5);
    assert_int_equal(pool.live_bytes, 100);
    memory.left = 0;
    assert_null(mq_pool_resize(&pool, bytes, 100, 5000));
    assert_int_equal(pool.live_bytes, 100);
    assert_string_equal(bytes, "kept");
    memory.left = 1;
    bytes = mq_pool_resize(&pool, bytes, 100, 5000);
    assert_string_equal(bytes, "kept");
    assert_int_equal(pool.live_bytes, 5000);
    assert_null(mq_pool_resize(&pool, bytes, 5000, 0));
    assert_int_equal(pool.live_bytes, 0);
}

static void test_pool(void **state) {
    (void)state;
    enum { BLOCKS = MQ_POOL_SPARE_MAX + 10 };
    mq_block *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = mq_block_new(&pool);
        assert_non_null(blocks[i]);
        assert_int_equal(blocks[i]->references, 1);
        assert_int_equal(blocks[i]->used, 0);
    }
    assert_int_equal(pool.live, BLOCKS);
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i]->used = 7;
        mq_block_release(&pool, blocks[i]);
    }
    assert_int_equal(pool.live, 0);
    assert_int_equal(pool.spare_count, MQ_POOL_SPARE_MAX);
    assert_int_equal(memory.pieces, MQ_POOL_SPARE_MAX);
    /* One used again is as new, and needs no memory. */
    memory.left = 0;
    mq_block *again = mq_block_new(&pool);
    assert_int_equal(again->used, 0);
    assert_int_equal(again->references, 1);
    mq_block_release(&pool, again);
}

typedef struct append_row {
    const char *name;
    uint32_t first; /* bytes already in the queue, in a block of their own; 0: none */
    uint32_t append;
    bool copied;
    uint32_t slices;
} append_row;

static const append_row APPENDS[] = {
    {"small into an empty queue", 0, 1, true, 1},
    {"the largest small one", 0, MQ_SMALL_MAX, true, 1},
    {"the smallest first one that is shared", 0, MQ_SMALL_MAX + 1, false, 1},
    {"large into an empty queue", 0, MQ_BLOCK_SIZE, false, 1},
    {"small behind", 100, 1, true, 1},
    {"the largest that is copied", 100, MQ_COPY_MAX, true, 1},
    {"the smallest that is shared", 100, MQ_COPY_MAX + 1, false, 2},
    {"a whole block", 100, MQ_BLOCK_SIZE, false, 2},
    {"small that just fits", MQ_BLOCK_SIZE - 10, 10, true, 1},
    {"small that doesn't fit", MQ_BLOCK_SIZE - 10, 11, true, 2},
    {"small behind a full block", MQ_BLOCK_SIZE, 1, true, 2},
};

static void test_append(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(APPENDS); i++) {
        const append_row *row = &APPENDS[i];
        mq_queue queue = {.slices = NULL};
        if (row->first > 0) {
            CHECK(row->name, mq_queue_push(&queue, &pool, make_block(1, row->first), 0, row->first) == 0);
        }
        mq_block *block = make_block(9, row->append);
        CHECK(row->name, mq_queue_append(&queue, &pool, block, 0, row->append) == 0);
        CHECK(row->name, block->references == (row->copied ? 1 : 2));
        CHECK(row->name, queue.count == row->slices && queue.bytes == row->first + row->append);
        uint8_t *bytes = flatten(&queue);
        CHECK(row->name, memcmp(bytes + row->first, block->bytes, row->append) == 0);
        CHECK(row->name, row->first == 0 || (bytes[0] == 1 && bytes[row->first - 1] == (uint8_t)row->first));
        free(bytes);
        mq_block_release(&pool, block);
        mq_queue_clear(&queue, &pool);
        CHECK(row->name, pool.live == 0 && queue.bytes == 0);
    }
}

/* Only the part that was named, from anywhere in the block. */
static void test_append_a_part(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    mq_block *block = make_block(0, 10000);
    assert_int_equal(mq_queue_append(&queue, &pool, block, 9, 6000), 0);
    assert_int_equal(mq_queue_append(&queue, &pool, block, 6000, 6001), 0);
    uint8_t *bytes = flatten(&queue);
    assert_memory_equal(bytes, block->bytes + 9, 5992);
    free(bytes);
    mq_block_release(&pool, block);
    assert_int_equal(pool.live, 2);
    mq_queue_clear(&queue, &pool);
}

/* A shared block is never written behind: another queue's slice ends there. */
static void test_open_tail(void **state) {
    (void)state;
    mq_queue a = {.slices = NULL};
    mq_queue b = {.slices = NULL};
    assert_null(mq_queue_open_tail(&a));
    mq_block *block = make_block(0, 8000);
    assert_int_equal(mq_queue_append(&a, &pool, block, 0, 8000), 0);
    assert_int_equal(mq_queue_append(&b, &pool, block, 0, 5000), 0);
    assert_null(mq_queue_open_tail(&a));
    assert_null(mq_queue_open_tail(&b));
    mq_block_release(&pool, block);
    assert_null(mq_queue_open_tail(&a));
    mq_queue_clear(&b, &pool);
    assert_ptr_equal(mq_queue_open_tail(&a), block);
    memset(block->bytes + 8000, 7, 100);
    mq_queue_extend_tail(&a, 100);
    assert_int_equal(a.bytes, 8100);
    assert_int_equal(a.count, 1);
    mq_queue_extend_tail(&a, MQ_BLOCK_SIZE - 8100);
    assert_null(mq_queue_open_tail(&a));
    mq_queue_clear(&a, &pool);
    /* Bytes of the block that are nobody's slice aren't written over either. */
    block = make_block(0, 8000);
    assert_int_equal(mq_queue_append(&a, &pool, block, 0, 5000), 0);
    mq_block_release(&pool, block);
    assert_null(mq_queue_open_tail(&a));
    mq_queue_clear(&a, &pool);
}

/* Each block goes with the last byte that was in it. */
static void test_drop(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    for (uint8_t i = 0; i < 10; i++) {
        assert_int_equal(mq_queue_push(&queue, &pool, make_block(i, 100), 0, 100), 0);
    }
    for (size_t dropped = 0; dropped < 1000; dropped++) {
        assert_int_equal(queue.bytes, 1000 - dropped);
        assert_int_equal(pool.live, 10 - dropped / 100);
        const mq_slice *first = mq_queue_first(&queue);
        assert_int_equal(first->block->bytes[first->start], (uint8_t)(dropped / 100 + dropped % 100));
        mq_queue_drop(&queue, &pool, 1);
    }
    /* An empty queue holds no memory. */
    assert_null(mq_queue_first(&queue));
    assert_null(queue.slices);
    assert_int_equal(pool.live, 0);
    assert_int_equal(memory.pieces, pool.spare_count + pool.ring_count);
    mq_queue_drop(&queue, &pool, 0);
    mq_queue_clear(&queue, &pool);
}

static void test_drop_several(void **state) {
    (void)state;
    for (size_t length = 0; length <= 1000; length += 50) {
        mq_queue queue = {.slices = NULL};
        for (uint8_t i = 0; i < 10; i++) {
            assert_int_equal(mq_queue_push(&queue, &pool, make_block(i, 100), 0, 100), 0);
        }
        mq_queue_drop(&queue, &pool, length);
        assert_int_equal(queue.bytes, 1000 - length);
        assert_int_equal(pool.live, 10 - length / 100);
        mq_queue_clear(&queue, &pool);
        assert_int_equal(pool.live, 0);
    }
}

static void test_pieces_are_bounded(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    masque_iovec pieces[10];
    for (uint8_t i = 0; i < 5; i++) {
        assert_int_equal(mq_queue_push(&queue, &pool, make_block(i, 10u + i), 0, 10u + i), 0);
    }
    for (size_t count = 0; count < COUNT(pieces); count++) {
        memset(pieces, 0, sizeof pieces);
        size_t filled = mq_queue_pieces(&queue, pieces, count);
        assert_int_equal(filled, count < 5 ? count : 5);
        for (size_t i = 0; i < COUNT(pieces); i++) {
            assert_int_equal(pieces[i].length, i < filled ? 10 + i : 0);
        }
    }
    mq_queue_clear(&queue, &pool);
    assert_int_equal(mq_queue_pieces(&queue, pieces, COUNT(pieces)), 0);
}

/* A peer that sends a byte at a time, and a large piece now and then, pins at
   most the eightfold of what it sent (block.h), beside one block. */
static void test_memory_is_bounded(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, MQ_COPY_MAX - 1, MQ_COPY_MAX, MQ_COPY_MAX + 1, MQ_BLOCK_SIZE};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        for (size_t j = 0; j < COUNT(sizes); j++) {
            mq_queue queue = {.slices = NULL};
            while (queue.bytes < 300000) {
                const uint32_t pair[2] = {sizes[i], sizes[j]};
                for (size_t k = 0; k < 2; k++) {
                    mq_block *block = make_block(0, pair[k]);
                    assert_int_equal(mq_queue_append(&queue, &pool, block, 0, pair[k]), 0);
                    mq_block_release(&pool, block);
                }
                assert_true(pool.live_bytes <= queue.bytes * 8 + MQ_BLOCK_SIZE + 2 * sizeof(mq_block));
                assert_true(queue.capacity <= 4 + queue.count * 2);
            }
            mq_queue_clear(&queue, &pool);
        }
    }
}

/* Nothing is appended, no reference taken, and the queue goes on working. */
/* A queue that fills and empties again and again lives on what the pool has kept. */
static void test_bursts_allocate_nothing(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    uint8_t bytes[MQ_COPY_MAX] = {0};
    size_t calls = 0;
    for (int round = 0; round < 100; round++) {
        calls = round == 1 ? memory.calls : calls;
        for (int i = 0; i < 12; i++) {
            assert_int_equal(mq_queue_copy(&queue, &pool, bytes, sizeof bytes), 0);
        }
        mq_queue_drop(&queue, &pool, queue.bytes);
        assert_null(queue.slices);
    }
    assert_int_equal(memory.calls, calls);
}

/* And it keeps a bounded number of rings. */
static void test_spare_rings_are_bounded(void **state) {
    (void)state;
    static mq_queue queues[2 * MQ_POOL_RINGS_MAX];
    for (size_t i = 0; i < COUNT(queues); i++) {
        assert_int_equal(mq_queue_copy(&queues[i], &pool, (const uint8_t *)"x", 1), 0);
    }
    for (size_t i = 0; i < COUNT(queues); i++) {
        mq_queue_clear(&queues[i], &pool);
    }
    assert_int_equal(pool.ring_count, MQ_POOL_RINGS_MAX);
    assert_int_equal(memory.pieces, MQ_POOL_RINGS_MAX);
}

static void test_no_memory(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    mq_block *block = make_block(0, MQ_BLOCK_SIZE);
    mq_block *small = make_block(0, 10);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(mq_queue_append(&queue, &pool, block, 0, MQ_BLOCK_SIZE), 0);
    }
    size_t bytes = queue.bytes;
    memory.left = 0;
    assert_null(mq_block_new(&pool));
    assert_int_equal(mq_queue_append(&queue, &pool, block, 0, MQ_BLOCK_SIZE), MASQUE_ERR_NO_MEMORY);
    assert_int_equal(mq_queue_append(&queue, &pool, small, 0, 10), MASQUE_ERR_NO_MEMORY);
    assert_int_equal(mq_queue_push(&queue, &pool, small, 0, 10), MASQUE_ERR_NO_MEMORY);
    /* A block, but no room for its slice. */
    memory.left = 1;
    size_t live = pool.live;
    assert_int_equal(mq_queue_append(&queue, &pool, small, 0, 10), MASQUE_ERR_NO_MEMORY);
    assert_int_equal(pool.live, live);
    assert_int_equal(block->references, 5);
    assert_int_equal(small->references, 1);
    assert_int_equal(queue.bytes, bytes);
    assert_int_equal(queue.count, 4);
    memory.left = SIZE_MAX;
    assert_int_equal(mq_queue_append(&queue, &pool, small, 0, 10), 0);
    mq_block_release(&pool, block);
    mq_block_release(&pool, small);
    mq_queue_clear(&queue, &pool);
}

typedef struct model {
    uint8_t bytes[400000];
    size_t start;
    size_t end;
} model;

static void append_random(mq_queue *queue, model *plain, unit_random *random) {
    uint32_t room = unit_random_below(random, 3) ? 300 : MQ_BLOCK_SIZE;
    uint32_t start = (uint32_t)unit_random_below(random, room);
    uint32_t end = start + 1 + (uint32_t)unit_random_below(random, room - start);
    mq_block *block = mq_block_new(&pool);
    assert_non_null(block);
    unit_random_fill(random, block->bytes + start, end - start);
    block->used = end;
    assert_int_equal(mq_queue_append(queue, &pool, block, start, end), 0);
    assert_true(plain->end + end - start <= sizeof plain->bytes);
    memcpy(plain->bytes + plain->end, block->bytes + start, end - start);
    plain->end += end - start;
    mq_block_release(&pool, block);
}

static void extend_random(mq_queue *queue, model *plain, unit_random *random) {
    mq_block *tail = mq_queue_open_tail(queue);
    if (!tail || plain->end + 100 > sizeof plain->bytes) {
        return;
    }
    size_t room = tail->capacity - tail->used;
    uint32_t length = (uint32_t)(1 + unit_random_below(random, room < 100 ? room : 100));
    unit_random_fill(random, tail->bytes + tail->used, length);
    memcpy(plain->bytes + plain->end, tail->bytes + tail->used, length);
    plain->end += length;
    mq_queue_extend_tail(queue, length);
}

/* Random appends, extensions and drops of two queues against plain arrays. */
static void test_against_arrays(void **state) {
    (void)state;
    static model plain[2];
    unit_random random = {.state = 15};
    mq_queue queues[2] = {{.slices = NULL}, {.slices = NULL}};
    for (int round = 0; round < 20000; round++) {
        size_t index = unit_random_below(&random, 2);
        mq_queue *queue = &queues[index];
        model *bytes = &plain[index];
        bool full = bytes->end + MQ_BLOCK_SIZE > sizeof bytes->bytes;
        switch (unit_random_below(&random, 4)) {
        case 0:
            extend_random(queue, bytes, &random);
            break;
        case 1: {
            size_t length = unit_random_below(&random, queue->bytes + 1);
            mq_queue_drop(queue, &pool, length);
            bytes->start += length;
            break;
        }
        default:
            if (!full) {
                append_random(queue, bytes, &random);
            }
        }
        assert_int_equal(queue->bytes, bytes->end - bytes->start);
        if (round % 16 == 0) {
            uint8_t *flat = flatten(queue);
            assert_memory_equal(flat, bytes->bytes + bytes->start, queue->bytes);
            free(flat);
        }
        if (full || queue->bytes == 0) {
            mq_queue_clear(queue, &pool);
            bytes->start = bytes->end = 0;
        }
    }
    mq_queue_clear(&queues[0], &pool);
    mq_queue_clear(&queues[1], &pool);
    assert_int_equal(pool.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_memory_beside_blocks),
        TEST(test_pool),
        TEST(test_append),
        TEST(test_append_a_part),
        TEST(test_open_tail),
        TEST(test_drop),
        TEST(test_drop_several),
        TEST(test_pieces_are_bounded),
        TEST(test_memory_is_bounded),
        TEST(test_bursts_allocate_nothing),
        TEST(test_spare_rings_are_bounded),
        TEST(test_no_memory),
        TEST(test_against_arrays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
