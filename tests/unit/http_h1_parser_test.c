/*
 * http_h1_parser_test.c: HTTP/1.1 request heads. Goal: what two readers could
 * understand differently is refused (RFC 9112 2.2, 3, 5), and the end of a head
 * is found however it was cut into reads.
 */
#include "http/h1_parser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define TEXT(literal) (literal), sizeof(literal) - 1
#define LINE "CONNECT example.com:443 HTTP/1.1\r\n"
#define HOST "Host: example.com:443\r\n"

typedef struct good_row {
    const char *name;
    const char *head;
    size_t length;
    mq_method method;
    const char *authority; /* NULL: none */
    const char *credential;
    bool upgrades;
} good_row;

static const good_row GOOD[] = {
    {"least", TEXT(LINE HOST "\r\n"), MQ_METHOD_CONNECT, "example.com:443", NULL, false},
    {"IPv6 target", TEXT("CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n"), MQ_METHOD_CONNECT, "[::1]:443", NULL,
     false},
    {"the target is kept as it came, the door reads it", TEXT("CONNECT a@b HTTP/1.1\r\n" HOST "\r\n"),
     MQ_METHOD_CONNECT, "a@b", NULL, false},
    {"Host need not agree", TEXT(LINE "Host: other\r\n\r\n"), MQ_METHOD_CONNECT, "example.com:443", NULL, false},
    {"Host may be empty", TEXT(LINE "Host:\r\n\r\n"), MQ_METHOD_CONNECT, "example.com:443", NULL, false},
    {"credential", TEXT(LINE HOST "Proxy-Authorization: Preshared abc\r\n\r\n"), MQ_METHOD_CONNECT, "example.com:443",
     "Preshared abc", false},
    {"names in any case", TEXT(LINE "hOsT: x\r\npROXY-aUTHORIZATION: Preshared abc\r\n\r\n"), MQ_METHOD_CONNECT,
     "example.com:443", "Preshared abc", false},
    {"no space behind the colon", TEXT(LINE HOST "Proxy-Authorization:Preshared abc\r\n\r\n"), MQ_METHOD_CONNECT,
     "example.com:443", "Preshared abc", false},
    {"spaces and tabs around the value", TEXT(LINE HOST "Proxy-Authorization: \t Preshared abc\t \r\n\r\n"),
     MQ_METHOD_CONNECT, "example.com:443", "Preshared abc", false},
    {"spaces and tabs inside the value", TEXT(LINE HOST "Proxy-Authorization: Preshared \t abc\r\n\r\n"),
     MQ_METHOD_CONNECT, "example.com:443", "Preshared \t abc", false},
    {"obs-text in a value (RFC 9110 5.5)", TEXT(LINE HOST "X: \x80\xff\r\n\r\n"), MQ_METHOD_CONNECT, "example.com:443",
     NULL, false},
    {"empty values", TEXT(LINE HOST "X:\r\nY: \t\r\n\r\n"), MQ_METHOD_CONNECT, "example.com:443", NULL, false},
    {"a value of colons", TEXT(LINE HOST "X: a:b: c\r\n\r\n"), MQ_METHOD_CONNECT, "example.com:443", NULL, false},
    {"every token character in a name", TEXT(LINE HOST "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"), MQ_METHOD_CONNECT,
     "example.com:443", NULL, false},
    {"origin-form", TEXT("GET /path?q HTTP/1.1\r\n" HOST "\r\n"), MQ_METHOD_GET, NULL, NULL, false},
    {"absolute-form", TEXT("GET http://example.com/ HTTP/1.1\r\n" HOST "\r\n"), MQ_METHOD_GET, NULL, NULL, false},
    {"asterisk-form", TEXT("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), MQ_METHOD_OTHER, NULL, NULL, false},
    {"another method", TEXT("M-SEARCH x HTTP/1.1\r\n" HOST "\r\n"), MQ_METHOD_OTHER, NULL, NULL, false},
    {"methods have a case (RFC 9110 9.1)", TEXT("connect example.com:443 HTTP/1.1\r\n" HOST "\r\n"), MQ_METHOD_OTHER,
     NULL, NULL, false},
    {"a method that begins alike", TEXT("CONNECTS example.com:443 HTTP/1.1\r\n" HOST "\r\n"), MQ_METHOD_OTHER, NULL,
     NULL, false},
    {"upgrade",
     TEXT("GET /.well-known/masque/udp/192.0.2.1/53/ HTTP/1.1\r\n" HOST
          "Connection: Upgrade\r\nUpgrade: connect-udp\r\n\r\n"),
     MQ_METHOD_GET, NULL, NULL, true},
};

typedef struct bad_row {
    const char *name;
    const char *head;
    size_t length;
} bad_row;

static const bad_row BAD[] = {
    {"nothing", TEXT("")},
    {"only the end", TEXT("\r\n\r\n")},
    {"empty line first", TEXT("\r\n" LINE HOST "\r\n")},
    {"only a request line", TEXT(LINE)},
    {"no empty line", TEXT(LINE HOST)},
    {"cut in the last line end", TEXT(LINE HOST "\r")},
    {"no Host (RFC 9112 3.2)", TEXT(LINE "\r\n")},
    {"two Hosts", TEXT(LINE HOST HOST "\r\n")},
    {"two Hosts in other cases", TEXT(LINE "host: a\r\nHOST: a\r\n\r\n")},
    {"HTTP/1.0", TEXT("CONNECT example.com:443 HTTP/1.0\r\n" HOST "\r\n")},
    {"HTTP/1.10", TEXT("CONNECT example.com:443 HTTP/1.10\r\n" HOST "\r\n")},
    {"HTTP/1.2", TEXT("CONNECT example.com:443 HTTP/1.2\r\n" HOST "\r\n")},
    {"HTTP/2.0", TEXT("CONNECT example.com:443 HTTP/2.0\r\n" HOST "\r\n")},
    {"HTTP/11", TEXT("CONNECT example.com:443 HTTP/11\r\n" HOST "\r\n")},
    {"version in small letters", TEXT("CONNECT example.com:443 http/1.1\r\n" HOST "\r\n")},
    {"no version", TEXT("CONNECT example.com:443\r\n" HOST "\r\n")},
    {"no version, but the space", TEXT("CONNECT example.com:443 \r\n" HOST "\r\n")},
    {"no target", TEXT("CONNECT HTTP/1.1\r\n" HOST "\r\n")},
    {"empty target", TEXT("CONNECT  HTTP/1.1\r\n" HOST "\r\n")},
    {"no method", TEXT(" example.com:443 HTTP/1.1\r\n" HOST "\r\n")},
    {"only a version", TEXT(" HTTP/1.1\r\n" HOST "\r\n")},
    {"two spaces behind the method", TEXT("CONNECT  example.com:443 HTTP/1.1\r\n" HOST "\r\n")},
    {"two spaces before the version", TEXT("CONNECT example.com:443  HTTP/1.1\r\n" HOST "\r\n")},
    {"space behind the version", TEXT("CONNECT example.com:443 HTTP/1.1 \r\n" HOST "\r\n")},
    {"space before the method", TEXT(" CONNECT example.com:443 HTTP/1.1\r\n" HOST "\r\n")},
    {"space in the target", TEXT("CONNECT example .com:443 HTTP/1.1\r\n" HOST "\r\n")},
    {"tab for a space", TEXT("CONNECT\texample.com:443\tHTTP/1.1\r\n" HOST "\r\n")},
    {"tab in the target", TEXT("CONNECT exam\tple:443 HTTP/1.1\r\n" HOST "\r\n")},
    {"a method that is no token", TEXT("CON(NECT example.com:443 HTTP/1.1\r\n" HOST "\r\n")},
    {"byte above ASCII in the target", TEXT("CONNECT b\xc3\xbc:443 HTTP/1.1\r\n" HOST "\r\n")},
    {"line feed alone behind the request line", TEXT("CONNECT example.com:443 HTTP/1.1\n" HOST "\r\n")},
    {"line feed alone behind a field", TEXT(LINE "Host: x\nX: y\r\n\r\n")},
    {"line feeds only", TEXT("CONNECT example.com:443 HTTP/1.1\nHost: x\n\n")},
    {"line feed alone at the end", TEXT(LINE HOST "\n")},
    {"carriage return alone", TEXT(LINE "Host: x\rX: y\r\n\r\n")},
    {"two carriage returns", TEXT(LINE "Host: x\r\r\n\r\n")},
    {"folded by a space (RFC 9112 5.2)", TEXT(LINE "Host: x\r\n y\r\n\r\n")},
    {"folded by a tab", TEXT(LINE "Host: x\r\n\ty\r\n\r\n")},
    {"space before the first field", TEXT(LINE " Host: x\r\n\r\n")},
    {"space before the colon (RFC 9112 5.1)", TEXT(LINE "Host : x\r\n\r\n")},
    {"tab before the colon", TEXT(LINE "Host\t: x\r\n\r\n")},
    {"space in a name", TEXT(LINE HOST "X Y: x\r\n\r\n")},
    {"no colon", TEXT(LINE HOST "X\r\n\r\n")},
    {"no name", TEXT(LINE HOST ": x\r\n\r\n")},
    {"only a colon", TEXT(LINE HOST ":\r\n\r\n")},
    {"pseudo-header", TEXT(LINE HOST ":authority: x\r\n\r\n")},
    {"a name that is no token", TEXT(LINE HOST "X@: x\r\n\r\n")},
    {"byte above ASCII in a name", TEXT(LINE HOST "\xc3\xbc: x\r\n\r\n")},
    {"zero in a value", TEXT(LINE HOST "X: a\0b\r\n\r\n")},
    {"bell in a value", TEXT(LINE HOST "X: a\x07\r\n\r\n")},
    {"escape in a value", TEXT(LINE HOST "X: \x1b[2J\r\n\r\n")},
    {"delete in a value", TEXT(LINE HOST "X: \x7f\r\n\r\n")},
    {"vertical tab before a value", TEXT(LINE HOST "X:\x0bx\r\n\r\n")},
    {"a TLS hello", TEXT("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")},
    {"the HTTP/2 preface", TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")},
};

static unit_memory memory;
static masque_limits limits;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    masque_limits_init(&limits);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return memory.pieces == 0 ? 0 : -1;
}

/* A copy of the exact size, so that a sanitizer sees a read behind the head. */
static mq_refusal parse(mq_request *request, const char *head, size_t length) {
    char *copy = malloc(length ? length : 1);
    assert_non_null(copy);
    memcpy(copy, head, length);
    mq_request_init(request, &memory.allocator);
    mq_refusal refusal = mq_h1_parse(request, &limits, copy, length);
    free(copy);
    return refusal;
}

static bool same_text(const mq_text *text, const char *expected) {
    if (!text->bytes || !expected) {
        return !text->bytes && !expected;
    }
    return strlen(text->bytes) == text->length && strcmp(text->bytes, expected) == 0;
}

static void test_good(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOOD); i++) {
        const good_row *row = &GOOD[i];
        mq_request request;
        CHECK(row->name, parse(&request, row->head, row->length) == MQ_REFUSAL_NONE);
        CHECK(row->name, request.method == row->method);
        CHECK(row->name, same_text(&request.authority, row->authority));
        CHECK(row->name, same_text(&request.proxy_authorization, row->credential));
        CHECK(row->name,
              request.is_upgrade == row->upgrades && request.is_for_udp == row->upgrades && !request.has_body);
        mq_request_free(&request);
    }
}

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        mq_request request;
        CHECK(BAD[i].name, parse(&request, BAD[i].head, BAD[i].length) == MQ_REFUSAL_MALFORMED);
        mq_request_free(&request);
    }
}

/* A good head with one byte made a zero, a line feed, … at any place. */
static void test_controls_everywhere(void **state) {
    (void)state;
    static const char head[] = LINE HOST "Proxy-Authorization: Preshared abc\r\n\r\n";
    static const char bytes[] = "\0\n\r\x01\x0b\x0c\x1f\x7f";
    for (size_t at = 0; at < sizeof head - 1; at++) {
        for (size_t i = 0; i < sizeof bytes - 1; i++) {
            char changed[sizeof head];
            memcpy(changed, head, sizeof head);
            changed[at] = bytes[i];
            mq_request request;
            mq_refusal expected = head[at] == bytes[i] ? MQ_REFUSAL_NONE : MQ_REFUSAL_MALFORMED;
            CHECK(changed, parse(&request, changed, sizeof head - 1) == expected);
            mq_request_free(&request);
        }
    }
}

static void test_every_cut_is_malformed(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOOD); i++) {
        for (size_t length = 0; length < GOOD[i].length; length++) {
            mq_request request;
            CHECK(GOOD[i].name, parse(&request, GOOD[i].head, length) == MQ_REFUSAL_MALFORMED);
            mq_request_free(&request);
        }
    }
}

/* LINES fields of "Xn: " and VALUE bytes, behind the least head. */
static char *make_head(size_t lines, size_t value, size_t *length) {
    size_t room = 128 + lines * (value + 16);
    char *head = malloc(room);
    assert_non_null(head);
    size_t at = (size_t)snprintf(head, room, "%s", LINE HOST);
    for (size_t i = 0; i < lines; i++) {
        at += (size_t)snprintf(head + at, room - at, "X: ");
        memset(head + at, 'v', value);
        at += value;
        at += (size_t)snprintf(head + at, room - at, "\r\n");
    }
    *length = at + (size_t)snprintf(head + at, room - at, "\r\n");
    return head;
}

static mq_refusal parse_made(size_t lines, size_t value) {
    mq_request request;
    size_t length;
    char *head = make_head(lines, value, &length);
    mq_refusal refusal = parse(&request, head, length);
    mq_request_free(&request);
    free(head);
    return refusal;
}

static void test_limits(void **state) {
    (void)state;
    limits.header_fields_max = 8;
    assert_int_equal(parse_made(7, 1), MQ_REFUSAL_NONE);
    assert_int_equal(parse_made(8, 1), MQ_REFUSAL_TOO_LARGE);
    assert_int_equal(parse_made(5000, 1), MQ_REFUSAL_TOO_LARGE);
    /* The request line, Host and one more field; 32 for each field. */
    size_t rest = sizeof LINE - 3 + sizeof "Hostexample.com:443" - 1 + 32 + 1 + 32;
    limits.header_bytes_max = 1000;
    assert_int_equal(parse_made(1, 1000 - rest), MQ_REFUSAL_NONE);
    assert_int_equal(parse_made(1, 1001 - rest), MQ_REFUSAL_TOO_LARGE);
    assert_int_equal(parse_made(1, 1000000), MQ_REFUSAL_TOO_LARGE);
    limits.header_fields_max = limits.header_bytes_max = 1000000;
    assert_int_equal(parse_made(5000, 16), MQ_REFUSAL_NONE);
}

/* What is wrong before the limit is reached is malformed, what comes behind isn't read. */
static void test_malformed_or_too_large(void **state) {
    (void)state;
    static const char first[] = LINE "Bad : x\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\n\r\n";
    static const char last[] = LINE "X: y\r\nX: y\r\nX: y\r\nX: y\r\nX: y\r\nBad : x\r\n\r\n";
    mq_request request;
    limits.header_fields_max = 4;
    assert_int_equal(parse(&request, first, sizeof first - 1), MQ_REFUSAL_MALFORMED);
    mq_request_free(&request);
    assert_int_equal(parse(&request, last, sizeof last - 1), MQ_REFUSAL_TOO_LARGE);
    mq_request_free(&request);
}

static void test_no_memory(void **state) {
    (void)state;
    static const char head[] = LINE HOST "Proxy-Authorization: Preshared abc\r\nAuthorization: x\r\n\r\n";
    for (size_t left = 0; left < 3; left++) {
        mq_request request;
        memory.left = left;
        assert_int_equal(parse(&request, head, sizeof head - 1), MQ_REFUSAL_INTERNAL);
        mq_request_free(&request);
        assert_int_equal(memory.pieces, 0);
    }
    memory.left = 3;
    mq_request request;
    assert_int_equal(parse(&request, head, sizeof head - 1), MQ_REFUSAL_NONE);
    mq_request_free(&request);
}

typedef struct end_row {
    const char *name;
    const char *bytes;
    size_t length;
    size_t end; /* 0: none */
} end_row;

static const end_row ENDS[] = {
    {"nothing", TEXT(""), 0},
    {"only the end", TEXT("\r\n\r\n"), 4},
    {"one line", TEXT("abc\r\n\r\n"), 7},
    {"bytes behind it", TEXT("abc\r\n\r\nxyz"), 7},
    {"another end behind it", TEXT("abc\r\n\r\n\r\n\r\n"), 7},
    {"two lines", TEXT("a\r\nb\r\n\r\n"), 8},
    {"no end", TEXT("a\r\nb\r\n\r"), 0},
    {"line feeds", TEXT("a\n\n"), 0},
    {"carriage returns", TEXT("a\r\r\r\r\n\r\n"), 8},
    {"a carriage return before", TEXT("\r\r\n\r\n"), 5},
    {"line feed before", TEXT("\n\r\n\r\n"), 5},
    {"nearly", TEXT("\r\n\n\r\n\rx\r\n\r\n"), 11},
    {"zeros", TEXT("\0\0\r\n\r\n"), 6},
    {"a head", TEXT(LINE HOST "\r\nrest"), sizeof(LINE HOST "\r\n") - 1},
};

/* Whole, bytewise, and cut in two at each place. */
static void test_head_end(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ENDS); i++) {
        const end_row *row = &ENDS[i];
        size_t scanned = 0;
        CHECK(row->name, mq_h1_head_end(row->bytes, row->length, &scanned) == row->end);
        scanned = 0;
        for (size_t length = 0; length <= row->length; length++) {
            size_t end = mq_h1_head_end(row->bytes, length, &scanned);
            CHECK(row->name, end == (row->end && length >= row->end ? row->end : 0));
            if (end) {
                break;
            }
        }
        for (size_t cut = 0; cut <= row->length; cut++) {
            scanned = 0;
            size_t end = mq_h1_head_end(row->bytes, cut, &scanned);
            end = end ? end : mq_h1_head_end(row->bytes, row->length, &scanned);
            CHECK(row->name, end == row->end);
        }
    }
}

/* Random bytes of what matters, random cuts, against the plain search. */
static void test_head_end_random(void **state) {
    (void)state;
    unit_random random = {.state = 6};
    for (int round = 0; round < 50000; round++) {
        char bytes[48];
        size_t length = 1 + unit_random_below(&random, sizeof bytes);
        size_t expected = 0;
        for (size_t i = 0; i < length; i++) {
            bytes[i] = "\r\n\r\nx"[unit_random_below(&random, 5)];
            bool ends = i >= 3 && memcmp(bytes + i - 3, "\r\n\r\n", 4) == 0;
            expected = !expected && ends ? i + 1 : expected;
        }
        size_t scanned = 0;
        size_t have = 0;
        size_t end = 0;
        while (!end && have < length) {
            have += 1 + unit_random_below(&random, length - have);
            end = mq_h1_head_end(bytes, have, &scanned);
        }
        assert_int_equal(end, expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_controls_everywhere, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_cut_is_malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_malformed_or_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_memory, set_up, tear_down),
        cmocka_unit_test(test_head_end),
        cmocka_unit_test(test_head_end_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
