/*
 * base_memory_test.c: the host's allocator behind short calls. Goal: growth
 * doubles, never overflows, and leaves everything as it was when it fails.
 */
#include "base/memory.h"

#include <string.h>

#include "unit.h"

static unit_memory memory;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return memory.pieces == 0 ? 0 : -1;
}

typedef struct grow_row {
    const char *name;
    size_t capacity;
    size_t needed;
    size_t item_size;
    size_t expected; /* capacity; 0: fails */
} grow_row;

static const grow_row ROWS[] = {
    {"from nothing", 0, 1, 8, 4},
    {"from nothing to more", 0, 5, 8, 8},
    {"one more", 4, 5, 8, 8},
    {"far more", 4, 1000, 8, 1024},
    {"exactly as much", 16, 16, 8, 16},
    {"less", 16, 3, 8, 16},
    {"nothing of nothing", 0, 0, 8, 0},
    {"bytes", 0, 100, 1, 128},
    {"no power of two before", 6, 7, 8, 12},
    {"more than there can be", 4, SIZE_MAX, 1, 0},
    {"more than there can be of an item", 4, SIZE_MAX / 8, 16, 0},
    {"just more than there can be", 4, SIZE_MAX / 16 + 2, 16, 0},
};

static void test_grow(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const grow_row *row = &ROWS[i];
        size_t capacity = row->capacity;
        size_t calls = memory.calls;
        void *items = capacity ? mq_zalloc(&memory.allocator, capacity * row->item_size) : NULL;
        void *grown = mq_grow(&memory.allocator, items, &capacity, row->needed, row->item_size);
        CHECK(row->name, (grown != NULL) == (row->expected > 0));
        CHECK(row->name, capacity == (row->expected ? row->expected : row->capacity));
        CHECK(row->name, row->needed > row->capacity || (grown == items && memory.calls - calls <= 1));
        if (grown) {
            /* All of it is there, which a sanitizer checks. */
            memset(grown, 1, capacity * row->item_size);
        }
        mq_free(&memory.allocator, grown ? grown : items);
    }
}

/* When the allocator fails the old array stays, with what is in it. */
static void test_grow_fails(void **state) {
    (void)state;
    size_t capacity = 0;
    uint32_t *items = mq_grow(&memory.allocator, NULL, &capacity, 4, sizeof *items);
    assert_non_null(items);
    for (uint32_t i = 0; i < 4; i++) {
        items[i] = i;
    }
    memory.left = 0;
    assert_null(mq_grow(&memory.allocator, items, &capacity, 5, sizeof *items));
    assert_int_equal(capacity, 4);
    assert_int_equal(items[3], 3);
    memory.left = 1;
    items = mq_grow(&memory.allocator, items, &capacity, 5, sizeof *items);
    assert_non_null(items);
    assert_int_equal(capacity, 8);
    assert_int_equal(items[3], 3);
    mq_free(&memory.allocator, items);
}

static void test_short_calls(void **state) {
    (void)state;
    static const uint8_t zero[64];
    uint8_t *bytes = mq_zalloc(&memory.allocator, sizeof zero);
    assert_memory_equal(bytes, zero, sizeof zero);
    memset(bytes, 7, sizeof zero);
    mq_wipe(bytes, sizeof zero - 1);
    assert_memory_equal(bytes, zero, sizeof zero - 1);
    assert_int_equal(bytes[63], 7);
    mq_free(&memory.allocator, bytes);
    mq_free(&memory.allocator, NULL);
    bytes = mq_resize(&memory.allocator, NULL, 4);
    assert_non_null(bytes);
    bytes[3] = 9;
    bytes = mq_resize(&memory.allocator, bytes, 400);
    assert_int_equal(bytes[3], 9);
    mq_free(&memory.allocator, bytes);
    memory.left = 0;
    assert_null(mq_alloc(&memory.allocator, 1));
    assert_null(mq_zalloc(&memory.allocator, 1));
    assert_null(mq_copy_text(&memory.allocator, "a", 1));
}

static void test_copy_text(void **state) {
    (void)state;
    char *copy = mq_copy_text(&memory.allocator, "abcdef", 3);
    assert_string_equal(copy, "abc");
    mq_free(&memory.allocator, copy);
    copy = mq_copy_text(&memory.allocator, "", 0);
    assert_string_equal(copy, "");
    mq_free(&memory.allocator, copy);
    copy = mq_copy_text(&memory.allocator, "a\0b", 3);
    assert_memory_equal(copy, "a\0b", 4);
    mq_free(&memory.allocator, copy);
}

/* All zero means the system's; anything else is taken as it is. */
static void test_defaults(void **state) {
    (void)state;
    masque_allocator zero = {.context = NULL};
    masque_allocator allocator;
    mq_allocator_init(&allocator, &zero);
    char *bytes = mq_alloc(&allocator, 10);
    assert_non_null(bytes);
    bytes = mq_resize(&allocator, bytes, 20);
    assert_non_null(bytes);
    bytes[19] = 1;
    mq_free(&allocator, bytes);
    mq_allocator_init(&allocator, &memory.allocator);
    assert_memory_equal(&allocator, &memory.allocator, sizeof allocator);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_grow), TEST(test_grow_fails), TEST(test_short_calls), TEST(test_copy_text), TEST(test_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
