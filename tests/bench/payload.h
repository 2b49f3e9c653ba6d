/*
 * What the benchmark sends and how it checks it: a seeded byte pattern and a
 * 64-bit digest. Used by the load client and by the target, so that both hash
 * the same bytes and a proxy that is fast but wrong fails the run.
 *
 * Neither is cryptographic: they must cost little beside TLS.
 */
#ifndef BENCH_PAYLOAD_H
#define BENCH_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

enum {
    /* A prime, so that no loss or swap of whole frames or records keeps the digest. */
    PATTERN_PERIOD = 262139,
    /* The request that a source or a sink reads first: size and seed, big endian. */
    REQUEST_BYTES = 16,
    /* The digest that both send last. */
    DIGEST_BYTES = 8,
};

struct pattern {
    uint8_t bytes[2 * PATTERN_PERIOD]; /* twice, so that a slice is never short */
};

struct digest {
    uint64_t lanes[4];
    uint8_t rest[32];
    size_t rest_length;
    uint64_t length;
};

/* NULL when memory is out; released by free(). */
struct pattern *pattern_new(void);

/* Bytes of the stream with this seed from offset on; at least PATTERN_PERIOD of them lie at the result. */
const uint8_t *pattern_slice(const struct pattern *pattern, uint64_t seed, uint64_t offset);

void digest_init(struct digest *digest);
void digest_update(struct digest *digest, const uint8_t *bytes, size_t length);
uint64_t digest_value(const struct digest *digest);

void write_u64(uint8_t bytes[static 8], uint64_t value);
uint64_t read_u64(const uint8_t bytes[static 8]);

#endif
