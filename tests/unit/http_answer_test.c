/*
 * http_answer_test.c: heads of answers, as a client reads them: what is kept, what is refused,
 * and HTTP/1.1's form of them.
 */
#include "unit.h"

#include <string.h>

#include "http/answer.h"
#include "http/h1_parser.h"

typedef struct row {
    const char *name;
    const char *head;
    int error;
    unsigned status;
    size_t fields;
} row;

static const row ROWS[] = {
    {"a tunnel", "HTTP/1.1 200 OK\r\nServer-Timing: a;dur=1\r\n\r\n", 0, 200, 1},
    {"no reason", "HTTP/1.1 200 \r\n\r\n", 0, 200, 0},
    {"neither reason nor space", "HTTP/1.1 200\r\n\r\n", 0, 200, 0},
    {"an upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: connect-udp\r\nX:\r\n\r\n", 0, 101, 2},
    {"another version", "HTTP/1.0 200 OK\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"no status", "HTTP/1.1 OK\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"four digits", "HTTP/1.1 2000 OK\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"a status below 100", "HTTP/1.1 099 No\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"letters in it", "HTTP/1.1 2x0 OK\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"a field without colon", "HTTP/1.1 200 OK\r\nServer\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"folding", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"a bare line feed", "HTTP/1.1 200 OK\r\nA: b\n\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"a control", "HTTP/1.1 200 OK\r\nA: b\x01\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
    {"not a name", "HTTP/1.1 200 OK\r\nA b: c\r\n\r\n", MASQUE_ERR_PROTOCOL, 0, 0},
};

static void test_rows(void **state) {
    unit_memory *memory = *state;
    masque_limits limits;
    masque_limits_init(&limits);
    for (size_t i = 0; i < COUNT(ROWS); i++) {
        mq_answer answer = {.allocator = NULL};
        int error = mq_h1_parse_answer(&answer, &memory->allocator, &limits, ROWS[i].head, strlen(ROWS[i].head));
        CHECK(ROWS[i].name, error == ROWS[i].error);
        CHECK(ROWS[i].name, error || (answer.status == ROWS[i].status && answer.count == ROWS[i].fields));
        mq_answer_free(&answer);
    }
}

static void test_fields(void **state) {
    static const char head[] = "HTTP/1.1 403 Forbidden\r\nProxy-Status: a; b\r\nX-Empty: \r\n\r\n";
    unit_memory *memory = *state;
    masque_limits limits;
    mq_answer answer = {.allocator = NULL};
    masque_limits_init(&limits);
    assert_int_equal(mq_h1_parse_answer(&answer, &memory->allocator, &limits, head, sizeof head - 1), 0);
    assert_string_equal(answer.fields[0].name, "proxy-status");
    assert_string_equal(answer.fields[0].value, "a; b");
    assert_string_equal(answer.fields[1].name, "x-empty");
    assert_string_equal(answer.fields[1].value, "");
    mq_answer_free(&answer);
    mq_answer_free(&answer); /* again is harmless */
}

static int add(unit_memory *memory, mq_answer *answer, const masque_limits *limits, const char *name,
               const char *value) {
    return mq_answer_field(answer, &memory->allocator, limits, name, strlen(name), value, strlen(value));
}

static void test_limits(void **state) {
    unit_memory *memory = *state;
    masque_limits limits;
    mq_answer answer = {.allocator = NULL};
    masque_limits_init(&limits);
    for (uint64_t i = 0; i < limits.header_fields_max; i++) {
        assert_int_equal(add(memory, &answer, &limits, "a", "b"), 0);
    }
    assert_int_equal(add(memory, &answer, &limits, "a", "b"), MASQUE_ERR_FLOOD);
    mq_answer_free(&answer);
    limits.header_bytes_max = 1024;
    char value[1024 - 32];
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = 0;
    assert_int_equal(add(memory, &answer, &limits, "a", value), 0);
    assert_int_equal(add(memory, &answer, &limits, "", ""), MASQUE_ERR_FLOOD);
    mq_answer_free(&answer);
}

static void test_status(void **state) {
    unit_memory *memory = *state;
    masque_limits limits;
    mq_answer answer = {.allocator = NULL};
    masque_limits_init(&limits);
    assert_int_equal(add(memory, &answer, &limits, ":status", "103"), 0);
    assert_true(mq_answer_is_interim(&answer));
    assert_int_equal(add(memory, &answer, &limits, ":status", "200"), MASQUE_ERR_PROTOCOL); /* twice */
    mq_answer_free(&answer);
    assert_int_equal(add(memory, &answer, &limits, ":status", "101"), 0);
    assert_false(mq_answer_is_interim(&answer));
    mq_answer_free(&answer);
}

/* Whichever allocation fails, nothing is left. */
static void test_no_memory(void **state) {
    unit_memory *memory = *state;
    masque_limits limits;
    mq_answer answer = {.allocator = NULL};
    masque_limits_init(&limits);
    int error = MASQUE_ERR_NO_MEMORY;
    for (size_t left = 0; error; left++) {
        mq_answer_free(&answer);
        memory->left = left;
        error = add(memory, &answer, &limits, "a", "b");
        CHECK("an allocation fails", !error || error == MASQUE_ERR_NO_MEMORY);
    }
    mq_answer_free(&answer);
}

static int begin(void **state) {
    static unit_memory memory;
    unit_memory_init(&memory);
    *state = &memory;
    return 0;
}

static int end(void **state) {
    const unit_memory *memory = *state;
    return memory->pieces == 0 ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_rows), TEST(test_fields), TEST(test_limits), TEST(test_status), TEST(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
