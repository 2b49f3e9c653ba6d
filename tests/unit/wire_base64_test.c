/* Base64 with the examples of RFC 4648, and what is none. */
#include <string.h>

#include "unit.h"
#include <masqueproxy/base64.h>

typedef struct row {
    const char *text;
    const char *bytes; /* NULL: refused */
    size_t length;
} row;

static const row ROWS[] = {
    {"", "", 0},
    /* RFC 4648 10. */
    {"Zg==", "f", 1},
    {"Zm8=", "fo", 2},
    {"Zm9v", "foo", 3},
    {"Zm9vYg==", "foob", 4},
    {"Zm9vYmFy", "foobar", 6},
    /* Without padding, and half of it. */
    {"Zg", "f", 1},
    {"Zm8", "fo", 2},
    {"Zg=", NULL, 0},
    {"Zm9v=", NULL, 0},
    {"Zm9v====", NULL, 0},
    {"=", NULL, 0},
    {"==", NULL, 0},
    {"Z", NULL, 0},
    {"Zm9vY", NULL, 0},
    /* The two alphabets. */
    {"+/+/", "\xfb\xff\xbf", 3},
    {"-_-_", "\xfb\xff\xbf", 3},
    {"-/-/", NULL, 0},
    {"+_", NULL, 0},
    /* Not of any. */
    {"Zm 8", NULL, 0},
    {"Zm8\n", NULL, 0},
    {"Z=8=", NULL, 0},
    {"Zm8.", NULL, 0},
    {"Zm\xc3\xa4", NULL, 0},
    /* Bits to spare. */
    {"Zh==", NULL, 0},
    {"Zm9=", NULL, 0},
    {"Zm9", NULL, 0},
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        const row *r = &ROWS[i];
        uint8_t bytes[16];
        size_t length;
        bool good = masque_base64_decode(bytes, sizeof bytes, &length, r->text, strlen(r->text));
        if (good != (r->bytes != NULL) || (good && (length != r->length || memcmp(bytes, r->bytes, length) != 0))) {
            fail_msg("'%s'", r->text);
        }
        if (good && r->length > 0) {
            assert_false(masque_base64_decode(bytes, r->length - 1, &length, r->text, strlen(r->text)));
            assert_true(masque_base64_decode(bytes, r->length, &length, r->text, strlen(r->text)));
        }
    }
}

static void test_there_and_back(void **state) {
    uint8_t bytes[256], back[256];
    char text[MASQUE_BASE64_LENGTH(256) + 1];
    size_t got;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 167);
    }
    for (size_t length = 0; length <= sizeof bytes; length++) {
        masque_base64_encode(text, bytes, length);
        assert_int_equal(strlen(text), MASQUE_BASE64_LENGTH(length));
        assert_true(masque_base64_decode(back, sizeof back, &got, text, strlen(text)));
        assert_int_equal(got, length);
        assert_memory_equal(back, bytes, length);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_there_and_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
