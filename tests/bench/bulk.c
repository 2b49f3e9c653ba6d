/*
 * Workloads "down" and "up": --size bytes through each of --tunnels tunnels
 * at once, spread over --connections. The clock runs from the requests, when
 * all tunnels are open, to the last digest.
 */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bulk {
    struct bulk_tunnel *tunnels;
    size_t open;
    size_t complete;
    bool up;
    bool going;
};

struct bulk_tunnel {
    struct tunnel tunnel; /* first */
    struct run *run;
    uint8_t request[REQUEST_BYTES];
    size_t request_sent;
    uint64_t done; /* bytes of payload sent or received */
    struct digest digest;
    uint8_t answer[DIGEST_BYTES]; /* the target's digest */
    size_t answer_length;
};

static bool is_complete(const struct bulk_tunnel *item) {
    return item->answer_length == DIGEST_BYTES;
}

static void go(struct run *run) {
    struct bulk *bulk = run->state;
    bulk->going = true;
    run_start_clock(run);
    for (size_t i = 0; i < run->options.tunnels; i++) {
        tunnel_resume(&bulk->tunnels[i].tunnel);
    }
}

static void on_open(struct tunnel *tunnel) {
    struct run *run = ((struct bulk_tunnel *)tunnel)->run;
    struct bulk *bulk = run->state;
    bulk->open++;
    if (bulk->open == run->options.tunnels) {
        run_pause(run, "open", go);
    }
}

static void take_answer(struct bulk_tunnel *item, const uint8_t *bytes, size_t length) {
    struct run *run = item->run;
    struct bulk *bulk = run->state;
    if (length == 0) {
        return;
    }
    if (length > DIGEST_BYTES - item->answer_length) {
        run_fail(run, "more bytes than asked for");
        return;
    }
    memcpy(item->answer + item->answer_length, bytes, length);
    item->answer_length += length;
    if (!is_complete(item)) {
        return;
    }
    if (item->done != run->options.size || read_u64(item->answer) != digest_value(&item->digest)) {
        run_fail(run, "DIGEST MISMATCH: what arrived is not what was sent");
        return;
    }
    tunnel_resume(&item->tunnel);
    bulk->complete++;
    if (bulk->complete == run->options.tunnels) {
        run_finish(run);
    }
}

static void on_data(struct tunnel *tunnel, const uint8_t *bytes, size_t length) {
    struct bulk_tunnel *item = (struct bulk_tunnel *)tunnel;
    const struct bulk *bulk = item->run->state;
    size_t payload = 0;
    if (!bulk->up) {
        uint64_t left = item->run->options.size - item->done;
        payload = length < left ? length : (size_t)left;
        digest_update(&item->digest, bytes, payload);
        item->done += payload;
    }
    take_answer(item, bytes + payload, length - payload);
}

static void on_end(struct tunnel *tunnel) {
    struct bulk_tunnel *item = (struct bulk_tunnel *)tunnel;
    if (!is_complete(item)) {
        run_fail(item->run, "a tunnel ended before its last byte");
    }
}

static size_t pull_payload(struct bulk_tunnel *item, uint8_t *buffer, size_t capacity) {
    uint64_t left = item->run->options.size - item->done;
    size_t length = capacity < left ? capacity : (size_t)left;
    const uint8_t *bytes = pattern_slice(item->run->pattern, read_u64(item->request + 8), item->done);
    memcpy(buffer, bytes, length);
    digest_update(&item->digest, bytes, length);
    item->done += length;
    return length;
}

static size_t pull(struct tunnel *tunnel, uint8_t *buffer, size_t capacity, bool *end) {
    struct bulk_tunnel *item = (struct bulk_tunnel *)tunnel;
    const struct bulk *bulk = item->run->state;
    if (!bulk->going) {
        return 0;
    }
    size_t request_left = REQUEST_BYTES - item->request_sent;
    size_t length = request_left < capacity ? request_left : capacity;
    memcpy(buffer, item->request + item->request_sent, length);
    item->request_sent += length;
    if (bulk->up) {
        length += pull_payload(item, buffer + length, capacity - length);
    }
    *end = is_complete(item);
    return length;
}

static void on_close(struct tunnel *tunnel, const char *failure) {
    struct bulk_tunnel *item = (struct bulk_tunnel *)tunnel;
    if (!is_complete(item)) {
        run_fail(item->run, failure == NULL ? "a tunnel closed early" : failure);
    }
}

static const struct tunnel_handler handler = {on_open, on_data, on_end, pull, on_close};

static void open_tunnels(struct run *run) {
    struct bulk *bulk = run->state;
    for (size_t i = 0; i < run->options.tunnels; i++) {
        struct bulk_tunnel *item = &bulk->tunnels[i];
        item->run = run;
        digest_init(&item->digest);
        write_u64(item->request, run->options.size);
        write_u64(item->request + 8, loop_now() + i);
        if (!connection_open_tunnel(run->connections[i % run->options.connections], &item->tunnel, &handler,
                                    run_target(run, i))) {
            run_fail(run, "no tunnel");
            return;
        }
    }
}

static bool start(struct run *run, bool up) {
    struct bulk *bulk = calloc(1, sizeof(*bulk));
    if (bulk == NULL) {
        return false;
    }
    bulk->up = up;
    bulk->tunnels = calloc((size_t)run->options.tunnels, sizeof(*bulk->tunnels));
    run->state = bulk;
    return bulk->tunnels != NULL && run_connect(run, open_tunnels);
}

static bool start_down(struct run *run) {
    return start(run, false);
}

static bool start_up(struct run *run) {
    return start(run, true);
}

static void report(const struct run *run) {
    printf(", \"bytes\": %llu", (unsigned long long)(run->options.size * run->options.tunnels));
}

const struct workload workload_down = {"down", start_down, report};
const struct workload workload_up = {"up", start_up, report};
