/*
 * sim_limits.c: every number of limits.h: an amount that is still fine, one that
 * is too much, and a check that no key is forgotten.
 */
#include "harness/suite.h"

#include "limit_rows.h"

static void few_resets(masque_limits *limits) {
    limits->resets_burst = 5;
}

static void few_glitches(masque_limits *limits) {
    limits->glitches_burst = 20;
}

static void few_requests(masque_limits *limits) {
    limits->requests_burst = 5;
}

static void slow_requests(masque_limits *limits) {
    limits->requests_rate = 1;
}

static void few_failures(masque_limits *limits) {
    limits->auth_failures_max = 2;
}

static void short_penalty(masque_limits *limits) {
    limits->auth_failures_max = 2;
    limits->penalty_first_ms = 5000;
}

static void large_tunnels(masque_limits *limits) {
    limits->tunnel_buffer_max = 1048576;
}

static void any_stall(masque_limits *limits) {
    limits->idle_timeout_ms = 86400000;
}

static void few_tunnels(masque_limits *limits) {
    limits->tunnels_per_connection_max = 64;
}

/* A time limit shows at its last millisecond, not before. */
#define TIME(value) (value), (value)-1, (value)
#define COUNT(value) (value), (value), (value) + 1

static const limit_row ROWS[] = {
    {"header-fields", COUNT(10), limit_header_fields, NULL, NULL},
    {"header-bytes", COUNT(1000), limit_header_bytes, NULL, NULL},
    {"continuations", COUNT(3), limit_continuations, NULL, NULL},
    {"control-frames", COUNT(20), limit_control_frames, NULL, NULL},
    {"resets-burst", COUNT(5), limit_resets_burst, NULL, NULL},
    {"resets-rate", COUNT(3), limit_resets_rate, few_resets, NULL},
    {"glitches-burst", COUNT(20), limit_glitches_burst, NULL, NULL},
    {"glitches-rate", COUNT(10), limit_glitches_rate, few_glitches, NULL},
    {"tunnels-per-connection", COUNT(5), limit_tunnels_per_connection, NULL, NULL},
    {"dials-per-connection", COUNT(3), limit_dials, NULL, NULL},
    {"requests-burst", COUNT(5), limit_requests_burst, slow_requests, NULL},
    {"requests-rate", COUNT(3), limit_requests_rate, few_requests, NULL},
    {"connections-per-source", COUNT(3), limit_connections_per_source, NULL, NULL},
    {"connections", COUNT(3), limit_connections, NULL, NULL},
    {"tunnels", COUNT(3), limit_tunnels, NULL, NULL},
    {"half-open-before-retry", COUNT(3), limit_before_retry, NULL, NULL},
    {"half-open", COUNT(3), limit_half_open, NULL, NULL},
    {"tunnel-buffer", 131072, 65537, 131073, limit_tunnel_buffer, NULL, NULL},
    {"stream-window", 131072, 65536, 131073, limit_stream_window, NULL, NULL},
    {"connection-buffer", 1048576, 500000, 1100000, limit_connection_buffer, few_tunnels, NULL},
    {"engine-buffer", 1048576, 500000, 1200000, limit_engine_buffer, large_tunnels, NULL},
    {"auth-failures", 3, 2, 3, limit_auth_failures, NULL, NULL},
    /* A penalty shows before its time is over. */
    {"penalty-first-ms", 5000, 5000, 4999, limit_penalty_first, few_failures, NULL},
    {"penalty-last-ms", 8000, 8000, 7999, limit_penalty_last, short_penalty, NULL},
    {"sources", COUNT(16), limit_sources, NULL, NULL},
    {"quota-identities", COUNT(16), limit_identities, NULL, limit_identity_keys},
    {"addresses-per-name", COUNT(3), limit_addresses, NULL, NULL},
    /* A datagram of 996 bytes takes 1,000 in the queue. */
    {"datagram-queue", 20000, 20, 21, limit_datagram_queue, NULL, NULL},
    {"unanswered-datagrams", COUNT(5), limit_unanswered, NULL, NULL},
    {"handshake-timeout-ms", TIME(3000), limit_handshake, NULL, NULL},
    {"headers-timeout-ms", TIME(3000), limit_headers, NULL, NULL},
    {"idle-timeout-ms", TIME(20000), limit_idle, NULL, NULL},
    {"write-stall-timeout-ms", TIME(7000), limit_write_stall, any_stall, NULL},
    {"resolve-timeout-ms", TIME(3000), limit_resolve, NULL, NULL},
    {"dial-timeout-ms", TIME(3000), limit_dial, NULL, NULL},
    {"auth-timeout-ms", TIME(3000), limit_auth, NULL, limit_auth_method},
    {"dial-stagger-ms", TIME(100), limit_stagger, NULL, NULL},
    {"resolution-delay-ms", TIME(30), limit_resolution_delay, NULL, NULL},
    {"linger-timeout-ms", TIME(900), limit_linger, NULL, NULL},
    {"datagram-idle-timeout-ms", TIME(3000), limit_datagram_idle, NULL, NULL},
};

static const limit_row *current;

static void set_limits(masque_limits *limits) {
    uint64_t least;
    uint64_t most;
    if (current->others) {
        current->others(limits);
    }
    int error = masque_limits_set(limits, current->key, current->value, &least, &most);
    assert_int_equal(error, 0);
}

static void run_row(const limit_row *row, uint64_t amount, bool shows) {
    current = row;
    sim_world *w = sim_world_new(
        &(sim_setup){.seed = amount, .limits = set_limits, .configure = row->configure, .no_key = row->configure});
    sim_add_site(w, LIMIT_SILENT, (sim_site){.delay = SIM_NEVER});
    bool shown = row->shows(w, amount);
    SIM_CHECK(w, shown == shows, "%s = %llu: %llu %s", row->key, (unsigned long long)row->value,
              (unsigned long long)amount, shows ? "passes" : "is too much");
    for (size_t i = 0; i < w->conn_count; i++) {
        w->conns[i]->options.stubborn = false;
    }
    sim_world_close(w);
}

static void test_row(void **state) {
    const limit_row *row = *state;
    run_row(row, row->fine, false);
    run_row(row, row->over, true);
}

static void test_every_key_has_a_row(void **state) {
    static const char *const keys[] = {
#define MASQUE_X(field, key, standard, least, most) key,
        MASQUE_LIMITS(MASQUE_X)
#undef MASQUE_X
    };
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(keys); i++) {
        size_t rows = 0;
        for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
            rows += strcmp(ROWS[k].key, keys[i]) == 0;
        }
        if (rows != 1) {
            fail_msg("%s has %zu rows", keys[i], rows);
        }
    }
}

int main(void) {
    struct CMUnitTest tests[SIM_COUNT(ROWS) + 1];
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        tests[i] = (struct CMUnitTest){
            .name = ROWS[i].key, .test_func = test_row, .initial_state = (void *)(uintptr_t)&ROWS[i]};
    }
    tests[SIM_COUNT(ROWS)] = (struct CMUnitTest){.name = "every key has a row", .test_func = test_every_key_has_a_row};
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
