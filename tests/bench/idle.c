/*
 * Workload "idle": opens --connections, then --tunnels in each, and holds
 * them; at both stages the driver reads the subject's memory.
 */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>

struct idle {
    struct idle_tunnel *tunnels;
    uint64_t wanted;
    uint64_t started;
    uint64_t open;
};

struct idle_tunnel {
    struct tunnel tunnel; /* first */
    struct run *run;
};

static void open_more(struct run *run);

static void on_open(struct tunnel *tunnel) {
    struct run *run = ((struct idle_tunnel *)tunnel)->run;
    struct idle *idle = run->state;
    idle->open++;
    if (idle->open == idle->wanted) {
        run_pause(run, "tunnels", run_finish);
        return;
    }
    open_more(run);
}

static void on_data(struct tunnel *tunnel, const uint8_t *bytes, size_t length) {
    (void)bytes, (void)length;
    run_fail(((struct idle_tunnel *)tunnel)->run, "bytes out of nowhere");
}

static void on_end(struct tunnel *tunnel) {
    run_fail(((struct idle_tunnel *)tunnel)->run, "an idle tunnel was ended");
}

static size_t pull(struct tunnel *tunnel, uint8_t *buffer, size_t capacity, bool *end) {
    (void)tunnel, (void)buffer, (void)capacity, (void)end;
    return 0;
}

static void on_close(struct tunnel *tunnel, const char *failure) {
    run_fail(((struct idle_tunnel *)tunnel)->run, failure == NULL ? "an idle tunnel was closed" : failure);
}

static const struct tunnel_handler handler = {on_open, on_data, on_end, pull, on_close};

static void open_more(struct run *run) {
    struct idle *idle = run->state;
    while (run->failure == NULL && idle->started < idle->wanted && idle->started - idle->open < OPENINGS_AT_ONCE) {
        uint64_t n = idle->started++;
        idle->tunnels[n].run = run;
        if (!connection_open_tunnel(run->connections[n % run->options.connections], &idle->tunnels[n].tunnel, &handler,
                                    run_target(run, n))) {
            run_fail(run, "no tunnel");
        }
    }
}

static void go(struct run *run) {
    run_start_clock(run);
    if (run->options.tunnels == 0) {
        run_finish(run);
        return;
    }
    open_more(run);
}

static void on_connected(struct run *run) {
    run_pause(run, "connections", go);
}

static bool start(struct run *run) {
    struct idle *idle = calloc(1, sizeof(*idle));
    if (idle == NULL) {
        return false;
    }
    run->state = idle;
    idle->wanted = run->options.connections * run->options.tunnels;
    idle->tunnels = calloc((size_t)idle->wanted + 1, sizeof(*idle->tunnels));
    return idle->tunnels != NULL && run_connect(run, on_connected);
}

static void report(const struct run *run) {
    const struct idle *idle = run->state;
    printf(", \"connections\": %llu, \"tunnels\": %llu", (unsigned long long)run->options.connections,
           (unsigned long long)idle->open);
}

const struct workload workload_idle = {"idle", start, report};
