/*
 * harness/forge.h: looks into QUIC packets before they are sealed, and puts other frames there: what ngtcp2 would
 * never send; and changes what both ends say at the beginning. For programs that are linked with --wrap of the
 * functions in forge.c. One thread only.
 */
#ifndef SIM_FORGE_H
#define SIM_FORGE_H

#include "harness/sim.h"

#define FORGE_TYPES 0x40u
/* A 1-RTT packet with room for so many bytes of frames is one to put others into. */
#define FORGE_ROOM 1000u

/* A frame of RFC 9000 19 or RFC 9221: its numbers in their order, then its bytes. A STREAM frame has ID and offset. */
typedef struct forge_frame {
    uint64_t type; /* as it was; STREAM is counted as 8, DATAGRAM as 0x30 */
    uint64_t numbers[3];
    const uint8_t *bytes;
    size_t length;
} forge_frame;

/* What one side sent of itself. */
typedef struct forge_seen {
    uint64_t packets;
    uint64_t frames[FORGE_TYPES];
    uint64_t reset_code;     /* of the last RESET_STREAM */
    uint64_t close_code;     /* MASQUE_NEVER: no CONNECTION_CLOSE */
    bool close_is_transport; /* 0x1c */
} forge_seen;

typedef struct forge_state {
    forge_seen seen[SIM_SIDES];
    /* Whose packets are changed, and how: writes frames into ROOM bytes that are zero (PADDING) and returns true, or
       leaves the packet as it is. FRAMES holds the packet's own when it is called. */
    sim_side side;
    bool (*make)(void *user, uint8_t *frames, size_t room);
    void *user;
    uint64_t made;
    uint64_t most;    /* 0: any number */
    const void *next; /* of forge_next() */
    size_t next_length;
    /* Both may be NULL. HEADER is what is authenticated only: an Initial's has the token. */
    void (*on_frame)(void *user, sim_side side, const forge_frame *frame);
    void (*on_packet)(void *user, sim_side side, const uint8_t *header, size_t length);
    /* What clients say of themselves; 0 or NULL: as the library has it. */
    uint64_t datagram_max; /* max_datagram_frame_size, less one */
    const char *alpn;      /* "": none */
    bool no_protocols;     /* the proxy doesn't say SETTINGS_ENABLE_CONNECT_PROTOCOL */
} forge_state;

/* Starts anew: nothing seen, nothing to be made. */
forge_state *forge_begin(void);

/* SIDE's next packet with room has these frames, which are not copied, and PADDING. */
void forge_next(sim_side side, const void *frames, size_t length);
/* A raw client sends a datagram of no stream: its packet has room. */
void forge_carrier(sim_conn *conn);

/* Appends a number (RFC 9000 16), of eight bytes always. */
void forge_number(sim_bytes *out, uint64_t number);

#endif
