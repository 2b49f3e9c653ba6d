/* Which quota is whose: an identity's own before each of the method's, certificates by rules, and what is none. */
#include "auth/quotas.h"

#include <string.h>

#include "unit.h"

static masque_quota quota_of(const char *method, const char *identity, uint64_t tunnels) {
    return (masque_quota){.method = method, .identity = identity, .tunnels_max = tunnels};
}

static int add(mq_quotas *quotas, const unit_memory *memory, masque_quota quota) {
    return mq_quotas_add(quotas, &memory->allocator, &quota);
}

static uint64_t found(const mq_quotas *quotas, const char *method, const char *name, const masque_peer *peer,
                      uint8_t key[MQ_QUOTA_KEY_LENGTH]) {
    int error;
    const masque_quota *quota = mq_quotas_find(quotas, method, name, peer, key, &error);
    assert_int_equal(error, 0);
    return quota ? quota->tunnels_max : 0;
}

static void test_find(void **state) {
    unit_memory memory;
    mq_quotas quotas = {.list = NULL};
    static const char *const names[] = {"DNS:gateway.example"};
    const masque_peer gateway = {.subject = "CN=x", .names = names, .name_count = 1};
    const masque_peer other = {.subject = "CN=x"};
    uint8_t a[MQ_QUOTA_KEY_LENGTH], b[MQ_QUOTA_KEY_LENGTH];
    (void)state;
    unit_memory_init(&memory);
    assert_int_equal(add(&quotas, &memory, quota_of("basic", NULL, 1)), 0);
    assert_int_equal(add(&quotas, &memory, quota_of("basic", "alice", 2)), 0);
    assert_int_equal(add(&quotas, &memory, quota_of("preshared", "alice", 3)), 0);
    assert_int_equal(add(&quotas, &memory, quota_of("certificate", "dns:gateway.example", 4)), 0);
    assert_int_equal(add(&quotas, &memory, quota_of("certificate", NULL, 5)), 0);
    assert_int_equal(found(&quotas, "basic", "alice", NULL, a), 2);
    assert_int_equal(found(&quotas, "preshared", "alice", NULL, b), 3);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(found(&quotas, "preshared", "bob", NULL, b), 0);
    assert_int_equal(found(&quotas, "other", "alice", NULL, b), 0);
    /* Each on its own, unless a quota names them. */
    assert_int_equal(found(&quotas, "basic", "bob", NULL, a), 1);
    assert_int_equal(found(&quotas, "basic", "carol", NULL, b), 1);
    assert_memory_not_equal(a, b, sizeof a);
    assert_int_equal(found(&quotas, "certificate", "sha256:1", &gateway, a), 4);
    assert_int_equal(found(&quotas, "certificate", "sha256:2", &gateway, b), 4);
    assert_memory_equal(a, b, sizeof a);
    assert_int_equal(found(&quotas, "certificate", "sha256:1", &other, a), 5);
    assert_int_equal(found(&quotas, "certificate", "sha256:2", &other, b), 5);
    assert_memory_not_equal(a, b, sizeof a);
    mq_quotas_free(&quotas, &memory.allocator);
    assert_int_equal(memory.pieces, 0);
}

static void test_bad(void **state) {
    char longest[MASQUE_IDENTITY_MAX + 2];
    unit_memory memory;
    mq_quotas quotas = {.list = NULL};
    (void)state;
    unit_memory_init(&memory);
    memset(longest, 'x', sizeof longest);
    longest[MASQUE_IDENTITY_MAX + 1] = 0;
    assert_int_equal(add(&quotas, &memory, quota_of("basic", "alice", 1)), 0);
    assert_int_equal(add(&quotas, &memory, quota_of("basic", NULL, 1)), 0);
    assert_int_equal(add(&quotas, &memory, quota_of(NULL, "alice", 1)), MASQUE_ERR_INVALID);
    assert_int_equal(add(&quotas, &memory, quota_of("basic", "alice", 2)), MASQUE_ERR_INVALID);
    assert_int_equal(add(&quotas, &memory, quota_of("basic", NULL, 2)), MASQUE_ERR_INVALID);
    assert_int_equal(add(&quotas, &memory, quota_of("basic", "bob", 0)), MASQUE_ERR_INVALID);
    assert_int_equal(add(&quotas, &memory, quota_of("basic", longest, 1)), MASQUE_ERR_INVALID);
    assert_int_equal(add(&quotas, &memory, quota_of("certificate", "gateway.example", 1)), MASQUE_ERR_INVALID);
    longest[MASQUE_IDENTITY_MAX] = 0;
    assert_int_equal(add(&quotas, &memory, quota_of("basic", longest, 1)), 0);
    mq_quotas_free(&quotas, &memory.allocator);
    assert_int_equal(memory.pieces, 0);
}

static void test_without_memory(void **state) {
    unit_memory memory;
    (void)state;
    unit_memory_init(&memory);
    for (size_t left = 0, error = 1; error; left++) {
        mq_quotas quotas = {.list = NULL};
        memory.calls = 0;
        memory.left = left;
        error = add(&quotas, &memory, quota_of("certificate", "dns:a.example", 1)) != 0;
        assert_int_equal(quotas.count, !error);
        mq_quotas_free(&quotas, &memory.allocator);
        assert_int_equal(memory.pieces, 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
