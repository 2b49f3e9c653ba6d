/* PrivateToken credentials: all spellings of one token give the same bytes, and the rest is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/privacypass/token.h"
#include "unit.h"
#include <masqueproxy/base64.h>

/* A token of TYPE and LENGTH bytes as text. */
static void make(char *text, uint16_t type, size_t length) {
    uint8_t bytes[MQ_PRIVATE_TOKEN_MAX + 16];
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(i * 7);
    }
    bytes[0] = (uint8_t)(type >> 8);
    bytes[1] = (uint8_t)type;
    masque_base64_encode(text, bytes, length);
}

static bool reads(mq_token *token, const char *before, const char *text, const char *behind) {
    char credential[1200];
    int length = snprintf(credential, sizeof credential, "%s%s%s", before, text, behind);
    char *exact = malloc((size_t)length + 1);
    assert_non_null(exact);
    memcpy(exact, credential, (size_t)length);
    bool good = mq_token_read(token, exact, (size_t)length);
    free(exact);
    return good;
}

static void test_lengths(void **state) {
    static const size_t lengths[][2] = {{MQ_TOKEN_VOPRF, 146}, {MQ_TOKEN_BLIND_RSA, 354}};
    char text[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX + 16) + 1];
    mq_token token;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint16_t type = (uint16_t)lengths[i][0];
        for (size_t length = lengths[i][1] - 2; length <= lengths[i][1] + 2; length++) {
            make(text, type, length);
            assert_int_equal(reads(&token, "token=", text, ""), length == lengths[i][1]);
        }
        make(text, type, lengths[i][1]);
        assert_true(reads(&token, "token=", text, ""));
        assert_int_equal(token.type, type);
        assert_int_equal(mq_token_nonce(&token)[0], 2 * 7);
        assert_int_equal(mq_token_challenge_digest_of(&token)[0], (34 * 7) & 255);
        assert_int_equal(mq_token_key_id(&token)[0], (66 * 7) & 255);
        assert_int_equal(mq_token_authenticator(&token)[0], (98 * 7) & 255);
    }
    make(text, 3, 354);
    assert_false(reads(&token, "token=", text, ""));
    make(text, 0xda7a, 354);
    assert_false(reads(&token, "token=", text, ""));
}

typedef struct spelling {
    const char *before;
    const char *behind;
    bool good;
} spelling;

static const spelling SPELLINGS[] = {
    {"token=", "", true},
    {"token=\"", "\"", true},
    {"TOKEN=", "", true},
    {"Token = ", "  ", true},
    {"  token\t=\"", "\" ", true},
    {"max-age=10, token=", "", true},
    {"x=\"a,token=b\\\"\", token=", "", true},
    {",, token=", ",,", true},
    {"token=", ", other=1", true},
    {"token=\"\\", "\"", true}, /* a quoted pair of the first character */
    {"", "", false},
    {"tokens=", "", false},
    {"toke=", "", false},
    {"token", "", false},
    {"token=\"", "", false},
    {"token=", "\"", false},
    {"token=\"", "\\", false},
    {"token=x, token=", "", false},
    {"token=", ", token=x", false},
    {"token=", " other=1", false},
    {"token=", ", other", false},
    {"token=", ", other=", false},
    {"token= ,", "", false},
    {"=", "", false},
    {"token=-", "", false},
    {"token=", "A", false},
    {"token=", "===", false},
};

/* What clients write and what they don't; in every case the bytes are the same. */
static void test_spellings(void **state) {
    char text[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 1];
    mq_token plain, token;
    (void)state;
    for (unsigned type = 1; type <= 2; type++) {
        make(text, (uint16_t)type, type == 1 ? 146 : 354);
        assert_true(reads(&plain, "token=", text, ""));
        for (size_t i = 0; i < sizeof SPELLINGS / sizeof SPELLINGS[0]; i++) {
            const spelling *s = &SPELLINGS[i];
            if (reads(&token, s->before, text, s->behind) != s->good) {
                fail_msg("'%s...%s'", s->before, s->behind);
            }
            if (s->good) {
                assert_int_equal(token.length, plain.length);
                assert_memory_equal(token.bytes, plain.bytes, plain.length);
            }
        }
    }
}

/* The other alphabet, without padding; but no bits to spare: RFC 4648 3.5. */
static void test_alphabets(void **state) {
    char text[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 1];
    mq_token plain, token;
    (void)state;
    make(text, MQ_TOKEN_VOPRF, 146);
    assert_true(reads(&plain, "token=", text, ""));
    size_t length = strlen(text);
    assert_int_equal(text[length - 1], '=');
    text[length - 1] = '\0';
    assert_true(reads(&token, "token=", text, ""));
    assert_memory_equal(token.bytes, plain.bytes, plain.length);
    for (size_t i = 0; i < length - 1; i++) {
        text[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
    }
    assert_true(reads(&token, "token=", text, ""));
    assert_true(reads(&token, "token=\"", text, "=\""));
    assert_memory_equal(token.bytes, plain.bytes, plain.length);
    text[length - 2]++;
    assert_false(reads(&token, "token=", text, ""));
}

static void test_too_long(void **state) {
    static char text[1001];
    mq_token token;
    (void)state;
    memset(text, 'A', 1000);
    assert_false(reads(&token, "token=", text, ""));
    assert_false(reads(&token, "token=\"", text, "\""));
    assert_false(reads(&token, text, "=", "x"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lengths), cmocka_unit_test(test_spellings),
                                       cmocka_unit_test(test_alphabets), cmocka_unit_test(test_too_long)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
