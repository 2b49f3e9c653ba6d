/* Signed hints: one that OpenSSL signed, there and back, every bit of damage, and what is malformed
 * (masqueproxy/hint.h). */
#include <masqueproxy/hint.h>
#include <stdio.h>
#include <string.h>

#include "support/hint_key.h"
#include "unit.h"

/* openssl dgst -sha256 -sign, r and s taken out of it */
static const char SIGNED[] = "\"xn76c-JP\";exp=1767225600;aud=\"b.example.net\";kid=\"a1\";sig=:QGhpa/IHK7eTxmwuF5+"
                             "qEq0akWtAMcAK9bPQshfAltKg1HZvzjymK+QVL6t7pDiZZnJLmfi2uNOU7tEJYZphmA==:";

static int verify(const char *text, size_t length) {
    unit_memory memory;
    unit_memory_init(&memory);
    const masque_runtime runtime = {.allocator = memory.allocator};
    int error = masque_hint_verify(&runtime, text, length, HINT_PUBLIC_PEM, strlen(HINT_PUBLIC_PEM));
    assert_int_equal(memory.pieces, 0);
    return error;
}

static void test_of_openssl(void **state) {
    masque_hint hint;
    (void)state;
    assert_true(masque_hint_read(&hint, SIGNED, strlen(SIGNED)));
    assert_string_equal(hint.place.geohash, "xn76c");
    assert_string_equal(hint.place.country, "JP");
    assert_int_equal(hint.expires, 1767225600);
    assert_string_equal(hint.audience, "b.example.net");
    assert_string_equal(hint.kid, "a1");
    assert_true(hint.is_signed);
    assert_int_equal(verify(SIGNED, strlen(SIGNED)), 0);
}

/* Any bit of what is signed, or of the signature. */
static void test_damage(void **state) {
    char text[MASQUE_HINT_MAX];
    size_t length = strlen(SIGNED);
    (void)state;
    for (size_t i = 0; i < 8 * length; i++) {
        memcpy(text, SIGNED, length);
        text[i / 8] ^= (char)(1 << i % 8);
        int error = verify(text, length);
        assert_true(error == MASQUE_ERR_INVALID || error == MASQUE_ERR_DENIED);
    }
    for (size_t cut = 0; cut < length; cut++) {
        assert_int_not_equal(verify(SIGNED, cut), 0);
    }
}

static masque_hint usual(void) {
    return (masque_hint){.place = {.geohash = "u4pruydqqvj", .country = "GB"},
                         .expires = 1900000000,
                         .audience = "proxy.example:8443",
                         .kid = "2026-11"};
}

static void test_there_and_back(void **state) {
    unit_memory memory;
    char text[MASQUE_HINT_MAX];
    (void)state;
    unit_memory_init(&memory);
    const masque_runtime runtime = {.allocator = memory.allocator};
    masque_hint hint = usual(), again;
    for (int i = 0; i < 50; i++) { /* among them signatures whose numbers begin with a zero */
        hint.expires += i;
        assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text), 0);
        assert_true(masque_hint_read(&again, text, strlen(text)));
        again.is_signed = false;
        assert_memory_equal(&again.place, &hint.place, sizeof hint.place);
        assert_int_equal(again.expires, hint.expires);
        assert_string_equal(again.audience, hint.audience);
        assert_string_equal(again.kid, hint.kid);
        assert_int_equal(verify(text, strlen(text)), 0);
    }
    assert_int_equal(memory.pieces, 0);
}

static void test_refused_to_sign(void **state) {
    const masque_runtime runtime = {.context = NULL};
    char text[MASQUE_HINT_MAX];
    masque_hint hint = usual();
    (void)state;
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_PUBLIC_PEM, strlen(HINT_PUBLIC_PEM), text),
                     MASQUE_ERR_PRIVATE_KEY);
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, 0, text), MASQUE_ERR_PRIVATE_KEY);
    hint.kid[0] = '"';
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text),
                     MASQUE_ERR_INVALID);
    hint = usual();
    hint.audience[0] = 0;
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text),
                     MASQUE_ERR_INVALID);
    hint = usual();
    hint.expires = 0;
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text),
                     MASQUE_ERR_INVALID);
    hint = usual();
    hint.place.country[0] = 'g';
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text),
                     MASQUE_ERR_INVALID);
    assert_int_equal(masque_hint_verify(&runtime, SIGNED, strlen(SIGNED), HINT_SECRET_PEM, strlen(HINT_SECRET_PEM)),
                     MASQUE_ERR_INVALID);
}

/* Every length of audience and kid fits. */
static void test_longest(void **state) {
    const masque_runtime runtime = {.context = NULL};
    char text[MASQUE_HINT_MAX];
    masque_hint hint = {.place = {.geohash = "u4pruydqqvjz", .country = "GB"}, .expires = INT64_C(999999999999999)};
    (void)state;
    memset(hint.audience, 'a', MASQUE_HINT_AUDIENCE_MAX);
    memset(hint.kid, 'k', MASQUE_HINT_KID_MAX);
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text), 0);
    assert_int_equal(verify(text, strlen(text)), 0);
}

static void test_forms(void **state) {
    static const char *const good[] = {"xn76c-JP",
                                       "\"xn76c-JP\"",
                                       "\"xn76c-JP\";exp=1",
                                       "\"xn76c-JP\"; exp=1;a;b=?1",
                                       "\"xn76c-JP\";x=\"a;b\\\";\";exp=5",
                                       "\"xn76c-JP\";exp=-5"};
    static const char *const bad[] = {"",
                                      "\"",
                                      "\"xn76c-JP",
                                      "\"xn76c-JP\"x",
                                      "\"xn76c-JP\";",
                                      "\"xn76c-JP\";=1",
                                      "\"xn76c-JP\";Exp=1",
                                      "\"xn76c-JP\" ;exp=1",
                                      "\"xn76c-JP\";exp=",
                                      "\"xn76c-JP\";exp=x",
                                      "\"xn76c-JP\";exp=1234567890123456",
                                      "\"xn76c-JP\";aud=b",
                                      "\"xn76c-JP\";kid=\"a",
                                      "\"xn76c-JP\";sig=:AA:",
                                      "\"xn76c-JP\";sig=1",
                                      "xn76c-JP;exp=1",
                                      "\"xn76cdefghjkmn-JP\""};
    masque_hint hint;
    char late[MASQUE_HINT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(masque_hint_read(&hint, good[i], strlen(good[i])));
        assert_false(hint.is_signed);
        assert_string_equal(hint.place.country, "JP");
        assert_int_equal(verify(good[i], strlen(good[i])), MASQUE_ERR_DENIED);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (masque_hint_read(&hint, bad[i], strlen(bad[i]))) {
            fail_msg("taken: %s", bad[i]);
        }
    }
    snprintf(late, sizeof late, "%s;exp=1999999999", SIGNED); /* behind the signature */
    assert_false(masque_hint_read(&hint, late, strlen(late)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_openssl),      cmocka_unit_test(test_damage),  cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_refused_to_sign), cmocka_unit_test(test_longest), cmocka_unit_test(test_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
