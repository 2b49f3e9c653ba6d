/* Varints and capsules: every split point reads as one shot does, lengths claim nothing. */
#include <string.h>

#include "unit.h"
#include "wire/capsule.h"

static void test_varints(void **state) {
    static const uint64_t values[] = {0, 63, 64, 16383, 16384, 1073741823, 1073741824, MQ_VARINT_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t bytes[MQ_VARINT_LENGTH_MAX];
        uint64_t value = 1;
        size_t length = mq_varint_write(bytes, values[i]);
        assert_int_equal(length, mq_varint_length(bytes[0]));
        for (size_t cut = 0; cut < length; cut++) {
            assert_int_equal(mq_varint_read(bytes, cut, &value), 0);
        }
        assert_int_equal(mq_varint_read(bytes, length, &value), length);
        assert_true(value == values[i]);
    }
}

/* Longer forms than needed are read (RFC 9000 16, its own example 37 in two bytes). */
static void test_long_form(void **state) {
    static const uint8_t bytes[] = {0x40, 0x25};
    uint64_t value = 0;
    (void)state;
    assert_int_equal(mq_varint_read(bytes, sizeof bytes, &value), 2);
    assert_int_equal(value, 37);
}

/* Reads LENGTH bytes in pieces of STEP; returns what DATAGRAM values came, and their ends as 0xff. */
static size_t read_all(const uint8_t *bytes, size_t length, size_t step, uint8_t *values) {
    mq_capsule_reader reader;
    size_t used = 0;
    memset(&reader, 0, sizeof reader);
    for (size_t at = 0; at < length; at += step) {
        const uint8_t *piece_of = bytes + at;
        size_t left = length - at < step ? length - at : step;
        mq_capsule_piece piece;
        while (mq_capsule_read(&reader, &piece_of, &left, &piece) == MQ_CAPSULE_PIECE) {
            memcpy(values + used, piece.bytes, piece.length);
            used += piece.length;
            if (piece.last) {
                values[used++] = 0xff;
            }
        }
    }
    assert_false(mq_capsule_is_inside(&reader));
    return used;
}

static void test_every_split(void **state) {
    /* A datagram, an unknown capsule, an empty datagram, a datagram with a long type and length. */
    static const uint8_t stream[] = {0x00, 0x03, 0x00, 'a',  'b',  0x29, 0x02, 'x', 'y',
                                     0x00, 0x00, 0x40, 0x00, 0x40, 0x02, 0x00, 'c'};
    static const uint8_t expected[] = {0x00, 'a', 'b', 0xff, 0xff, 0x00, 'c', 0xff};
    (void)state;
    for (size_t step = 1; step <= sizeof stream; step++) {
        uint8_t values[64];
        size_t used = read_all(stream, sizeof stream, step, values);
        assert_int_equal(used, sizeof expected);
        assert_memory_equal(values, expected, used);
    }
}

static void test_too_long(void **state) {
    static const uint8_t datagram[] = {0x00, 0x80, 0x01, 0x00, 0x00}; /* 65536 bytes */
    static const uint8_t unknown[] = {0x17, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 'x'};
    mq_capsule_reader reader;
    mq_capsule_piece piece;
    const uint8_t *bytes = datagram;
    size_t length = sizeof datagram;
    (void)state;
    memset(&reader, 0, sizeof reader);
    assert_int_equal(mq_capsule_read(&reader, &bytes, &length, &piece), MQ_CAPSULE_TOO_LONG);
    memset(&reader, 0, sizeof reader);
    bytes = unknown;
    length = sizeof unknown;
    assert_int_equal(mq_capsule_read(&reader, &bytes, &length, &piece), MQ_CAPSULE_NEEDS_MORE);
    assert_true(mq_capsule_is_inside(&reader));
}

static void test_own_form(void **state) {
    static const size_t lengths[] = {0, 1, 1200, 16382, 16383, MQ_UDP_PAYLOAD_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        uint8_t head[16] = {0};
        size_t value;
        mq_capsule_write_head(head, lengths[i]);
        size_t whole = mq_capsule_own_length(head, &value);
        assert_int_equal(whole, mq_capsule_head_length(lengths[i]) + lengths[i]);
        assert_int_equal(value, mq_capsule_head_length(lengths[i]) - 1);
        assert_int_equal(head[value], 0);
    }
}

int main(void) {
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_varints),  cmocka_unit_test(test_long_form), cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_own_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
