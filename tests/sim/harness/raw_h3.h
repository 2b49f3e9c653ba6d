/*
 * harness/raw_h3.h: what tests that speak HTTP/3 by the byte have in common: codes, a client, its requests.
 */
#ifndef SIM_RAW_H3_H
#define SIM_RAW_H3_H

#include "harness/frames.h"
#include "harness/suite.h"

/* RFC 9114 8.1, RFC 9204 6, RFC 9297 5.2. */
#define NO_CLOSE MASQUE_NEVER
#define STREAM_CREATION_ERROR 0x103u
#define CLOSED_CRITICAL_STREAM 0x104u
#define FRAME_UNEXPECTED 0x105u
#define FRAME_ERROR 0x106u
#define EXCESSIVE_LOAD 0x107u
#define SETTINGS_ERROR 0x109u
#define MISSING_SETTINGS 0x10au
#define MESSAGE_ERROR 0x10eu
#define QPACK_DECOMPRESSION_FAILED 0x200u
#define QPACK_ENCODER_STREAM_ERROR 0x201u
#define CONNECT_ERROR 0x10fu
#define REQUEST_REJECTED 0x10bu
#define REQUEST_CANCELLED 0x10cu
#define REQUEST_INCOMPLETE 0x10du
#define DATAGRAM_ERROR 0x33u

/* Bytes that hold zeros. */
#define BYTES(text) (text), sizeof(text) - 1

/* Quarter Stream ID and context ID 0, and no payload. */
#define DATAGRAM BYTES("\x00\x00")
#define UDP_PATH "/.well-known/masque/udp/" SIM_ECHO "/1001/"
#define CONTROL SIM_H3_CONTROL
/* A CONNECT to SIM_QUIET:1001 without a credential, as QPACK. */
#define HEAD                                                                                                           \
    "\x00\x00\xcf\x50\x0e"                                                                                             \
    "45.60.0.4:1001"

/* Behind its handshake, and with a control stream of its own or without. */
sim_conn *sim_h3_client(sim_world *w, bool with_control);
/* A good CONNECT to SIM_QUIET; MORE is what follows its head. Returns the stream. */
int64_t sim_h3_request(sim_conn *c, const void *more, size_t length, bool fin);
/* A good CONNECT-UDP to SIM_ECHO. */
int64_t sim_h3_udp_request(sim_conn *c);

#endif
