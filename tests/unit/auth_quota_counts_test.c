/* What identities use of their quotas: tunnels at once and a second, bytes of an hour that come back evenly; a table
   that makes room; and threads that share it. */
#include "auth/quota_counts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "unit.h"

#define HOUR ((masque_time)3600 * MASQUE_SECOND)
#define START (1000 * HOUR)

static unit_memory memory;
static mq_quota_counts *counts;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    counts = mq_quota_counts_new(&memory.allocator, 16);
    return counts ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    mq_quota_counts_release(counts);
    return memory.pieces == 0 ? 0 : -1;
}

/* -1: refused. */
static int64_t enter(unsigned identity, const masque_quota *quota, masque_time now) {
    uint8_t key[MQ_QUOTA_KEY_LENGTH] = {0};
    memcpy(key, &identity, sizeof identity);
    return mq_quota_enter(counts, key, quota, now);
}

static void test_tunnels(void **state) {
    const masque_quota two = {.tunnels_max = 2};
    (void)state;
    int64_t place = enter(1, &two, START);
    assert_true(place >= 0);
    assert_int_equal(enter(1, &two, START), place);
    assert_int_equal(enter(1, &two, START), -1);
    assert_true(enter(2, &two, START) >= 0);
    mq_quota_leave(counts, place);
    assert_int_equal(enter(1, &two, START), place);
    assert_int_equal(enter(1, &two, START + HOUR), -1);
}

static void test_rate(void **state) {
    const masque_quota five = {.tunnels_rate = 5};
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_true(enter(1, &five, START) >= 0);
    }
    assert_int_equal(enter(1, &five, START), -1);
    assert_int_equal(enter(1, &five, START + MASQUE_SECOND / 5 - 1), -1);
    assert_true(enter(1, &five, START + MASQUE_SECOND / 5) >= 0);
    assert_int_equal(enter(1, &five, START + MASQUE_SECOND / 5), -1);
}

static void test_bytes(void **state) {
    const masque_quota quota = {.bytes_per_hour = 3600};
    (void)state;
    int64_t place = enter(1, &quota, START);
    assert_true(mq_quota_use(counts, place, 3599, START));
    assert_false(mq_quota_use(counts, place, 1, START));
    assert_int_equal(enter(1, &quota, START), -1);
    assert_true(enter(2, &quota, START) >= 0);
    /* A byte a second comes back, however often it is looked at. */
    for (masque_time t = 0; t < 100 * MASQUE_SECOND; t += MASQUE_SECOND / 3) {
        mq_quota_use(counts, place, 0, START + t);
    }
    assert_false(mq_quota_use(counts, place, 99, START + 99 * MASQUE_SECOND));
    assert_false(mq_quota_use(counts, place, 1, START + 100 * MASQUE_SECOND));
    assert_true(mq_quota_use(counts, place, 0, START + 101 * MASQUE_SECOND));
    assert_true(mq_quota_use(counts, place, 3599, START + 3 * HOUR));
    /* Another engine's clock may be a little behind. */
    assert_true(mq_quota_use(counts, place, 0, START));
}

static void test_without_bounds(void **state) {
    const masque_quota tunnels = {.tunnels_max = 1000};
    (void)state;
    int64_t place = enter(1, &tunnels, START);
    assert_true(mq_quota_use(counts, place, UINT64_MAX / 2, START));
    assert_true(mq_quota_use(counts, place, UINT64_MAX / 2, START));
}

/* Those with tunnels stay; of the others the longest unused makes room. */
static void test_room(void **state) {
    const masque_quota one = {.tunnels_max = 1, .bytes_per_hour = 10};
    (void)state;
    int64_t places[16];
    for (unsigned i = 0; i < 16; i++) {
        places[i] = enter(100 + i, &one, START);
        assert_true(places[i] >= 0);
        mq_quota_use(counts, places[i], 10, START);
    }
    assert_int_equal(enter(200, &one, START), -1);
    mq_quota_leave(counts, places[7]);
    mq_quota_leave(counts, places[3]);
    assert_int_equal(enter(107, &one, START), -1); /* it is known still, and lately used by that */
    assert_int_equal(enter(200, &one, START), places[3]);
    assert_int_equal(enter(107, &one, START), -1);
    assert_int_equal(enter(103, &one, START), places[7]); /* it was forgotten, and so is 107 now */
    for (unsigned i = 0; i < 16; i++) {
        if (i != 7 && i != 3) {
            assert_int_equal(enter(100 + i, &one, START), -1);
        }
    }
}

/* Whoever is refused all the time is not forgotten for it, while others come and go. */
static void test_refused_stay(void **state) {
    const masque_quota one = {.bytes_per_hour = 10};
    (void)state;
    int64_t place = enter(1, &one, START);
    mq_quota_use(counts, place, 10, START);
    mq_quota_leave(counts, place);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(enter(1, &one, START), -1);
        mq_quota_leave(counts, enter(1000 + i, &one, START));
    }
}

#define THREADS 4
#define ROUNDS 20000

static atomic_int inside, most, entered;

static void *visit(void *argument) {
    const masque_quota three = {.tunnels_max = 3, .bytes_per_hour = UINT64_MAX / 4};
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t place = enter(7, &three, START);
        if (place < 0) {
            continue;
        }
        int now = atomic_fetch_add(&inside, 1) + 1;
        if (now > atomic_load(&most)) {
            atomic_store(&most, now);
        }
        atomic_fetch_add(&entered, 1);
        mq_quota_use(counts, place, 1, START);
        atomic_fetch_sub(&inside, 1);
        mq_quota_leave(counts, place);
    }
    return NULL;
}

static void test_threads(void **state) {
    const masque_quota all = {.bytes_per_hour = UINT64_MAX / 4};
    pthread_t threads[THREADS];
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, visit, NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&most) <= 3 && atomic_load(&entered) > 0);
    int64_t place = enter(7, &all, START);
    assert_true(mq_quota_use(counts, place, UINT64_MAX / 4 - 1 - (uint64_t)atomic_load(&entered), START));
    assert_false(mq_quota_use(counts, place, 1, START));
}

static void test_without_memory(void **state) {
    unit_memory little;
    (void)state;
    unit_memory_init(&little);
    for (size_t left = 0; left < 10; left++) {
        little.calls = 0;
        little.left = left;
        mq_quota_counts_release(mq_quota_counts_new(&little.allocator, 16));
        assert_int_equal(little.pieces, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tunnels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rate, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_bounds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_room, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_threads, set_up, tear_down),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
