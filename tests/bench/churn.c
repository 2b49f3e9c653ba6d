/*
 * Workloads that open and close, --count times with --concurrency at a time:
 *
 * tunnels      a tunnel in warm connections: CONNECT, its answer, our end, the target's end
 * handshakes   a connection: TCP, full TLS handshake, one CONNECT, our close, the subject's close
 */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>

struct churn {
    struct slot *slots;
    uint64_t started;
    uint64_t done;
    uint64_t unclean;  /* handshakes: the subject reset the connection instead of closing it */
    uint64_t *open_ns; /* from the start of each to its CONNECT's answer */
};

struct slot {
    struct tunnel tunnel; /* first */
    struct run *run;
    size_t index;
    uint64_t number;
    uint64_t started_ns;
    bool opened;
};

static void slot_open(struct slot *slot);

/* Counts the slot's work as done and gives it the next. */
static void slot_next(struct slot *slot) {
    struct churn *churn = slot->run->state;
    churn->done++;
    if (churn->done == slot->run->options.count) {
        run_finish(slot->run);
    } else if (churn->started < slot->run->options.count) {
        slot_open(slot);
    }
}

static void slot_note_open(struct slot *slot) {
    struct churn *churn = slot->run->state;
    slot->opened = true;
    churn->open_ns[slot->number] = loop_now() - slot->started_ns;
}

static void on_data(struct tunnel *tunnel, const uint8_t *bytes, size_t length) {
    (void)bytes, (void)length;
    run_fail(((struct slot *)tunnel)->run, "bytes out of nowhere");
}

static void on_end(struct tunnel *tunnel) {
    (void)tunnel;
}

/* --- tunnels ------------------------------------------------------------- */

static void tunnel_on_open(struct tunnel *tunnel) {
    slot_note_open((struct slot *)tunnel);
    tunnel_resume(tunnel);
}

static size_t tunnel_pull(struct tunnel *tunnel, uint8_t *buffer, size_t capacity, bool *end) {
    (void)tunnel, (void)buffer, (void)capacity;
    *end = true;
    return 0;
}

static void tunnel_on_close(struct tunnel *tunnel, const char *failure) {
    struct slot *slot = (struct slot *)tunnel;
    if (failure != NULL) {
        run_fail(slot->run, failure);
        return;
    }
    slot_next(slot);
}

static const struct tunnel_handler tunnel_handler = {tunnel_on_open, on_data, on_end, tunnel_pull, tunnel_on_close};

static void open_in_connection(struct slot *slot) {
    struct run *run = slot->run;
    struct connection *connection = run->connections[slot->index % run->options.connections];
    if (!connection_open_tunnel(connection, &slot->tunnel, &tunnel_handler, run_target(run, slot->number))) {
        run_fail(run, "no tunnel");
    }
}

/* --- handshakes ---------------------------------------------------------- */

static void lone_on_open(struct tunnel *tunnel) {
    slot_note_open((struct slot *)tunnel);
    connection_shutdown(tunnel->connection);
}

static size_t lone_pull(struct tunnel *tunnel, uint8_t *buffer, size_t capacity, bool *end) {
    (void)tunnel, (void)buffer, (void)capacity, (void)end;
    return 0;
}

/* It goes down with its connection, which is what counts. */
static void lone_on_close(struct tunnel *tunnel, const char *failure) {
    (void)tunnel, (void)failure;
}

static const struct tunnel_handler lone_handler = {lone_on_open, on_data, on_end, lone_pull, lone_on_close};

static void connection_on_ready(struct connection *connection) {
    struct slot *slot = connection->context;
    if (!connection_open_tunnel(connection, &slot->tunnel, &lone_handler, run_target(slot->run, slot->number))) {
        run_fail(slot->run, "no tunnel");
    }
}

static void connection_on_close(struct connection *connection, const char *failure) {
    struct slot *slot = connection->context;
    struct churn *churn = slot->run->state;
    if (!slot->opened) {
        run_fail(slot->run, failure == NULL ? "closed before the tunnel was open" : failure);
        return;
    }
    churn->unclean += failure != NULL;
    slot_next(slot);
}

static const struct connection_handler connection_handler = {connection_on_ready, connection_on_close};

static void open_connection(struct slot *slot) {
    if (connection_open(&slot->run->settings, &connection_handler, slot) == NULL) {
        run_fail(slot->run, "no connection");
    }
}

/* --- both ---------------------------------------------------------------- */

static void slot_open(struct slot *slot) {
    struct churn *churn = slot->run->state;
    slot->number = churn->started++;
    slot->opened = false;
    slot->started_ns = loop_now();
    if (slot->run->options.workload == &workload_tunnels) {
        open_in_connection(slot);
    } else {
        open_connection(slot);
    }
}

static void go(struct run *run) {
    struct churn *churn = run->state;
    run_start_clock(run);
    for (size_t i = 0; i < run->options.concurrency && churn->started < run->options.count; i++) {
        slot_open(&churn->slots[i]);
    }
}

static void on_connected(struct run *run) {
    run_pause(run, "connected", go);
}

static bool churn_init(struct run *run) {
    struct churn *churn = calloc(1, sizeof(*churn));
    if (churn == NULL) {
        return false;
    }
    run->state = churn;
    churn->slots = calloc((size_t)run->options.concurrency, sizeof(*churn->slots));
    churn->open_ns = calloc((size_t)run->options.count, sizeof(*churn->open_ns));
    if (churn->slots == NULL || churn->open_ns == NULL) {
        return false;
    }
    for (size_t i = 0; i < run->options.concurrency; i++) {
        churn->slots[i] = (struct slot){.run = run, .index = i};
    }
    return true;
}

static bool start_tunnels(struct run *run) {
    return churn_init(run) && run_connect(run, on_connected);
}

static bool start_handshakes(struct run *run) {
    if (!churn_init(run)) {
        return false;
    }
    on_connected(run);
    return true;
}

static void report(const struct run *run) {
    const struct churn *churn = run->state;
    printf(", \"count\": %llu, \"unclean\": %llu", (unsigned long long)churn->done, (unsigned long long)churn->unclean);
    report_latencies(churn->open_ns, (size_t)run->options.count);
}

const struct workload workload_tunnels = {"tunnels", start_tunnels, report};
const struct workload workload_handshakes = {"handshakes", start_handshakes, report};
