#include "harness/frames.h"

#include <stdio.h>
#include <string.h>

#include "harness/parts.h"

static void put32(uint8_t *bytes, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) {
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

void sim_frame(sim_bytes *out, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t length) {
    uint8_t head[9];
    put32(head, (uint32_t)length << 8);
    head[3] = (uint8_t)type;
    head[4] = (uint8_t)flags;
    put32(head + 5, stream);
    sim_bytes_add(out, head, sizeof head);
    sim_bytes_add(out, payload, length);
}

void sim_frame32(sim_bytes *out, unsigned type, uint32_t stream, uint32_t value) {
    uint8_t payload[4];
    put32(payload, value);
    sim_frame(out, type, 0, stream, payload, sizeof payload);
}

void sim_preface(sim_bytes *out) {
    sim_bytes_add(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    sim_frame(out, SIM_FRAME_SETTINGS, 0, 0, NULL, 0);
}

/* RFC 7541 5.1 with a prefix of seven bits. */
static void put_length(sim_bytes *block, size_t length) {
    uint8_t byte;
    if (length < 127) {
        byte = (uint8_t)length;
        sim_bytes_add(block, &byte, 1);
        return;
    }
    byte = 127;
    sim_bytes_add(block, &byte, 1);
    for (length -= 127; length >= 128; length /= 128) {
        byte = (uint8_t)(length % 128 + 128);
        sim_bytes_add(block, &byte, 1);
    }
    byte = (uint8_t)length;
    sim_bytes_add(block, &byte, 1);
}

void sim_hpack_bytes(sim_bytes *block, const char *name, const void *value, size_t length) {
    sim_bytes_add(block, "\x10", 1);
    put_length(block, strlen(name));
    sim_bytes_add(block, name, strlen(name));
    put_length(block, length);
    sim_bytes_add(block, value, length);
}

void sim_hpack(sim_bytes *block, const char *name, const char *value) {
    sim_hpack_bytes(block, name, value, strlen(value));
}

void sim_connect_block(sim_bytes *block, const char *authority, const char *key) {
    char credential[SIM_TEXT];
    snprintf(credential, sizeof credential, "Preshared %s", key ? key : SIM_KEY);
    sim_hpack(block, ":method", "CONNECT");
    sim_hpack(block, ":authority", authority);
    sim_hpack(block, "proxy-authorization", credential);
}

void sim_connect_frame(sim_bytes *out, uint32_t stream, const char *authority, unsigned flags) {
    sim_bytes block = {.bytes = NULL};
    sim_connect_block(&block, authority, NULL);
    sim_frame(out, SIM_FRAME_HEADERS, flags | SIM_FLAG_END_HEADERS, stream, block.bytes, block.end);
    sim_bytes_free(&block);
}

void sim_send_all(sim_conn *conn, sim_bytes *out) {
    sim_raw_send(conn, out->bytes + out->start, out->end - out->start);
    sim_bytes_free(out);
}

/* --- HTTP/3 ------------------------------------------------------------------------------- */

void sim_qpack(sim_bytes *block, const char *name, const char *value) {
    /* Names from 7 bytes on have a second length byte, values from 127 bytes on. */
    size_t length = strlen(name);
    size_t size = strlen(value);
    uint8_t head[2] = {(uint8_t)(0x20 | (length < 7 ? length : 7)), (uint8_t)(length - 7)};
    uint8_t middle[2] = {(uint8_t)(size < 127 ? size : 127), (uint8_t)(size - 127)};
    sim_bytes_add(block, head, length < 7 ? 1 : 2);
    sim_bytes_add(block, name, length);
    sim_bytes_add(block, middle, size < 127 ? 1 : 2);
    sim_bytes_add(block, value, size);
}

void sim_h3_frame(sim_bytes *out, uint8_t type, const void *payload, size_t length) {
    const uint8_t head[3] = {type, (uint8_t)(0x40 | length >> 8), (uint8_t)length};
    sim_bytes_add(out, head, sizeof head);
    sim_bytes_add(out, payload, length);
}

void sim_h3_send(sim_conn *conn, int64_t id, sim_bytes *out, bool fin) {
    if (id >= 0) {
        sim_stream_send(conn, id, out->bytes, out->end, fin);
    }
    sim_bytes_free(out);
    *out = (sim_bytes){.start = 0};
}

/* HEADERS, its length in one or two bytes, two zeros; then an entry of the static table (RFC 9204 A),
   or its name and a text, which nghttp3 codes by Huffman where that is shorter. */
unsigned sim_h3_status(const sim_conn *conn, int64_t id) {
    static const struct {
        const char *bytes;
        unsigned status;
    } known[] = {{"\xd9", 200},
                 {"\xff\x04", 400},
                 {"\xff\x05", 403},
                 {"\xff\x08", 500},
                 {"\x5f\x09\x82\x6c\x01", 501},
                 {"\x5f\x09\x82\x6c\x02", 502},
                 {"\x5f\x09\x03"
                  "405",
                  405},
                 {"\x5f\x09\x03"
                  "431",
                  431}};
    const sim_stream_seen seen = sim_stream_seen_of(conn, id);
    size_t at = seen.first[1] & 0x40 ? 5 : 4;
    for (size_t i = 0; i < sizeof known / sizeof known[0] && seen.bytes > at && seen.first[0] == 1; i++) {
        if (memcmp(seen.first + at, known[i].bytes, strlen(known[i].bytes)) == 0) {
            return known[i].status;
        }
    }
    return 0;
}
