/*
 * sim_scale.c: many tunnels in one engine: what an idle tunnel and an idle
 * connection cost in the proxy's heap, that this is linear, and that everything
 * comes back. Over HTTP/2 and HTTP/3. 10,000 tunnels; sim_scale 100000 takes that many.
 */
#include "harness/suite.h"

#define TUNNELS_EACH 100u

/* What a tunnel and a connection may cost, the libraries' share included. */
typedef struct cost {
    const char *alpn;
    unsigned tunnel_bytes_max;
    unsigned connection_bytes_max;
    unsigned share; /* of the tunnels, as one divisor: the simulator's QUIC is slow */
    masque_time parting;
} cost;

static const cost H2 = {"h2", 1024, 32768, 1, 0};
static const cost H3 = {"h3", 2560, 68000, 4, 120 * MASQUE_SECOND};

static unsigned long tunnels_wanted = 10000;

static void many(masque_limits *limits) {
    limits->connections_max = 100000;
    limits->tunnels_max = 1000000;
}

static sim_conn *connect_number(sim_world *w, const char *alpn, unsigned i) {
    static char address[32];
    snprintf(address, sizeof address, "198.%u.%u.%u", 20 + i / 40000, i / 200 % 200, 1 + i % 200);
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = alpn, .address = address, .pipe = 16384});
    c->options.address = NULL;
    return c;
}

static void open_tunnels(sim_conn *c, unsigned number) {
    sim_world *w = c->world;
    for (unsigned i = 0; i < TUNNELS_EACH; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_QUIET ":%u", 1000 + (number * TUNNELS_EACH + i) % 60000);
        sim_request(c, &(sim_ask){.authority = authority});
    }
    sim_settle(w);
    for (unsigned i = 0; i < TUNNELS_EACH; i++) {
        SIM_CHECK(w, c->tuns[i]->status == 200, "connection %u, tunnel %u: status %u", number, i, c->tuns[i]->status);
    }
}

/* Bytes go through every tunnel; afterwards it is idle again. */
static void use_tunnels(sim_conn *c) {
    for (unsigned i = 0; i < TUNNELS_EACH; i++) {
        c->tuns[i]->send_total += 2000;
        c->tuns[i]->target->source += 3000;
        sim_wake(c->tuns[i]);
    }
    sim_settle(c->world);
    for (unsigned i = 0; i < TUNNELS_EACH; i++) {
        SIM_CHECK(c->world, c->tuns[i]->received == 3000 && c->tuns[i]->target->received == 2000, "incomplete");
    }
}

static void check_costs(sim_world *w, const cost *most, unsigned connections) {
    connect_number(w, most->alpn, 0); /* the first has what all share made, too */
    sim_settle(w);
    uint64_t at_start = sim_proxy_bytes();
    for (unsigned i = 1; i < connections; i++) {
        connect_number(w, most->alpn, i);
        sim_settle(w);
    }
    uint64_t connected = sim_proxy_bytes();
    uint64_t quarter = 0;
    for (unsigned i = 0; i < connections; i++) {
        open_tunnels(w->conns[i], i);
        quarter = i + 1 == connections / 4 ? sim_proxy_bytes() : quarter;
    }
    uint64_t opened = sim_proxy_bytes();
    uint64_t each = (opened - connected) / connections / TUNNELS_EACH;
    uint64_t each_first = (quarter - connected) / (connections / 4) / TUNNELS_EACH;
    uint64_t each_connection = (connected - at_start) / (connections - 1);
    print_message(
        "%s: %u connections with %u tunnels each: %llu bytes a connection, %llu bytes a tunnel (%llu in the first "
        "quarter)\n",
        most->alpn, connections, TUNNELS_EACH, (unsigned long long)each_connection, (unsigned long long)each,
        (unsigned long long)each_first);
    SIM_CHECK(w, each <= most->tunnel_bytes_max, "%llu bytes a tunnel", (unsigned long long)each);
    SIM_CHECK(w, each_connection <= most->connection_bytes_max, "%llu bytes a connection",
              (unsigned long long)each_connection);
    /* Tables double, so a step of up to a quarter is linear. */
    SIM_CHECK(w, each < each_first * 5 / 4 && each_first < each * 5 / 4, "not linear");
}

static void run_scale(const cost *most) {
    unsigned connections = (unsigned)(tunnels_wanted / TUNNELS_EACH / most->share);
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = many});
    check_costs(w, most, connections);
    uint64_t opened = sim_proxy_bytes();
    for (unsigned i = 0; i < connections; i += 1 + connections / 20) {
        use_tunnels(w->conns[i]);
    }
    uint64_t used = sim_proxy_bytes();
    /* What stays is the pool of blocks, 1 MiB at most. */
    SIM_CHECK(w, used < opened + 1400000, "%llu bytes stay after use", (unsigned long long)(used - opened));
    SIM_CHECK(w, sim_stats(w).tunnels_active == connections * TUNNELS_EACH, "tunnels are gone");
    SIM_CHECK(w, sim_stats(w).buffered_bytes < 20 * 16512, "bytes are held for idle tunnels");
    for (unsigned i = 0; i < connections; i++) {
        sim_leave(w->conns[i], i % 2);
    }
    sim_settle(w);
    sim_advance(w, most->parting); /* over QUIC some left without a word */
    SIM_CHECK(w, sim_stats(w).connections_active == 0, "connections are left");
    uint64_t empty = sim_proxy_bytes();
    print_message("%llu bytes after all have left\n", (unsigned long long)empty);
    sim_world_close(w);
}

static void test_h2(void **state) {
    (void)state;
    run_scale(&H2);
}

static void test_h3(void **state) {
    (void)state;
    run_scale(&H3);
}

/* Come and go for long: nothing adds up, but for what queues give back to the pool (base/block.h): 64
   rings of 64 bytes and a block, too little for anything that each round would leave behind. */
static void test_churn(void **state) {
    enum { ROUNDS = 300, POOLED = 64 * 64 + 16512 };
    uint64_t after[2] = {0, 0};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = many});
    for (unsigned i = 0; i < ROUNDS; i++) {
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = i % 2 ? "h2" : "http/1.1", .pipe = 16384});
        for (unsigned k = 0; k < (i % 2 ? 5 : 1); k++) {
            char authority[32];
            snprintf(authority, sizeof authority, SIM_ECHO ":%u", 1000 + i * 5 + k);
            sim_request(c, &(sim_ask){.authority = authority, .send = 5000, .send_fin = k % 2 == 0});
        }
        sim_settle(w);
        sim_leave(c, i % 3 == 0);
        sim_advance(w, 5 * MASQUE_SECOND);
        if (i == ROUNDS / 3 || i == ROUNDS - 1) {
            after[i == ROUNDS - 1] = sim_proxy_bytes();
        }
    }
    SIM_CHECK(w, after[1] <= after[0] + POOLED, "%llu bytes, later %llu", (unsigned long long)after[0],
              (unsigned long long)after[1]);
    sim_world_close(w);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_h2), cmocka_unit_test(test_h3),
                                       cmocka_unit_test(test_churn)};
    if (argc > 1) {
        tunnels_wanted = strtoul(argv[1], NULL, 10);
    }
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
