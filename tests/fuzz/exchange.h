/*
 * tests/fuzz/exchange.h: one client on a fresh engine says bytes, cut into records, to
 * targets that say everything back. What must hold of every host is checked here: nothing
 * is dialed that wasn't allowed, or isn't public; every socket ends by one event; in the
 * end nothing is left.
 */
#ifndef FUZZ_EXCHANGE_H
#define FUZZ_EXCHANGE_H

#include "proxy.h"

#define EXCHANGE_RECEIVED_MAX 262144

/* How the client and the targets behave. */
typedef struct exchange_setup {
    const char *protocol; /* of ALPN */
    size_t chunk;         /* plaintext bytes of a record; 0: all in one, as far as that goes */
    bool lookup_fails;    /* else one address of each family, and a loopback one */
    bool dial_fails;      /* refused */
    bool dial_waits;      /* answered with the next record, not at once */
    bool target_finishes; /* after its first bytes */
    bool target_resets;   /* after its first bytes */
    bool target_is_slow;  /* takes three bytes at a time, and only with the next record */
    bool time_passes;     /* half a second for each record */
    bool drains;          /* before the last record */
    bool transport_fails; /* in the end, instead of close_notify and its answer */
} exchange_setup;

/* Sets all but the protocol from two bytes of INPUT. */
exchange_setup exchange_setup_read(fuzz_input *input);

/* Runs it all. RECEIVED has room for EXCHANGE_RECEIVED_MAX bytes; returns how many came. */
size_t exchange_run(const exchange_setup *setup, fuzz_input plaintext, uint8_t *received);

#endif
