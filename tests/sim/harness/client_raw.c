/*
 * harness/client_raw.c: what a test that writes its own HTTP/2 frames sees of the
 * proxy's: counted by type, with the codes and windows that matter.
 */
#include <string.h>

#include "harness/parts.h"

static uint32_t get32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* RFC 7541 B, digits only: 0, 1, 2 have five bits, the others six. */
static unsigned huffman_digits(const uint8_t *bytes, size_t length) {
    unsigned value = 0;
    size_t bit = 0;
    for (int digit = 0; digit < 3 && bit + 5 <= length * 8; digit++) {
        unsigned code = 0;
        for (size_t i = 0; i < 6; i++) {
            size_t at = bit + i;
            unsigned byte = at < length * 8 ? bytes[at / 8] : 0xff;
            code = code << 1 | (byte >> (7 - at % 8) & 1u);
        }
        bool is_short = code >> 1 <= 2;
        value = value * 10 + (is_short ? code >> 1 : code - 22);
        bit += is_short ? 5 : 6;
    }
    return value;
}

/* Our proxy's answers begin with :status as an indexed field (RFC 7541 A) or as a
   literal with the name of entry 8. */
static unsigned status_of(const uint8_t *block, size_t length) {
    static const unsigned indexed[] = {[8] = 200, 204, 206, 304, 400, 404, 500};
    size_t at = 0;
    while (at < length && (block[at] & 0xe0) == 0x20) {
        at++; /* a table size update below 31 */
    }
    if (at < length && (block[at] & 0x80) && (block[at] & 0x7f) < 15) {
        return indexed[block[at] & 0x7f];
    }
    if (at + 2 >= length) {
        return 0;
    }
    size_t text = block[at + 1] & 0x7f;
    const uint8_t *bytes = block + at + 2;
    if (at + 2 + text > length) {
        return 0;
    }
    if (block[at + 1] & 0x80) {
        return huffman_digits(bytes, text);
    }
    return text == 3 ? (unsigned)(bytes[0] - '0') * 100 + (unsigned)(bytes[1] - '0') * 10 + bytes[2] - '0' : 0;
}

static void take_frame(sim_seen *seen, uint8_t type, uint8_t flags, uint32_t stream, const uint8_t *payload,
                       size_t length) {
    seen->frames[type & 15]++;
    if (type == 0x1) {
        seen->status = status_of(payload, length);
    } else if (type == 0x3 && length == 4) {
        seen->reset_code = get32(payload);
        seen->reset_stream = (int32_t)stream;
    } else if ((type == 0x4 || type == 0x6) && flags & 1) {
        seen->acks++;
    } else if (type == 0x7 && length >= 8) {
        seen->goaway_last = get32(payload) & 0x7fffffff;
        seen->goaway_code = get32(payload + 4);
    } else if (type == 0x8 && length == 4) {
        uint64_t *sum = stream ? &seen->window_updates : &seen->window_updates_0;
        *sum += get32(payload);
    }
}

void sim_raw_input(sim_conn *conn, const uint8_t *bytes, size_t length) {
    sim_bytes *plain = &conn->plain;
    conn->seen.bytes += length;
    sim_bytes_add(plain, bytes, length);
    bool h2 = !conn->options.alpn || strcmp(conn->options.alpn, "h2") == 0;
    while (h2 && sim_bytes_length(plain) >= 9) {
        const uint8_t *head = plain->bytes + plain->start;
        size_t payload = get32(head) >> 8;
        if (sim_bytes_length(plain) < 9 + payload) {
            return;
        }
        take_frame(&conn->seen, head[3], head[4], get32(head + 5) & 0x7fffffff, head + 9, payload);
        sim_bytes_drop(plain, 9 + payload);
    }
}

void sim_raw_send(sim_conn *conn, const void *bytes, size_t length) {
    conn->raw_sent += length;
    if (conn->options.naked) {
        sim_bytes_add(&conn->out, bytes, length);
    } else {
        sim_tls_write(conn, bytes, length);
    }
}
