/* The attester counts tokens by account and period, forgets periods that are over, and takes no more accounts than it
   was told. */
#include <masqueproxy/token_attester.h>

#include <stdio.h>
#include <string.h>

#include "unit.h"

typedef struct world {
    masque_unix_time now;
    unit_memory memory;
    unit_random random;
    masque_token_attester *attester;
} world;

static masque_unix_time clock_of(void *context) {
    const world *w = context;
    return w->now;
}

static void open_world(world *w, uint64_t tokens, size_t accounts) {
    *w = (world){.now = 1800000000};
    unit_memory_init(&w->memory);
    const masque_runtime runtime = {
        .allocator = w->memory.allocator, .random = unit_random_source, .context = &w->random};
    const masque_token_attester_options options = {
        .tokens_per_account = tokens, .period = 3600, .accounts_max = accounts, .clock = clock_of, .context = w};
    assert_int_equal(masque_token_attester_new(&w->attester, &options, &runtime), 0);
}

static void close_world(world *w) {
    masque_token_attester_free(w->attester);
    assert_int_equal(w->memory.pieces, 0);
}

static bool take(world *w, const char *name, size_t count) {
    return masque_token_attester_take(w->attester, name, strlen(name), count);
}

static void test_limits(void **state) {
    world w;
    (void)state;
    open_world(&w, 10, 100);
    assert_true(take(&w, "alice", 4));
    assert_false(take(&w, "alice", 7));
    assert_true(take(&w, "alice", 6));
    assert_false(take(&w, "alice", 1));
    assert_false(take(&w, "alice", SIZE_MAX));
    assert_false(take(&w, "bob", 11));
    assert_false(take(&w, "bob", 0));
    assert_true(take(&w, "bob", 10));
    /* What an issuer did not give may be asked for again, and no more than that. */
    masque_token_attester_give_back(w.attester, "alice", 5, 3);
    assert_false(take(&w, "alice", 4));
    assert_true(take(&w, "alice", 3));
    masque_token_attester_give_back(w.attester, "carol", 5, 3);
    assert_false(take(&w, "carol", 11));
    close_world(&w);
}

static void test_periods(void **state) {
    world w;
    (void)state;
    open_world(&w, 10, 100);
    w.now = 3600 * 500000L + 3599;
    assert_true(take(&w, "alice", 10));
    assert_false(take(&w, "alice", 1));
    w.now++;
    assert_true(take(&w, "alice", 10));
    assert_false(take(&w, "alice", 1));
    close_world(&w);
}

static void test_many(void **state) {
    world w;
    char name[32];
    (void)state;
    open_world(&w, 2, 5000);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5000; i++) {
            snprintf(name, sizeof name, "account %d", i);
            assert_true(take(&w, name, 1));
        }
    }
    assert_false(take(&w, "account 17", 1));
    assert_false(take(&w, "one more", 1));
    w.memory.left = 0;
    w.memory.calls = 0;
    assert_false(take(&w, "one more", 1));
    close_world(&w);
}

static void test_without_memory(void **state) {
    world w;
    (void)state;
    open_world(&w, 2, 5000);
    w.memory.calls = 0;
    w.memory.left = 0;
    assert_false(take(&w, "alice", 1));
    w.memory.left = 1000;
    assert_true(take(&w, "alice", 1));
    close_world(&w);
}

static int check(world *w, const char *client) {
    const masque_address address = unit_address(client, 1234);
    return masque_token_attester_check(w->attester, &address);
}

static bool checked(world *w, const char *client, bool right) {
    const masque_address address = unit_address(client, 4321);
    return masque_token_attester_checked(w->attester, &address, right);
}

static void test_guesses(void **state) {
    world w;
    masque_limits limits;
    (void)state;
    open_world(&w, 10, 100);
    masque_limits_init(&limits);
    for (uint64_t i = 1; i <= limits.auth_failures_max; i++) {
        assert_int_equal(check(&w, "192.0.2.1"), 0);
        assert_int_equal(checked(&w, "192.0.2.1", false), i == limits.auth_failures_max);
    }
    assert_int_equal(check(&w, "192.0.2.1"), MASQUE_ERR_AUTH_FAILURES);
    assert_int_equal(check(&w, "::ffff:192.0.2.1"), MASQUE_ERR_AUTH_FAILURES);
    assert_int_equal(check(&w, "192.0.2.2"), 0);
    assert_false(checked(&w, "192.0.2.2", true));
    w.now += (masque_unix_time)(limits.penalty_first_ms / 1000);
    assert_int_equal(check(&w, "192.0.2.1"), 0);
    assert_false(checked(&w, "192.0.2.1", true));
    close_world(&w);
}

/* Of one source, which is a whole /64, only so many are checked at a time. */
static void test_checks_at_once(void **state) {
    world w;
    (void)state;
    open_world(&w, 10, 100);
    assert_int_equal(check(&w, "2001:db8::1"), 0);
    assert_int_equal(check(&w, "2001:db8::2"), 0);
    assert_int_equal(check(&w, "2001:db8::3"), MASQUE_ERR_OVERLOAD);
    assert_int_equal(check(&w, "2001:db8:0:1::1"), 0);
    assert_false(checked(&w, "2001:db8::1", true));
    assert_int_equal(check(&w, "2001:db8::3"), 0);
    assert_false(checked(&w, "2001:db8::2", true));
    assert_false(checked(&w, "2001:db8::3", false));
    assert_false(checked(&w, "2001:db8:0:1::1", true));
    /* One that was never begun. */
    assert_false(checked(&w, "192.0.2.9", false));
    w.memory.calls = 0;
    w.memory.left = 0;
    assert_int_equal(check(&w, "192.0.2.9"), MASQUE_ERR_NO_MEMORY);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_periods), cmocka_unit_test(test_many),
        cmocka_unit_test(test_without_memory), cmocka_unit_test(test_guesses), cmocka_unit_test(test_checks_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
