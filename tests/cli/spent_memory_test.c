/* The store of spent tokens: each once, whoever asks; bounded; and gone with its key. Threads race in it. */
#include <masqueproxy/privacy_pass.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "spent/memory.h"
#include "unit.h"

#define NOW 1000

static masque_spent_token token_of(uint64_t number, masque_unix_time not_after) {
    masque_spent_token token = {.not_after = not_after};
    unit_random random = {.state = number};
    unit_random_fill(&random, token.id, sizeof token.id);
    memcpy(token.key_id, &not_after, sizeof not_after);
    return token;
}

static masque_verdict spend(spent_memory *store, uint64_t number, masque_unix_time not_after, masque_unix_time now) {
    const masque_spent_token token = token_of(number, not_after);
    return spent_memory_spend(store, &token, now);
}

static void test_once(void **state) {
    enum { COUNT = 200000 };
    spent_memory *store = spent_memory_new(COUNT, 12345);
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(spend(store, i, (masque_unix_time)(i % 3 * 5000), NOW), MASQUE_AUTH_ALLOW);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(spend(store, i, (masque_unix_time)(i % 3 * 5000), NOW), MASQUE_AUTH_DENY);
    }
    spent_memory_size size = spent_memory_size_of(store);
    assert_int_equal(size.tokens, COUNT);
    assert_true(size.bytes <= 32 * COUNT);
    spent_memory_free(store);
}

/* A full store allows nothing; what it knows it still knows. */
static void test_full(void **state) {
    spent_memory *store = spent_memory_new(100, 1);
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(spend(store, i, 0, NOW), MASQUE_AUTH_ALLOW);
    }
    assert_int_equal(spend(store, 100, 0, NOW), MASQUE_AUTH_UNAVAILABLE);
    assert_int_equal(spend(store, 100, 2000, NOW), MASQUE_AUTH_UNAVAILABLE);
    assert_int_equal(spend(store, 7, 0, NOW), MASQUE_AUTH_DENY);
    spent_memory_free(store);
}

/* An hour after a key has ended its tokens make room, and not before. */
static void test_epochs(void **state) {
    spent_memory *store = spent_memory_new(100, 1);
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(spend(store, i, i < 60 ? 2000 : 3000, NOW), MASQUE_AUTH_ALLOW);
    }
    assert_int_equal(spend(store, 7, 2000, 5600), MASQUE_AUTH_DENY);
    assert_int_equal(spend(store, 500, 3000, 5600), MASQUE_AUTH_UNAVAILABLE);
    assert_int_equal(spend(store, 500, 3000, 5601), MASQUE_AUTH_ALLOW);
    assert_int_equal(spend(store, 60, 3000, 5601), MASQUE_AUTH_DENY);
    assert_int_equal(spent_memory_size_of(store).tokens, 41);
    spent_memory_free(store);
}

/* The end of a key is moved by a reload: what was spent stays spent, by the later end. */
static void test_prolonged(void **state) {
    spent_memory *store = spent_memory_new(100, 1);
    masque_spent_token token = token_of(1, 2000);
    const masque_unix_time ends[] = {3000, 0, 2000};
    (void)state;
    assert_int_equal(spent_memory_spend(store, &token, NOW), MASQUE_AUTH_ALLOW);
    for (size_t i = 0; i < 3; i++) {
        token.not_after = ends[i];
        assert_int_equal(spent_memory_spend(store, &token, NOW), MASQUE_AUTH_DENY);
    }
    assert_int_equal(spend(store, 2, 4000, 1000000), MASQUE_AUTH_ALLOW);
    assert_int_equal(spent_memory_spend(store, &token, 1000000), MASQUE_AUTH_DENY);
    spent_memory_free(store);
}

typedef struct race {
    spent_memory *store;
    atomic_uint allowed;
    atomic_uint other;
    pthread_barrier_t start;
} race;

#define RACERS 64
#define TOKENS 500

static void *run(void *argument) {
    race *r = argument;
    pthread_barrier_wait(&r->start);
    for (uint64_t i = 0; i < TOKENS; i++) {
        masque_verdict verdict = spend(r->store, i, (masque_unix_time)(2000 + i % 7), NOW);
        atomic_fetch_add(&r->allowed, verdict == MASQUE_AUTH_ALLOW);
        atomic_fetch_add(&r->other, verdict != MASQUE_AUTH_ALLOW && verdict != MASQUE_AUTH_DENY);
    }
    return NULL;
}

static void test_race(void **state) {
    race r = {.store = spent_memory_new(1000000, 99)};
    pthread_t threads[RACERS];
    (void)state;
    pthread_barrier_init(&r.start, NULL, RACERS);
    for (size_t i = 0; i < RACERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, run, &r), 0);
    }
    for (size_t i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&r.start);
    assert_int_equal(atomic_load(&r.allowed), TOKENS);
    assert_int_equal(atomic_load(&r.other), 0);
    spent_memory_free(r.store);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_epochs), cmocka_unit_test(test_prolonged),
                                       cmocka_unit_test(test_race)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
