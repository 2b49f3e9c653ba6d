/*
 * base_slots_test.c: handles with generations. Goal: a handle finds its object
 * and nothing else, an old one finds nothing, for ever short of 2^32-1 uses.
 */
#include "base/slots.h"

#include <string.h>

#include "unit.h"

static unit_memory memory;
static mq_slots slots;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    mq_slots_init(&slots, &memory.allocator);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    mq_slots_free(&slots);
    return memory.pieces == 0 ? 0 : -1;
}

static void test_empty_finds_nothing(void **state) {
    (void)state;
    static const uint64_t handles[] = {0, 1, UINT64_C(1) << 32, UINT64_MAX, UINT32_MAX};
    for (size_t i = 0; i < COUNT(handles); i++) {
        assert_null(mq_slots_find(&slots, handles[i]));
    }
}

static void test_stale_handle(void **state) {
    (void)state;
    int a = 1;
    int b = 2;
    uint64_t first = mq_slots_add(&slots, &a);
    assert_int_not_equal(first, 0);
    assert_ptr_equal(mq_slots_find(&slots, first), &a);
    mq_slots_remove(&slots, first);
    assert_null(mq_slots_find(&slots, first));
    uint64_t second = mq_slots_add(&slots, &b);
    assert_int_equal((uint32_t)second, (uint32_t)first);
    assert_int_not_equal(second, first);
    assert_null(mq_slots_find(&slots, first));
    assert_ptr_equal(mq_slots_find(&slots, second), &b);
    mq_slots_remove(&slots, second);
}

/* Half a handle names nothing. */
static void test_changed_handle(void **state) {
    (void)state;
    int a = 1;
    int b = 2;
    uint64_t one = mq_slots_add(&slots, &a);
    uint64_t two = mq_slots_add(&slots, &b);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t changed = one ^ UINT64_C(1) << bit;
        assert_ptr_equal(mq_slots_find(&slots, changed), changed == two ? &b : NULL);
    }
    mq_slots_remove(&slots, one);
    mq_slots_remove(&slots, two);
}

/* The last generation goes on with 1: 0 is never one. */
static void test_generation_wraps(void **state) {
    (void)state;
    int object = 1;
    uint64_t handle = mq_slots_add(&slots, &object);
    mq_slots_remove(&slots, handle);
    slots.slots[0].generation = UINT32_MAX;
    uint64_t last = mq_slots_add(&slots, &object);
    assert_int_equal(last >> 32, UINT32_MAX);
    assert_ptr_equal(mq_slots_find(&slots, last), &object);
    mq_slots_remove(&slots, last);
    uint64_t next = mq_slots_add(&slots, &object);
    assert_int_equal(next >> 32, 1);
    assert_null(mq_slots_find(&slots, last));
    mq_slots_remove(&slots, next);
}

static void test_no_memory(void **state) {
    (void)state;
    int object = 1;
    uint64_t handles[64];
    size_t count = 0;
    memory.left = 1;
    while ((handles[count] = mq_slots_add(&slots, &object)) != 0) {
        count++;
    }
    assert_true(count > 0 && slots.live == count);
    /* A slot that was freed needs none. */
    mq_slots_remove(&slots, handles[0]);
    handles[0] = mq_slots_add(&slots, &object);
    assert_int_not_equal(handles[0], 0);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(mq_slots_find(&slots, handles[i]), &object);
        mq_slots_remove(&slots, handles[i]);
    }
}

typedef struct known {
    uint64_t handle;
    void *object; /* NULL: removed */
} known;

/* Random adds and removes; every handle ever given is asked for now and then. */
static void test_against_list(void **state) {
    (void)state;
    enum { HANDLES = 20000 };
    static known all[HANDLES];
    static char objects[HANDLES];
    unit_random random = {.state = 12};
    size_t live = 0;
    for (size_t i = 0; i < HANDLES; i++) {
        all[i] = (known){.handle = mq_slots_add(&slots, &objects[i]), .object = &objects[i]};
        assert_int_not_equal(all[i].handle, 0);
        live++;
        for (size_t turns = unit_random_below(&random, 3); turns > 0; turns--) {
            known *one = &all[unit_random_below(&random, i + 1)];
            assert_ptr_equal(mq_slots_find(&slots, one->handle), one->object);
            if (one->object) {
                mq_slots_remove(&slots, one->handle);
                one->object = NULL;
                live--;
            }
        }
        assert_int_equal(slots.live, live);
    }
    /* Slots are used again, so there are far fewer than handles. */
    assert_true(slots.used < HANDLES && slots.used <= slots.capacity);
    size_t seen = 0;
    for (uint32_t index = 0; index < slots.used; index++) {
        seen += mq_slots_at(&slots, index) != NULL;
    }
    assert_int_equal(seen, live);
    for (size_t i = 0; i < HANDLES; i++) {
        assert_ptr_equal(mq_slots_find(&slots, all[i].handle), all[i].object);
        if (all[i].object) {
            mq_slots_remove(&slots, all[i].handle);
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_empty_finds_nothing), TEST(test_stale_handle), TEST(test_changed_handle),
        TEST(test_generation_wraps),    TEST(test_no_memory),    TEST(test_against_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
