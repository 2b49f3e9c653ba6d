#include "wire/varint.h"

#include <assert.h>

size_t mq_varint_read(const uint8_t *bytes, size_t length, uint64_t *value) {
    size_t needed = length > 0 ? mq_varint_length(bytes[0]) : 1;
    if (length < needed) {
        return 0;
    }
    *value = bytes[0] & 0x3fu;
    for (size_t i = 1; i < needed; i++) {
        *value = *value << 8 | bytes[i];
    }
    return needed;
}

size_t mq_varint_write(uint8_t bytes[MQ_VARINT_LENGTH_MAX], uint64_t value) {
    static const uint8_t marks[] = {[1] = 0x00, [2] = 0x40, [4] = 0x80, [8] = 0xc0};
    assert(value <= MQ_VARINT_MAX);
    size_t length = value < 1u << 6 ? 1 : value < 1u << 14 ? 2 : value < 1u << 30 ? 4 : 8;
    for (size_t i = length; i > 0; i--) {
        bytes[i - 1] = (uint8_t)value;
        value >>= 8;
    }
    bytes[0] |= marks[length];
    return length;
}
