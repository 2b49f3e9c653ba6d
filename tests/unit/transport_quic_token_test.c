/* A token opens for its bearer, for a time, and for nobody else. */
#include "transport/quic_token.h"

#include <string.h>

#include "unit.h"

#define NOW (1000 * MASQUE_SECOND)
#define LIFETIME (10 * MASQUE_SECOND)

static unit_random random_state = {.state = 1};
static const masque_runtime RUNTIME = {.random = unit_random_source, .context = &random_state};
static const mq_quic_secret SECRET = {.id = 1, .key = {1, 2, 3}};
static const mq_quic_secret OTHER = {.id = 1, .key = {4}};
static const mq_token_bearer BEARER = {
    .address = {.family = MASQUE_IPV4, .ip = {192, 0, 2, 1}, .port = 4433}, .version = 1, .scid = {17, {9, 8, 7}}};
static const mq_cid ORIGINAL = {8, {1, 2, 3, 4, 5, 6, 7, 8}};

static mq_quic_keys keys, others;

static int set_up(void **state) {
    (void)state;
    return mq_quic_keys_init(&keys, &SECRET, 1) || mq_quic_keys_init(&others, &OTHER, 1);
}

static int tear_down(void **state) {
    (void)state;
    mq_quic_keys_free(&keys);
    mq_quic_keys_free(&others);
    return 0;
}

static bool opens(const uint8_t *token, size_t length, const mq_token_bearer *bearer, masque_time now) {
    mq_cid original;
    return mq_retry_token_open(&original, &keys.keys[0], token, length, bearer, LIFETIME, now) &&
           original.length == ORIGINAL.length && memcmp(original.bytes, ORIGINAL.bytes, ORIGINAL.length) == 0;
}

static void test_retry(void **state) {
    uint8_t token[MQ_TOKEN_MAX], second[MQ_TOKEN_MAX];
    mq_cid original;
    (void)state;
    size_t length = mq_retry_token_seal(token, &keys.keys[0], &RUNTIME, &BEARER, &ORIGINAL, NOW);
    assert_true(length > 0 && length <= MQ_TOKEN_MAX);
    assert_true(mq_token_is(token[0], MQ_TOKEN_OF_RETRY));
    assert_true(opens(token, length, &BEARER, NOW));
    assert_true(opens(token, length, &BEARER, NOW + LIFETIME));
    assert_false(opens(token, length, &BEARER, NOW + LIFETIME + 1));
    assert_false(opens(token, length, &BEARER, NOW - 1));
    assert_false(mq_retry_token_open(&original, &others.keys[0], token, length, &BEARER, LIFETIME, NOW));
    /* Two of the same have nothing in common. */
    assert_int_equal(mq_retry_token_seal(second, &keys.keys[0], &RUNTIME, &BEARER, &ORIGINAL, NOW), length);
    assert_memory_not_equal(token + 1, second + 1, length - 1);
}

/* Any bit flipped, any byte more or less. */
static void test_forged(void **state) {
    uint8_t token[MQ_TOKEN_MAX];
    (void)state;
    size_t length = mq_retry_token_seal(token, &keys.keys[0], &RUNTIME, &BEARER, &ORIGINAL, NOW);
    for (size_t bit = 0; bit < 8 * length; bit++) {
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(opens(token, length, &BEARER, NOW));
        token[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t shorter = 1; shorter < length; shorter++) {
        assert_false(opens(token, shorter, &BEARER, NOW));
    }
    assert_true(opens(token, length, &BEARER, NOW));
}

static void test_bearers(void **state) {
    uint8_t token[MQ_TOKEN_MAX];
    mq_token_bearer wrong[5];
    (void)state;
    size_t length = mq_retry_token_seal(token, &keys.keys[0], &RUNTIME, &BEARER, &ORIGINAL, NOW);
    for (size_t i = 0; i < 5; i++) {
        wrong[i] = BEARER;
    }
    wrong[0].address.port++;
    wrong[1].address.ip[3]++;
    wrong[2].address.family = MASQUE_IPV6;
    wrong[3].version = 2;
    wrong[4].scid.bytes[0]++;
    for (size_t i = 0; i < 5; i++) {
        assert_false(opens(token, length, &wrong[i], NOW));
    }
}

/* NEW_TOKEN's goes with the address alone, and is no Retry's. */
static void test_address(void **state) {
    uint8_t token[MQ_TOKEN_MAX];
    masque_address from = BEARER.address;
    (void)state;
    size_t length = mq_address_token_seal(token, &keys.keys[0], &RUNTIME, &from, NOW);
    assert_true(length > 0 && mq_token_is(token[0], MQ_TOKEN_OF_ADDRESS));
    from.port++;
    assert_true(mq_address_token_open(&keys.keys[0], token, length, &from, LIFETIME, NOW));
    assert_false(mq_address_token_open(&keys.keys[0], token, length, &from, LIFETIME, NOW + LIFETIME + 1));
    assert_false(mq_address_token_open(&others.keys[0], token, length, &from, LIFETIME, NOW));
    assert_false(opens(token, length, &BEARER, NOW));
    from.ip[0]++;
    assert_false(mq_address_token_open(&keys.keys[0], token, length, &from, LIFETIME, NOW));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_retry), cmocka_unit_test(test_forged),
                                       cmocka_unit_test(test_bearers), cmocka_unit_test(test_address)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
