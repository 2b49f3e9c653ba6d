/*
 * http_response_test.c: what we answer. Goal: each refusal has the status and
 * the Proxy-Status (RFC 9209) written here, Server-Timing reads well, and no
 * value holds what could be an address.
 */
#include "http/response.h"

#include <string.h>

#include "unit.h"

#define MS MASQUE_MILLISECOND

typedef struct refusal_row {
    const char *name;
    mq_refusal refusal;
    unsigned status;
    const char *reason;
    const char *type;
    const char *proxy_status; /* NULL: none */
} refusal_row;

static const refusal_row REFUSALS[] = {
    {"none", MQ_REFUSAL_NONE, 200, "OK", NULL, NULL},
    {"malformed", MQ_REFUSAL_MALFORMED, 400, "Bad Request", "http_request_error",
     "masqueproxy; error=http_request_error; details=\"malformed request\""},
    {"bad authority", MQ_REFUSAL_BAD_AUTHORITY, 400, "Bad Request", "http_request_error",
     "masqueproxy; error=http_request_error; details=\"malformed authority\""},
    {"bad geohash", MQ_REFUSAL_BAD_GEOHASH, 400, "Bad Request", "http_request_error",
     "masqueproxy; error=http_request_error; details=\"malformed sec-ch-geohash\""},
    {"unauthorized", MQ_REFUSAL_UNAUTHORIZED, 403, "Forbidden", "http_request_denied",
     "masqueproxy; error=http_request_denied"},
    {"bad hint", MQ_REFUSAL_BAD_HINT, 403, "Forbidden", "http_request_denied",
     "masqueproxy; error=http_request_denied; details=\"sec-ch-geohash without a good signature\""},
    {"target denied", MQ_REFUSAL_TARGET_DENIED, 403, "Forbidden", "destination_ip_prohibited",
     "masqueproxy; error=destination_ip_prohibited"},
    {"challenge", MQ_REFUSAL_CHALLENGE, 407, "Proxy Authentication Required", "http_request_denied",
     "masqueproxy; error=http_request_denied; details=\"authentication required\""},
    {"method", MQ_REFUSAL_METHOD, 405, "Method Not Allowed", "http_request_error",
     "masqueproxy; error=http_request_error; details=\"method not supported\""},
    {"too large", MQ_REFUSAL_TOO_LARGE, 431, "Request Header Fields Too Large", "http_request_error",
     "masqueproxy; error=http_request_error; details=\"request head too large\""},
    {"protocol", MQ_REFUSAL_PROTOCOL, 501, "Not Implemented", "http_request_error",
     "masqueproxy; error=http_request_error; details=\"protocol not supported\""},
    {"name not found", MQ_REFUSAL_NAME_NOT_FOUND, 502, "Bad Gateway", "dns_error",
     "masqueproxy; error=dns_error; rcode=\"NXDOMAIN\""},
    {"name empty", MQ_REFUSAL_NAME_EMPTY, 502, "Bad Gateway", "dns_error",
     "masqueproxy; error=dns_error; rcode=\"NOERROR\""},
    {"name failed", MQ_REFUSAL_NAME_FAILED, 502, "Bad Gateway", "dns_error",
     "masqueproxy; error=dns_error; rcode=\"SERVFAIL\""},
    {"name timeout", MQ_REFUSAL_NAME_TIMEOUT, 502, "Bad Gateway", "dns_timeout", "masqueproxy; error=dns_timeout"},
    {"refused", MQ_REFUSAL_REFUSED, 502, "Bad Gateway", "connection_refused", "masqueproxy; error=connection_refused"},
    {"unreachable", MQ_REFUSAL_UNREACHABLE, 502, "Bad Gateway", "destination_ip_unroutable",
     "masqueproxy; error=destination_ip_unroutable"},
    {"dial timeout", MQ_REFUSAL_DIAL_TIMEOUT, 502, "Bad Gateway", "connection_timeout",
     "masqueproxy; error=connection_timeout"},
    {"dial failed", MQ_REFUSAL_DIAL_FAILED, 502, "Bad Gateway", "connection_terminated",
     "masqueproxy; error=connection_terminated"},
    {"exhausted", MQ_REFUSAL_EXHAUSTED, 503, "Service Unavailable", "connection_limit_reached",
     "masqueproxy; error=connection_limit_reached; details=\"no descriptor or port left\""},
    {"no egress", MQ_REFUSAL_NO_EGRESS, 503, "Service Unavailable", "connection_limit_reached",
     "masqueproxy; error=connection_limit_reached; details=\"no egress address\""},
    {"limit", MQ_REFUSAL_LIMIT, 503, "Service Unavailable", "connection_limit_reached",
     "masqueproxy; error=connection_limit_reached"},
    {"quota", MQ_REFUSAL_QUOTA, 503, "Service Unavailable", "connection_limit_reached",
     "masqueproxy; error=connection_limit_reached; details=\"quota\""},
    {"draining", MQ_REFUSAL_DRAINING, 503, "Service Unavailable", "connection_limit_reached",
     "masqueproxy; error=connection_limit_reached; details=\"draining\""},
    {"auth unavailable", MQ_REFUSAL_AUTH_UNAVAILABLE, 503, "Service Unavailable", "proxy_internal_error",
     "masqueproxy; error=proxy_internal_error; details=\"authentication unavailable\""},
    {"internal", MQ_REFUSAL_INTERNAL, 503, "Service Unavailable", "proxy_internal_error",
     "masqueproxy; error=proxy_internal_error"},
};

static const char *field_value(const masque_field *fields, size_t count, const char *name) {
    const char *value = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            assert_null(value);
            value = fields[i].value;
        }
    }
    return value;
}

/* Digits, a dot, digits and a dot: no duration looks so, every IPv4 address does. */
static bool has_dotted_digits(const char *text) {
    unsigned dots = 0;
    for (bool digit = false; *text; text++) {
        bool is_digit = *text >= '0' && *text <= '9';
        if (*text == '.' && digit) {
            dots++;
        } else if (!is_digit) {
            dots = 0;
        }
        digit = is_digit;
        if (dots >= 2) {
            return true;
        }
    }
    return false;
}

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(REFUSALS); i++) {
        const refusal_row *row = &REFUSALS[i];
        mq_response response = {.refusal = row->refusal, .timing = {1 * MS, 2 * MS, 3 * MS, 4 * MS}};
        mq_response_text text;
        masque_field fields[MQ_RESPONSE_FIELDS_MAX];
        size_t count = mq_response_fields(&response, &text, fields);
        CHECK(row->name, mq_response_status(&response) == row->status);
        CHECK(row->name, strcmp(mq_status_reason(row->status), row->reason) == 0);
        CHECK(row->name, row->type ? strcmp(mq_refusal_type(row->refusal), row->type) == 0
                                   : mq_refusal_type(row->refusal) == NULL);
        const char *status = field_value(fields, count, "proxy-status");
        CHECK(row->name, row->proxy_status ? status && strcmp(status, row->proxy_status) == 0 : status == NULL);
        const char *timing = field_value(fields, count, "server-timing");
        CHECK(row->name, timing && strcmp(timing, "proxy;dur=1.0, dns;dur=2.0, connect;dur=3.0, auth;dur=4.0") == 0);
        const char *allow = field_value(fields, count, "allow");
        CHECK(row->name, row->status == 405 ? allow && strcmp(allow, "CONNECT") == 0 : allow == NULL);
        CHECK(row->name, count == 1u + (status != NULL) + (allow != NULL));
        for (size_t j = 0; j < count; j++) {
            CHECK(row->name, !has_dotted_digits(fields[j].value) && !strpbrk(fields[j].value, "\r\n[]"));
        }
    }
    assert_true(has_dotted_digits("x 192.0.2.1"));
    assert_false(has_dotted_digits("dur=1.3, dns;dur=2.4"));
}

/* The table above must have a row for each refusal there is. */
static void test_table_is_whole(void **state) {
    (void)state;
    static const mq_refusal all[] = {MQ_REFUSAL_NONE,
#define MASQUE_X(name, status, type, rcode, details) MQ_REFUSAL_##name,
                                     MQ_REFUSALS(MASQUE_X)
#undef MASQUE_X
    };
    assert_int_equal(COUNT(all), COUNT(REFUSALS));
    for (size_t i = 0; i < COUNT(all); i++) {
        CHECK(REFUSALS[i].name, REFUSALS[i].refusal == all[i]);
    }
    assert_string_equal(mq_status_reason(299), "");
}

typedef struct timing_row {
    const char *name;
    mq_timing timing; /* proxy, dns, connect, auth */
    const char *expected;
} timing_row;

#define NO MASQUE_NEVER

static const timing_row TIMINGS[] = {
    {"no wait", {0, NO, NO, NO}, "proxy;dur=0.0"},
    {"rounded down", {49999, NO, NO, NO}, "proxy;dur=0.0"},
    {"rounded up", {50000, NO, NO, NO}, "proxy;dur=0.1"},
    {"to the next whole", {999950000, NO, NO, NO}, "proxy;dur=1000.0"},
    {"a tenth", {1300000, NO, NO, NO}, "proxy;dur=1.3"},
    {"dns", {0, 12 * MS, NO, NO}, "proxy;dur=0.0, dns;dur=12.0"},
    {"connect of an address", {0, NO, 34 * MS, NO}, "proxy;dur=0.0, connect;dur=34.0"},
    {"auth", {0, NO, NO, 56 * MS}, "proxy;dur=0.0, auth;dur=56.0"},
    {"all", {1 * MS, 2 * MS, 3 * MS, 4 * MS}, "proxy;dur=1.0, dns;dur=2.0, connect;dur=3.0, auth;dur=4.0"},
    {"without ours", {NO, 2 * MS, NO, 4 * MS}, "dns;dur=2.0, auth;dur=4.0"},
    {"a day each",
     {86400 * MASQUE_SECOND, 86400 * MASQUE_SECOND, 86400 * MASQUE_SECOND, 86400 * MASQUE_SECOND},
     "proxy;dur=86400000.0, dns;dur=86400000.0, connect;dur=86400000.0, auth;dur=86400000.0"},
    {"five hundred years each",
     {UINT64_MAX - MASQUE_SECOND, UINT64_MAX - MASQUE_SECOND, UINT64_MAX - MASQUE_SECOND, UINT64_MAX - MASQUE_SECOND},
     "proxy;dur=18446744072709.6, dns;dur=18446744072709.6, connect;dur=18446744072709.6, auth;dur=18446744072709.6"},
};

static void test_timings(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(TIMINGS); i++) {
        mq_response response = {.refusal = MQ_REFUSAL_NONE, .timing = TIMINGS[i].timing};
        mq_response_text text;
        masque_field fields[MQ_RESPONSE_FIELDS_MAX];
        memset(&text, 'x', sizeof text);
        size_t count = mq_response_fields(&response, &text, fields);
        CHECK(TIMINGS[i].name, count == 1);
        CHECK(TIMINGS[i].name, strcmp(fields[0].value, TIMINGS[i].expected) == 0);
    }
}

static void test_alt_svc(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        mq_response response = {.refusal = i ? MQ_REFUSAL_METHOD : MQ_REFUSAL_NONE, .udp = true, .h3_port = 65535};
        mq_response_text text;
        masque_field fields[MQ_RESPONSE_FIELDS_MAX];
        size_t count = mq_response_fields(&response, &text, fields);
        const char *value = field_value(fields, count, "alt-svc");
        assert_non_null(value);
        assert_string_equal(value, "h3=\":65535\"");
        assert_int_equal(field_value(fields, count, "capsule-protocol") == NULL, i);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_table_is_whole),
        cmocka_unit_test(test_timings),
        cmocka_unit_test(test_alt_svc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
