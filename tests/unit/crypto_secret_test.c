/*
 * crypto_secret_test.c: comparing secrets. Goal: the digest is HMAC-SHA-256 (the
 * vectors of RFC 4231), and every single bit makes a difference.
 */
#include "crypto/secret.h"

#include <string.h>

#include "unit.h"

typedef struct digest_row {
    const char *name;
    const char *key; /* HMAC pads keys with zeros, and so do we to 32 bytes */
    const char *text;
    const char *digest;
} digest_row;

#define TEN(text) text text text text text text text text text text

static const digest_row DIGESTS[] = {
    {"RFC 4231 4.2", TEN("\x0b") TEN("\x0b"), "Hi There",
     "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {"RFC 4231 4.3", "Jefe", "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {"RFC 4231 4.4", TEN("\xaa") TEN("\xaa"), TEN("\xdd\xdd\xdd\xdd\xdd"),
     "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {"RFC 4231 4.5", "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20\21\22\23\24\25\26\27\30\31",
     TEN("\xcd\xcd\xcd\xcd\xcd"), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
};

static void test_digests(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(DIGESTS); i++) {
        const digest_row *row = &DIGESTS[i];
        uint8_t key[MQ_SECRET_DIGEST_LENGTH] = {0};
        uint8_t digest[MQ_SECRET_DIGEST_LENGTH];
        uint8_t expected[MQ_SECRET_DIGEST_LENGTH];
        memcpy(key, row->key, strlen(row->key));
        assert_int_equal(unit_hex(expected, row->digest), sizeof expected);
        CHECK(row->name, mq_secret_digest(digest, key, row->text, strlen(row->text)) == 0);
        CHECK(row->name, memcmp(digest, expected, sizeof digest) == 0);
        CHECK(row->name, mq_secret_same(digest, expected, MQ_SECRET_DIGEST_LENGTH));
    }
}

static void test_every_bit_differs(void **state) {
    (void)state;
    unit_random random = {.state = 7};
    uint8_t a[MQ_SECRET_DIGEST_LENGTH];
    uint8_t b[MQ_SECRET_DIGEST_LENGTH];
    unit_random_fill(&random, a, sizeof a);
    memcpy(b, a, sizeof a);
    assert_true(mq_secret_same(a, b, MQ_SECRET_DIGEST_LENGTH));
    for (size_t bit = 0; bit < 8 * sizeof a; bit++) {
        b[bit / 8] = (uint8_t)(b[bit / 8] ^ 1 << bit % 8);
        assert_false(mq_secret_same(a, b, MQ_SECRET_DIGEST_LENGTH));
        assert_false(mq_secret_same(b, a, MQ_SECRET_DIGEST_LENGTH));
        memcpy(b, a, sizeof a);
    }
    memset(b, 0, sizeof b);
    assert_false(mq_secret_same(a, b, MQ_SECRET_DIGEST_LENGTH));
}

static void test_empty_text(void **state) {
    (void)state;
    static const uint8_t key[MQ_SECRET_DIGEST_LENGTH] = {1};
    uint8_t a[MQ_SECRET_DIGEST_LENGTH];
    uint8_t b[MQ_SECRET_DIGEST_LENGTH];
    assert_int_equal(mq_secret_digest(a, key, NULL, 0), 0);
    assert_int_equal(mq_secret_digest(b, key, "", 0), 0);
    assert_true(mq_secret_same(a, b, MQ_SECRET_DIGEST_LENGTH));
    assert_int_equal(mq_secret_digest(b, key, "\0", 1), 0);
    assert_false(mq_secret_same(a, b, MQ_SECRET_DIGEST_LENGTH));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_every_bit_differs),
        cmocka_unit_test(test_empty_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
