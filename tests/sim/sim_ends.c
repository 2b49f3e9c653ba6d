/*
 * sim_ends.c: what is left when something ends. Goal: bytes of a stream that ended in
 * order reach a slow target however its connection goes; memory that comes back wakes
 * those who waited; what comes behind an end, or far beyond a rate, costs nothing more.
 */
#include "harness/parts.h"
#include "harness/suite.h"

typedef enum farewell { SAYS_CLOSE, BOTH_ENDED_SAYS_CLOSE, BOTH_ENDED_RESET, STAYS } farewell;

typedef struct farewell_row {
    const char *name;
    farewell how;
} farewell_row;

static const farewell_row FAREWELLS[] = {
    {"END_STREAM, then close_notify", SAYS_CLOSE},
    {"both ended, then close_notify", BOTH_ENDED_SAYS_CLOSE},
    {"both ended, then the transport is reset", BOTH_ENDED_RESET},
    {"both ended", STAYS},
};

static void run_farewell(const farewell_row *row) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 9});
    sim_conn *c = sim_connect(w, &(sim_client){.stubborn = true});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
    sim_settle(w);
    sim_target *far = t->target;
    far->stalls = true;
    t->send_total = 50000;
    t->send_fin = true;
    sim_wake(t);
    sim_settle(w);
    if (row->how != SAYS_CLOSE) {
        far->send_fin = true;
        sim_settle(w);
    }
    if (row->how == SAYS_CLOSE || row->how == BOTH_ENDED_SAYS_CLOSE) {
        sim_say_close(c);
    } else if (row->how == BOTH_ENDED_RESET) {
        sim_leave(c, true);
    }
    sim_advance(w, 3 * MASQUE_SECOND); /* longer than a connection lingers */
    far->stalls = false;
    sim_settle(w);
    SIM_CHECK(w, far->received == 50000, "%s: %llu bytes", row->name, (unsigned long long)far->received);
    SIM_CHECK(w, !far->got_reset, "%s: reset", row->name);
    sim_world_close(w);
}

static void test_slow_target(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(FAREWELLS); i++) {
        run_farewell(&FAREWELLS[i]);
    }
}

static void little_memory(masque_limits *limits) {
    limits->engine_buffer_max = 1048576;
}

/* One connection fills the engine and dies; another one, which waits for memory, goes on. */
static void test_starved_goes_on(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 5, .limits = little_memory});
    sim_conn *b = sim_connect(w, &(sim_client){0});
    sim_tun *t = sim_request(b, &(sim_ask){.authority = SIM_QUIET ":2000"});
    sim_settle(w);
    sim_conn *a = sim_connect(w, &(sim_client){.address = "198.51.100.9"});
    sim_tun *hogs[40];
    for (int i = 0; i < 40; i++) {
        char authority[64];
        snprintf(authority, sizeof authority, SIM_QUIET ":%d", 1001 + i);
        hogs[i] = sim_request(a, &(sim_ask){.authority = authority});
    }
    sim_settle(w);
    for (int i = 0; i < 40; i++) {
        hogs[i]->target->stalls = true;
        hogs[i]->send_total = 60000;
        sim_wake(hogs[i]);
    }
    sim_settle(w);
    uint64_t held = sim_stats(w).buffered_bytes;
    SIM_CHECK(w, held < 2 * 1048576, "%llu bytes held", (unsigned long long)held);
    t->target->source = 1000;
    sim_settle(w);
    sim_leave(a, true);
    sim_settle(w);
    SIM_CHECK(w, t->received == 1000, "%llu of 1000 bytes", (unsigned long long)t->received);
    sim_world_close(w);
}

/* HTTP/1.1: bytes behind close_notify are nobody's; the client's end is still noticed. */
static void test_bytes_behind_close_notify(void **state) {
    static const uint8_t noise[60000] = {1};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3});
    sim_conn *c =
        sim_connect(w, &(sim_client){.alpn = "http/1.1", .stubborn = true, .pipe = 1 << 20, .segment = 1 << 20});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
    sim_settle(w);
    sim_say_close(c);
    sim_settle(w);
    sim_pipe_write(&c->up, noise, sizeof noise);
    sim_settle(w);
    SIM_CHECK(w, !c->read_blocked, "nothing is read any more");
    t->target->source = 10;
    sim_settle(w);
    SIM_CHECK(w, t->received == 10, "%llu of 10 bytes", (unsigned long long)t->received);
    sim_world_close(w);
}

static void standard_rates(masque_limits *limits) {
    masque_limits standard;
    masque_limits_init(&standard);
    limits->requests_burst = standard.requests_burst;
    limits->requests_rate = standard.requests_rate;
}

/* Requests without a credential, far beyond the rate: the connection ends, the log stays short. */
static void test_request_flood(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3, .limits = standard_rates, .segment = 1 << 16});
    sim_conn *c = sim_connect(w, &(sim_client){0});
    sim_settle(w);
    for (int round = 0; round < 100 && !c->ended && c->goaways == 0; round++) {
        for (int i = 0; i < 50; i++) {
            sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .key = ""});
        }
        sim_settle(w);
    }
    masque_stats stats = sim_stats(w);
    SIM_CHECK(w, c->goaways > 0 && c->goaway_code == 11, "GOAWAY %u", c->goaway_code); /* ENHANCE_YOUR_CALM */
    SIM_CHECK(w, stats.requests_total <= 900, "%llu requests", (unsigned long long)stats.requests_total);
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slow_target),
        cmocka_unit_test(test_starved_goes_on),
        cmocka_unit_test(test_bytes_behind_close_notify),
        cmocka_unit_test(test_request_flood),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
