/*
 * wire_client_hello_test.c: does a client list ChaCha20 first? Goal: the first
 * suite that isn't GREASE decides, and every cut, odd length or foreign byte says
 * no without a read behind the end.
 */
#include "wire/client_hello.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define HELLO_MAX 512

typedef struct hello_row {
    const char *name;
    size_t session_id;
    uint16_t suites[4];
    size_t count;
    bool chacha;
    size_t decided; /* the suite that decides */
} hello_row;

static const hello_row ROWS[] = {
    {"TLS 1.3 ChaCha20", 32, {0x1303, 0x1301}, 2, true, 0},
    {"TLS 1.2 ECDHE-RSA ChaCha20", 0, {0xcca8, 0xc02f}, 2, true, 0},
    {"TLS 1.2 ECDHE-ECDSA ChaCha20", 0, {0xcca9, 0xc02b}, 2, true, 0},
    {"only ChaCha20", 0, {0x1303}, 1, true, 0},
    {"AES first", 32, {0x1301, 0x1303}, 2, false, 0},
    {"AES-256 first", 32, {0x1302, 0x1303}, 2, false, 0},
    {"no ChaCha20", 32, {0x1301, 0x1302}, 2, false, 0},
    {"GREASE, then ChaCha20 (RFC 8701)", 32, {0x1a1a, 0x1303}, 2, true, 1},
    {"the first GREASE", 32, {0x0a0a, 0x1303}, 2, true, 1},
    {"the last GREASE", 32, {0xfafa, 0x1303}, 2, true, 1},
    {"two GREASE", 1, {0x2a2a, 0x3a3a, 0xcca8}, 3, true, 2},
    {"GREASE, then AES", 32, {0x4a4a, 0x1301, 0x1303}, 3, false, 1},
    {"half GREASE is a suite", 32, {0x1a2a, 0x1303}, 2, false, 0},
    {"nearly GREASE is a suite", 32, {0x1b1b, 0x1303}, 2, false, 0},
    {"only GREASE", 32, {0x5a5a}, 1, false, 0},
    {"no suite", 32, {0}, 0, false, 0},
    {"TLS_EMPTY_RENEGOTIATION_INFO first", 0, {0x00ff, 0x1303}, 2, false, 0},
    {"ChaCha20 of PSK", 0, {0xccab, 0x1303}, 2, false, 0},
    {"longest session identifier", 255, {0x1303}, 1, true, 0},
};

static size_t put_u16(uint8_t *bytes, size_t at, size_t value) {
    bytes[at] = (uint8_t)(value >> 8);
    bytes[at + 1] = (uint8_t)value;
    return at + 2;
}

/* RFC 8446 4.1.2 in one record; returns the length, *SUITES_AT where the first suite is. */
static size_t make_hello(const hello_row *row, uint8_t bytes[HELLO_MAX], size_t *suites_at) {
    memset(bytes, 0, HELLO_MAX);
    bytes[0] = 22;
    bytes[1] = 3;
    bytes[2] = 1;
    bytes[5] = 1;
    bytes[9] = bytes[10] = 3;
    memset(bytes + 11, 0x77, 32);
    bytes[43] = (uint8_t)row->session_id;
    memset(bytes + 44, 0x13, row->session_id);
    size_t at = put_u16(bytes, 44 + row->session_id, row->count * 2);
    *suites_at = at;
    for (size_t i = 0; i < row->count; i++) {
        at = put_u16(bytes, at, row->suites[i]);
    }
    /* Compression and extensions; what looks like a suite behind the list isn't one. */
    at = put_u16(bytes, at, 0x1303);
    at = put_u16(bytes, at, 0x1303);
    put_u16(bytes, 3, at - 5);
    put_u16(bytes, 7, at - 9);
    return at;
}

/* A copy of the exact size, so that a sanitizer sees a read behind it. */
static bool prefers(const uint8_t *bytes, size_t length) {
    uint8_t *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    bool result = mq_client_hello_prefers_chacha(copy, length);
    free(copy);
    return result;
}

static void test_every_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const hello_row *row = &ROWS[i];
        uint8_t bytes[HELLO_MAX];
        size_t suites_at;
        size_t whole = make_hello(row, bytes, &suites_at);
        for (size_t length = 0; length <= whole; length++) {
            bool seen = length >= suites_at + 2 * (row->decided + 1);
            CHECK(row->name, prefers(bytes, length) == (row->chacha && seen));
        }
    }
}

static void test_not_a_hello(void **state) {
    (void)state;
    uint8_t bytes[HELLO_MAX];
    size_t suites_at;
    size_t whole = make_hello(&ROWS[0], bytes, &suites_at);
    for (int type = 0; type < 256; type++) {
        bytes[0] = (uint8_t)type;
        assert_int_equal(prefers(bytes, whole), type == 22);
        bytes[0] = 22;
        bytes[5] = (uint8_t)type;
        assert_int_equal(prefers(bytes, whole), type == 1);
        bytes[5] = 1;
    }
    static const char http[] = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n";
    assert_false(prefers((const uint8_t *)http, sizeof http - 1));
}

/* Lengths that lie; an odd one holds no half suite. */
static void test_lengths_that_lie(void **state) {
    (void)state;
    uint8_t bytes[HELLO_MAX];
    size_t suites_at;
    size_t whole = make_hello(&ROWS[0], bytes, &suites_at);
    for (unsigned session_id = 0; session_id < 256; session_id++) {
        bytes[43] = (uint8_t)session_id;
        prefers(bytes, whole);
    }
    bytes[43] = 32;
    for (size_t length = 0; length <= 0xffff; length += length < 600 ? 1 : 997) {
        put_u16(bytes, suites_at - 2, length);
        assert_int_equal(prefers(bytes, whole), length >= 2);
    }
}

static void test_random_bytes(void **state) {
    (void)state;
    unit_random random = {.state = 11};
    size_t yes = 0;
    for (int i = 0; i < 100000; i++) {
        uint8_t bytes[HELLO_MAX];
        size_t suites_at;
        size_t whole = make_hello(&ROWS[unit_random_below(&random, COUNT(ROWS))], bytes, &suites_at);
        for (size_t edits = unit_random_below(&random, 4); edits > 0; edits--) {
            bytes[unit_random_below(&random, whole)] = (uint8_t)unit_random_next(&random);
        }
        yes += prefers(bytes, unit_random_below(&random, whole + 1));
    }
    assert_true(yes > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cut),
        cmocka_unit_test(test_not_a_hello),
        cmocka_unit_test(test_lengths_that_lie),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
