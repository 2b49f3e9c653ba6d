/*
 * sim_backpressure.c: who doesn't read makes only himself wait. The caps hold at
 * every step (harness/invariants.c); here is that everybody else goes on, that
 * credit is given for taken bytes only, and that nobody waits for ever.
 */
#include "harness/suite.h"

#define TUNNELS 100u
#define FIRST_WINDOW 65535u

/* --- one tunnel, nobody reads ------------------------------------------------------------- */

/* h2o's 50connect-deadlock: an echoing target, and a client that sends much and
   reads nothing until everything stands still. */
static void test_echo_without_a_reader(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .pipe = seed % 2 ? 65536 : 3000});
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
            sim_tun *t = sim_request(
                c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 3000000, .send_fin = true, .deaf = true});
            sim_settle(w);
            SIM_CHECK(w, t->sent < 3000000, "everything was taken, though nobody reads");
            SIM_CHECK(w, t->target->received < 3000000, "the target has everything");
            uint64_t held = sim_stats(w).buffered_bytes;
            SIM_CHECK(w, held < 2 * w->limits.tunnel_buffer_max + 800000, "%llu bytes are held",
                      (unsigned long long)held);
            t->reading = true;
            sim_wake(t);
            sim_settle(w);
            SIM_CHECK(w, t->received == 3000000 && t->got_fin, "h%d: stuck at %llu of %llu", version,
                      (unsigned long long)t->received, (unsigned long long)t->sent);
            sim_world_close(w);
        }
    }
}

/* The same, but the transport itself stands still. */
static void test_deaf_transport(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .pipe = seed % 2 ? 65536 : 3000});
            sim_find_site(w, SIM_SOURCE)->source = 3000000;
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
            sim_conn *other = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
            sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_SOURCE ":1001"});
            c->deaf = true;
            sim_tun *free_one = sim_request(other, &(sim_ask){.authority = SIM_SOURCE ":1002", .send_fin = true});
            sim_settle(w);
            SIM_CHECK(w, free_one->received == 3000000 && free_one->got_fin, "the other connection waits");
            SIM_CHECK(w, !t->target || t->target->committed < 1200000, "%llu bytes were read for a deaf client",
                      (unsigned long long)t->target->committed);
            c->deaf = false;
            sim_settle(w);
            SIM_CHECK(w, t->received == 3000000 && t->got_fin, "h%d: stuck at %llu", version,
                      (unsigned long long)t->received);
            sim_world_close(w);
        }
    }
}

/* Much is sent before the dial has an answer: it waits, and all of it arrives, or
   the refusal does. */
static void test_early_bytes_wait(void **state) {
    (void)state;
    for (unsigned i = 0; i < 16; i++) {
        bool h1 = i % 2;
        bool refused = i / 2 % 2;
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_add_site(w, "45.60.0.20",
                     (sim_site){.delay = MASQUE_SECOND,
                                .fin_for_fin = true,
                                .result = refused ? MASQUE_DIAL_REFUSED : MASQUE_DIAL_OK});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = h1 ? "http/1.1" : "h2"});
        sim_tun *t = sim_request(
            c, &(sim_ask){.authority = "45.60.0.20:1001", .early = true, .send = 1500000, .send_fin = true});
        sim_settle(w);
        SIM_CHECK(w, t->status == (refused ? 502 : 200), "h%d: status %u", h1 ? 1 : 2, t->status);
        SIM_CHECK(w, t->got_fin && !c->was_reset, "h%d, refused %d: cut", h1 ? 1 : 2, refused);
        SIM_CHECK(w, refused || t->target->received == 1500000, "h%d: not all", h1 ? 1 : 2);
        sim_world_close(w);
    }
}

/* --- some of a hundred tunnels ------------------------------------------------------------- */

typedef struct crowd {
    sim_world *w;
    sim_conn *c;
    sim_tun *tuns[TUNNELS];
} crowd;

static void open_crowd(crowd *all, uint64_t seed) {
    all->w = sim_world_new(&(sim_setup){.seed = seed, .pipe = 262144});
    all->c = sim_connect(all->w, &(sim_client){.alpn = "h2", .window = 1048576});
    for (size_t i = 0; i < TUNNELS; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_QUIET ":%zu", 1000 + i);
        all->tuns[i] = sim_request(all->c, &(sim_ask){.authority = authority});
    }
    sim_settle(all->w);
    for (size_t i = 0; i < TUNNELS; i++) {
        SIM_CHECK(all->w, all->tuns[i]->status == 200, "tunnel %zu: status %u", i, all->tuns[i]->status);
    }
}

static void move_bytes(crowd *all, size_t i, uint64_t up, uint64_t down) {
    all->tuns[i]->send_total += up;
    all->tuns[i]->target->source += down;
    sim_wake(all->tuns[i]);
}

static void check_complete(const crowd *all, size_t from, const char *what) {
    for (size_t i = from; i < TUNNELS; i++) {
        const sim_tun *t = all->tuns[i];
        SIM_CHECK(all->w, t->target->received == t->send_total && t->received == t->target->source,
                  "%s, %zu stalled: tunnel %zu stands at %llu/%llu up, %llu/%llu down", what, from, i,
                  (unsigned long long)t->target->received, (unsigned long long)t->send_total,
                  (unsigned long long)t->received, (unsigned long long)t->target->source);
    }
}

static void run_crowd(size_t stalled, bool up, bool grown, uint64_t seed) {
    crowd all;
    open_crowd(&all, seed);
    for (size_t i = 0; i < TUNNELS && grown; i++) {
        move_bytes(&all, i, 400000, 100000);
        sim_settle(all.w);
    }
    for (size_t i = 0; i < stalled; i++) {
        all.tuns[i]->reading = up;
        all.tuns[i]->target->stalls = up;
    }
    for (size_t i = 0; i < TUNNELS; i++) {
        move_bytes(&all, i, 300000, 300000);
    }
    sim_settle(all.w);
    check_complete(&all, stalled, up ? "up" : "down");
    for (size_t i = stalled; i < TUNNELS; i++) {
        move_bytes(&all, i, 200000, 200000);
    }
    sim_settle(all.w);
    check_complete(&all, stalled, up ? "up, again" : "down, again");
    for (size_t i = 0; i < stalled; i++) {
        all.tuns[i]->reading = true;
        all.tuns[i]->target->stalls = false;
        sim_wake(all.tuns[i]);
    }
    sim_settle(all.w);
    check_complete(&all, 0, "resumed");
    sim_world_close(all.w);
}

static void test_crowd(void **state) {
    static const size_t stalled[] = {1, 50, 99};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(stalled); i++) {
        for (int up = 0; up <= 1; up++) {
            run_crowd(stalled[i], up, false, i);
            run_crowd(stalled[i], up, true, i);
        }
    }
}

/* --- credit ----------------------------------------------------------------------------------- */

static void test_credit_follows_the_target(void **state) {
    static const uint64_t taken[] = {0, 1, 1000, 30000, 65534};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(taken); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_add_site(w, "45.60.0.20", (sim_site){.stalls = taken[i] == 0, .reads_until = taken[i]});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = "45.60.0.20:1001", .send = 1000000});
        sim_settle(w);
        SIM_CHECK(w, t->target->received == taken[i], "%llu taken", (unsigned long long)t->target->received);
        SIM_CHECK(w, t->sent >= FIRST_WINDOW && t->sent <= FIRST_WINDOW + taken[i], "%llu taken, but %llu sent",
                  (unsigned long long)taken[i], (unsigned long long)t->sent);
        sim_world_close(w);
    }
}

/* Everything that was ever granted for a tunnel that is gone comes back to the
   connection, or it would run dry. */
static void small_connection(masque_limits *limits) {
    limits->tunnels_per_connection_max = 8;
    limits->connection_buffer_max = 1048576;
}

static void test_credit_of_dead_tunnels_returns(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = small_connection});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (unsigned i = 0; i < 400; i++) {
        sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
        sim_settle(w);
        t->target->stalls = true;
        t->send_total = FIRST_WINDOW;
        sim_wake(t);
        sim_settle(w);
        SIM_CHECK(w, t->sent == FIRST_WINDOW, "round %u: the connection's window is empty", i);
        if (i % 3 == 0) {
            t->target->send_reset = true;
        } else if (i % 3 == 1) {
            t->target->send_fin = true;
            sim_fin(t);
            sim_settle(w);
            t->target->stalls = false;
        } else {
            t->target->stalls = false;
            sim_settle(w);
            t->target->send_fin = true;
            sim_fin(t);
        }
        sim_advance(w, 100 * MASQUE_MILLISECOND);
        SIM_CHECK(w, t->target->ended && !c->ended, "round %u: not over", i);
    }
    SIM_CHECK(w, sim_stats(w).tunnels_active == 0, "tunnels are left");
    sim_world_close(w);
}

/* --- windows grow --------------------------------------------------------------------------------- */

static void test_window_grows_for_a_fast_target(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .pipe = 262144});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .send = 60000000});
    sim_settle(w);
    SIM_CHECK(w, t->target->received == 60000000, "incomplete");
    t->target->stalls = true;
    t->send_total += 60000000;
    sim_wake(t);
    sim_settle(w);
    /* Up to half of a window is taken, but not announced yet. */
    uint64_t window = t->sent - t->target->received;
    uint64_t most = w->limits.stream_window_max;
    SIM_CHECK(w, window > most / 2 - 65536 && window <= most, "the window is %llu", (unsigned long long)window);
    /* Ninety-nine more still get what they begin with. */
    for (unsigned i = 0; i < 99; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_SINK ":%u", 2000 + i);
        sim_tun *other = sim_request(c, &(sim_ask){.authority = authority, .send = 70000, .send_fin = i % 2 == 0});
        sim_settle(w);
        SIM_CHECK(w, other->status == 200 && other->target->received == 70000, "tunnel %u waits", i);
    }
    sim_world_close(w);
}

/* A target that needs more than a second for a window: 64 KiB stay enough. */
static void test_window_stays_for_a_slow_target(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_site *site = sim_add_site(w, "45.60.0.20", (sim_site){.reads_until = 16000});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = "45.60.0.20:1001", .send = 10000000});
    for (uint64_t i = 1; i <= 40; i++) {
        sim_advance(w, MASQUE_SECOND / 2);
        uint64_t held = t->sent - t->target->received;
        SIM_CHECK(w, t->target->received == 16000 * i, "%llu received", (unsigned long long)t->target->received);
        SIM_CHECK(w, held <= FIRST_WINDOW, "the window grew to %llu", (unsigned long long)held);
        site->reads_until += 16000;
    }
    sim_world_close(w);
}

/* --- the engine's memory ------------------------------------------------------------------------------ */

static void small_engine(masque_limits *limits) {
    limits->engine_buffer_max = 1048576;
}

/* Many clients together want more than the engine may hold: all go on, slowly. */
static void test_small_engine(void **state) {
    enum { CLIENTS = 20 };
    sim_conn *conns[CLIENTS];
    sim_tun *tuns[CLIENTS];
    int opened = 0;
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = small_engine});
    sim_find_site(w, SIM_SOURCE)->source = 500000;
    for (int i = 0; i < CLIENTS; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_SOURCE ":%d", 1000 + i);
        conns[i] = sim_connect(w, &(sim_client){.alpn = i % 2 ? "h2" : "http/1.1"});
        tuns[i] = sim_request(conns[i], &(sim_ask){.authority = authority, .deaf = true, .send_fin = true});
        sim_settle(w);
    }
    for (int i = 0; i < CLIENTS; i++) {
        bool refused = conns[i]->accept_error == MASQUE_ERR_OVERLOAD || tuns[i]->status == 503;
        SIM_CHECK(w, tuns[i]->status == 200 || refused, "client %d: status %u", i, tuns[i]->status);
        opened += tuns[i]->status == 200;
        tuns[i]->reading = true;
        sim_wake(tuns[i]);
    }
    SIM_CHECK(w, opened > 3 && opened < CLIENTS, "%d clients were let in", opened);
    sim_advance(w, 10 * MASQUE_SECOND);
    for (int i = 0; i < CLIENTS; i++) {
        bool complete = tuns[i]->received == 500000 && tuns[i]->got_fin;
        SIM_CHECK(w, complete || tuns[i]->status != 200, "client %d stands at %llu", i,
                  (unsigned long long)tuns[i]->received);
    }
    sim_world_close(w);
}

/* The engine is full of others' bytes: a tunnel that has none waits, and goes on
   by itself when they are gone. */
static void test_starved_tunnel_is_woken(void **state) {
    enum { OTHERS = 20 };
    sim_tun *others[OTHERS];
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = small_engine});
    sim_conn *full = sim_connect(w, &(sim_client){.alpn = "h2", .window = 1});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
    for (unsigned i = 0; i < OTHERS; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_QUIET ":%u", 2000 + i);
        others[i] = sim_request(full, &(sim_ask){.authority = authority, .deaf = true});
    }
    sim_settle(w);
    for (unsigned i = 0; i < OTHERS; i++) {
        others[i]->target->source = 300000;
        sim_settle(w);
    }
    t->target->source = 50000;
    sim_settle(w);
    SIM_CHECK(w, t->received == 0 && t->target->read_blocked, "the engine isn't full: %llu bytes",
              (unsigned long long)sim_stats(w).buffered_bytes);
    for (unsigned i = 0; i < OTHERS; i++) {
        sim_reset(others[i]);
    }
    sim_settle(w);
    SIM_CHECK(w, t->received == 50000, "it still waits, at %llu", (unsigned long long)t->received);
    sim_world_close(w);
}

/* Records that wait to be written count as held, too. */
static void test_deaf_crowd(void **state) {
    enum { CLIENTS = 40 };
    sim_tun *tuns[CLIENTS];
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = small_engine, .pipe = 5000});
    for (unsigned i = 0; i < CLIENTS; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_QUIET ":%u", 1000 + i);
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = i % 2 ? "h2" : "http/1.1"});
        tuns[i] = sim_request(c, &(sim_ask){.authority = authority});
        sim_settle(w);
        SIM_CHECK(w, tuns[i]->status == 200, "client %u: status %u", i, tuns[i]->status);
    }
    uint64_t before = sim_proxy_bytes();
    for (unsigned i = 0; i < CLIENTS; i++) {
        tuns[i]->conn->deaf = true;
        tuns[i]->target->source = 32000;
        sim_settle(w);
    }
    uint64_t held = sim_stats(w).buffered_bytes;
    uint64_t there = sim_proxy_bytes() - before;
    SIM_CHECK(w, there > 900000 && there < held + held / 4, "%llu bytes counted, %llu there", (unsigned long long)held,
              (unsigned long long)there);
    for (unsigned i = 0; i < CLIENTS; i++) {
        tuns[i]->conn->deaf = false;
    }
    sim_settle(w);
    for (unsigned i = 0; i < CLIENTS; i++) {
        SIM_CHECK(w, tuns[i]->received == 32000, "client %u stands at %llu", i, (unsigned long long)tuns[i]->received);
    }
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_without_a_reader),
        cmocka_unit_test(test_deaf_transport),
        cmocka_unit_test(test_early_bytes_wait),
        cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_credit_follows_the_target),
        cmocka_unit_test(test_credit_of_dead_tunnels_returns),
        cmocka_unit_test(test_window_grows_for_a_fast_target),
        cmocka_unit_test(test_window_stays_for_a_slow_target),
        cmocka_unit_test(test_small_engine),
        cmocka_unit_test(test_starved_tunnel_is_woken),
        cmocka_unit_test(test_deaf_crowd),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
