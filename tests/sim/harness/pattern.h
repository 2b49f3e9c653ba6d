/*
 * harness/pattern.h: the bytes that flow. Each tunnel's each direction is a known
 * function of the offset, so both ends check every byte without keeping any, and
 * a byte of another tunnel, direction or place is noticed.
 */
#ifndef SIM_PATTERN_H
#define SIM_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint8_t sim_pattern_byte(uint64_t seed, uint64_t offset) {
    uint64_t x = (offset + seed * UINT64_C(0x100000001b3)) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint8_t)(x >> 56 ^ x >> 24);
}

static inline void sim_pattern_fill(uint64_t seed, uint64_t offset, uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        bytes[i] = sim_pattern_byte(seed, offset + i);
    }
}

static inline bool sim_pattern_fits(uint64_t seed, uint64_t offset, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != sim_pattern_byte(seed, offset + i)) {
            return false;
        }
    }
    return true;
}

#endif
