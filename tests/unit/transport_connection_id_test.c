/* Connection IDs say whose they are to who has the key, and the table finds their owner. */
#include <string.h>

#include "transport/cid_table.h"
#include "unit.h"

static void count_up(void *context, uint8_t *buffer, size_t size) {
    uint8_t *next = context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (*next)++;
    }
}

static const mq_quic_secret OLD = {.id = 2, .key = {1, 2, 3}};
static const mq_quic_secret NEW = {.id = 5, .key = {4, 5, 6}};

static void test_round_trip(void **state) {
    const masque_route owner = {.server = 0xabcdef, .worker = 7, .generation = 3};
    uint8_t next = 0;
    const masque_runtime runtime = {.random = count_up, .context = &next};
    mq_quic_keys before;
    mq_quic_keys after;
    mq_cid first;
    mq_cid second;
    masque_route read;
    (void)state;
    const mq_quic_secret both[] = {NEW, OLD};
    assert_int_equal(mq_quic_keys_init(&before, &OLD, 1), 0);
    assert_int_equal(mq_quic_keys_init(&after, both, 2), 0);
    assert_int_equal(mq_cid_make(&before, &owner, &runtime, &first), 0);
    assert_int_equal(mq_cid_make(&before, &owner, &runtime, &second), 0);
    assert_int_equal(first.length, MASQUE_CONNECTION_ID_LENGTH);
    assert_int_equal(first.bytes[0], 2 << 5 | 16);
    /* Nothing but the first byte is alike. */
    assert_memory_not_equal(first.bytes + 1, second.bytes + 1, 5);
    /* A process with newer keys understands it. */
    assert_true(mq_cid_read(&after, first.bytes, first.length, &read));
    assert_int_equal(read.server, owner.server);
    assert_int_equal(read.worker, owner.worker);
    assert_int_equal(read.generation, owner.generation);
    assert_int_equal(mq_quic_key_of(&after, &first)->id, 2);
    assert_false(mq_cid_read(&after, first.bytes, first.length - 1u, &read));
    /* One without its key doesn't. */
    mq_quic_keys_free(&after);
    assert_int_equal(mq_quic_keys_init(&after, &NEW, 1), 0);
    assert_false(mq_cid_read(&after, first.bytes, first.length, &read));
    mq_quic_keys_free(&after);
    mq_quic_keys_free(&before);
}

static void test_table(void **state) {
    static const uint64_t seed[2] = {1, 2};
    static int owners[2];
    masque_allocator allocator;
    mq_cid_table table;
    (void)state;
    mq_allocator_init(&allocator, &(masque_allocator){.allocate = NULL});
    mq_cid_table_init(&table, &allocator, seed);
    mq_cid cid = {.length = 8};
    assert_null(mq_cid_table_find(&table, cid.bytes, cid.length));
    for (unsigned i = 0; i < 1000; i++) {
        memcpy(cid.bytes, &i, sizeof i);
        assert_int_equal(mq_cid_table_add(&table, &cid, &owners[i % 2]), 0);
        assert_int_equal(mq_cid_table_add(&table, &cid, &owners[0]), MASQUE_ERR_STATE);
    }
    for (unsigned i = 0; i < 1000; i++) {
        memcpy(cid.bytes, &i, sizeof i);
        assert_ptr_equal(mq_cid_table_find(&table, cid.bytes, cid.length), &owners[i % 2]);
        assert_null(mq_cid_table_find(&table, cid.bytes, cid.length + 1u));
        assert_false(mq_cid_table_remove(&table, &cid, &owners[(i + 1) % 2])); /* another's: stays */
        assert_non_null(mq_cid_table_find(&table, cid.bytes, cid.length));
        assert_true(mq_cid_table_remove(&table, &cid, &owners[i % 2]));
        assert_null(mq_cid_table_find(&table, cid.bytes, cid.length));
        assert_int_equal(mq_cid_table_add(&table, &cid, &owners[i % 2]), 0);
    }
    mq_cid_table_remove_all(&table, &owners[0]);
    assert_int_equal(table.count, 500);
    mq_cid_table_remove_all(&table, &owners[1]);
    mq_cid_table_free(&table);
}

int main(void) {
    static const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
