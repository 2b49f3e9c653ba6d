/*
 * base_error_test.c: the texts of errors. Goal: each value has its own name and
 * text, and any other number has one too.
 */
#include <masqueproxy/base.h>

#include <string.h>

#include "unit.h"

typedef struct error_row {
    int value;
    const char *name;
    const char *text;
} error_row;

static const error_row ROWS[] = {
#define MASQUE_X(name, value, text) {MASQUE_ERR_##name, "MASQUE_ERR_" #name, (text)},
    MASQUE_ERRORS(MASQUE_X)
#undef MASQUE_X
};

static void test_all(void **state) {
    (void)state;
    assert_int_equal(ROWS[0].value, 0);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        CHECK(ROWS[i].name, strcmp(masque_error_name(ROWS[i].value), ROWS[i].name) == 0);
        CHECK(ROWS[i].name, strcmp(masque_error_text(ROWS[i].value), ROWS[i].text) == 0);
        for (size_t j = 0; j < i; j++) {
            CHECK(ROWS[i].name, ROWS[i].value != ROWS[j].value && strcmp(ROWS[i].text, ROWS[j].text) != 0);
        }
    }
}

static void test_unknown(void **state) {
    (void)state;
    static const int values[] = {1, -9999, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < COUNT(values); i++) {
        assert_string_equal(masque_error_text(values[i]), "unknown error");
        assert_string_equal(masque_error_name(values[i]), "MASQUE_ERR_UNKNOWN");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_unknown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
