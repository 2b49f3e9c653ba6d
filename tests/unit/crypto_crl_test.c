/*
 * crypto_crl_test.c: until when lists of revoked certificates are good. Goal: the first one's date, in every form that
 * dates and lists have; no damage reads behind the bytes; a long list costs no more than its length.
 */
#include "crypto/crl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/date.h"
#include "unit.h"

static void test_dates(void **state) {
    static const struct {
        const char *text;
        uint8_t type;
        uint64_t seconds;
    } rows[] = {
        {"700101000001Z", 0x17, 1},
        {"000229120000Z", 0x17, 951825600},
        {"491231235959Z", 0x17, 2524607999},
        {"20500101000000Z", 0x18, 2524608000},
        {"21000301000000Z", 0x18, 4107542400}, /* no leap year */
        {"99991231235959Z", 0x18, 253402300799},
        {"500101000000Z", 0x17, 0}, /* 1950 */
        {"7001010000Z", 0x17, 0},
        {"700101000001", 0x17, 0},
        {"700101010001+0100", 0x17, 0},
        {"20500101000000.5Z", 0x18, 0},
        {"700101000001Z", 0x04, 0},
        {"", 0x17, 0},
        {"Z", 0x17, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        /* Exactly as long, for sanitizers. */
        size_t length = strlen(rows[i].text);
        uint8_t *text = malloc(length + 1);
        memcpy(text, rows[i].text, length);
        CHECK(rows[i].text, mq_date_seconds(rows[i].type, text, length) == rows[i].seconds);
        free(text);
    }
}

/* --- lists -------------------------------------------------------------------------------------------------------- */

#define ISSUER "\x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01x"
#define SIGNATURE "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"
#define VERSION "\x02\x01\x01"
#define THIS_UPDATE                                                                                                    \
    "\x17\x0d"                                                                                                         \
    "260101000000Z"

static size_t put_head(uint8_t *at, size_t length) {
    at[0] = 0x30;
    at[1] = 0x84;
    for (size_t i = 0; i < 4; i++) {
        at[2 + i] = (uint8_t)(length >> (24 - 8 * i));
    }
    return 6;
}

/* A list with NEXT, an element or "", and REVOKED bytes of what is revoked; the signature isn't looked at. */
static uint8_t *make(const char *version, const char *next, size_t next_length, size_t revoked, size_t *length) {
    uint8_t *list = calloc(1, revoked + 256);
    size_t body =
        strlen(version) + sizeof SIGNATURE - 1 + sizeof ISSUER - 1 + sizeof THIS_UPDATE - 1 + next_length + 6 + revoked;
    size_t at = put_head(list, body + 6);
    at += put_head(list + at, body);
    memcpy(list + at, version, strlen(version));
    at += strlen(version);
    memcpy(list + at, SIGNATURE ISSUER THIS_UPDATE, sizeof SIGNATURE ISSUER THIS_UPDATE - 1);
    at += sizeof SIGNATURE ISSUER THIS_UPDATE - 1;
    memcpy(list + at, next, next_length);
    at += next_length;
    at += put_head(list + at, revoked);
    *length = at + revoked;
    return list;
}

static void test_der(void **state) {
    static const struct {
        const char *name, *version, *next;
        uint64_t until;
    } rows[] = {
        {"UTC", VERSION,
         "\x17\x0d"
         "260102000000Z",
         1767312000},
        {"generalized", VERSION,
         "\x18\x0f"
         "20500101000000Z",
         2524608000},
        {"version 1", "",
         "\x17\x0d"
         "260102000000Z",
         1767312000},
        {"no date", VERSION, "", UINT64_MAX},
        {"a date that is none", VERSION,
         "\x17\x0d"
         "26010200000xZ",
         0},
        {"an empty one", VERSION,
         "\x17\x00"
         "",
         0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t length;
        size_t next_length = i == 5 ? 2 : strlen(rows[i].next);
        uint8_t *list = make(rows[i].version, rows[i].next, next_length, 10, &length);
        CHECK(rows[i].name, mq_crl_until(list, length) == rows[i].until);
        free(list);
    }
}

/* What is cut off, or changed, is another date or none, and nothing behind it is read. */
static void test_damage(void **state) {
    size_t length;
    uint8_t *list = make(VERSION,
                         "\x17\x0d"
                         "260102000000Z",
                         15, 10, &length);
    (void)state;
    for (size_t cut = 1; cut < length; cut++) {
        uint8_t *part = malloc(cut);
        memcpy(part, list, cut);
        uint64_t until = mq_crl_until(part, cut);
        assert_true(until == 0 || until == 1767312000 || until == UINT64_MAX);
        free(part);
    }
    for (size_t bit = 8; bit < 8 * length; bit++) {
        uint8_t *changed = malloc(length);
        memcpy(changed, list, length);
        changed[bit / 8] = (uint8_t)(changed[bit / 8] ^ 1u << bit % 8);
        (void)mq_crl_until(changed, length);
        free(changed);
    }
    free(list);
}

/* wolfSSL's own way takes minutes for this one. */
static void test_long(void **state) {
    size_t length;
    uint8_t *list = make(VERSION,
                         "\x17\x0d"
                         "260102000000Z",
                         15, 4000000, &length);
    (void)state;
    for (int i = 0; i < 100; i++) {
        assert_true(mq_crl_until(list, length) == 1767312000);
    }
    free(list);
}

/* The first that is due counts, of any number, with text between them. */
static void test_pem(void **state) {
    size_t length;
    char *pem = unit_read_data("sim_client_crl.pem", &length);
    char *several = calloc(1, 3 * length + 200);
    (void)state;
    assert_true(mq_crl_until((const uint8_t *)pem, length) == 4906276679);
    size_t at = (size_t)snprintf(several, 3 * length + 200, "a list\n%s\nand another\n%s", pem, pem);
    assert_true(mq_crl_until((const uint8_t *)several, at) == 4906276679);
    at += (size_t)snprintf(several + at, 200, "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n");
    assert_true(mq_crl_until((const uint8_t *)several, at) == 0);
    assert_true(mq_crl_until((const uint8_t *)"none", 4) == 0);
    free(several);
    free(pem);
}

static bool count_one(void *context, const uint8_t *bytes, size_t length, bool pem) {
    size_t *left = context;
    (void)bytes;
    (void)length;
    (void)pem;
    return (*left)-- > 1;
}

static void test_each(void **state) {
    static const char text[] = "-----BEGIN X509 CRL----- x -----BEGIN X509 CRL----- y -----BEGIN X509 CRL-----";
    size_t left = 100;
    (void)state;
    assert_true(mq_crl_each((const uint8_t *)text, sizeof text - 1, count_one, &left));
    assert_int_equal(left, 97);
    left = 2;
    assert_false(mq_crl_each((const uint8_t *)text, sizeof text - 1, count_one, &left));
    assert_int_equal(left, 0);
    assert_false(mq_crl_each((const uint8_t *)"", 0, count_one, &left));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dates), cmocka_unit_test(test_der), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_long),  cmocka_unit_test(test_pem), cmocka_unit_test(test_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
