/* What the workloads of the load client share; see workload.h. */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static void open_more(struct run *run);

static void on_ready(struct connection *connection) {
    struct run *run = connection->context;
    run->connections_ready++;
    if (run->connections_ready == run->options.connections) {
        run->on_connected(run);
        return;
    }
    open_more(run);
}

static void on_close(struct connection *connection, const char *failure) {
    if (failure == NULL && connection->served) {
        return; /* whether it was early is known to the tunnels, which were told before */
    }
    run_fail(connection->context, failure == NULL ? "the subject closed a connection" : failure);
}

static const struct connection_handler handler = {on_ready, on_close};

static void open_more(struct run *run) {
    while (run->connections_opened < run->options.connections &&
           run->connections_opened - run->connections_ready < OPENINGS_AT_ONCE) {
        struct connection *connection = connection_open(&run->settings, &handler, run);
        if (connection == NULL) {
            run_fail(run, "no connection");
            return;
        }
        run->connections[run->connections_opened++] = connection;
    }
}

bool run_connect(struct run *run, void (*on_connected)(struct run *run)) {
    run->on_connected = on_connected;
    run->connections = calloc((size_t)run->options.connections, sizeof(struct connection *));
    if (run->connections != NULL) {
        open_more(run);
    }
    return run->connections != NULL && run->failure == NULL;
}

static void on_input(struct watcher *watcher, uint32_t events) {
    (void)events;
    struct run *run = (struct run *)((char *)watcher - offsetof(struct run, input));
    char line[64];
    ssize_t got = read(watcher->fd, line, sizeof(line));
    if (got <= 0) {
        run_fail(run, "standard input ended");
        return;
    }
    void (*on_go)(struct run *) = run->on_go;
    run->on_go = NULL;
    if (on_go != NULL) {
        on_go(run);
    }
}

void run_pause(struct run *run, const char *stage, void (*on_go)(struct run *run)) {
    printf("{\"stage\": \"%s\"}\n", stage);
    fflush(stdout);
    if (!run->options.hold) {
        on_go(run);
        return;
    }
    run->on_go = on_go;
    if (run->input.on_event == NULL) {
        run->input.on_event = on_input;
        if (!watcher_start(&run->loop, &run->input, STDIN_FILENO, EPOLLIN)) {
            run_fail(run, "--hold needs a pipe or a terminal on standard input");
        }
    }
}

void run_start_clock(struct run *run) {
    run->started_ns = loop_now();
}

void run_finish(struct run *run) {
    if (run->finished_ns == 0) {
        run->finished_ns = loop_now();
        loop_stop(&run->loop);
    }
}

void run_fail(struct run *run, const char *reason) {
    if (run->failure == NULL && run->finished_ns == 0) {
        run->failure = reason;
    }
    loop_stop(&run->loop);
}

uint16_t run_target(const struct run *run, uint64_t n) {
    return run->options.targets[n % run->options.target_count];
}

static int compare(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void report_latencies(uint64_t *nanoseconds, size_t count) {
    uint64_t sum = 0;
    qsort(nanoseconds, count, sizeof(*nanoseconds), compare);
    for (size_t i = 0; i < count; i++) {
        sum += nanoseconds[i];
    }
    printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"mean_us\": %.1f", (double)nanoseconds[count / 2] / 1e3,
           (double)nanoseconds[count * 99 / 100] / 1e3, (double)sum / 1e3 / (double)count);
}
