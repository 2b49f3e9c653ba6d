#include "wire/capsule.h"

#include <assert.h>

/* How many bytes the header has, as far as it can be known; or 0: it takes one more to know. */
static size_t header_needs(const mq_capsule_reader *reader) {
    if (reader->header_length == 0) {
        return 0;
    }
    size_t type = mq_varint_length(reader->header[0]);
    if (reader->header_length <= type) {
        return 0;
    }
    return type + mq_varint_length(reader->header[type]);
}

static bool take_header(mq_capsule_reader *reader, const uint8_t **bytes, size_t *length) {
    uint64_t type;
    while (*length > 0) {
        reader->header[reader->header_length++] = *(*bytes)++;
        --*length;
        if (reader->header_length == header_needs(reader)) {
            size_t at = mq_varint_read(reader->header, reader->header_length, &type);
            mq_varint_read(reader->header + at, reader->header_length - at, &reader->left);
            reader->is_datagram = type == MQ_CAPSULE_DATAGRAM;
            reader->is_first = reader->in_value = true;
            reader->header_length = 0;
            return true;
        }
    }
    return false;
}

mq_capsule_step mq_capsule_read(mq_capsule_reader *reader, const uint8_t **bytes, size_t *length,
                                mq_capsule_piece *piece) {
    for (;;) {
        if (!reader->in_value && !take_header(reader, bytes, length)) {
            return MQ_CAPSULE_NEEDS_MORE;
        }
        if (reader->is_datagram && reader->left > MQ_HTTP_DATAGRAM_MAX) {
            return MQ_CAPSULE_TOO_LONG;
        }
        if (reader->left > 0 && *length == 0) {
            return MQ_CAPSULE_NEEDS_MORE;
        }
        size_t take = reader->left < *length ? (size_t)reader->left : *length;
        *piece = (mq_capsule_piece){
            .bytes = *bytes, .length = take, .first = reader->is_first, .last = take == reader->left};
        piece->whole = reader->is_first ? (size_t)reader->left : 0;
        *bytes += take;
        *length -= take;
        reader->left -= take;
        reader->is_first = false;
        reader->in_value = reader->left > 0;
        if (reader->is_datagram) {
            return MQ_CAPSULE_PIECE;
        }
    }
}

void mq_capsule_write_head(uint8_t *bytes, size_t length) {
    size_t value = length + 1;
    assert(length <= MQ_UDP_PAYLOAD_MAX);
    *bytes++ = MQ_CAPSULE_DATAGRAM;
    if (mq_capsule_head_length(length) == 4) {
        *bytes++ = (uint8_t)(0x40u | value >> 8);
    } else {
        *bytes++ = 0x80u;
        *bytes++ = (uint8_t)(value >> 16);
        *bytes++ = (uint8_t)(value >> 8);
    }
    *bytes++ = (uint8_t)value;
    *bytes = 0; /* the context */
}

size_t mq_capsule_own_length(const uint8_t *bytes, size_t *value) {
    uint64_t length;
    *value = 1 + mq_varint_read(bytes + 1, MQ_VARINT_LENGTH_MAX, &length);
    return *value + (size_t)length;
}
