/* Workload "latency": --count echoes of --size bytes through one tunnel, one at a time. */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WARM_UP = 100, /* round trips before those that count */
};

struct latency {
    struct tunnel tunnel; /* first */
    struct run *run;
    uint64_t *round_trip_ns;
    uint64_t done; /* round trips, warm-up included */
    uint64_t sent_ns;
    uint64_t sent; /* bytes of this round trip */
    uint64_t received;
};

static void send_next(struct latency *latency) {
    latency->sent = 0;
    latency->received = 0;
    latency->sent_ns = loop_now();
    tunnel_resume(&latency->tunnel);
}

static void go(struct run *run) {
    run_start_clock(run);
    send_next(run->state);
}

static void on_open(struct tunnel *tunnel) {
    struct latency *latency = (struct latency *)tunnel;
    latency->sent = latency->run->options.size; /* nothing to send before go */
    run_pause(latency->run, "open", go);
}

static const uint8_t *payload(const struct latency *latency, uint64_t offset) {
    return pattern_slice(latency->run->pattern, latency->done, offset);
}

static void on_data(struct tunnel *tunnel, const uint8_t *bytes, size_t length) {
    struct latency *latency = (struct latency *)tunnel;
    struct run *run = latency->run;
    if (length > run->options.size - latency->received ||
        memcmp(bytes, payload(latency, latency->received), length) != 0) {
        run_fail(run, "DIGEST MISMATCH: the echo is not what was sent");
        return;
    }
    latency->received += length;
    if (latency->received < run->options.size) {
        return;
    }
    if (latency->done >= WARM_UP) {
        latency->round_trip_ns[latency->done - WARM_UP] = loop_now() - latency->sent_ns;
    }
    latency->done++;
    if (latency->done == WARM_UP + run->options.count) {
        run_finish(run);
        return;
    }
    send_next(latency);
}

static void on_end(struct tunnel *tunnel) {
    run_fail(((struct latency *)tunnel)->run, "the echo ended");
}

static size_t pull(struct tunnel *tunnel, uint8_t *buffer, size_t capacity, bool *end) {
    (void)end;
    struct latency *latency = (struct latency *)tunnel;
    uint64_t left = latency->run->options.size - latency->sent;
    size_t length = capacity < left ? capacity : (size_t)left;
    memcpy(buffer, payload(latency, latency->sent), length);
    latency->sent += length;
    return length;
}

static void on_close(struct tunnel *tunnel, const char *failure) {
    run_fail(((struct latency *)tunnel)->run, failure == NULL ? "the tunnel closed" : failure);
}

static const struct tunnel_handler handler = {on_open, on_data, on_end, pull, on_close};

static void open_tunnel(struct run *run) {
    struct latency *latency = run->state;
    latency->run = run;
    if (!connection_open_tunnel(run->connections[0], &latency->tunnel, &handler, run_target(run, 0))) {
        run_fail(run, "no tunnel");
    }
}

static bool start(struct run *run) {
    struct latency *latency = calloc(1, sizeof(*latency));
    if (latency == NULL) {
        return false;
    }
    run->state = latency;
    latency->round_trip_ns = calloc((size_t)run->options.count, sizeof(*latency->round_trip_ns));
    return latency->round_trip_ns != NULL && run_connect(run, open_tunnel);
}

static void report(const struct run *run) {
    struct latency *latency = run->state;
    printf(", \"count\": %llu", (unsigned long long)run->options.count);
    report_latencies(latency->round_trip_ns, (size_t)run->options.count);
}

const struct workload workload_latency = {"latency", start, report};
