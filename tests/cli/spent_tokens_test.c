/* The store of spent tokens: each once, whoever asks; bounded; and gone with its key. Threads race in it. */
#include <masqueproxy/privacy_pass.h>

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "spent_tokens.h"
#include "unit.h"

#define NOW 1000

static masque_spent_token token_of(uint64_t number, masque_unix_time not_after) {
    masque_spent_token token = {.not_after = not_after};
    unit_random random = {.state = number};
    unit_random_fill(&random, token.id, sizeof token.id);
    return token;
}

static masque_verdict spend(spent_tokens *store, uint64_t number, masque_unix_time not_after, masque_unix_time now) {
    const masque_spent_token token = token_of(number, not_after);
    return spent_tokens_spend(store, &token, now);
}

static void test_once(void **state) {
    enum { COUNT = 200000 };
    spent_tokens *store = spent_tokens_new(COUNT, 12345);
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(spend(store, i, (masque_unix_time)(i % 3 * 5000), NOW), MASQUE_AUTH_ALLOW);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        assert_int_equal(spend(store, i, (masque_unix_time)(i % 3 * 5000), NOW), MASQUE_AUTH_DENY);
    }
    spent_tokens_size size = spent_tokens_size_of(store);
    assert_int_equal(size.tokens, COUNT);
    assert_true(size.bytes <= 32 * COUNT);
    spent_tokens_free(store);
}

/* A full store allows nothing; what it knows it still knows. */
static void test_full(void **state) {
    spent_tokens *store = spent_tokens_new(100, 1);
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(spend(store, i, 0, NOW), MASQUE_AUTH_ALLOW);
    }
    assert_int_equal(spend(store, 100, 0, NOW), MASQUE_AUTH_UNAVAILABLE);
    assert_int_equal(spend(store, 100, 2000, NOW), MASQUE_AUTH_UNAVAILABLE);
    assert_int_equal(spend(store, 7, 0, NOW), MASQUE_AUTH_DENY);
    spent_tokens_free(store);
}

/* An hour after a key has ended its tokens make room, and not before. */
static void test_epochs(void **state) {
    spent_tokens *store = spent_tokens_new(100, 1);
    (void)state;
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(spend(store, i, i < 60 ? 2000 : 3000, NOW), MASQUE_AUTH_ALLOW);
    }
    assert_int_equal(spend(store, 7, 2000, 5600), MASQUE_AUTH_DENY);
    assert_int_equal(spend(store, 500, 3000, 5600), MASQUE_AUTH_UNAVAILABLE);
    assert_int_equal(spend(store, 500, 3000, 5601), MASQUE_AUTH_ALLOW);
    assert_int_equal(spend(store, 60, 3000, 5601), MASQUE_AUTH_DENY);
    assert_int_equal(spent_tokens_size_of(store).tokens, 41);
    spent_tokens_free(store);
}

typedef struct race {
    spent_tokens *store;
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
    race r = {.store = spent_tokens_new(1000000, 99)};
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
    spent_tokens_free(r.store);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_full),
                                       cmocka_unit_test(test_epochs), cmocka_unit_test(test_race)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
