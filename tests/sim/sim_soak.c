/*
 * sim_soak.c: everything at once, by chance: clients of all kinds come, ask, send,
 * stall, finish, reset and leave, targets likewise, time passes, memory may run
 * short. The invariants hold at each step; tunnels that nobody disturbed are
 * complete; at the end nothing is left.
 *
 *   sim_soak [FIRST [LAST]]     these seeds; a failure prints its own
 */
#include "harness/suite.h"

#define ACTS 150u
#define KEPT 64u

static uint64_t first_seed = 1;
static uint64_t last_seed = 150;

/* A tunnel and what was done to it. */
typedef struct life {
    sim_tun *tun;
    bool disturbed; /* reset, refused, or its connection went */
} life;

typedef struct soak {
    sim_world *w;
    sim_prng chance;
    life lives[KEPT];
    size_t count;
    uint16_t port;
    bool short_of_memory;
} soak;

static uint64_t below(soak *s, uint64_t limit) {
    return sim_random(&s->chance) % limit;
}

static void some_limits(masque_limits *limits) {
    limits->tunnels_per_connection_max = 20;
    limits->dials_per_connection_max = 4;
    limits->tunnel_buffer_max = 100000;
    limits->engine_buffer_max = 8388608;
    limits->connections_per_source_max = 1000;
    limits->auth_failures_max = 1000;
    limits->glitches_burst = 1000000;
    limits->resets_burst = 1000000;
}

static void add_sites(sim_world *w) {
    sim_add_site(w, "45.60.2.1", (sim_site){.delay = 400 * MASQUE_MILLISECOND, .echo = true, .fin_for_fin = true});
    sim_add_site(w, "45.60.2.2", (sim_site){.delay = SIM_NEVER});
    sim_add_site(w, "45.60.2.3", (sim_site){.result = MASQUE_DIAL_REFUSED, .delay = 20 * MASQUE_MILLISECOND});
    sim_add_site(w, "45.60.2.4", (sim_site){.source = 300000, .reset_at_once = true});
    sim_add_site(w, "45.60.2.5", (sim_site){.fin_at_once = true, .fin_for_fin = true});
    sim_add_site(w, "45.60.2.6", (sim_site){.echo = true, .fin_for_fin = true, .reads_each = 700});
    sim_find_site(w, SIM_SOURCE)->source = 250000;
    sim_add_name(w, (sim_name){.text = "mixed.test",
                               .ipv6 = {{.delay = 60 * MASQUE_MILLISECOND, .addresses = {"2600:9000::1", "::1"}}},
                               .ipv4 = {{.addresses = {"45.60.2.2", SIM_ECHO}}}});
    sim_add_name(w, (sim_name){.text = "never.test", .ipv6 = {{.delay = SIM_NEVER}}, .ipv4 = {{.delay = SIM_NEVER}}});
}

static sim_conn *any_conn(soak *s) {
    sim_world *w = s->w;
    for (int i = 0; i < 10 && w->conn_count > 0; i++) {
        sim_conn *c = w->conns[below(s, w->conn_count)];
        if ((c->id || c->handshaken) && !c->closed && !c->leaving && !c->ended && !c->eof && !c->peer_closed &&
            !c->tls_failed) {
            return c;
        }
    }
    return NULL;
}

/* Some come over QUIC, and lose a packet now and then. */
static void come_by_quic(soak *s) {
    static const sim_link_model paths[] = {{.delay = 0},
                                           {.delay = 10 * MASQUE_MILLISECOND},
                                           {.delay = 20 * MASQUE_MILLISECOND, .jitter = 5 * MASQUE_MILLISECOND},
                                           {.delay = 5 * MASQUE_MILLISECOND, .loss = 200}};
    const sim_link_model *path = &paths[below(s, SIM_COUNT(paths))];
    sim_connect(s->w, &(sim_client){.alpn = "h3", .up = path, .down = path});
}

static void come(soak *s) {
    static const size_t pipes[] = {1500, 65536, 300000};
    static const size_t segments[] = {50, 1500, 65536};
    if (below(s, 3) == 0) {
        come_by_quic(s);
        return;
    }
    sim_connect(s->w, &(sim_client){.alpn = below(s, 3) ? "h2" : "http/1.1",
                                    .engine = below(s, 3) == 0,
                                    .tls = below(s, 5) ? 13 : 12,
                                    .window = below(s, 2) ? 0 : 500000,
                                    .pipe = pipes[below(s, SIM_COUNT(pipes))],
                                    .segment = segments[below(s, SIM_COUNT(segments))]});
}

static void ask(soak *s) {
    static const char *const where[] = {SIM_ECHO,    SIM_SINK,     SIM_SOURCE,  SIM_QUIET,    "45.60.2.1",
                                        "45.60.2.2", "45.60.2.3",  "45.60.2.4", "45.60.2.5",  "45.60.2.6",
                                        "127.0.0.1", "mixed.test", "echo.test", "never.test", "nowhere.test"};
    char authority[64];
    sim_conn *c = any_conn(s);
    /* HTTP/1.1: one request a connection. After GOAWAY a client asks no more. */
    if (!c || s->count == KEPT || c->goaways > 0 ||
        (c->tun_count > 0 && c->options.alpn[0] == 'h' && c->options.alpn[1] == 't')) {
        return;
    }
    snprintf(authority, sizeof authority, "%s:%u", where[below(s, SIM_COUNT(where))], (unsigned)++s->port);
    bool early = below(s, 4) == 0;
    sim_tun *tun = sim_request(c, &(sim_ask){.authority = authority,
                                             .key = below(s, 12) ? NULL : "wrong-wrong",
                                             .send = sim_random_size(&s->chance, 200000),
                                             .send_fin = below(s, 2),
                                             .early = early,
                                             .deaf = below(s, 6) == 0});
    s->lives[s->count++] = (life){.tun = tun};
}

static void disturb_all(soak *s, const sim_conn *c) {
    for (size_t i = 0; i < s->count; i++) {
        s->lives[i].disturbed = s->lives[i].disturbed || s->lives[i].tun->conn == c;
    }
}

static void change_tunnel(soak *s) {
    if (s->count == 0) {
        return;
    }
    life *at = &s->lives[below(s, s->count)];
    sim_tun *tun = at->tun;
    sim_target *far = tun->target;
    switch (below(s, 8)) {
    case 0:
        tun->reading = !tun->reading;
        break;
    case 1:
        tun->send_total += tun->fin_sent || tun->send_fin ? 0 : below(s, 100000);
        break;
    case 2:
        tun->send_fin = true;
        break;
    case 3:
        at->disturbed = true;
        if (below(s, 2) && !tun->closed) {
            sim_reset(tun);
        }
        break;
    case 4:
        if (far) {
            far->stalls = !far->stalls;
        }
        break;
    case 5:
        if (far && !far->fin_told && !far->send_fin) {
            far->source += below(s, 200000);
        }
        break;
    case 6:
        if (far) {
            far->send_fin = true;
        }
        break;
    default:
        if (far && below(s, 3) == 0) {
            far->send_reset = true;
            at->disturbed = true;
        }
        break;
    }
    sim_wake(tun);
}

static void change_conn(soak *s) {
    sim_conn *c = any_conn(s);
    if (!c) {
        return;
    }
    if (below(s, 3)) {
        c->deaf = !c->deaf;
        return;
    }
    disturb_all(s, c);
    sim_leave(c, below(s, 2));
}

static void let_time_pass(soak *s) {
    static const masque_time steps[] = {MASQUE_MILLISECOND, 300 * MASQUE_MILLISECOND, 3 * MASQUE_SECOND};
    sim_advance(s->w, steps[below(s, SIM_COUNT(steps))]);
}

static void act(soak *s) {
    switch (below(s, 10)) {
    case 0:
        come(s);
        break;
    case 1:
    case 2:
        ask(s);
        break;
    case 3:
        change_conn(s);
        break;
    case 4:
        let_time_pass(s);
        break;
    case 5:
        sim_settle(s->w);
        break;
    default:
        change_tunnel(s);
        break;
    }
    for (uint64_t i = below(s, 10); i > 0; i--) {
        sim_step(s->w);
    }
}

/* All obstacles go; what nobody disturbed completes. */
static void finish_most(soak *s) {
    sim_world *w = s->w;
    for (size_t i = 0; i < w->conn_count; i++) {
        w->conns[i]->deaf = false;
    }
    for (size_t i = 0; i < w->target_count; i++) {
        w->targets[i]->stalls = false;
        w->targets[i]->send_fin = true;
    }
    for (size_t i = 0; i < s->count; i++) {
        sim_tun *tun = s->lives[i].tun;
        tun->reading = true;
        tun->send_fin = true;
        sim_wake(tun);
    }
    sim_settle(w);
}

static void finish_all(soak *s) {
    finish_most(s);
    finish_most(s); /* targets that were still being dialed */
}

static void check_lives(const soak *s) {
    for (size_t i = 0; i < s->count; i++) {
        const sim_tun *tun = s->lives[i].tun;
        const sim_target *far = tun->target;
        /* Time limits may have ended what stood still. */
        bool timed_out = tun->got_reset || (far && far->got_reset) || tun->conn->end_error;
        if (s->lives[i].disturbed || s->short_of_memory || !tun->answered || tun->status != 200 || timed_out) {
            continue;
        }
        SIM_CHECK(s->w, tun->got_fin && tun->received == far->committed, "port %u: %llu of %llu down, FIN %d (h2 %d)",
                  tun->port, (unsigned long long)tun->received, (unsigned long long)far->committed, tun->got_fin,
                  tun->conn->h2 != NULL);
        SIM_CHECK(s->w, far->received == tun->send_total && far->ended, "port %u: %llu of %llu up", tun->port,
                  (unsigned long long)far->received, (unsigned long long)tun->send_total);
    }
}

static unsigned run_seed(uint64_t seed) {
    soak s = {.port = 1000};
    s.w = sim_world_new(&(sim_setup){.seed = seed, .limits = some_limits});
    sim_prng_seed(&s.chance, seed ^ 0x50a4);
    add_sites(s.w);
    s.short_of_memory = seed % 5 == 0;
    if (s.short_of_memory) {
        sim_alloc_limit(sim_proxy_bytes() + 100000 + below(&s, 1500000));
    }
    come(&s);
    for (unsigned i = 0; i < ACTS; i++) {
        act(&s);
    }
    sim_alloc_limit(0);
    if (seed % 3 == 0) {
        sim_alloc_side(SIM_PROXY);
        masque_engine_drain(s.w->engine, s.w->now);
        sim_alloc_side(SIM_TEST);
        sim_settle(s.w);
    }
    finish_all(&s);
    check_lives(&s);
    unsigned complete = 0;
    for (size_t i = 0; i < s.count; i++) {
        complete += s.lives[i].tun->got_fin && s.lives[i].tun->status == 200;
    }
    sim_world_close(s.w);
    return complete;
}

static void test_soak(void **state) {
    unsigned long long complete = 0;
    (void)state;
    for (uint64_t seed = first_seed; seed <= last_seed; seed++) {
        complete += run_seed(seed);
    }
    print_message("%llu tunnels ended in order\n", complete);
    assert_true(complete > 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_soak)};
    if (argc > 1) {
        first_seed = last_seed = strtoull(argv[1], NULL, 10);
    }
    if (argc > 2) {
        last_seed = strtoull(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
