/* The benchmark's byte pattern and digest; see payload.h. */
#include "payload.h"

#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t value) {
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* In the machine's own byte order: both ends are on the same machine. */
static uint64_t absorb(uint64_t lane, const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof(word));
    lane = (lane ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (lane << 29) | (lane >> 35);
}

static void absorb_blocks(struct digest *digest, const uint8_t *bytes, size_t blocks) {
    uint64_t a = digest->lanes[0], b = digest->lanes[1], c = digest->lanes[2], d = digest->lanes[3];
    for (; blocks > 0; blocks--, bytes += 32) {
        a = absorb(a, bytes);
        b = absorb(b, bytes + 8);
        c = absorb(c, bytes + 16);
        d = absorb(d, bytes + 24);
    }
    digest->lanes[0] = a;
    digest->lanes[1] = b;
    digest->lanes[2] = c;
    digest->lanes[3] = d;
}

struct pattern *pattern_new(void) {
    struct pattern *pattern = malloc(sizeof(*pattern));
    if (pattern == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < PATTERN_PERIOD; i++) {
        pattern->bytes[i] = (uint8_t)mix(i + 1);
    }
    memcpy(pattern->bytes + PATTERN_PERIOD, pattern->bytes, PATTERN_PERIOD);
    return pattern;
}

const uint8_t *pattern_slice(const struct pattern *pattern, uint64_t seed, uint64_t offset) {
    return pattern->bytes + (mix(seed) % PATTERN_PERIOD + offset % PATTERN_PERIOD) % PATTERN_PERIOD;
}

void digest_init(struct digest *digest) {
    *digest = (struct digest){.lanes = {1, 2, 3, 4}};
}

void digest_update(struct digest *digest, const uint8_t *bytes, size_t length) {
    digest->length += length;
    if (digest->rest_length > 0) {
        size_t room = sizeof(digest->rest) - digest->rest_length;
        size_t taken = length < room ? length : room;
        memcpy(digest->rest + digest->rest_length, bytes, taken);
        digest->rest_length += taken;
        bytes += taken;
        length -= taken;
        if (digest->rest_length < sizeof(digest->rest)) {
            return;
        }
        absorb_blocks(digest, digest->rest, 1);
        digest->rest_length = 0;
    }
    size_t blocks = length / sizeof(digest->rest);
    absorb_blocks(digest, bytes, blocks);
    digest->rest_length = length - blocks * sizeof(digest->rest);
    if (digest->rest_length > 0) {
        memcpy(digest->rest, bytes + blocks * sizeof(digest->rest), digest->rest_length);
    }
}

uint64_t digest_value(const struct digest *digest) {
    struct digest last = *digest;
    memset(last.rest + last.rest_length, 0, sizeof(last.rest) - last.rest_length);
    absorb_blocks(&last, last.rest, 1);
    uint64_t value = mix(last.length);
    for (size_t i = 0; i < 4; i++) {
        value = mix(value ^ last.lanes[i]);
    }
    return value;
}

void write_u64(uint8_t bytes[static 8], uint64_t value) {
    for (size_t i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(value >> (56 - 8 * i));
    }
}

uint64_t read_u64(const uint8_t bytes[static 8]) {
    uint64_t value = 0;
    for (size_t i = 0; i < 8; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}
