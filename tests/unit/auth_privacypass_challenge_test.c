/* TokenChallenge: there and back, malformed ones, and the digests of RFC 9577 appendix A. */
#include <stdlib.h>
#include <string.h>

#include "auth/privacypass/challenge.h"
#include "vectors.h"

static const uint8_t CONTEXT[MQ_REDEMPTION_CONTEXT] = {1, 2, 3};

static void check_back(const mq_token_challenge *challenge) {
    uint8_t bytes[300], digest[MQ_TOKEN_DIGEST], again[MQ_TOKEN_DIGEST];
    mq_token_challenge back;
    size_t length = mq_token_challenge_length(challenge);
    assert_true(length <= sizeof bytes);
    mq_token_challenge_write(challenge, bytes);
    for (size_t cut = 0; cut < length; cut++) {
        assert_false(mq_token_challenge_read(&back, bytes, cut));
    }
    assert_false(mq_token_challenge_read(&back, bytes, length + 1));
    assert_true(mq_token_challenge_read(&back, bytes, length));
    assert_int_equal(back.type, challenge->type);
    assert_int_equal(mq_token_challenge_length(&back), length);
    assert_memory_equal(back.issuer, challenge->issuer, challenge->issuer_length);
    assert_memory_equal(back.origin_info, challenge->origin_info, challenge->origin_info_length);
    assert_int_equal(mq_token_challenge_digest(challenge, digest), 0);
    assert_int_equal(mq_token_challenge_digest(&back, again), 0);
    assert_memory_equal(digest, again, sizeof digest);
}

static void test_there_and_back(void **state) {
    mq_token_challenge challenge = {.type = MQ_TOKEN_BLIND_RSA, .issuer = "issuer.example", .issuer_length = 14};
    (void)state;
    challenge.origin_info = "";
    check_back(&challenge);
    challenge.origin_info = "a.example,b.example";
    challenge.origin_info_length = 19;
    check_back(&challenge);
    challenge.redemption_context = CONTEXT;
    challenge.redemption_context_length = sizeof CONTEXT;
    challenge.type = 0xda7a;
    check_back(&challenge);
}

/* Of "0002 000e issuer.example 00 000e origin.example". */
static void test_digest(void **state) {
    const mq_token_challenge challenge = {.type = 2,
                                          .issuer = "issuer.example",
                                          .issuer_length = 14,
                                          .origin_info = "origin.example",
                                          .origin_info_length = 14};
    uint8_t digest[MQ_TOKEN_DIGEST], expected[MQ_TOKEN_DIGEST];
    (void)state;
    unit_hex(expected, "11e15c91a7c2ad02abd66645802373db1d823bea80f08d452541fb2b62b5898b");
    assert_int_equal(mq_token_challenge_digest(&challenge, digest), 0);
    assert_memory_equal(digest, expected, sizeof digest);
}

static void test_malformed(void **state) {
    static const char *const texts[] = {
        "",                   /* nothing */
        "0002",               /* a type alone */
        "00020000000000",     /* no issuer */
        "000200016101ff0000", /* a context of one byte */
        "000200016121"
        "000000000000000000000000000000000000000000000000000000000000000000"
        "0000", /* of 33 */
        "00020001610000"
        "01", /* a cut origin info */
        "0002000161000000"
        "00", /* something behind */
    };
    mq_token_challenge challenge;
    uint8_t bytes[100];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        size_t length = unit_hex(bytes, texts[i]);
        if (mq_token_challenge_read(&challenge, bytes, length)) {
            fail_msg("%s is taken", texts[i]);
        }
    }
}

/* The challenges of RFC 9577 appendix A, and what their tokens hold of them. */
static void test_vectors(void **state) {
    json_t *all = unit_vectors("privacypass/auth_scheme_token_v14.json");
    json_t *one;
    size_t index;
    (void)state;
    json_array_foreach(all, index, one) {
        uint8_t digest[MQ_TOKEN_DIGEST];
        size_t type_length, issuer_length, context_length, info_length, input_length;
        uint8_t *type = unit_vector(one, "token_type", &type_length);
        uint8_t *issuer = unit_vector(one, "issuer_name", &issuer_length);
        uint8_t *context = unit_vector(one, "redemption_context", &context_length);
        uint8_t *info = unit_vector(one, "origin_info", &info_length);
        uint8_t *input = unit_vector(one, "token_authenticator_input", &input_length);
        const mq_token_challenge challenge = {.type = (uint16_t)(type[0] << 8 | type[1]),
                                              .issuer = (const char *)issuer,
                                              .issuer_length = issuer_length,
                                              .redemption_context = context,
                                              .redemption_context_length = context_length,
                                              .origin_info = (const char *)info,
                                              .origin_info_length = info_length};
        assert_int_equal(mq_token_challenge_digest(&challenge, digest), 0);
        assert_memory_equal(digest, input + 2 + 32, sizeof digest);
        free(type);
        free(issuer);
        free(context);
        free(info);
        free(input);
    }
    assert_true(index > 0);
    json_decref(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_digest),
                                       cmocka_unit_test(test_malformed), cmocka_unit_test(test_vectors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
