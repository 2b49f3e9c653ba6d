/*
 * sim_paths.c: HTTP/3 over paths with all that goes wrong there. Whatever the path does,
 * a transfer through CONNECT completes byte by byte, datagrams of CONNECT-UDP come whole and
 * at most once, and an idle world is left behind. Each seed runs one model with a mix of
 * tunnels.
 *
 *   sim_paths [FIRST [LAST]]    these seeds, 1..1000 unless told; a failure prints its own
 */
#include "harness/suite.h"

#define MS MASQUE_MILLISECOND

static uint64_t first_seed = 1;
static uint64_t last_seed = 1000;

typedef struct path {
    const char *name;
    sim_link_model model;
    bool rebinds;
    bool lossless; /* all datagrams arrive */
    bool calms;    /* once the handshake is done: nobody waits for the rest of such a path */
} path;

static const path PATHS[] = {
    {.name = "perfect", .lossless = true},
    {.name = "delay", .model = {.delay = 25 * MS}, .lossless = true},
    {.name = "jitter", .model = {.delay = 20 * MS, .jitter = 15 * MS}, .lossless = true},
    {.name = "long", .model = {.delay = 375 * MS}, .lossless = true},
    {.name = "loss", .model = {.delay = 15 * MS, .loss = 200}},
    {.name = "heavy loss", .model = {.delay = 5 * MS, .loss = 1500}},
    {.name = "burst loss", .model = {.delay = 15 * MS, .loss = 100, .burst = 6}},
    {.name = "handshake loss", .model = {.delay = 10 * MS, .loss = 1400, .burst = 3}, .calms = true},
    {.name = "reorder", .model = {.delay = 15 * MS, .reorder = 1000, .late = 12 * MS}, .lossless = true},
    {.name = "duplicate", .model = {.delay = 15 * MS, .duplicate = 2000}, .lossless = true},
    {.name = "corrupt", .model = {.delay = 10 * MS, .corrupt = 500}},
    {.name = "mtu 1280", .model = {.delay = 10 * MS, .mtu = 1280 - 48}},
    {.name = "mtu 1350", .model = {.delay = 10 * MS, .mtu = 1350 - 48}},
    {.name = "mtu 1500", .model = {.delay = 10 * MS, .mtu = 1500 - 48}, .lossless = true},
    {.name = "slow", .model = {.delay = 20 * MS, .rate = 250000, .queue = 40000}},
    {.name = "black hole",
     .model = {.delay = 15 * MS, .dark_from = 1001 * MASQUE_SECOND, .dark = 2000 * MS, .period = 7000 * MS}},
    {.name = "rebind", .model = {.delay = 15 * MS, .loss = 50}, .rebinds = true},
    {.name = "everything",
     .model = {.delay = 20 * MS,
               .jitter = 5 * MS,
               .loss = 100,
               .reorder = 300,
               .late = 10 * MS,
               .duplicate = 100,
               .corrupt = 50,
               .mtu = 1400},
     .rebinds = true},
};

#define TUNNELS_MAX 6

typedef struct run {
    sim_world *w;
    const path *path;
    sim_prng chance;
    sim_conn *conn;
    sim_tun *tuns[TUNNELS_MAX];
    size_t count;
} run;

static uint64_t below(run *r, uint64_t limit) {
    return sim_random(&r->chance) % limit;
}

static void ask(run *r) {
    static const char *const sites[] = {SIM_ECHO, SIM_SINK, SIM_SOURCE};
    char authority[64];
    bool udp = below(r, 3) == 0;
    const char *site = udp ? SIM_ECHO : sites[below(r, SIM_COUNT(sites))];
    snprintf(authority, sizeof authority, "%s:%u", site, (unsigned)(2000 + r->count));
    r->tuns[r->count++] = sim_request(r->conn, &(sim_ask){.authority = authority,
                                                          .udp = udp,
                                                          .send = udp ? 0 : sim_random_size(&r->chance, 150000),
                                                          .send_fin = !udp});
}

static void let_datagrams_go(run *r) {
    for (size_t i = 0; i < r->count; i++) {
        sim_tun *tun = r->tuns[i];
        if (tun->udp && tun->target) {
            tun->target->datagrams.unordered = true;
            sim_send_datagrams(tun, 1 + below(r, 30), 20 + below(r, 1130));
        }
    }
}

static bool all_over(const run *r) {
    for (size_t i = 0; i < r->count; i++) {
        if (!r->tuns[i]->closed && !r->tuns[i]->udp) {
            return false;
        }
    }
    return true;
}

static void check_bytes(const run *r, const sim_tun *tun) {
    const sim_target *far = tun->target;
    SIM_CHECK(r->w, tun->closed && tun->got_fin && !tun->got_reset && far && tun->received == far->committed,
              "%s: port %u: %llu of %llu down, closed %d, FIN %d, reset %d", r->path->name, tun->port,
              (unsigned long long)tun->received, (unsigned long long)(far ? far->committed : 0), tun->closed,
              tun->got_fin, tun->got_reset);
    SIM_CHECK(r->w, far && far->received == tun->send_total && far->ended, "%s: port %u: %llu of %llu up",
              r->path->name, tun->port, (unsigned long long)(far ? far->received : 0),
              (unsigned long long)tun->send_total);
}

static void check_datagrams(const run *r, const sim_tun *tun) {
    const sim_target *far = tun->target;
    if (!far || !r->path->lossless) {
        return;
    }
    uint64_t dropped = sim_stats(r->w).datagrams_dropped;
    SIM_CHECK(r->w, far->datagrams.received + dropped >= tun->datagrams.made, "%s: %llu of %u datagrams up",
              r->path->name, (unsigned long long)far->datagrams.received, tun->datagrams.made);
    SIM_CHECK(r->w, tun->datagrams.received + dropped >= far->datagrams.received, "%s: %llu of %llu datagrams down",
              r->path->name, (unsigned long long)tun->datagrams.received, (unsigned long long)far->datagrams.received);
}

static void transfer(run *r) {
    size_t tunnels = 1 + below(r, TUNNELS_MAX);
    for (size_t i = 0; i < tunnels; i++) {
        ask(r);
        if (r->path->calms) {
            r->conn->to_proxy.model.loss = r->conn->to_client.model.loss = 0;
        }
        sim_advance(r->w, below(r, 100) * MS);
    }
    for (int i = 0; i < 600 && !r->conn->closed && (i < 3 || !all_over(r)); i++) {
        if (i < 3) {
            let_datagrams_go(r);
        }
        /* RFC 9000 9: not before the proxy, too, knows that the handshake is done. */
        if (r->path->rebinds && i < 3 && r->tuns[0]->answered) {
            sim_rebind(r->conn);
        }
        sim_advance(r->w, MASQUE_SECOND);
    }
    sim_advance(r->w, 5 * MASQUE_SECOND); /* the last acknowledgements */
}

/* A client whose handshake takes too long tries again. */
static void connect_at_last(run *r) {
    const sim_client client = {.alpn = "h3",
                               .up = &r->path->model,
                               .down = &r->path->model,
                               .congestion = below(r, 2) ? MASQUE_BBR : MASQUE_CUBIC};
    for (int tries = 0; tries < 5 && (!r->conn || r->conn->closed); tries++) {
        r->conn = sim_connect(r->w, &client);
        while (!r->conn->handshaken && !r->conn->closed) {
            sim_advance(r->w, 10 * MS);
        }
    }
}

/* Four lost flights in a row happen here, and take longer than the default allows. */
static void patient(masque_limits *limits) {
    limits->handshake_timeout_ms = 60000;
}

static void run_seed(uint64_t seed) {
    run r = {.path = &PATHS[seed % SIM_COUNT(PATHS)]};
    r.w = sim_world_new(&(sim_setup){.seed = seed, .limits = patient});
    sim_prng_seed(&r.chance, seed ^ 0x9a75);
    sim_find_site(r.w, SIM_SOURCE)->source = 1 + below(&r, 200000);
    sim_site *source = sim_find_site(r.w, SIM_SOURCE);
    source->source_fin = true;
    connect_at_last(&r);
    transfer(&r);
    SIM_CHECK(r.w, r.conn->handshaken && !r.conn->closed, "%s: the connection ended: %s", r.path->name,
              masque_error_name(r.conn->engine_error));
    for (size_t i = 0; i < r.count; i++) {
        if (r.tuns[i]->udp) {
            check_datagrams(&r, r.tuns[i]);
        } else {
            check_bytes(&r, r.tuns[i]);
        }
    }
    sim_world_close(r.w);
}

static void test_paths(void **state) {
    (void)state;
    for (uint64_t seed = first_seed; seed <= last_seed; seed++) {
        run_seed(seed);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paths)};
    if (argc > 1) {
        first_seed = last_seed = strtoull(argv[1], NULL, 10);
    }
    if (argc > 2) {
        last_seed = strtoull(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
