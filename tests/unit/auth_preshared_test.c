/*
 * auth_preshared_test.c: the Preshared scheme. Goal: exactly the configured keys
 * are allowed, whichever of them, and nothing that only resembles one.
 */
#include "auth/preshared.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

#define KEY_A "correct-horse"
#define KEY_B "battery-staple"
#define KEY_C "12345678"

static const uint8_t HMAC_KEY[MQ_SECRET_DIGEST_LENGTH] = {1, 2, 3};

static unit_memory memory;
static mq_preshared preshared;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    mq_preshared_init(&preshared, &memory.allocator, HMAC_KEY);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    mq_preshared_free(&preshared);
    return memory.pieces == 0 ? 0 : -1;
}

static int add(const char *name, const char *key) {
    return mq_preshared_add(&preshared, name, key, strlen(key));
}

static masque_verdict check(const char *scheme, const char *credential, size_t length) {
    masque_auth_request request = {.scheme = scheme,
                                   .scheme_length = scheme ? strlen(scheme) : 0,
                                   .credential = credential,
                                   .credential_length = length};
    return mq_preshared_check(&preshared, &request);
}

typedef struct check_row {
    const char *name;
    const char *scheme;
    const char *credential;
    masque_verdict verdict;
} check_row;

static const check_row CHECKS[] = {
    {"first key", "Preshared", KEY_A, MASQUE_AUTH_ALLOW},
    {"middle key", "Preshared", KEY_B, MASQUE_AUTH_ALLOW},
    {"last key", "Preshared", KEY_C, MASQUE_AUTH_ALLOW},
    {"scheme in small letters", "preshared", KEY_A, MASQUE_AUTH_ALLOW},
    {"scheme in capitals", "PRESHARED", KEY_A, MASQUE_AUTH_ALLOW},
    {"scheme mixed", "pReShArEd", KEY_A, MASQUE_AUTH_ALLOW},
    {"another scheme", "Basic", KEY_A, MASQUE_AUTH_NEXT},
    {"a longer scheme", "Preshared2", KEY_A, MASQUE_AUTH_NEXT},
    {"a shorter scheme", "Preshare", KEY_A, MASQUE_AUTH_NEXT},
    {"no scheme", "", KEY_A, MASQUE_AUTH_NEXT},
    {"no scheme, no credential", NULL, NULL, MASQUE_AUTH_NEXT},
    {"scheme with a near character", "Preshare\x04", KEY_A, MASQUE_AUTH_NEXT},
    {"no credential", "Preshared", NULL, MASQUE_AUTH_DENY},
    {"an empty credential", "Preshared", "", MASQUE_AUTH_DENY},
    {"another key", "Preshared", "correct-house", MASQUE_AUTH_DENY},
    {"keys have a case", "Preshared", "Correct-horse", MASQUE_AUTH_DENY},
    {"a prefix of a key", "Preshared", "correct-hors", MASQUE_AUTH_DENY},
    {"a key and more", "Preshared", "correct-horse ", MASQUE_AUTH_DENY},
    {"a space before", "Preshared", " correct-horse", MASQUE_AUTH_DENY},
    {"two keys", "Preshared", "correct-horse,battery-staple", MASQUE_AUTH_DENY},
    {"quoted", "Preshared", "\"correct-horse\"", MASQUE_AUTH_DENY},
    {"a name of a key", "Preshared", "alpha", MASQUE_AUTH_DENY},
};

static void test_checks(void **state) {
    (void)state;
    assert_int_equal(add("alpha", KEY_A), 0);
    assert_int_equal(add("beta", KEY_B), 0);
    assert_int_equal(add("gamma", KEY_C), 0);
    for (size_t i = 0; i < COUNT(CHECKS); i++) {
        const check_row *row = &CHECKS[i];
        size_t length = row->credential ? strlen(row->credential) : 0;
        CHECK(row->name, check(row->scheme, row->credential, length) == row->verdict);
    }
}

/* Every bit of a key counts, and a zero in the middle ends nothing. */
static void test_every_bit(void **state) {
    (void)state;
    assert_int_equal(add("alpha", KEY_A), 0);
    for (size_t bit = 0; bit < 8 * (sizeof KEY_A - 1); bit++) {
        char key[] = KEY_A;
        key[bit / 8] = (char)(key[bit / 8] ^ 1 << bit % 8);
        assert_int_equal(check("Preshared", key, sizeof key - 1), MASQUE_AUTH_DENY);
    }
    assert_int_equal(check("Preshared", KEY_A, sizeof KEY_A), MASQUE_AUTH_DENY);
    assert_int_equal(check("Preshared", KEY_A "\0x", sizeof KEY_A + 1), MASQUE_AUTH_DENY);
    assert_int_equal(check("Preshared", KEY_A, sizeof KEY_A - 1), MASQUE_AUTH_ALLOW);
}

static void test_no_keys(void **state) {
    (void)state;
    assert_int_equal(check("Preshared", "", 0), MASQUE_AUTH_DENY);
    assert_int_equal(check("Preshared", KEY_A, sizeof KEY_A - 1), MASQUE_AUTH_DENY);
}

/* Each of many keys, in a table that had to grow. */
static void test_many_keys(void **state) {
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        char name[32];
        char key[32];
        snprintf(name, sizeof name, "name %u", i);
        snprintf(key, sizeof key, "key-number-%u", i);
        assert_int_equal(add(name, key), 0);
        for (unsigned j = 0; j <= i + 1; j++) {
            int length = snprintf(key, sizeof key, "key-number-%u", j);
            masque_verdict expected = j <= i ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY;
            assert_int_equal(check("Preshared", key, (size_t)length), expected);
        }
    }
}

static void test_key_lengths(void **state) {
    (void)state;
    char key[MASQUE_PRESHARED_KEY_MAX + 2];
    memset(key, 'k', sizeof key);
    for (size_t length = 0; length < sizeof key; length++) {
        char name[32];
        snprintf(name, sizeof name, "%zu", length);
        bool valid = length >= MASQUE_PRESHARED_KEY_MIN && length <= MASQUE_PRESHARED_KEY_MAX;
        CHECK(name, mq_preshared_add(&preshared, name, key, length) == (valid ? 0 : MASQUE_ERR_INVALID));
        CHECK(name, check("Preshared", key, length) == (valid ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY));
    }
    /* Far longer than any key. */
    static char huge[65536];
    memset(huge, 'k', sizeof huge);
    assert_int_equal(check("Preshared", huge, sizeof huge), MASQUE_AUTH_DENY);
}

/* Only visible ASCII: what an HTTP field carries unchanged as one word. */
static void test_key_bytes(void **state) {
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        for (size_t at = 0; at < 8; at += 7) {
            char key[8];
            char name[32];
            memset(key, at == 0 ? 'k' : 'j', sizeof key); /* none twice */
            key[at] = (char)byte;
            snprintf(name, sizeof name, "%d at %zu", byte, at);
            bool valid = byte > ' ' && byte <= '~';
            CHECK(name, mq_preshared_add(&preshared, name, key, sizeof key) == (valid ? 0 : MASQUE_ERR_INVALID));
        }
    }
}

static void test_names(void **state) {
    (void)state;
    char name[MASQUE_PRESHARED_NAME_MAX + 2] = "";
    assert_int_equal(add("", KEY_A), MASQUE_ERR_INVALID);
    memset(name, 'n', sizeof name - 1);
    assert_int_equal(add(name, KEY_A), MASQUE_ERR_INVALID);
    name[MASQUE_PRESHARED_NAME_MAX] = 0;
    assert_int_equal(add(name, KEY_A), 0);
    assert_int_equal(add(name, KEY_B), MASQUE_ERR_INVALID);
    assert_int_equal(check("Preshared", KEY_B, sizeof KEY_B - 1), MASQUE_AUTH_DENY);
    assert_int_equal(add("another name", KEY_C), 0);
    assert_int_equal(preshared.count, 2);
    assert_string_equal(preshared.keys[0].name, name);
}

static void test_no_memory(void **state) {
    (void)state;
    memory.left = 0;
    assert_int_equal(add("alpha", KEY_A), MASQUE_ERR_NO_MEMORY);
    assert_int_equal(check("Preshared", KEY_A, sizeof KEY_A - 1), MASQUE_AUTH_DENY);
    memory.left = 1;
    size_t added = 0;
    char name[] = "a", key[] = "key-of-a";
    int error;
    while ((error = add(name, key)) == 0) {
        added++;
        key[7] = ++name[0];
    }
    assert_int_equal(error, MASQUE_ERR_NO_MEMORY);
    assert_int_equal(preshared.count, added);
    assert_int_equal(check("Preshared", "key-of-a", 8), MASQUE_AUTH_ALLOW);
}

static bool holds(const void *bytes, size_t size, const char *text) {
    size_t length = strlen(text);
    for (size_t at = 0; at + length <= size; at++) {
        if (memcmp((const char *)bytes + at, text, length) == 0) {
            return true;
        }
    }
    return false;
}

/* A dump of the table tells no key, and other HMAC keys give other digests. */
static void test_keys_are_not_kept(void **state) {
    (void)state;
    assert_int_equal(add("alpha", KEY_A), 0);
    assert_false(holds(preshared.keys, preshared.count * sizeof *preshared.keys, KEY_A));
    static const uint8_t other_key[MQ_SECRET_DIGEST_LENGTH] = {3, 2, 1};
    mq_preshared other;
    mq_preshared_init(&other, &memory.allocator, other_key);
    assert_int_equal(mq_preshared_add(&other, "alpha", KEY_A, sizeof KEY_A - 1), 0);
    assert_memory_not_equal(other.keys[0].digest, preshared.keys[0].digest, MQ_SECRET_DIGEST_LENGTH);
    mq_preshared_free(&other);
}

/* Two names of one key: whose would it be? */
static void test_one_key_twice(void **state) {
    masque_identity identity = {.name = ""};
    const masque_auth_request request = {.scheme = "Preshared",
                                         .scheme_length = 9,
                                         .credential = KEY_C,
                                         .credential_length = strlen(KEY_C),
                                         .identity = &identity};
    (void)state;
    assert_int_equal(add("a", KEY_A), 0);
    assert_int_equal(add("b", KEY_B), 0);
    assert_int_equal(add("c", KEY_C), 0);
    assert_int_equal(add("d", KEY_C), MASQUE_ERR_INVALID);
    assert_int_equal(preshared.count, 3);
    assert_int_equal(mq_preshared_check(&preshared, &request), MASQUE_AUTH_ALLOW);
    assert_string_equal(identity.name, "c");
    assert_true(mq_preshared_still(&preshared, identity.mark));
    identity.mark[3] ^= 1;
    assert_false(mq_preshared_still(&preshared, identity.mark));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_checks),        TEST(test_every_bit),   TEST(test_no_keys),
        TEST(test_many_keys),     TEST(test_key_lengths), TEST(test_key_bytes),
        TEST(test_names),         TEST(test_no_memory),   TEST(test_keys_are_not_kept),
        TEST(test_one_key_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
