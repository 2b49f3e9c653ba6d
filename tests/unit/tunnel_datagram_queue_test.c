/*
 * tunnel_datagram_queue_test.c: datagrams that wait. Goal: what comes out is what went in, by
 * the list and by the bytes of the stream, in order, whatever was dropped in between; and bursts
 * allocate nothing.
 */
#include "tunnel/datagram_queue.h"

#include <string.h>

#include "unit_pool.h"

/* A datagram's bytes follow from its number. */
static size_t length_of(unsigned number) {
    static const uint16_t LENGTHS[] = {0, 1, 62, 63, 64, 1200, 1472, 9000, MQ_DATAGRAM_PAYLOAD_MAX, 300};
    return LENGTHS[number % COUNT(LENGTHS)];
}

static void fill(uint8_t *bytes, unsigned number) {
    for (size_t i = 0; i < length_of(number); i++) {
        bytes[i] = (uint8_t)(number * 7 + i);
    }
}

static void add(mq_queue *queue, unsigned number) {
    uint8_t bytes[MQ_DATAGRAM_PAYLOAD_MAX];
    fill(bytes, number);
    assert_int_equal(mq_datagrams_add(queue, &pool, bytes, length_of(number)), 0);
}

static void check_is(const masque_iovec *payload, unsigned number) {
    uint8_t bytes[MQ_DATAGRAM_PAYLOAD_MAX];
    fill(bytes, number);
    assert_int_equal(payload->length, length_of(number));
    assert_memory_equal(payload->base, bytes, payload->length);
}

static void test_list(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    masque_iovec payloads[64];
    unsigned first = 0;
    unsigned next = 0;
    unit_random random = {.state = 1};
    for (int step = 0; step < 2000; step++) {
        if (next - first < COUNT(payloads) && unit_random_below(&random, 5) < 3) {
            add(&queue, next++);
        } else if (first < next) {
            assert_int_equal(mq_datagrams_drop(&queue, &pool), mq_datagram_size(length_of(first)));
            first++;
        }
        size_t count = mq_datagrams_list(&queue, payloads, COUNT(payloads));
        assert_int_equal(count, next - first);
        for (size_t i = 0; i < count; i++) {
            check_is(&payloads[i], first + (unsigned)i);
        }
        assert_int_equal(mq_datagrams_list(&queue, payloads, 3), count < 3 ? count : 3);
    }
    mq_queue_clear(&queue, &pool);
}

/* The queue's bytes, read as any peer would. */
static void test_stream(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    mq_capsule_reader reader = {.header_length = 0};
    for (unsigned i = 0; i < 50; i++) {
        add(&queue, i);
    }
    unsigned number = 0;
    for (uint32_t i = 0; i < queue.count; i++) {
        const mq_slice *slice = mq_queue_at(&queue, i);
        const uint8_t *bytes = slice->block->bytes + slice->start;
        size_t length = slice->end - slice->start;
        mq_capsule_piece piece;
        while (mq_capsule_read(&reader, &bytes, &length, &piece) == MQ_CAPSULE_PIECE) {
            assert_true(piece.first && piece.last); /* in one piece */
            assert_int_equal(piece.bytes[0], 0);
            masque_iovec payload = {.base = (void *)(uintptr_t)(piece.bytes + 1), .length = piece.length - 1};
            check_is(&payload, number++);
        }
    }
    assert_int_equal(number, 50);
    mq_queue_clear(&queue, &pool);
}

static void test_bursts_allocate_nothing(void **state) {
    (void)state;
    mq_queue queue = {.slices = NULL};
    size_t calls = 0;
    for (int round = 0; round < 100; round++) {
        calls = round == 1 ? memory.calls : calls;
        for (unsigned i = 0; i < 10; i++) {
            add(&queue, 5); /* of 1,200 bytes */
        }
        while (queue.bytes > 0) {
            mq_datagrams_drop(&queue, &pool);
        }
    }
    assert_int_equal(memory.calls, calls);
}

static void test_no_memory(void **state) {
    (void)state;
    for (size_t left = 0; left < 2; left++) {
        mq_queue queue = {.slices = NULL};
        memory.left = left;
        assert_int_equal(mq_datagrams_add(&queue, &pool, (const uint8_t *)"x", 1), MASQUE_ERR_NO_MEMORY);
        assert_int_equal(queue.bytes, 0);
        memory.left = SIZE_MAX;
        mq_queue_clear(&queue, &pool);
        mq_pool_free(&pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_list),
        TEST(test_stream),
        TEST(test_bursts_allocate_nothing),
        TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
