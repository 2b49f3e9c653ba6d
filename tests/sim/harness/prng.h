/*
 * harness/prng.h: the simulator's only source of chance: xorshift64*, one stream
 * for each purpose, so that a seed replays a run. No host randomness enters but
 * inside wolfSSL, whose handshake lengths may differ by a byte or two.
 */
#ifndef SIM_PRNG_H
#define SIM_PRNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct sim_prng {
    uint64_t state; /* never 0 */
} sim_prng;

static inline void sim_prng_seed(sim_prng *prng, uint64_t seed) {
    uint64_t mixed = seed * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0xd1b54a32d192ed03);
    mixed ^= mixed >> 29;
    prng->state = mixed ? mixed : 1;
}

static inline uint64_t sim_random(sim_prng *prng) {
    uint64_t x = prng->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    prng->state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* 1..MOST; small values are as likely as large ones (a random number of bits). */
static inline size_t sim_random_size(sim_prng *prng, size_t most) {
    unsigned bits = 0;
    while (bits < 63 && most >> bits > 0) {
        bits++;
    }
    if (bits == 0) {
        return 1;
    }
    uint64_t mask = (UINT64_C(2) << sim_random(prng) % bits) - 1;
    size_t size = (size_t)(sim_random(prng) & mask);
    return size == 0 ? 1 : size > most ? most : size;
}

#endif
