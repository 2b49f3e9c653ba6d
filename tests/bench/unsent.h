/*
 * Bytes that a socket did not take, for the target and the relay: send at
 * once, keep the rest, send that when there is room again.
 */
#ifndef BENCH_UNSENT_H
#define BENCH_UNSENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unsent {
    uint8_t *bytes; /* NULL when nothing is left */
    size_t start;
    size_t end;
};

/* Sends, keeps what the socket refuses; only while nothing is kept. False when the connection is lost. */
bool unsent_send(struct unsent *unsent, int fd, const uint8_t *bytes, size_t length);

/* Sends what is kept, once. False when the connection is lost. */
bool unsent_flush(struct unsent *unsent, int fd);

void unsent_free(struct unsent *unsent);

#endif
