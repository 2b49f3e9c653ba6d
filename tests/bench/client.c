/*
 * bench_client: the load client of the benchmark, started by the driver.
 *
 *   bench_client MODE --protocol h2|h1|direct --port P --targets P1,P2,... [option...]
 *
 * Modes and their options are in the tables below; MASQUE_PRESHARED_KEY in the
 * environment is sent as "proxy-authorization: Preshared KEY". Exit status 0
 * means that all went through and every digest was right.
 */
#include "workload.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct workload *const workloads[] = {
    &workload_down, &workload_up, &workload_tunnels, &workload_handshakes, &workload_latency, &workload_idle,
};

enum { WORKLOADS = sizeof(workloads) / sizeof(workloads[0]) };

struct number_option {
    const char *name;
    size_t offset; /* in struct options */
    uint64_t preset;
    uint64_t min;
    uint64_t max;
    const char *meaning;
};

static const struct number_option number_options[] = {
    {"--port", offsetof(struct options, port), 0, 1, 65535, "of the proxy or relay on 127.0.0.1"},
    {"--connections", offsetof(struct options, connections), 1, 1, 100000, "to the proxy"},
    {"--tunnels", offsetof(struct options, tunnels), 1, 0, 100000, "down, up: all in all; idle: per connection"},
    {"--size", offsetof(struct options, size), 1 << 20, 1, UINT64_C(1) << 40, "bytes per tunnel or round trip"},
    {"--count", offsetof(struct options, count), 1000, 1, 10000000, "tunnels, handshakes, round trips"},
    {"--concurrency", offsetof(struct options, concurrency), 16, 1, 10000, "tunnels, handshakes: at a time"},
    {"--timeout", offsetof(struct options, timeout), 60, 1, 3600, "seconds, for all of it"},
};

enum { NUMBER_OPTIONS = sizeof(number_options) / sizeof(number_options[0]) };

static int usage(void) {
    fprintf(stderr, "usage: bench_client MODE --protocol h2|h1|direct --port P --targets P1,P2,... [option...]\n");
    fprintf(stderr, "modes:");
    for (size_t i = 0; i < WORKLOADS; i++) {
        fprintf(stderr, " %s", workloads[i]->name);
    }
    fprintf(stderr, "\n  --hold                wait for a line on standard input at each stage\n");
    for (size_t i = 0; i < NUMBER_OPTIONS; i++) {
        fprintf(stderr, "  %-16s N    %s\n", number_options[i].name, number_options[i].meaning);
    }
    return 2;
}

static uint64_t *option_value(struct options *options, const struct number_option *option) {
    return (uint64_t *)(void *)((char *)options + option->offset);
}

static bool parse_number_option(struct options *options, const char *name, const char *value) {
    for (size_t i = 0; i < NUMBER_OPTIONS; i++) {
        const struct number_option *option = &number_options[i];
        if (strcmp(option->name, name) == 0) {
            uint64_t *place = option_value(options, option);
            return parse_number(value, option->max, place) && *place >= option->min;
        }
    }
    return false;
}

static bool parse_option(struct options *options, const char *name, const char *value) {
    if (strcmp(name, "--protocol") == 0) {
        options->protocol = protocol_find(value);
        return options->protocol != NULL;
    }
    if (strcmp(name, "--targets") == 0) {
        options->target_count = parse_ports(value, options->targets, TARGET_PORTS_MAX);
        return options->target_count > 0;
    }
    return parse_number_option(options, name, value);
}

static bool parse_options(struct options *options, int argc, char **argv) {
    for (size_t i = 0; i < NUMBER_OPTIONS; i++) {
        *option_value(options, &number_options[i]) = number_options[i].preset;
    }
    for (size_t i = 0; argc > 1 && i < WORKLOADS; i++) {
        if (strcmp(workloads[i]->name, argv[1]) == 0) {
            options->workload = workloads[i];
        }
    }
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--hold") == 0) {
            options->hold = true;
        } else if (i + 1 == argc || !parse_option(options, argv[i], argv[i + 1])) {
            fprintf(stderr, "bench_client: can't take %s\n", argv[i]);
            return false;
        } else {
            i++;
        }
    }
    return options->workload != NULL && options->protocol != NULL && options->target_count > 0 && options->port > 0;
}

static int report(const struct run *run) {
    if (run->failure != NULL) {
        fprintf(stderr, "bench_client: %s: %s\n", run->options.workload->name, run->failure);
        return 1;
    }
    printf("{\"mode\": \"%s\", \"protocol\": \"%s\", \"seconds\": %.6f", run->options.workload->name,
           run->options.protocol->name, (double)(run->finished_ns - run->started_ns) / 1e9);
    run->options.workload->report(run);
    printf("}\n");
    return fflush(stdout) == 0 ? 0 : 1;
}

static bool run_init(struct run *run, char *authorization, size_t capacity) {
    const char *key = getenv("MASQUE_PRESHARED_KEY");
    if (key != NULL) {
        snprintf(authorization, capacity, "Preshared %s", key);
    }
    run->pattern = pattern_new();
    run->settings = (struct connection_settings){
        .loop = &run->loop,
        .protocol = run->options.protocol,
        .tls = run->options.protocol->secure ? channel_tls_new() : NULL,
        .port = (uint16_t)run->options.port,
        .authorization = key == NULL ? NULL : authorization,
    };
    return run->pattern != NULL && (run->settings.tls != NULL || !run->options.protocol->secure) &&
           loop_init(&run->loop);
}

int main(int argc, char **argv) {
    static struct run run; /* static only for being zero and large */
    char authorization[512];
    if (!parse_options(&run.options, argc, argv)) {
        return usage();
    }
    process_limit_life((unsigned)run.options.timeout + 5);
    wolfSSL_Init();
    if (!run_init(&run, authorization, sizeof(authorization)) || !run.options.workload->start(&run)) {
        fprintf(stderr, "bench_client: %s\n", run.failure == NULL ? "can't start" : run.failure);
        return 1;
    }
    if (!loop_run(&run.loop, loop_now() + run.options.timeout * UINT64_C(1000000000))) {
        run_fail(&run, "timed out");
    }
    /* Connections, memory and all end with the process. */
    return report(&run);
}
