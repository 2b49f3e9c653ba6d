/*
 * harness/frames.h: HTTP/2 frames and header blocks byte by byte, for clients
 * that don't behave. Nothing is checked; everything is appended to a sim_bytes.
 */
#ifndef SIM_FRAMES_H
#define SIM_FRAMES_H

#include "harness/sim.h"

enum {
    SIM_FRAME_DATA = 0,
    SIM_FRAME_HEADERS = 1,
    SIM_FRAME_PRIORITY = 2,
    SIM_FRAME_RST_STREAM = 3,
    SIM_FRAME_SETTINGS = 4,
    SIM_FRAME_PING = 6,
    SIM_FRAME_GOAWAY = 7,
    SIM_FRAME_WINDOW_UPDATE = 8,
    SIM_FRAME_CONTINUATION = 9
};

enum { SIM_FLAG_END_STREAM = 1, SIM_FLAG_ACK = 1, SIM_FLAG_END_HEADERS = 4, SIM_FLAG_PADDED = 8 };

void sim_frame(sim_bytes *out, unsigned type, unsigned flags, uint32_t stream, const void *payload, size_t length);
/* A payload of one 32-bit number. */
void sim_frame32(sim_bytes *out, unsigned type, uint32_t stream, uint32_t value);
/* The client's preface and an empty SETTINGS. */
void sim_preface(sim_bytes *out);
/* A field, never indexed, without Huffman coding (RFC 7541 6.2.3). */
void sim_hpack(sim_bytes *block, const char *name, const char *value);
void sim_hpack_bytes(sim_bytes *block, const char *name, const void *value, size_t length);
/* The block of a good CONNECT to AUTHORITY, with SIM_KEY unless KEY says another. */
void sim_connect_block(sim_bytes *block, const char *authority, const char *key);
/* That in one HEADERS frame. */
void sim_connect_frame(sim_bytes *out, uint32_t stream, const char *authority, unsigned flags);

/* --- HTTP/3 --- */

/* A control stream with SETTINGS: H3_DATAGRAM, and one that means nothing (RFC 9114 7.2.4.1). */
#define SIM_H3_CONTROL "\x00\x04\x05\x33\x01\x40\x5f\x07"

/* A field that uses no table and no Huffman code (RFC 9204 4.5.6); a block begins with two zeros. */
void sim_qpack(sim_bytes *block, const char *name, const char *value);
/* At most 16,383 bytes. */
void sim_h3_frame(sim_bytes *out, uint8_t type, const void *payload, size_t length);
/* Sends OUT on a stream, unless ID is negative, and empties it. */
void sim_h3_send(sim_conn *conn, int64_t id, sim_bytes *out, bool fin);
/* The :status that a stream begins with, 0 when none came. */
unsigned sim_h3_status(const sim_conn *conn, int64_t id);

/* Sends OUT on a raw client and empties it. */
void sim_send_all(sim_conn *conn, sim_bytes *out);

#endif
