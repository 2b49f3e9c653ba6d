/* Blind RSA: its three sides together, what is no number, key or signature, and the vectors of RFC 9474 and 9578. */
#include <stdlib.h>
#include <string.h>

#include "crypto/blind_rsa.h"
#include "support/issuer.h"
#include "vectors.h"

#define TOKEN_INPUT 98u

static masque_allocator allocator;

static int set_up(void **state) {
    (void)state;
    mq_allocator_init(&allocator, &(masque_allocator){.allocate = NULL});
    return 0;
}

static mq_rsa_key *own_key(void) {
    size_t length;
    char *pem = unit_read_data("unit-rsa-key.pem", &length);
    mq_rsa_key *key = support_rsa_key(&allocator, pem, length);
    free(pem);
    return key;
}

static mq_rsa_key *public_of(const mq_rsa_key *key) {
    uint8_t spki[MQ_RSA_SPKI_MAX];
    mq_rsa_key *public;
    size_t length = mq_rsa_write_spki(key, spki);
    assert_true(length > mq_rsa_length(key));
    assert_int_equal(mq_rsa_public_new(&public, &allocator, spki, length), 0);
    return public;
}

static void test_all_of_it(void **state) {
    unit_random random = {.state = 1};
    const masque_runtime runtime = {.random = unit_random_source, .context = &random};
    uint8_t blinded[2][MQ_RSA_MAX], answer[MQ_RSA_MAX], signature[2][MQ_RSA_MAX];
    mq_rsa_key *private = own_key();
    mq_rsa_key *public = public_of(private);
    mq_blind_rsa_state kept;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mq_blind_rsa_blind(public, &runtime, (const uint8_t *)"message", 7, blinded[i], &kept), 0);
        assert_int_equal(mq_blind_rsa_sign(private, blinded[i], answer), 0);
        assert_int_equal(mq_blind_rsa_finalize(public, &kept, answer, (const uint8_t *)"message", 7, signature[i]), 0);
        assert_int_equal(mq_blind_rsa_verify(public, (const uint8_t *)"message", 7, signature[i]), 0);
        assert_int_equal(mq_blind_rsa_verify(public, (const uint8_t *)"messagf", 7, signature[i]), MASQUE_ERR_INVALID);
        answer[9] ^= 1;
        assert_int_equal(mq_blind_rsa_finalize(public, &kept, answer, (const uint8_t *)"message", 7, signature[i]),
                         MASQUE_ERR_INVALID);
    }
    /* The issuer sees other numbers for the same message. */
    assert_memory_not_equal(blinded[0], blinded[1], 32);
    mq_rsa_del(public);
    mq_rsa_del(private);
}

/* No bit of a signature may be another. */
static void test_bits(void **state) {
    unit_random random = {.state = 2};
    const masque_runtime runtime = {.random = unit_random_source, .context = &random};
    uint8_t blinded[MQ_RSA_MAX], answer[MQ_RSA_MAX], signature[MQ_RSA_MAX];
    mq_rsa_key *private = own_key();
    mq_rsa_key *public = public_of(private);
    mq_blind_rsa_state kept;
    (void)state;
    assert_int_equal(mq_blind_rsa_blind(public, &runtime, (const uint8_t *)"m", 1, blinded, &kept), 0);
    assert_int_equal(mq_blind_rsa_sign(private, blinded, answer), 0);
    assert_int_equal(mq_blind_rsa_finalize(public, &kept, answer, (const uint8_t *)"m", 1, signature), 0);
    for (size_t bit = 0; bit < mq_rsa_length(public) * 8; bit++) {
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(mq_blind_rsa_verify(public, (const uint8_t *)"m", 1, signature), MASQUE_ERR_INVALID);
        signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(mq_blind_rsa_verify(public, (const uint8_t *)"m", 1, signature), 0);
    mq_rsa_del(public);
    mq_rsa_del(private);
}

/* Numbers that are none: 0, the modulus, and beyond. */
static void test_numbers(void **state) {
    uint8_t number[MQ_RSA_MAX] = {0}, out[MQ_RSA_MAX], salt[MQ_BLIND_RSA_SALT] = {0};
    mq_rsa_key *private = own_key();
    mq_rsa_key *public = public_of(private);
    mq_blind_rsa_state kept;
    (void)state;
    assert_int_equal(mq_blind_rsa_blind_with(public, salt, number, number, 1, out, &kept), MASQUE_ERR_INVALID);
    mq_rsa_modulus(public, number);
    assert_int_equal(mq_blind_rsa_blind_with(public, salt, number, number, 1, out, &kept), MASQUE_ERR_INVALID);
    assert_int_equal(mq_blind_rsa_sign(private, number, out), MASQUE_ERR_INVALID);
    assert_int_equal(mq_blind_rsa_verify(public, number, 1, number), MASQUE_ERR_INVALID);
    memset(number, 0xff, sizeof number);
    assert_int_equal(mq_blind_rsa_sign(private, number, out), MASQUE_ERR_INVALID);
    assert_int_equal(mq_blind_rsa_verify(public, number, 1, number), MASQUE_ERR_INVALID);
    assert_int_equal(mq_blind_rsa_sign(public, number, out), MASQUE_ERR_INVALID); /* it has no private half */
    mq_rsa_del(public);
    mq_rsa_del(private);
}

/* SubjectPublicKeyInfo: cut or longer, and with any byte changed that isn't of the numbers, it is none. */
static void test_spki(void **state) {
    uint8_t spki[MQ_RSA_SPKI_MAX + 1] = {0};
    mq_rsa_key *private = own_key();
    mq_rsa_key *key;
    (void)state;
    size_t length = mq_rsa_write_spki(private, spki);
    size_t modulus = length - 5 - mq_rsa_length(private);
    for (size_t i = 0; i <= length + 1; i++) {
        if (i != length) {
            assert_int_equal(mq_rsa_public_new(&key, &allocator, spki, i), MASQUE_ERR_INVALID);
            assert_null(key);
        }
    }
    for (size_t i = 0; i < modulus; i++) {
        spki[i] ^= 1;
        if (mq_rsa_public_new(&key, &allocator, spki, length) != MASQUE_ERR_INVALID) {
            fail_msg("byte %u is not looked at", (unsigned)i);
        }
        spki[i] ^= 1;
    }
    spki[modulus] &= 0x7f; /* 2,047 bits */
    assert_int_equal(mq_rsa_public_new(&key, &allocator, spki, length), MASQUE_ERR_INVALID);
    spki[modulus] |= 0x80;
    spki[length - 6] ^= 1; /* even */
    assert_int_equal(mq_rsa_public_new(&key, &allocator, spki, length), MASQUE_ERR_INVALID);
    mq_rsa_del(private);
}

static void test_no_memory(void **state) {
    uint8_t spki[MQ_RSA_SPKI_MAX];
    mq_rsa_key *private = own_key();
    mq_rsa_key *key;
    unit_memory memory;
    (void)state;
    size_t length = mq_rsa_write_spki(private, spki);
    unit_memory_init(&memory);
    memory.left = 0;
    assert_int_equal(mq_rsa_public_new(&key, &memory.allocator, spki, length), MASQUE_ERR_NO_MEMORY);
    assert_null(key);
    mq_rsa_del(private);
}

/* --- vectors ------------------------------------------------------------------------------------------------------ */

/* With 4,096 bits and the exponent 65,537. */
static mq_rsa_key *public_4096(const uint8_t *modulus) {
    static const char head[] =
        "30820252"
        "303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a301806092a864886f70d010108"
        "300b0609608648016503040202a203020130"
        "0382020f00"
        "3082020a"
        "0282020100";
    uint8_t spki[MQ_RSA_SPKI_MAX];
    mq_rsa_key *key;
    size_t length = unit_hex(spki, head);
    memcpy(spki + length, modulus, 512);
    length += 512;
    length += unit_hex(spki + length, "0203010001");
    assert_int_equal(mq_rsa_public_new(&key, &allocator, spki, length), 0);
    return key;
}

/* RFC 9474 appendix A: those with a salt. The blind is not given but by its inverse. */
static void test_rfc9474(void **state) {
    json_t *all = unit_vectors("blindrsa/rfc9474.json");
    json_t *one;
    size_t index, length, ran = 0;
    (void)state;
    json_array_foreach(all, index, one) {
        if (strcmp(json_string_value(json_object_get(one, "sLen")), "0x30") != 0) {
            continue;
        }
        mq_blind_rsa_state kept;
        uint8_t blinded[MQ_RSA_MAX], signature[MQ_RSA_MAX], blind[MQ_RSA_MAX];
        size_t message_length;
        uint8_t *modulus = unit_vector(one, "n", &length);
        uint8_t *message = unit_vector(one, "input_msg", &message_length);
        uint8_t *salt = unit_vector(one, "salt", &length);
        uint8_t *inverse = unit_vector(one, "inv", &length);
        uint8_t *expected = unit_vector(one, "blinded_msg", &length);
        uint8_t *answer = unit_vector(one, "blind_sig", &length);
        uint8_t *good = unit_vector(one, "sig", &length);
        mq_rsa_key *key = public_4096(modulus);
        assert_int_equal(mq_blind_rsa_blind_with(key, salt, inverse, message, message_length, blinded, &kept), 0);
        memcpy(blind, kept.inverse, sizeof blind);
        assert_int_equal(mq_blind_rsa_blind_with(key, salt, blind, message, message_length, blinded, &kept), 0);
        assert_memory_equal(kept.inverse, inverse, 512);
        assert_memory_equal(blinded, expected, 512);
        assert_int_equal(mq_blind_rsa_finalize(key, &kept, answer, message, message_length, signature), 0);
        assert_memory_equal(signature, good, 512);
        mq_rsa_del(key);
        free(modulus);
        free(message);
        free(salt);
        free(inverse);
        free(expected);
        free(answer);
        free(good);
        ran++;
    }
    assert_int_equal(ran, 2);
    json_decref(all);
}

/* Issuance of RFC 9578, by another implementation: keys, request, response, token. */
static void test_rfc9578(void **state) {
    json_t *all = unit_vectors("privacypass/pub_verif_rfc9578.go.json");
    json_t *one;
    size_t index, length;
    (void)state;
    json_array_foreach(all, index, one) {
        mq_blind_rsa_state kept;
        uint8_t out[MQ_RSA_MAX], spki[MQ_RSA_SPKI_MAX];
        size_t spki_length, pem_length;
        uint8_t *pem = unit_vector(one, "skS", &pem_length);
        uint8_t *public = unit_vector(one, "pkS", &spki_length);
        uint8_t *salt = unit_vector(one, "salt", &length);
        uint8_t *blind = unit_vector(one, "blind", &length);
        uint8_t *request = unit_vector(one, "token_request", &length);
        uint8_t *response = unit_vector(one, "token_response", &length);
        uint8_t *token = unit_vector(one, "token", &length);
        mq_rsa_key *issuer = support_rsa_key(&allocator, (const char *)pem, pem_length);
        mq_rsa_key *key;
        assert_int_equal(mq_rsa_public_new(&key, &allocator, public, spki_length), 0);
        assert_int_equal(mq_rsa_write_spki(issuer, spki), spki_length);
        assert_memory_equal(spki, public, spki_length);
        assert_int_equal(mq_blind_rsa_blind_with(key, salt, blind, token, TOKEN_INPUT, out, &kept), 0);
        assert_memory_equal(out, request + 3, 256);
        assert_int_equal(mq_blind_rsa_sign(issuer, request + 3, out), 0);
        assert_memory_equal(out, response, 256);
        assert_int_equal(mq_blind_rsa_finalize(key, &kept, response, token, TOKEN_INPUT, out), 0);
        assert_memory_equal(out, token + TOKEN_INPUT, 256);
        mq_rsa_del(key);
        mq_rsa_del(issuer);
        free(pem);
        free(public);
        free(salt);
        free(blind);
        free(request);
        free(response);
        free(token);
    }
    assert_true(index > 0);
    json_decref(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_of_it), cmocka_unit_test(test_bits),
                                       cmocka_unit_test(test_numbers),   cmocka_unit_test(test_spki),
                                       cmocka_unit_test(test_no_memory), cmocka_unit_test(test_rfc9474),
                                       cmocka_unit_test(test_rfc9578)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
