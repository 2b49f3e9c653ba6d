/*
 * wire_authority_test.c: the target of a CONNECT. Goal: every spelling that
 * another reader could take for an address is refused, and what passes has one
 * canonical form that reads back as itself.
 */
#include "wire/authority.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

typedef struct authority_row {
    const char *name;
    const char *text;
    const char *expected; /* the canonical form; NULL: refused */
} authority_row;

static const authority_row ROWS[] = {
    {"name", "example.com:443", "example.com:443"},
    {"name in capitals", "WWW.Example.COM:80", "www.example.com:80"},
    {"name of one label", "localhost:80", "localhost:80"},
    {"name with hyphen", "a-b.example:1", "a-b.example:1"},
    {"name with underscore", "_dns.example:53", "_dns.example:53"},
    {"name in A-labels", "xn--bcher-kva.example:443", "xn--bcher-kva.example:443"},
    {"name with a first digit", "3com.com:443", "3com.com:443"},
    {"name with a numeric label before the last", "127.0.0.com:1", "127.0.0.com:1"},
    {"name like an address", "1.2.3.4.example:443", "1.2.3.4.example:443"},
    {"name that ends in hex digits and another", "0xfg:443", "0xfg:443"},
    {"last label begins with digits", "example.1a:443", "example.1a:443"},
    {"last label of hex digits without 0x", "example.face:443", "example.face:443"},
    {"final dot dropped once", "example.com.:443", "example.com:443"},
    {"ipv4", "192.0.2.1:443", "192.0.2.1:443"},
    {"ipv4 loopback reads, policy decides", "127.0.0.1:80", "127.0.0.1:80"},
    {"ipv6", "[2001:db8::1]:443", "[2001:db8::1]:443"},
    {"ipv6 made canonical", "[2001:0DB8:0:0::1]:443", "[2001:db8::1]:443"},
    {"ipv6 mapped", "[::ffff:192.0.2.1]:443", "[::ffff:c000:201]:443"},
    {"smallest port", "example.com:1", "example.com:1"},
    {"largest port", "example.com:65535", "example.com:65535"},

    {"empty", "", NULL},
    {"only a colon", ":", NULL},
    {"no host", ":443", NULL},
    {"no port", "example.com", NULL},
    {"empty port", "example.com:", NULL},
    {"only digits", "443", NULL},
    {"port zero", "example.com:0", NULL},
    {"port too large", "example.com:65536", NULL},
    {"port of six digits", "example.com:100000", NULL},
    {"port that wraps at 32 bits", "example.com:4294967739", NULL},
    {"port with a leading zero", "example.com:0443", NULL},
    {"port with a sign", "example.com:+443", NULL},
    {"negative port", "example.com:-1", NULL},
    {"port in hexadecimal", "example.com:0x1bb", NULL},
    {"port with a space before", "example.com: 443", NULL},
    {"port with a space behind", "example.com:443 ", NULL},
    {"port name", "example.com:https", NULL},
    {"two ports", "example.com:80:443", NULL},
    {"hex and short ipv4", "0x7f.1:80", NULL},
    {"hex ipv4", "0x7f.0x0.0x0.0x1:80", NULL},
    {"one hex number", "0x7f000001:80", NULL},
    {"one hex number in capitals", "0X7F000001:80", NULL},
    {"bare 0x, which some read as 0", "0x:80", NULL},
    {"octal ipv4", "0177.0.0.1:80", NULL},
    {"short ipv4 of two", "127.1:80", NULL},
    {"short ipv4 of three", "127.0.1:80", NULL},
    {"decimal ipv4", "2130706433:80", NULL},
    {"zero", "0:80", NULL},
    {"ipv4 with five numbers", "1.2.3.4.5:80", NULL},
    {"ipv4 too large", "256.0.0.1:80", NULL},
    {"ipv4 with leading zero", "127.0.0.01:80", NULL},
    {"ipv4 with final dot", "127.0.0.1.:80", NULL},
    {"decimal with final dot", "2130706433.:80", NULL},
    {"hex with final dot", "0x7f.1.:80", NULL},
    {"numeric last label", "example.1:80", NULL},
    {"hexadecimal last label", "example.0x1:80", NULL},
    {"ipv4 in brackets", "[192.0.2.1]:80", NULL},
    {"name in brackets", "[example.com]:80", NULL},
    {"future address", "[v1.fe80]:80", NULL},
    {"ipv6 without brackets", "2001:db8::1:443", NULL},
    {"ipv6 loopback without brackets", "::1:443", NULL},
    {"bracket not closed", "[::1:443", NULL},
    {"bracket not opened", "::1]:443", NULL},
    {"two brackets", "[[::1]]:443", NULL},
    {"empty brackets", "[]:443", NULL},
    {"only brackets", "[]", NULL},
    {"only an opening bracket", "[:443", NULL},
    {"ipv6 without port", "[::1]", NULL},
    {"text between bracket and port", "[::1]x:443", NULL},
    {"text before the bracket", "x[::1]:443", NULL},
    {"zone", "[fe80::1%eth0]:443", NULL},
    {"encoded zone", "[fe80::1%25eth0]:443", NULL},
    {"userinfo", "user@example.com:443", NULL},
    {"userinfo with password", "user:pass@example.com:443", NULL},
    {"empty userinfo", "@example.com:443", NULL},
    {"userinfo behind", "example.com:443@evil.example:80", NULL},
    {"percent encoding", "ex%61mple.com:443", NULL},
    {"encoded dot", "example%2ecom:443", NULL},
    {"encoded zero", "example.com%00:443", NULL},
    {"carriage return", "example.com\r:443", NULL},
    {"line feed", "example\n.com:443", NULL},
    {"line feed behind", "example.com:443\n", NULL},
    {"tab", "\texample.com:443", NULL},
    {"space", "exam ple.com:443", NULL},
    {"delete", "example\x7f.com:443", NULL},
    {"byte above ASCII",
     "b\xc3\xbc"
     "cher.example:443",
     NULL},
    {"full-width dot",
     "127\xef\xbc\x8e"
     "0.0.1:80",
     NULL},
    {"kelvin sign", "\xe2\x84\xaa.example:80", NULL},
    {"path", "example.com/:443", NULL},
    {"path behind", "example.com:443/", NULL},
    {"scheme", "https://example.com:443", NULL},
    {"query", "example.com?:443", NULL},
    {"fragment", "example.com#:443", NULL},
    {"backslash", "example.com\\:443", NULL},
    {"comma", "a,b:443", NULL},
    {"star", "*.example:443", NULL},
    {"only a dot", ".:443", NULL},
    {"two dots", "..:443", NULL},
    {"first dot", ".example.com:443", NULL},
    {"two final dots", "example.com..:443", NULL},
    {"empty label", "example..com:443", NULL},
    {"label begins with hyphen", "-a.example:443", NULL},
    {"label ends with hyphen", "a-.example:443", NULL},
    {"only a hyphen", "-:443", NULL},
};

static void check_row(const authority_row *row) {
    mq_authority authority;
    size_t length = strlen(row->text);
    int error = mq_authority_parse(&authority, row->text, length);
    CHECK(row->name, error == (row->expected ? 0 : MASQUE_ERR_INVALID));
    if (error) {
        return;
    }
    char text[512];
    CHECK(row->name, mq_authority_format(&authority, text, sizeof text) == strlen(row->expected));
    CHECK(row->name, strcmp(text, row->expected) == 0);
    CHECK(row->name, strlen(authority.name) == authority.name_length);
    bool literal = authority.address.family != MASQUE_FAMILY_NONE;
    CHECK(row->name, literal == (authority.name_length == 0));
    CHECK(row->name, !literal || authority.address.port == authority.port);
    mq_authority again;
    CHECK(row->name, mq_authority_parse(&again, text, strlen(text)) == 0);
    CHECK(row->name, memcmp(&again, &authority, sizeof again) == 0);
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        check_row(&ROWS[i]);
    }
}

/* A copy of the exact size, so that a sanitizer sees a read behind it. */
static void test_reads_only_its_length(void **state) {
    (void)state;
    unit_memory memory;
    unit_memory_init(&memory);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        size_t length = strlen(ROWS[i].text);
        for (size_t cut = 1; cut <= length; cut++) {
            char *copy = memory.allocator.allocate(memory.allocator.context, cut);
            memcpy(copy, ROWS[i].text, cut);
            mq_authority authority;
            int error = mq_authority_parse(&authority, copy, cut);
            CHECK(ROWS[i].name, error == 0 || error == MASQUE_ERR_INVALID);
            memory.allocator.release(memory.allocator.context, copy);
        }
    }
}

/* A zero byte at any place of a good text spoils it, as does any other control. */
static void test_controls(void **state) {
    (void)state;
    static const char *const texts[] = {"example.com:443", "192.0.2.1:443", "[2001:db8::1]:443"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        size_t length = strlen(texts[i]);
        for (size_t at = 0; at <= length; at++) {
            for (int byte = 0; byte < 256; byte++) {
                char text[64];
                memcpy(text, texts[i], at);
                text[at] = (char)byte;
                memcpy(text + at + 1, texts[i] + at, length - at);
                mq_authority authority;
                bool odd = byte <= ' ' || byte >= 0x7f || byte == '@' || byte == '%' || byte == '/';
                int error = mq_authority_parse(&authority, text, length + 1);
                CHECK(texts[i], !odd || error == MASQUE_ERR_INVALID);
            }
        }
    }
}

static void test_every_port(void **state) {
    (void)state;
    static const char *const hosts[] = {"example.com", "192.0.2.1", "[2001:db8::1]"};
    for (size_t host = 0; host < COUNT(hosts); host++) {
        for (unsigned port = 0; port <= 65536; port++) {
            char text[64];
            char again[64];
            mq_authority authority;
            int length = snprintf(text, sizeof text, "%s:%u", hosts[host], port);
            int error = mq_authority_parse(&authority, text, (size_t)length);
            CHECK(text, (error == 0) == (port >= 1 && port <= 65535));
            if (!error) {
                CHECK(text, authority.port == port);
                mq_authority_format(&authority, again, sizeof again);
                CHECK(text, strcmp(text, again) == 0);
            }
            length = snprintf(text, sizeof text, "%s:0%u", hosts[host], port);
            CHECK(text, mq_authority_parse(&authority, text, (size_t)length) == MASQUE_ERR_INVALID);
        }
    }
}

/* Labels of the lengths given, then "." if FINAL_DOT, then ":1". */
static size_t make_name(char *text, const size_t *labels, size_t count, bool final_dot) {
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memset(text + at, 'a', labels[i]);
        at += labels[i];
        text[at++] = '.';
    }
    at -= final_dot ? 0 : 1;
    memcpy(text + at, ":1", 2);
    return at + 2;
}

typedef struct length_row {
    const char *name;
    size_t labels[5];
    size_t count;
    bool final_dot;
    bool valid;
} length_row;

/* RFC 1035 2.3.4: 63 a label, 253 in text form. */
static const length_row LENGTHS[] = {
    {"longest label", {63, 3}, 2, false, true},
    {"label too long", {64, 3}, 2, false, false},
    {"last label too long", {3, 64}, 2, false, false},
    {"longest name, 253", {63, 63, 63, 61}, 4, false, true},
    {"longest name with final dot", {63, 63, 63, 61}, 4, true, true},
    {"254", {63, 63, 63, 62}, 4, false, false},
    {"254 with final dot", {63, 63, 63, 62}, 4, true, false},
    {"255", {63, 63, 63, 63}, 4, false, false},
    {"many short ones", {63, 63, 63, 59, 1}, 5, false, true},
};

static void test_lengths(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(LENGTHS); i++) {
        const length_row *row = &LENGTHS[i];
        char text[400];
        mq_authority authority;
        size_t length = make_name(text, row->labels, row->count, row->final_dot);
        int error = mq_authority_parse(&authority, text, length);
        CHECK(row->name, error == (row->valid ? 0 : MASQUE_ERR_INVALID));
    }
}

/* Far too long, of each kind; must be refused without reading into the void. */
static void test_huge(void **state) {
    (void)state;
    static const char fill[] = "a1.:[]-%0";
    static char text[70000];
    for (size_t i = 0; i < sizeof fill - 1; i++) {
        memset(text, fill[i], sizeof text);
        memcpy(text + sizeof text - 4, ":443", 4);
        mq_authority authority;
        assert_int_equal(mq_authority_parse(&authority, text, sizeof text), MASQUE_ERR_INVALID);
    }
}

/* What passes reads back as itself; random edits of good texts. */
static void test_round_trip_random(void **state) {
    (void)state;
    static const char alphabet[] = "abcxyzABXZ0123456789.-_:[]%@ f";
    unit_random random = {.state = 3};
    size_t accepted = 0;
    for (int i = 0; i < 200000; i++) {
        const authority_row *row = &ROWS[unit_random_below(&random, COUNT(ROWS))];
        char text[128];
        size_t length = strlen(row->text);
        memcpy(text, row->text, length);
        for (size_t edits = unit_random_below(&random, 3); edits > 0 && length > 0; edits--) {
            text[unit_random_below(&random, length)] = alphabet[unit_random_below(&random, sizeof alphabet - 1)];
        }
        text[length] = 0;
        mq_authority authority;
        if (mq_authority_parse(&authority, text, length)) {
            continue;
        }
        accepted++;
        char canonical[512];
        mq_authority again;
        size_t needed = mq_authority_format(&authority, canonical, sizeof canonical);
        CHECK(text, mq_authority_parse(&again, canonical, needed) == 0);
        CHECK(text, memcmp(&again, &authority, sizeof again) == 0);
        CHECK(text, authority.port > 0);
    }
    assert_true(accepted > 10000);
}

static void test_format_cuts(void **state) {
    (void)state;
    mq_authority authority;
    assert_int_equal(mq_authority_parse(&authority, "example.com:443", 15), 0);
    for (size_t size = 1; size < 20; size++) {
        char text[20];
        memset(text, 'x', sizeof text);
        assert_int_equal(mq_authority_format(&authority, text, size), 15);
        assert_int_equal(strlen(text), size > 15 ? 15 : size - 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_reads_only_its_length),
        cmocka_unit_test(test_controls),
        cmocka_unit_test(test_every_port),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_round_trip_random),
        cmocka_unit_test(test_format_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
