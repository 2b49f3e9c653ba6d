/*
 * base_bucket_test.c: the token bucket. Goal: BURST at once, RATE a second after
 * that and not one more, against a bucket that counts tokens.
 */
#include "base/bucket.h"

#include "unit.h"

typedef struct bucket_row {
    const char *name;
    uint64_t rate;
    uint64_t burst;
} bucket_row;

static const bucket_row ROWS[] = {
    {"one a second", 1, 1},        {"burst of one", 100, 1},          {"as limits.h has requests", 100, 300},
    {"resets", 20, 100},           {"a rate of no whole cost", 3, 7}, {"the largest", 1000000, 1000000},
    {"a large burst", 1, 1000000},
};

static uint64_t take_all(mq_bucket *bucket, masque_time now, const bucket_row *row) {
    uint64_t taken = 0;
    while (mq_bucket_take(bucket, now, row->rate, row->burst)) {
        taken++;
        CHECK(row->name, taken <= row->burst);
    }
    return taken;
}

static void test_burst_then_rate(void **state) {
    (void)state;
    static const masque_time starts[] = {0, 1, 12345 * MASQUE_SECOND};
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const bucket_row *row = &ROWS[i];
        masque_time cost = MASQUE_SECOND / row->rate;
        for (size_t j = 0; j < COUNT(starts); j++) {
            mq_bucket bucket = {.full_at = 0};
            masque_time now = starts[j];
            CHECK(row->name, take_all(&bucket, now, row) == row->burst);
            CHECK(row->name, take_all(&bucket, now + cost - 1, row) == 0);
            CHECK(row->name, take_all(&bucket, now + cost, row) == 1);
            CHECK(row->name, take_all(&bucket, now + cost, row) == 0);
            /* After long rest it is full, never fuller. */
            now += 4 * cost * row->burst;
            CHECK(row->name, take_all(&bucket, now, row) == row->burst);
        }
    }
}

static void test_share_taken(void **state) {
    (void)state;
    mq_bucket bucket = {.full_at = 0};
    masque_time now = 5 * MASQUE_SECOND;
    for (int i = 1; i <= 500; i++) {
        assert_true(mq_bucket_take(&bucket, now, 10, 500));
        assert_int_equal(mq_bucket_is_past(&bucket, now, 10, 500, 75), i > 375);
    }
    /* Ten come back in a second. */
    assert_true(mq_bucket_is_past(&bucket, now + 12 * MASQUE_SECOND, 10, 500, 75));
    assert_false(mq_bucket_is_past(&bucket, now + 13 * MASQUE_SECOND, 10, 500, 75));
    assert_false(mq_bucket_is_past(&bucket, now + 1000 * MASQUE_SECOND, 10, 500, 0));
}

/* A refused one costs nothing: asking every moment is no slower than waiting. */
static void test_refusals_are_free(void **state) {
    (void)state;
    bucket_row row = {"free", 10, 2};
    mq_bucket bucket = {.full_at = 0};
    uint64_t taken = 0;
    for (masque_time now = 0; now < 10 * MASQUE_SECOND; now += 10 * MASQUE_MILLISECOND) {
        taken += mq_bucket_take(&bucket, now, row.rate, row.burst);
    }
    assert_int_equal(taken, 2 + 99);
}

/* Random times against tokens counted in units of a nanosecond's refill. */
static void test_against_tokens(void **state) {
    (void)state;
    unit_random random = {.state = 14};
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const bucket_row *row = &ROWS[i];
        masque_time cost = MASQUE_SECOND / row->rate;
        masque_time filled = cost * row->burst;
        masque_time now = 0;
        mq_bucket bucket = {.full_at = 0};
        for (int round = 0; round < 20000; round++) {
            masque_time passed = unit_random_below(&random, 3) ? unit_random_below(&random, 2 * cost) : 0;
            now += passed;
            filled = filled + passed < cost * row->burst ? filled + passed : cost * row->burst;
            bool expected = filled >= cost;
            filled -= expected ? cost : 0;
            CHECK(row->name, mq_bucket_take(&bucket, now, row->rate, row->burst) == expected);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_then_rate),
        cmocka_unit_test(test_refusals_are_free),
        cmocka_unit_test(test_share_taken),
        cmocka_unit_test(test_against_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
