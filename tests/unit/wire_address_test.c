/*
 * wire_address_test.c: IP addresses as text. Goal: one strict reading (RFC 4291
 * 2.2, no zones, no leading zeros), one spelling out (RFC 5952 4), and no
 * difference to the system's inet_pton() but where the header says so.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

typedef struct text_row {
    const char *name;
    const char *text;
    const char *expected; /* formatted again; NULL: refused */
} text_row;

static const text_row TEXTS[] = {
    {"ipv4", "192.0.2.1", "192.0.2.1"},
    {"ipv4 zeros", "0.0.0.0", "0.0.0.0"},
    {"ipv4 largest", "255.255.255.255", "255.255.255.255"},
    {"ipv4 too large", "256.0.0.1", NULL},
    {"ipv4 four digits", "1000.0.0.1", NULL},
    {"ipv4 leading zero", "192.0.02.1", NULL},
    {"ipv4 octal", "0177.0.0.1", NULL},
    {"ipv4 double zero", "00.0.0.1", NULL},
    {"ipv4 hexadecimal", "0x7f.0.0.1", NULL},
    {"ipv4 three numbers", "127.0.1", NULL},
    {"ipv4 two numbers", "127.1", NULL},
    {"ipv4 one number", "2130706433", NULL},
    {"ipv4 five numbers", "1.2.3.4.5", NULL},
    {"ipv4 final dot", "1.2.3.4.", NULL},
    {"ipv4 first dot", ".1.2.3.4", NULL},
    {"ipv4 empty number", "1..3.4", NULL},
    {"ipv4 space before", " 1.2.3.4", NULL},
    {"ipv4 space behind", "1.2.3.4 ", NULL},
    {"ipv4 plus", "+1.2.3.4", NULL},
    {"ipv4 minus", "1.-2.3.4", NULL},
    {"ipv4 with port", "1.2.3.4:80", NULL},
    {"ipv4 full-width digit", "\xef\xbc\x91.2.3.4", NULL},
    {"empty", "", NULL},
    {"dot", ".", NULL},
    {"ipv6 unspecified", "::", "::"},
    {"ipv6 loopback", "::1", "::1"},
    {"ipv6 full", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"},
    {"ipv6 leading zeros go (RFC 5952 4.1)", "2001:0db8::0001", "2001:db8::1"},
    {"ipv6 shortened as far as can be (4.2.1)", "2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
    {"ipv6 one zero group stays (4.2.2)", "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
    {"ipv6 longest run (4.2.3)", "2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
    {"ipv6 first of equals (4.2.3)", "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
    {"ipv6 lower case (4.3)", "2001:DB8::AbCd", "2001:db8::abcd"},
    {"ipv6 gap at the end", "2001:db8::", "2001:db8::"},
    {"ipv6 gap of two at the end", "1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
    {"ipv6 gap of two at the start", "0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
    {"ipv6 gap for one group", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
    {"ipv6 gap for the first", "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
    {"ipv6 eight zeros", "0:0:0:0:0:0:0:0", "::"},
    {"ipv6 zeros but one", "0:0:0:0:0:0:0:1", "::1"},
    {"ipv6 all ones", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {"ipv6 mapped", "::ffff:192.0.2.1", "::ffff:c000:201"},
    {"ipv6 nat64", "64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
    {"ipv6 six groups and ipv4", "1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a"},
    {"ipv6 compatible", "::13.1.68.3", "::d01:4403"},
    {"ipv6 longest text", "0000:0000:0000:0000:0000:ffff:255.255.255.255", "::ffff:ffff:ffff"},
    {"ipv6 seven groups", "1:2:3:4:5:6:7", NULL},
    {"ipv6 nine groups", "1:2:3:4:5:6:7:8:9", NULL},
    {"ipv6 gap for nothing", "1:2:3:4::5:6:7:8", NULL},
    {"ipv6 gap for nothing at the end", "1:2:3:4:5:6:7:8::", NULL},
    {"ipv6 gap for nothing at the start", "::1:2:3:4:5:6:7:8", NULL},
    {"ipv6 two gaps", "1::2::3", NULL},
    {"ipv6 three colons", "1:::2", NULL},
    {"ipv6 only three colons", ":::", NULL},
    {"ipv6 one colon", ":", NULL},
    {"ipv6 first colon", ":1:2:3:4:5:6:7:8", NULL},
    {"ipv6 first colon before gap", ":1::2", NULL},
    {"ipv6 last colon", "1:2:3:4:5:6:7:", NULL},
    {"ipv6 last colon behind gap", "1::2:", NULL},
    {"ipv6 five digits", "12345::1", NULL},
    {"ipv6 five digits of zero", "00001::1", NULL},
    {"ipv6 no hex", "g::1", NULL},
    {"ipv6 zone", "fe80::1%eth0", NULL},
    {"ipv6 zone number", "fe80::1%1", NULL},
    {"ipv6 encoded zone", "fe80::1%25eth0", NULL},
    {"ipv6 prefix", "2001:db8::/32", NULL},
    {"ipv6 brackets", "[::1]", NULL},
    {"ipv6 space", ":: 1", NULL},
    {"ipv6 seven groups and ipv4", "1:2:3:4:5:6:7:1.2.3.4", NULL},
    {"ipv6 five groups and ipv4", "1:2:3:4:5:1.2.3.4", NULL},
    {"ipv6 ipv4 not last", "::1.2.3.4:5", NULL},
    {"ipv6 ipv4 first", "1.2.3.4::", NULL},
    {"ipv6 ipv4 leading zero", "::ffff:192.0.02.1", NULL},
    {"ipv6 ipv4 short", "::ffff:127.1", NULL},
    {"ipv6 ipv4 octal", "::0177.0.0.1", NULL},
    {"ipv6 ipv4 final dot", "::1.2.3.4.", NULL},
    {"ipv6 too long", "0000:0000:0000:0000:0000:ffff:0255.255.255.255", NULL},
    {"name", "example", NULL},
};

static void test_texts(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(TEXTS); i++) {
        const text_row *row = &TEXTS[i];
        masque_address address;
        memset(&address, 0x5a, sizeof address);
        masque_address before = address;
        int error = masque_address_parse(&address, row->text, strlen(row->text));
        CHECK(row->name, error == (row->expected ? 0 : MASQUE_ERR_INVALID));
        if (error) {
            CHECK(row->name, memcmp(&address, &before, sizeof address) == 0);
            continue;
        }
        char text[MASQUE_ADDRESS_TEXT_MAX];
        CHECK(row->name, address.port == 0 && address.reserved == 0);
        CHECK(row->name, masque_address_format(&address, text, sizeof text) == strlen(row->expected));
        CHECK(row->name, strcmp(text, row->expected) == 0);
    }
}

/* TEXT needs no final zero, so what stands behind LENGTH must not matter. */
static void test_length_counts(void **state) {
    (void)state;
    masque_address address;
    assert_int_equal(masque_address_parse(&address, "192.0.2.123", 9), 0);
    assert_int_equal(address.ip[3], 1);
    assert_int_equal(masque_address_parse(&address, "::12", 3), 0);
    assert_int_equal(address.ip[15], 1);
    assert_int_equal(masque_address_parse(&address, "192.0.2.1\0", 10), MASQUE_ERR_INVALID);
    assert_int_equal(masque_address_parse(&address, "::1\0", 4), MASQUE_ERR_INVALID);
}

typedef struct format_row {
    const char *name;
    const char *ip;
    uint16_t port;
    const char *expected;
} format_row;

static const format_row FORMATS[] = {
    {"ipv4 with port", "192.0.2.1", 443, "192.0.2.1:443"},
    {"ipv4 largest", "255.255.255.255", 65535, "255.255.255.255:65535"},
    {"ipv6 with port", "2001:db8::1", 1, "[2001:db8::1]:1"},
    {"ipv6 unspecified", "::", 80, "[::]:80"},
    {"ipv6 longest", "1111:2222:3333:4444:5555:6666:7777:8888", 65535,
     "[1111:2222:3333:4444:5555:6666:7777:8888]:65535"},
};

/* At every size the text is cut, ends with a zero, and the needed length is told. */
static void test_format_cuts(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(FORMATS); i++) {
        const format_row *row = &FORMATS[i];
        masque_address address = unit_address(row->ip, row->port);
        size_t length = strlen(row->expected);
        CHECK(row->name, length < MASQUE_ADDRESS_TEXT_MAX);
        for (size_t size = 1; size <= MASQUE_ADDRESS_TEXT_MAX; size++) {
            char text[MASQUE_ADDRESS_TEXT_MAX + 1];
            memset(text, 'x', sizeof text);
            size_t kept = length < size ? length : size - 1;
            CHECK(row->name, masque_address_format(&address, text, size) == length);
            CHECK(row->name, strlen(text) == kept && memcmp(text, row->expected, kept) == 0);
            CHECK(row->name, text[size] == 'x');
        }
    }
    masque_address none = {.port = 0};
    char text[MASQUE_ADDRESS_TEXT_MAX] = "x";
    size_t length = masque_address_format(&none, text, sizeof text);
    assert_int_equal(length, strlen(text));
}

static void test_same_ip(void **state) {
    (void)state;
    masque_address a = unit_address("192.0.2.1", 1);
    masque_address b = unit_address("192.0.2.1", 2);
    masque_address c = unit_address("192.0.2.2", 1);
    masque_address d = unit_address("c000:201::", 1); /* the same first bytes */
    assert_true(masque_address_same_ip(&a, &b));
    assert_false(masque_address_same_ip(&a, &c));
    assert_false(masque_address_same_ip(&a, &d));
}

/* Writes a text that is an address or nearly one. */
static size_t random_text(unit_random *random, char *text, size_t size) {
    static const char alphabet[] = "0123456789abcdefF::::....0011";
    uint8_t ip[16];
    unit_random_fill(random, ip, sizeof ip);
    for (size_t i = 0; i < sizeof ip; i++) {
        ip[i] = unit_random_below(random, 3) ? 0 : ip[i];
    }
    size_t kind = unit_random_below(random, 4);
    if (kind == 0) {
        size_t length = unit_random_below(random, size - 1);
        for (size_t i = 0; i < length; i++) {
            text[i] = alphabet[unit_random_below(random, sizeof alphabet - 1)];
        }
        text[length] = 0;
        return length;
    }
    assert_non_null(inet_ntop(kind == 1 ? AF_INET : AF_INET6, ip, text, (socklen_t)size));
    size_t length = strlen(text);
    for (size_t edits = unit_random_below(random, 3); edits > 0 && length > 0; edits--) {
        text[unit_random_below(random, length)] = alphabet[unit_random_below(random, sizeof alphabet - 1)];
    }
    return length;
}

/* inet_pton() is the reference: glibc's reads IPv4 and IPv6 as strictly as we do. */
static void test_against_system(void **state) {
    (void)state;
    unit_random random = {.state = 1};
    size_t accepted = 0;
    for (int i = 0; i < 300000; i++) {
        char text[47];
        size_t length = random_text(&random, text, sizeof text);
        uint8_t expected[16] = {0};
        int family = MASQUE_FAMILY_NONE;
        if (inet_pton(AF_INET, text, expected) == 1) {
            family = MASQUE_IPV4;
        } else if (inet_pton(AF_INET6, text, expected) == 1) {
            family = MASQUE_IPV6;
        }
        masque_address address = {.family = MASQUE_FAMILY_NONE};
        int error = masque_address_parse(&address, text, length);
        CHECK(text, (error == 0) == (family != MASQUE_FAMILY_NONE));
        if (!error) {
            accepted++;
            CHECK(text, address.family == family && memcmp(address.ip, expected, sizeof expected) == 0);
        }
    }
    /* The texts must not all be nonsense, nor all be right. */
    assert_true(accepted > 30000 && accepted < 270000);
}

/* Every address is read back from its text; inet_ntop() agrees but for IPv4 endings. */
static void test_round_trip(void **state) {
    (void)state;
    unit_random random = {.state = 2};
    for (int i = 0; i < 100000; i++) {
        bool ipv4 = unit_random_below(&random, 4) == 0;
        masque_address address = {.family = ipv4 ? MASQUE_IPV4 : MASQUE_IPV6};
        for (size_t at = 0; at < (ipv4 ? 4 : 16); at++) {
            address.ip[at] = unit_random_below(&random, 3) ? 0 : (uint8_t)unit_random_next(&random);
        }
        char text[MASQUE_ADDRESS_TEXT_MAX];
        char system[INET6_ADDRSTRLEN];
        masque_address again;
        size_t length = masque_address_format(&address, text, sizeof text);
        CHECK(text, masque_address_parse(&again, text, length) == 0);
        CHECK(text, memcmp(&again, &address, sizeof again) == 0);
        assert_non_null(inet_ntop(ipv4 ? AF_INET : AF_INET6, address.ip, system, sizeof system));
        CHECK(text, strcmp(text, system) == 0 || (!ipv4 && strchr(system, '.')));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),   cmocka_unit_test(test_length_counts),  cmocka_unit_test(test_format_cuts),
        cmocka_unit_test(test_same_ip), cmocka_unit_test(test_against_system), cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
