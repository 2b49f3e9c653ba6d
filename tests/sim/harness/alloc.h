/*
 * harness/alloc.h: counts the proxy's memory and makes chosen allocations fail.
 *
 * The engine gets sim_allocator(); wolfSSL gets the same functions for the whole
 * process, and sim_side says for whom it just works: the harness brackets every
 * call of the library with SIM_PROXY. nghttp2's few bytes of options and
 * callbacks come from malloc() and aren't seen. One thread only.
 */
#ifndef SIM_ALLOC_H
#define SIM_ALLOC_H

#include <masqueproxy/base.h>

typedef enum sim_side { SIM_TEST, SIM_PROXY, SIM_SIDES } sim_side;

typedef struct sim_memory {
    uint64_t calls; /* allocations and resizes asked for */
    uint64_t live_blocks;
    uint64_t live_bytes;
    uint64_t wolfssl_bytes; /* of these, wolfSSL's own */
    uint64_t peak_bytes;
    uint64_t failed;
} sim_memory;

/* Plugs into wolfSSL. Call once, before anything else; again is harmless. */
void sim_alloc_init(void);

masque_allocator sim_allocator(void);

/* Whose wolfSSL allocations follow. Returns the side before. */
sim_side sim_alloc_side(sim_side side);

const sim_memory *sim_alloc_memory(sim_side side);
void sim_alloc_reset_peak(void);

/* The proxy's K-th allocation from now (from 1) fails, and all behind it if
   LASTING. K 0: none fails any more. */
void sim_alloc_fail(uint64_t k, bool lasting);

/* Another limit: an allocation that takes the proxy over BYTES fails; 0: none. */
void sim_alloc_limit(uint64_t bytes);

#endif
