/*
 * http_request_test.c: what is kept of a request's head. Goal: the fields we use
 * are found in any case and order, everything is counted, a second credential
 * shows, and secrets are wiped.
 */
#include "http/request.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

typedef struct field {
    const char *name;
    const char *value;
} field;

typedef struct credential_row {
    const char *name;
    field fields[4];
    const char *credential; /* NULL: absent */
    bool one;               /* stands there at most once */
} credential_row;

static const credential_row CREDENTIALS[] = {
    {"none", {{"host", "x"}}, NULL, true},
    {"proxy-authorization", {{"proxy-authorization", "Preshared a"}}, "Preshared a", true},
    {"in any case", {{"Proxy-AUTHORIZATION", "Preshared a"}}, "Preshared a", true},
    {"authorization", {{"authorization", "Preshared a"}}, "Preshared a", true},
    {"the proxy's wins", {{"authorization", "b"}, {"proxy-authorization", "a"}}, "a", true},
    {"the proxy's wins when first", {{"proxy-authorization", "a"}, {"authorization", "b"}}, "a", true},
    {"two of the other don't matter",
     {{"authorization", "b"}, {"proxy-authorization", "a"}, {"authorization", "c"}},
     "a",
     true},
    {"two", {{"proxy-authorization", "a"}, {"proxy-authorization", "b"}}, "a", false},
    {"two equal", {{"proxy-authorization", "a"}, {"proxy-authorization", "a"}}, "a", false},
    {"two in other cases", {{"proxy-authorization", "a"}, {"Proxy-Authorization", "b"}}, "a", false},
    {"two authorization", {{"authorization", "a"}, {"authorization", "b"}}, "a", false},
    {"an empty one hides the other", {{"proxy-authorization", ""}, {"authorization", "b"}}, "", true},
    {"an empty one and another", {{"proxy-authorization", ""}, {"proxy-authorization", "a"}}, "", false},
    {"a longer name", {{"proxy-authorization2", "a"}}, NULL, true},
    {"a shorter name", {{"proxy-authorizatio", "a"}}, NULL, true},
    {"an empty name", {{"", "a"}}, NULL, true},
    {"proxy-authentication is another", {{"proxy-authentication-info", "a"}}, NULL, true},
};

static void add(mq_request *request, const masque_limits *limits, const field *fields, size_t count) {
    for (size_t i = 0; i < count && fields[i].name; i++) {
        mq_request_field(request, limits, fields[i].name, strlen(fields[i].name), fields[i].value,
                         strlen(fields[i].value));
    }
}

static void test_credentials(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(CREDENTIALS); i++) {
        const credential_row *row = &CREDENTIALS[i];
        unit_memory memory;
        masque_limits limits;
        mq_request request;
        const mq_text *text;
        unit_memory_init(&memory);
        masque_limits_init(&limits);
        mq_request_init(&request, &memory.allocator);
        add(&request, &limits, row->fields, COUNT(row->fields));
        CHECK(row->name, mq_request_credential(&request, &text) == row->one);
        CHECK(row->name, (text->bytes != NULL) == (row->credential != NULL));
        CHECK(row->name, !text->bytes || strcmp(text->bytes, row->credential) == 0);
        CHECK(row->name, text->length == (row->credential ? strlen(row->credential) : 0));
        mq_request_free(&request);
        CHECK(row->name, memory.pieces == 0);
    }
}

typedef struct flag_row {
    const char *name;
    field field;
    bool has_body;
    bool is_upgrade;
    uint32_t hosts;
    bool has_upgrade;
    bool is_for_udp;
} flag_row;

static const flag_row FLAGS[] = {
    {"content-length", {"Content-Length", "0"}, true, false, 0, false, false},
    {"transfer-encoding", {"transfer-encoding", "chunked"}, true, false, 0, false, false},
    {"host", {"HOST", ""}, false, false, 1, false, false},
    {"host and port", {"host", "[2001:db8::1]:443"}, false, false, 1, false, false},
    {"no host: userinfo", {"host", "a@b"}, false, false, 1, false, false},
    {"no host: a path", {"host", "a/b"}, false, false, 1, false, false},
    {"no host: a blank", {"host", "a b"}, false, false, 1, false, false},
    {"upgrade alone is none", {"upgrade", "connect-udp"}, false, false, 0, true, true},
    {"protocols in any case", {"upgrade", "Connect-UDP"}, false, false, 0, true, true},
    {"the second protocol", {"upgrade", "websocket, connect-udp"}, false, false, 0, true, true},
    {"another protocol", {"upgrade", "connect-udp2"}, false, false, 0, true, false},
    {"connection: upgrade", {"connection", "upgrade"}, false, true, 0, false, false},
    {"options in any case", {"Connection", "UpGrade"}, false, true, 0, false, false},
    {"first of a list", {"connection", "upgrade, close"}, false, true, 0, false, false},
    {"last of a list", {"connection", "keep-alive,upgrade"}, false, true, 0, false, false},
    {"spaces and tabs around it", {"connection", "close ,\t upgrade\t , x"}, false, true, 0, false, false},
    {"empty members", {"connection", ",,upgrade,,"}, false, true, 0, false, false},
    {"a longer option", {"connection", "upgraded"}, false, false, 0, false, false},
    {"a shorter option", {"connection", "upgrad"}, false, false, 0, false, false},
    {"two words", {"connection", "upgrade now"}, false, false, 0, false, false},
    {"close", {"connection", "close"}, false, false, 0, false, false},
    {"empty", {"connection", ""}, false, false, 0, false, false},
    {"quoted", {"connection", "\"upgrade\""}, false, false, 0, false, false},
    {"proxy-connection is another", {"proxy-connection", "upgrade"}, false, false, 0, false, false},
};

static void test_flags(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(FLAGS); i++) {
        const flag_row *row = &FLAGS[i];
        unit_memory memory;
        masque_limits limits;
        mq_request request;
        unit_memory_init(&memory);
        masque_limits_init(&limits);
        mq_request_init(&request, &memory.allocator);
        add(&request, &limits, &row->field, 1);
        CHECK(row->name, request.has_body == row->has_body && request.is_upgrade == row->is_upgrade);
        CHECK(row->name, request.host_count == row->hosts && request.field_count == 1);
        CHECK(row->name, request.has_upgrade == row->has_upgrade && request.is_for_udp == row->is_for_udp);
        CHECK(row->name, request.bad_host == (strncmp(row->name, "no host", 7) == 0));
        mq_request_free(&request);
        CHECK(row->name, memory.pieces == 0);
    }
}

typedef struct method_row {
    const char *name;
    mq_method method;
} method_row;

static const method_row METHODS[] = {
    {"CONNECT", MQ_METHOD_CONNECT}, {"GET", MQ_METHOD_GET},      {"", MQ_METHOD_OTHER},
    {"connect", MQ_METHOD_OTHER},   {"CONNEC", MQ_METHOD_OTHER}, {"CONNECT2", MQ_METHOD_OTHER},
    {"get", MQ_METHOD_OTHER},       {"HEAD", MQ_METHOD_OTHER},   {"POST", MQ_METHOD_OTHER},
};

static void test_methods(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(METHODS); i++) {
        mq_request request = {.method = MQ_METHOD_GET};
        mq_request_set_method(&request, METHODS[i].name, strlen(METHODS[i].name));
        CHECK(METHODS[i].name, request.method == METHODS[i].method);
    }
}

/* RFC 9113 6.5.2: name, value and 32 a field; nothing is kept past a limit. */
static void test_limits(void **state) {
    (void)state;
    unit_memory memory;
    masque_limits limits;
    mq_request request;
    unit_memory_init(&memory);
    masque_limits_init(&limits);
    limits.header_fields_max = 4;
    limits.header_bytes_max = 512;
    mq_request_init(&request, &memory.allocator);
    mq_request_count(&request, &limits, 100);
    for (int i = 0; i < 4; i++) {
        mq_request_field(&request, &limits, "abc", 3, "defgh", 5);
    }
    assert_int_equal(request.byte_count, 100 + 4 * (8 + 32));
    assert_false(request.too_large);
    mq_request_field(&request, &limits, "proxy-authorization", 19, "secret", 6);
    assert_true(request.too_large);
    assert_null(request.proxy_authorization.bytes);
    mq_request_free(&request);

    mq_request_init(&request, &memory.allocator);
    mq_request_count(&request, &limits, 512 - 32 - 19 - 6);
    mq_request_field(&request, &limits, "proxy-authorization", 19, "secret", 6);
    assert_false(request.too_large);
    assert_non_null(request.proxy_authorization.bytes);
    mq_request_count(&request, &limits, 1);
    assert_true(request.too_large);
    mq_request_count(&request, &limits, 0);
    assert_true(request.too_large);
    mq_request_free(&request);
    assert_int_equal(memory.pieces, 0);
}

/* The first authority stays. */
static void test_first_stays(void **state) {
    (void)state;
    unit_memory memory;
    mq_request request;
    unit_memory_init(&memory);
    mq_request_init(&request, &memory.allocator);
    mq_request_set_authority(&request, "a:1", 3);
    mq_request_set_authority(&request, "b:2", 3);
    assert_string_equal(request.authority.bytes, "a:1");
    mq_request_free(&request);
    mq_request_free(&request);
    assert_int_equal(memory.pieces, 0);
}

static void test_no_memory(void **state) {
    (void)state;
    unit_memory memory;
    mq_request request;
    unit_memory_init(&memory);
    memory.left = 0;
    mq_request_init(&request, &memory.allocator);
    mq_request_set_authority(&request, "a:1", 3);
    assert_true(request.no_memory);
    assert_null(request.authority.bytes);
    assert_int_equal(request.authority.length, 0);
    mq_request_free(&request);
}

/* Texts of these tests hold no zero, so a released piece that begins with one was wiped. */
static void release_wiped(void *context, void *piece) {
    size_t *wiped = context;
    *wiped += *(const char *)piece == 0;
    free(piece);
}

static void *allocate_plain(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void test_credentials_are_wiped(void **state) {
    (void)state;
    size_t wiped = 0;
    masque_allocator allocator = {.allocate = allocate_plain, .release = release_wiped, .context = &wiped};
    masque_limits limits;
    mq_request request;
    masque_limits_init(&limits);
    mq_request_init(&request, &allocator);
    mq_request_field(&request, &limits, "proxy-authorization", 19, "secret", 6);
    mq_request_field(&request, &limits, "authorization", 13, "secret", 6);
    mq_request_free(&request);
    assert_int_equal(wiped, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_first_stays),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_credentials_are_wiped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
