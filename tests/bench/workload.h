/*
 * One run of the load client: its options, its workload and what workloads
 * share. client.c parses and starts; a workload (bulk, tunnels, handshakes,
 * latency, idle) drives connections and reports.
 *
 * On standard output there are only JSON objects, a line each: stages, when
 * the driver is to read the subject's CPU time or memory, and the result last.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include "connection.h"
#include "payload.h"

enum {
    TARGET_PORTS_MAX = 64,
    OPENINGS_AT_ONCE = 32, /* connections or tunnels being opened at a time */
};

struct run;

struct workload {
    const char *name; /* as the command line says it */
    /* Starts what happens first. False on failure. */
    bool (*start)(struct run *run);
    /* Writes its part of the result: members of a JSON object, each after a comma. */
    void (*report)(const struct run *run);
};

struct options {
    const struct workload *workload;
    const struct protocol *protocol;
    uint64_t port; /* of the subject */
    uint16_t targets[TARGET_PORTS_MAX];
    size_t target_count;
    uint64_t connections;
    uint64_t tunnels; /* all in all; idle: per connection */
    uint64_t size;    /* bulk: bytes per tunnel; latency: bytes per round trip */
    uint64_t count;   /* how many tunnels, handshakes or round trips */
    uint64_t concurrency;
    uint64_t timeout; /* seconds for the whole run */
    bool hold;        /* stages wait for a line on standard input */
};

struct run {
    struct loop loop;
    struct options options;
    struct connection_settings settings;
    struct pattern *pattern;
    struct watcher input; /* standard input, while a stage waits */
    void (*on_go)(struct run *run);
    struct connection **connections; /* run_connect() */
    size_t connections_opened;
    size_t connections_ready;
    void (*on_connected)(struct run *run);
    void *state; /* the workload's */
    uint64_t started_ns;
    uint64_t finished_ns; /* 0 while it runs */
    const char *failure;
};

extern const struct workload workload_down;
extern const struct workload workload_up;
extern const struct workload workload_tunnels;
extern const struct workload workload_handshakes;
extern const struct workload workload_latency;
extern const struct workload workload_idle;

/* Opens options.connections, some at a time, then calls on_connected. Any that closes fails the run. */
bool run_connect(struct run *run, void (*on_connected)(struct run *run));

/* Says that a stage is reached; on_go follows, with --hold after the driver's line. */
void run_pause(struct run *run, const char *stage, void (*on_go)(struct run *run));

/* The measured part starts, ends. */
void run_start_clock(struct run *run);
void run_finish(struct run *run);

/* The first failure counts; reason is a literal. */
void run_fail(struct run *run, const char *reason);

/* The target's port for the n-th tunnel. */
uint16_t run_target(const struct run *run, uint64_t n);

/* Sorts, then prints the median, the 99th percentile and the mean in microseconds as JSON members. */
void report_latencies(uint64_t *nanoseconds, size_t count);

#endif
