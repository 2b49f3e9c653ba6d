/*
 * policy_limits_test.c: the list of limits as data. Goal: every key sets its own
 * field and no other, within its range and not beyond.
 */
#include <masqueproxy/limits.h>

#include <string.h>

#include "unit.h"

typedef struct limit_row {
    const char *key;
    size_t offset;
    uint64_t standard;
    uint64_t least;
    uint64_t most;
} limit_row;

static const limit_row ROWS[] = {
#define MASQUE_X(field, key, standard, least, most)                                                                    \
    {(key), offsetof(masque_limits, field), (standard), (least), (most)},
    MASQUE_LIMITS(MASQUE_X)
#undef MASQUE_X
};

static uint64_t field_of(const masque_limits *limits, const limit_row *row) {
    uint64_t value;
    memcpy(&value, (const char *)limits + row->offset, sizeof value);
    return value;
}

static void set_field(masque_limits *limits, const limit_row *row, uint64_t value) {
    memcpy((char *)limits + row->offset, &value, sizeof value);
}

/* True when all fields but ROW's are at their default. */
static bool others_are_standard(const masque_limits *limits, const limit_row *row) {
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        if (&ROWS[i] != row && field_of(limits, &ROWS[i]) != ROWS[i].standard) {
            return false;
        }
    }
    return true;
}

static void test_list(void **state) {
    (void)state;
    assert_int_equal(COUNT(ROWS) * sizeof(uint64_t), sizeof(masque_limits));
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        CHECK(ROWS[i].key, ROWS[i].least <= ROWS[i].standard && ROWS[i].standard <= ROWS[i].most);
        CHECK(ROWS[i].key, strspn(ROWS[i].key, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(ROWS[i].key));
        for (size_t j = 0; j < i; j++) {
            CHECK(ROWS[i].key, strcmp(ROWS[i].key, ROWS[j].key) != 0);
        }
    }
}

static void test_defaults(void **state) {
    (void)state;
    masque_limits limits;
    memset(&limits, 0x5a, sizeof limits);
    masque_limits_init(&limits);
    assert_true(others_are_standard(&limits, NULL));
    assert_null(masque_limits_check(&limits));
    /* RFC 9298 3.1: UDP without a word for two minutes at least. */
    assert_true(limits.datagram_idle_timeout_ms >= 120000);
    /* RFC 9114 6.1. */
    assert_true(limits.tunnels_per_connection_max >= 100);
}

static void check_set(const limit_row *row, uint64_t value, bool valid) {
    masque_limits limits;
    uint64_t least = 1;
    uint64_t most = 1;
    masque_limits_init(&limits);
    int error = masque_limits_set(&limits, row->key, value, &least, &most);
    CHECK(row->key, error == (valid ? 0 : MASQUE_ERR_INVALID));
    CHECK(row->key, least == row->least && most == row->most);
    CHECK(row->key, field_of(&limits, row) == (valid ? value : row->standard));
    CHECK(row->key, others_are_standard(&limits, row));
    set_field(&limits, row, value);
    if (valid) { /* these two bound each other, see test_share_of_a_tunnel() */
        limits.connection_buffer_max = 1073741824;
    }
    const char *wrong = masque_limits_check(&limits);
    CHECK(row->key, valid ? wrong == NULL : wrong && strcmp(wrong, row->key) == 0);
}

static void test_ranges(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const limit_row *row = &ROWS[i];
        check_set(row, row->least, true);
        check_set(row, row->most, true);
        check_set(row, row->most + 1, false);
        check_set(row, UINT64_MAX, false);
        if (row->least > 0) {
            check_set(row, row->least - 1, false);
            check_set(row, 0, false);
        }
    }
}

/* 1 KiB for each tunnel. */
static void test_share_of_a_tunnel(void **state) {
    (void)state;
    masque_limits limits;
    masque_limits_init(&limits);
    limits.tunnels_per_connection_max = 1000;
    limits.connection_buffer_max = 1024000;
    assert_null(masque_limits_check(&limits));
    limits.connection_buffer_max--;
    assert_string_equal(masque_limits_check(&limits), "connection-buffer");
    limits.tunnels_per_connection_max = 999;
    assert_null(masque_limits_check(&limits));
}

static void test_unknown_key(void **state) {
    (void)state;
    static const char *const keys[] = {
        "", "header", "header-fields ", "Header-Fields", "header_fields_max", "header-field"};
    for (size_t i = 0; i < COUNT(keys); i++) {
        masque_limits limits;
        uint64_t least = 1;
        uint64_t most = 1;
        masque_limits_init(&limits);
        CHECK(keys[i], masque_limits_set(&limits, keys[i], 64, &least, &most) == MASQUE_ERR_INVALID);
        CHECK(keys[i], least == 0 && most == 0);
        CHECK(keys[i], others_are_standard(&limits, NULL));
    }
}

/* The first field out of range is named, not the last. */
static void test_first_wrong(void **state) {
    (void)state;
    masque_limits limits;
    masque_limits_init(&limits);
    for (size_t i = COUNT(ROWS); i > 0; i--) {
        set_field(&limits, &ROWS[i - 1], UINT64_MAX);
        CHECK(ROWS[i - 1].key, strcmp(masque_limits_check(&limits), ROWS[i - 1].key) == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_ranges),      cmocka_unit_test(test_share_of_a_tunnel),
        cmocka_unit_test(test_unknown_key), cmocka_unit_test(test_first_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
