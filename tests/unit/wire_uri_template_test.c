/*
 * wire_uri_template_test.c: the path of a CONNECT-UDP request. Goal: each spelling of a target
 * that RFC 9298 and its clients use is found, by any template an operator may write, and
 * nothing else is.
 */
#include "wire/uri_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

typedef struct template_row {
    const char *template; /* NULL: the default */
    const char *path;
    const char *expected; /* the target's canonical form; NULL: no match */
} template_row;

#define BASE "/.well-known/masque/udp/"

static const template_row ROWS[] = {
    {NULL, BASE "192.0.2.6/443/", "192.0.2.6:443"},
    {NULL, BASE "example.com/443/", "example.com:443"},
    {NULL, BASE "EXAMPLE.com/443/", "example.com:443"},
    {NULL, BASE "2001%3Adb8%3A%3A42/443/", "[2001:db8::42]:443"},
    {NULL, BASE "2001%3adb8%3a%3a42/443/", "[2001:db8::42]:443"},
    {NULL, BASE "2001:db8::42/443/", "[2001:db8::42]:443"},
    {NULL, BASE "[2001:db8::42]/443/", "[2001:db8::42]:443"},
    {NULL, BASE "%5B2001%3Adb8%3A%3A42%5D/443/", "[2001:db8::42]:443"},
    {NULL, BASE "%65xample.com/%34%34%33/", "example.com:443"},
    {NULL, "https://proxy.example:4433" BASE "example.com/443/", "example.com:443"},
    {NULL, "http://[2001:db8::1]" BASE "example.com/65535/", "example.com:65535"},

    {NULL, "", NULL},
    {NULL, "/", NULL},
    {NULL, "*", NULL},
    {NULL, "https://proxy.example", NULL},
    {NULL, BASE, NULL},
    {NULL, BASE "example.com", NULL},
    {NULL, BASE "example.com/443", NULL},
    {NULL, BASE "example.com/443/more", NULL},
    {NULL, BASE "example.com/443/?query", NULL},
    {NULL, BASE "example.com/0/", NULL},
    {NULL, BASE "example.com/65536/", NULL},
    {NULL, BASE "example.com/123456/", NULL},
    {NULL, BASE "example.com//", NULL},
    {NULL, BASE "/443/", NULL},
    {NULL, BASE "example.com%2F443/443/", NULL},
    {NULL, BASE "user%40example.com/443/", NULL},
    {NULL, BASE "example.com%00/443/", NULL},
    {NULL, BASE "example.com%/443/", NULL},
    {NULL, BASE "example.com%2/443/", NULL},
    {NULL, BASE "example.com%zz/443/", NULL},
    {NULL, BASE "fe80%3A%3A1%25eth0/443/", NULL},
    {NULL, BASE "[2001:db8::42/443/", NULL},
    {NULL, BASE "2001:db8::42]/443/", NULL},
    {NULL, BASE "%2A/%2A/", NULL},
    {NULL, "/.WELL-KNOWN/masque/udp/example.com/443/", NULL},
    {NULL, "ftp:" BASE "example.com/443/", NULL},

    {"/masque?h={target_host}&p={target_port}", "/masque?h=192.0.2.6&p=443", "192.0.2.6:443"},
    {"/masque?h={target_host}&p={target_port}", "/masque?h=192.0.2.6&p=443&q=1", NULL},
    {"https://proxy.example:4433/masque{?target_host,target_port}", "/masque?target_host=example.com&target_port=443",
     "example.com:443"},
    {"/masque?v=1{&target_port,target_host}", "/masque?v=1&target_port=443&target_host=2001%3Adb8%3A%3A42",
     "[2001:db8::42]:443"},
    {"/{target_port}/{target_host}", "/443/example.com", "example.com:443"},
    {"/{target_host,target_port}", "/example.com,443", "example.com:443"},
};

static const char *const WRONG[] = {
    "",
    "masque/{target_host}/{target_port}",
    "https://proxy.example",
    "/",
    "/{target_host}/",
    "/{target_port}/",
    "/{target_host}{target_port}",
    "/{target_host}/{target_host}",
    "/{target_host}/{target_port}/{target_port}",
    "/{target_host}/{target_port}/{other}",
    "/{target_host/{target_port}",
    "/{+target_host}/{target_port}",
    "/{/target_host,target_port}",
    "/{;target_host,target_port}",
    "/{target_host:3}/{target_port}",
    "/{target_host*}/{target_port}",
    "/{}/{target_host}/{target_port}",
    "/{target_host}/{target_port}#x",
    "/{target_host}/{target_port} ",
    "/\xc3\xa9/{target_host}/{target_port}",
};

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        const template_row *row = &ROWS[i];
        mq_uri_template compiled;
        mq_authority target;
        char text[MQ_HOST_NAME_MAX + 10];
        assert_int_equal(mq_uri_template_compile(&compiled, row->template ? row->template : MQ_TEMPLATE_DEFAULT), 0);
        /* In memory of just that size, so that the sanitizer sees a read behind its end. */
        size_t length = strlen(row->path);
        char *path = malloc(length + 1);
        assert_non_null(path);
        memcpy(path + 1, row->path, length);
        int error = mq_uri_template_match(&compiled, path + 1, length, &target);
        free(path);
        if (error == 0) {
            mq_authority_format(&target, text, sizeof text);
        }
        CHECK(row->path, (error == 0) == (row->expected != NULL));
        CHECK(row->path, error != 0 || strcmp(text, row->expected) == 0);
    }
}

static void test_host_that_is_too_long(void **state) {
    (void)state;
    mq_uri_template compiled;
    mq_authority target;
    char path[2048];
    mq_uri_template_compile(&compiled, MQ_TEMPLATE_DEFAULT);
    for (size_t length = 1; length < 1900; length++) {
        int at = snprintf(path, sizeof path, "%s", BASE);
        for (size_t i = 0; i < length; i++) {
            path[at++] = i % 64 == 63 ? '.' : 'a';
        }
        path[at - 1] = 'a';
        at += snprintf(path + at, sizeof path - (size_t)at, "/443/");
        int error = mq_uri_template_match(&compiled, path, (size_t)at, &target);
        if ((error == 0) != (length <= MQ_HOST_NAME_MAX && length % 64 != 0)) {
            fail_msg("a host of %zu bytes: %d", length, error);
        }
    }
}

static void test_templates_that_are_none(void **state) {
    (void)state;
    mq_uri_template compiled;
    for (size_t i = 0; i < COUNT(WRONG); i++) {
        if (mq_uri_template_compile(&compiled, WRONG[i]) != MASQUE_ERR_INVALID) {
            fail_msg("compiled: %s", WRONG[i]);
        }
    }
    char text[2 * MQ_TEMPLATE_MAX];
    for (size_t length = MQ_TEMPLATE_MAX - 4; length <= MQ_TEMPLATE_MAX + 4; length++) {
        memset(text, '/', length);
        static const char end[] = "{target_host}-{target_port}";
        memcpy(text + length - 1, end, sizeof end);
        assert_int_equal(mq_uri_template_compile(&compiled, text), length <= MQ_TEMPLATE_MAX ? 0 : MASQUE_ERR_INVALID);
    }
}

/* What is expanded is matched again, and looks as RFC 9298 3 writes it. */
static void test_expanding(void **state) {
    static const char *const rows[][3] = {
        {MQ_TEMPLATE_DEFAULT, "example.com:443", "/.well-known/masque/udp/example.com/443/"},
        {MQ_TEMPLATE_DEFAULT, "[2001:db8::1]:53", "/.well-known/masque/udp/2001%3Adb8%3A%3A1/53/"},
        {MQ_TEMPLATE_DEFAULT, "192.0.2.6:65535", "/.well-known/masque/udp/192.0.2.6/65535/"},
        {"https://p.example/m{?target_port,target_host}", "a_b.c:1", "/m?target_port=1&target_host=a_b.c"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        mq_uri_template compiled;
        mq_authority target;
        mq_authority again;
        char path[MQ_TEMPLATE_MAX + MQ_EXPANSION_MAX];
        assert_int_equal(mq_uri_template_compile(&compiled, rows[i][0]), 0);
        assert_int_equal(mq_authority_parse(&target, rows[i][1], strlen(rows[i][1])), 0);
        mq_uri_template_expand(&compiled, &target, path);
        assert_string_equal(path, rows[i][2]);
        assert_int_equal(mq_uri_template_match(&compiled, path, strlen(path), &again), 0);
        CHECK(rows[i][1], again.port == target.port && strcmp(again.name, target.name) == 0 &&
                              masque_address_same_ip(&again.address, &target.address));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_host_that_is_too_long),
        cmocka_unit_test(test_templates_that_are_none),
        cmocka_unit_test(test_expanding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
