/*
 * policy_sources_test.c: what one client address has done lately. Goal: penalties
 * grow, end and are forgiven as limits.h says; places are given to new sources
 * as long as any remembered one has no connection.
 */
#include "policy/sources.h"

#include <string.h>

#include "unit.h"

#define SECOND MASQUE_SECOND

static unit_memory memory;
static masque_limits limits;
static mq_sources sources;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    masque_limits_init(&limits);
    limits.auth_failures_max = 3;
    limits.penalty_first_ms = 1000;
    limits.penalty_last_ms = 4000;
    return mq_sources_init(&sources, &memory.allocator, 12345);
}

static int tear_down(void **state) {
    (void)state;
    mq_sources_free(&sources);
    return memory.pieces == 0 ? 0 : -1;
}

/* The NUMBERth IPv4 client. */
static masque_address client(unsigned number) {
    masque_address address = {.family = MASQUE_IPV4, .port = (uint16_t)(number * 7 + 1)};
    address.ip[0] = 10;
    address.ip[1] = (uint8_t)(number >> 16);
    address.ip[2] = (uint8_t)(number >> 8);
    address.ip[3] = (uint8_t)number;
    return address;
}

static mq_source *enter(unsigned number) {
    masque_address address = client(number);
    int error = 0;
    mq_source *source = mq_sources_enter(&sources, &address, &limits, &error);
    assert_true(source ? error == 0 : error == MASQUE_ERR_OVERLOAD);
    return source;
}

/* Comes, asks for something so that it is remembered, and goes. */
static mq_source *visit(unsigned number) {
    mq_source *source = enter(number);
    if (source) {
        assert_true(mq_source_may_request(source, &limits, 1));
        mq_source_leave(&sources, source);
    }
    return source;
}

/* True when the source NUMBER was remembered; a new one has made no request. */
static bool is_remembered(unsigned number) {
    mq_source *source = enter(number);
    assert_non_null(source);
    bool remembered = source->requests.full_at != 0 || source->failures > 0 || source->penalty_until > 0;
    mq_source_leave(&sources, source);
    return remembered;
}

typedef struct same_row {
    const char *name;
    const char *a;
    const char *b;
    bool same;
} same_row;

static const same_row SAME[] = {
    {"one IPv4 address", "192.0.2.1", "192.0.2.1", true},
    {"two IPv4 addresses", "192.0.2.1", "192.0.2.2", false},
    {"one /64 (RFC 6177)", "2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true},
    {"two /64", "2001:db8:0:1::1", "2001:db8:0:2::1", false},
    {"two far apart", "2001:db8:0:1::1", "3001:db8:0:1::1", false},
    {"IPv4 and IPv6 of the same bytes", "192.0.2.1", "c000:201::", false},
    {"zeros of both families", "0.0.0.0", "::", false},
};

static void test_what_a_source_is(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(SAME); i++) {
        int error = 0;
        masque_address a = unit_address(SAME[i].a, 1);
        masque_address b = unit_address(SAME[i].b, 2);
        mq_source *first = mq_sources_enter(&sources, &a, &limits, &error);
        mq_source *second = mq_sources_enter(&sources, &b, &limits, &error);
        CHECK(SAME[i].name, first && second && (first == second) == SAME[i].same);
        CHECK(SAME[i].name, sources.count == (SAME[i].same ? 1 : 2));
        mq_source_leave(&sources, first);
        mq_source_leave(&sources, second);
        CHECK(SAME[i].name, sources.count == 0);
    }
}

typedef struct penalty_step {
    unsigned at_ms;
    unsigned failures;       /* at that moment */
    bool begins;             /* the last one begins a penalty */
    unsigned penalised_from; /* as seen in ms; 0 and 0: not at all */
    unsigned penalised_to;
} penalty_step;

typedef struct penalty_row {
    const char *name;
    unsigned first_ms;
    unsigned last_ms;
    penalty_step steps[6];
} penalty_row;

static const penalty_row PENALTIES[] = {
    {"too few", 1000, 4000, {{0, 2, false, 0, 0}}},
    {"enough", 1000, 4000, {{10, 3, true, 10, 1010}}},
    {"enough, one by one", 1000, 4000, {{0, 1, false, 0, 0}, {500, 1, false, 0, 0}, {900, 1, true, 900, 1900}}},
    {"counting begins anew", 1000, 4000, {{0, 3, true, 0, 1000}, {1000, 2, false, 0, 0}, {1001, 1, true, 1001, 3001}}},
    {"doubles to the last",
     1000,
     4000,
     {{0, 3, true, 0, 1000},
      {1000, 3, true, 1000, 3000},
      {3000, 3, true, 3000, 7000},
      {7000, 3, true, 7000, 11000},
      {11000, 3, true, 11000, 15000}}},
    {"cut to the last", 3000, 4000, {{0, 3, true, 0, 3000}, {3000, 3, true, 3000, 7000}, {7000, 3, true, 7000, 11000}}},
    {"not forgiven at once", 1000, 4000, {{0, 3, true, 0, 1000}, {5000, 3, true, 5000, 7000}}},
    {"forgiven after the longest one", 1000, 4000, {{0, 3, true, 0, 1000}, {5001, 3, true, 5001, 6001}}},
    {"forgiven with its failures",
     1000,
     4000,
     {{0, 3, true, 0, 1000}, {1000, 2, false, 0, 0}, {5001, 2, false, 0, 0}, {5002, 1, true, 5002, 6002}}},
    {"first longer than last", 9000, 4000, {{0, 3, true, 0, 4000}, {4000, 3, true, 4000, 8000}}},
    {"switched off", 0, 4000, {{0, 3, false, 0, 0}, {0, 3, false, 0, 0}, {9000, 30, false, 0, 0}}},
    {"last of none", 1000, 0, {{0, 3, false, 0, 0}}},
};

static void run_penalty_step(const penalty_row *row, mq_source *source, const penalty_step *step) {
    masque_time now = step->at_ms * MASQUE_MILLISECOND;
    for (unsigned i = 1; i <= step->failures; i++) {
        bool begins = mq_source_failed(source, &limits, now);
        CHECK(row->name, begins == (step->begins && i == step->failures));
    }
    masque_time from = step->penalised_from * MASQUE_MILLISECOND;
    masque_time to = step->penalised_to * MASQUE_MILLISECOND;
    if (to > 0) {
        CHECK(row->name, mq_source_is_penalised(source, from) && mq_source_is_penalised(source, to - 1));
    }
    CHECK(row->name, !mq_source_is_penalised(source, to > now ? to : now));
}

static void test_penalties(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(PENALTIES); i++) {
        const penalty_row *row = &PENALTIES[i];
        mq_source *source = enter((unsigned)i);
        limits.penalty_first_ms = row->first_ms;
        limits.penalty_last_ms = row->last_ms;
        CHECK(row->name, source && !mq_source_is_penalised(source, 0));
        for (size_t j = 0; j < COUNT(row->steps) && row->steps[j].failures > 0; j++) {
            run_penalty_step(row, source, &row->steps[j]);
        }
        mq_source_leave(&sources, source);
    }
}

/* A penalty outlives the connections that earned it. */
static void test_penalty_is_remembered(void **state) {
    (void)state;
    mq_source *source = enter(1);
    for (int i = 0; i < 3; i++) {
        mq_source_failed(source, &limits, 0);
    }
    mq_source_leave(&sources, source);
    source = enter(1);
    assert_true(mq_source_is_penalised(source, SECOND - 1));
    mq_source_leave(&sources, source);
    mq_source *other = enter(2);
    assert_false(mq_source_is_penalised(other, 0));
    mq_source_leave(&sources, other);
}

static void test_connections_of_one(void **state) {
    (void)state;
    limits.connections_per_source_max = 3;
    mq_source *source = enter(1);
    assert_ptr_equal(enter(1), source);
    assert_ptr_equal(enter(1), source);
    assert_null(enter(1));
    assert_int_equal(source->connections, 3);
    mq_source *other = enter(2);
    assert_non_null(other);
    mq_source_leave(&sources, source);
    assert_ptr_equal(enter(1), source);
    assert_null(enter(1));
    mq_source_leave(&sources, other);
    for (int i = 0; i < 3; i++) {
        mq_source_leave(&sources, source);
    }
    assert_int_equal(sources.count, 0);
}

static void test_request_rate(void **state) {
    (void)state;
    limits.requests_burst = 5;
    limits.requests_rate = 10;
    mq_source *source = enter(1);
    for (int i = 0; i < 5; i++) {
        assert_true(mq_source_may_request(source, &limits, SECOND));
    }
    assert_false(mq_source_may_request(source, &limits, SECOND));
    /* A reconnect makes nobody faster. */
    mq_source_leave(&sources, source);
    source = enter(1);
    assert_false(mq_source_may_request(source, &limits, SECOND + SECOND / 10 - 1));
    assert_true(mq_source_may_request(source, &limits, SECOND + SECOND / 10));
    mq_source_leave(&sources, source);
}

/* Full: who has a connection stays; without any idle one there is no place. */
static void test_full_of_connections(void **state) {
    (void)state;
    mq_source *held[16];
    limits.sources_max = 16;
    for (unsigned i = 0; i < 16; i++) {
        held[i] = enter(i);
        assert_non_null(held[i]);
    }
    assert_null(enter(100));
    assert_ptr_equal(enter(3), held[3]);
    mq_source_leave(&sources, held[3]);
    mq_source_leave(&sources, held[5]);
    mq_source *next = enter(100);
    assert_non_null(next);
    mq_source_leave(&sources, next);
    for (unsigned i = 0; i < 16; i++) {
        if (i != 5) {
            mq_source_leave(&sources, held[i]);
        }
    }
    assert_int_equal(sources.count, 0);
}

static void test_longest_gone_is_forgotten(void **state) {
    (void)state;
    limits.sources_max = 16;
    for (unsigned i = 0; i < 16; i++) {
        assert_non_null(visit(i));
    }
    visit(0); /* here again: 1 is the longest gone now */
    visit(100);
    assert_int_equal(sources.count, 16);
    assert_true(is_remembered(0));
    assert_true(is_remembered(100));
    assert_true(is_remembered(2));
    assert_false(is_remembered(1));
}

static void test_penalised_is_forgotten_last(void **state) {
    (void)state;
    limits.sources_max = 16;
    for (unsigned i = 0; i < 16; i++) {
        mq_source *source = enter(i);
        mq_source_may_request(source, &limits, 1);
        for (int j = 0; i < 4 && j < 3; j++) {
            mq_source_failed(source, &limits, i);
        }
        mq_source_leave(&sources, source);
    }
    for (unsigned i = 0; i < 12; i++) {
        assert_non_null(visit(100 + i));
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_true(is_remembered(i));
    }
    /* Now all others are newer and in use, so a penalised one goes. */
    mq_source *held[12];
    for (unsigned i = 0; i < 12; i++) {
        held[i] = enter(100 + i);
        assert_non_null(held[i]);
    }
    mq_source *next = enter(200);
    assert_non_null(next);
    assert_int_equal(sources.count, 16);
    mq_source_leave(&sources, next);
    for (unsigned i = 0; i < 12; i++) {
        mq_source_leave(&sources, held[i]);
    }
}

/* Many long connections among the oldest must not hide that a place can be made. */
static void test_place_behind_long_connections(void **state) {
    (void)state;
    enum { LONG = 500, SHORT = 100 };
    static mq_source *held[LONG];
    limits.sources_max = LONG + SHORT;
    for (unsigned i = 0; i < LONG; i++) {
        held[i] = enter(i);
        assert_non_null(held[i]);
    }
    for (unsigned i = 0; i < SHORT; i++) {
        assert_non_null(visit(LONG + i));
    }
    mq_source *next = visit(9999);
    for (unsigned i = 0; i < LONG; i++) {
        mq_source_leave(&sources, held[i]);
    }
    assert_non_null(next);
}

static void test_no_memory(void **state) {
    (void)state;
    int error = 0;
    masque_address address = client(1);
    mq_sources other;
    memory.left = 0;
    assert_null(mq_sources_enter(&sources, &address, &limits, &error));
    assert_int_equal(error, MASQUE_ERR_NO_MEMORY);
    assert_int_equal(sources.count, 0);
    assert_int_equal(mq_sources_init(&other, &memory.allocator, 1), MASQUE_ERR_NO_MEMORY);
    mq_sources_free(&other);
}

/* Random comings and goings against plain counters, at capacity. */
static void test_against_counters(void **state) {
    (void)state;
    enum { CLIENTS = 200, ROUNDS = 100000 };
    static mq_source *entries[CLIENTS];
    static unsigned counts[CLIENTS];
    unit_random random = {.state = 9};
    memset(counts, 0, sizeof counts);
    limits.sources_max = 60;
    limits.connections_per_source_max = 4;
    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned number = (unsigned)unit_random_below(&random, CLIENTS);
        if (counts[number] > 0 && unit_random_below(&random, 5) > 0) {
            assert_int_equal(entries[number]->connections, counts[number]);
            mq_source_leave(&sources, entries[number]);
            counts[number]--;
        } else {
            mq_source *source = enter(number);
            if (source) {
                assert_true(counts[number] == 0 || entries[number] == source);
                assert_true(counts[number] < 4);
                mq_source_may_request(source, &limits, i);
                entries[number] = source;
                counts[number]++;
            }
        }
        assert_true(sources.count <= 60);
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        for (; counts[i] > 0; counts[i]--) {
            mq_source_leave(&sources, entries[i]);
        }
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_what_a_source_is),
        TEST(test_penalties),
        TEST(test_penalty_is_remembered),
        TEST(test_connections_of_one),
        TEST(test_request_rate),
        TEST(test_full_of_connections),
        TEST(test_longest_gone_is_forgotten),
        TEST(test_penalised_is_forgotten_last),
        TEST(test_place_behind_long_connections),
        TEST(test_no_memory),
        TEST(test_against_counters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
