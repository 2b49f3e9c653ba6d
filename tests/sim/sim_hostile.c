/*
 * sim_hostile.c: what a hostile review found. Each test failed while its defect was
 * there: requests that no limit counted, bytes and connections that were counted
 * for nobody, an end that got lost behind a reset.
 */
#include "harness/frames.h"
#include "harness/suite.h"

/* The simulator's own limits on requests are raised; these are the standard ones. */
static void standard_rates(masque_limits *limits) {
    masque_limits standard;
    masque_limits_init(&standard);
    limits->requests_burst = standard.requests_burst;
    limits->requests_rate = standard.requests_rate;
}

static sim_conn *raw_client(sim_world *w) {
    sim_bytes out = {.bytes = NULL};
    sim_conn *c = sim_connect(w, &(sim_client){.raw = true});
    sim_settle(w);
    sim_preface(&out);
    sim_send_all(c, &out);
    sim_settle(w);
    return c;
}

/* --- requests that are refused for their form --------------------------------------------------- */

/* HPACK: GET, https, path "/", authority "a": spelled out first, from the table then. */
static void get_frame(sim_bytes *out, unsigned n, unsigned flags) {
    static const char first[] = "\x82\x87\x84\x41\x01"
                                "a";
    const char *block = n == 0 ? first : "\x82\x87\x84\xbe";
    size_t length = n == 0 ? sizeof first - 1 : 4;
    sim_frame(out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS | flags, 2 * n + 1, block, length);
}

/* GETs are no CONNECTs, but cost an answer and a line in the log each. */
static void test_get_flood(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3, .limits = standard_rates, .segment = 1 << 16});
    sim_conn *c = raw_client(w);
    sim_bytes out = {.bytes = NULL};
    for (unsigned n = 0; n < 5000 && !c->ended && c->seen.goaway_code == 0; n++) {
        get_frame(&out, n, SIM_FLAG_END_STREAM);
        if (n % 25 == 24) {
            sim_send_all(c, &out);
            sim_settle(w);
        }
    }
    sim_bytes_free(&out);
    masque_stats stats = sim_stats(w);
    SIM_CHECK(w, stats.requests_405 <= w->limits.requests_burst, "%llu answers",
              (unsigned long long)stats.requests_405);
    SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_FLOOD, "%llu requests, %s",
              (unsigned long long)stats.requests_total, masque_error_name(c->end_error));
    sim_world_close(w);
}

/* Answers until the way out is full: a client that reads nothing. Returns the next stream. */
static unsigned fill_the_way_out(sim_conn *c) {
    sim_world *w = c->world;
    sim_bytes out = {.bytes = NULL};
    unsigned n = 0;
    uint64_t had = UINT64_MAX;
    while (n < 2000 && !c->ended && (sim_pipe_room(&c->down) > 0 || sim_stats(w).buffered_bytes != had)) {
        had = sim_stats(w).buffered_bytes;
        for (int i = 0; i < 10; i++) {
            get_frame(&out, n++, SIM_FLAG_END_STREAM);
        }
        sim_send_all(c, &out);
        sim_settle(w);
    }
    return n;
}

static void many_requests(masque_limits *limits) {
    limits->requests_burst = limits->requests_rate = 1000000;
    limits->resets_burst = limits->resets_rate = 1000000;
}

/* A GET and its reset, 26 bytes, again and again, by a client without a key that reads nothing:
   what waits for it stays bounded, whatever the reset is called and whatever the rates. */
static void run_quiet_resets(uint32_t code, void (*limits)(masque_limits *)) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3, .limits = limits, .segment = 1 << 16, .pipe = 3000});
    sim_conn *c = raw_client(w);
    sim_bytes out = {.bytes = NULL};
    uint64_t before = sim_proxy_bytes();
    c->deaf = true;
    unsigned first = fill_the_way_out(c);
    for (unsigned n = first; n < first + 20000 && !c->ended; n++) {
        get_frame(&out, n, 0);
        sim_frame32(&out, SIM_FRAME_RST_STREAM, 2 * n + 1, code);
        if (n % 50 == 49) {
            sim_send_all(c, &out);
            sim_settle(w);
        }
    }
    sim_bytes_free(&out);
    uint64_t grown = sim_proxy_bytes() - before;
    SIM_CHECK(w, grown < 1048576, "code %u: %llu bytes more for %llu sent", code, (unsigned long long)grown,
              (unsigned long long)c->raw_sent);
    c->deaf = false;
    sim_advance(w, 40 * MASQUE_SECOND);
    SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_FLOOD, "code %u: %s after %llu requests, ended %d", code,
              masque_error_name(c->end_error), (unsigned long long)sim_stats(w).requests_total, c->ended);
    sim_world_close(w);
}

static void test_quiet_resets(void **state) {
    (void)state;
    run_quiet_resets(0, standard_rates);
    run_quiet_resets(8, standard_rates);
    run_quiet_resets(0, many_requests);
    run_quiet_resets(8, many_requests);
}

/* --- what is held for whom ------------------------------------------------------------------------ */

/* A connection whose tunnel still delivers counts for its source, though the client is gone. */
static void test_connections_that_linger(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3});
    unsigned refused = 0;
    for (unsigned i = 0; i < 150; i++) {
        char authority[64];
        snprintf(authority, sizeof authority, SIM_QUIET ":%u", 1001 + i);
        sim_conn *c = sim_connect(w, &(sim_client){0});
        if (!c->id) {
            SIM_CHECK(w, c->accept_error == MASQUE_ERR_OVERLOAD, "%s", masque_error_name(c->accept_error));
            refused++;
            continue;
        }
        sim_tun *t = sim_request(c, &(sim_ask){.authority = authority});
        sim_settle(w);
        t->target->stalls = true;
        t->send_total = 1000;
        t->send_fin = true;
        sim_wake(t);
        sim_settle(w);
        sim_leave(c, false);
        sim_settle(w);
        SIM_CHECK(w, c->ended, "the client's socket is still held");
    }
    SIM_CHECK(w, refused == 50, "%u of 150 were refused", refused);
    for (size_t i = 0; i < w->target_count; i++) {
        w->targets[i]->stalls = false;
    }
    sim_settle(w);
    for (size_t i = 0; i < w->target_count; i++) {
        SIM_CHECK(w, w->targets[i]->received == 1000 && w->targets[i]->got_fin, "a target didn't get all");
    }
    sim_advance(w, 60 * MASQUE_SECOND);
    SIM_CHECK(w, sim_connect(w, &(sim_client){0})->id != 0, "no place became free");
    sim_world_close(w);
}

/* Streams that have ended while their targets are slow: their bytes count until they are taken
   (harness/invariants.c looks at every step). */
static void test_windows_of_ended_streams(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3, .pipe = 1 << 20, .segment = 1 << 20});
    sim_conn *c = sim_connect(w, &(sim_client){0});
    for (unsigned i = 0; i < 4; i++) {
        char authority[64];
        snprintf(authority, sizeof authority, SIM_QUIET ":%u", 1001 + i);
        sim_tun *t = sim_request(c, &(sim_ask){.authority = authority});
        sim_settle(w);
        t->send_total = 60000000; /* the window grows */
        sim_wake(t);
        sim_settle(w);
        t->target->stalls = true;
        t->send_total = 66000000;
        sim_wake(t);
        sim_settle(w);
        sim_fin(t);
        t->target->send_fin = true;
        sim_settle(w);
    }
    for (size_t i = 0; i < w->target_count; i++) {
        w->targets[i]->stalls = false;
    }
    sim_advance(w, MASQUE_SECOND);
    for (size_t i = 0; i < w->target_count; i++) {
        SIM_CHECK(w, w->targets[i]->received == w->targets[i]->tun->sent, "%llu bytes arrived",
                  (unsigned long long)w->targets[i]->received);
    }
    sim_world_close(w);
}

static void smallest_buffer(masque_limits *limits) {
    limits->connection_buffer_max = 100 * 1024;
}

/* 99 targets stall; the hundredth tunnel goes on, with the smallest buffer, too. */
static void test_smallest_connection_buffer(void **state) {
    enum { TUNNELS = 100 };
    sim_tun *tuns[TUNNELS];
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3, .limits = smallest_buffer});
    sim_conn *c = sim_connect(w, &(sim_client){0});
    for (unsigned i = 0; i < TUNNELS; i++) {
        char authority[64];
        snprintf(authority, sizeof authority, SIM_QUIET ":%u", 1001 + i);
        tuns[i] = sim_request(c, &(sim_ask){.authority = authority});
    }
    sim_settle(w);
    for (unsigned i = 0; i < TUNNELS; i++) {
        tuns[i]->target->stalls = i < TUNNELS - 1;
        tuns[i]->send_total = 200000;
        sim_wake(tuns[i]);
    }
    sim_settle(w);
    SIM_CHECK(w, tuns[TUNNELS - 1]->target->received == 200000, "%llu of 200000 bytes",
              (unsigned long long)tuns[TUNNELS - 1]->target->received);
    sim_world_free(w);
}

/* --- the last words of a target ------------------------------------------------------------------- */

typedef struct last_words {
    const char *alpn;
    bool fin; /* before the reset */
} last_words;

/* A target that answers, perhaps says its end, and resets, for it read not all of an upload. The
   client, who reads late, gets what was said, in this order. */
static void run_last_words(const last_words *row) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3, .pipe = 2000});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = row->alpn});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
    sim_settle(w);
    c->deaf = true;
    t->target->source = 20000;
    sim_settle(w);
    SIM_CHECK(w, t->target->committed == 20000, "%llu read", (unsigned long long)t->target->committed);
    t->target->send_fin = row->fin;
    sim_settle(w);
    t->target->send_reset = true;
    sim_settle(w);
    c->deaf = false;
    sim_settle(w);
    SIM_CHECK(w, t->received == 20000 && t->got_fin == row->fin, "%s: %llu bytes, FIN %d", row->alpn,
              (unsigned long long)t->received, t->got_fin);
    bool cut = c->eof && !c->peer_closed; /* without a close_notify */
    SIM_CHECK(w, row->fin || t->got_reset || cut, "%s: it looks like an end in order", row->alpn);
    sim_world_close(w);
}

static void test_last_words(void **state) {
    static const last_words rows[] = {{"h2", false}, {"http/1.1", false}, {"h2", true}, {"http/1.1", true}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        run_last_words(&rows[i]);
    }
}

/* A target that goes on talking to a client that is gone in order is read, or what it hasn't read
   itself would be lost to a reset. It ends when it says so, or says nothing for the stall limit. */
static void run_talking_target(bool says_end) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 3});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
    sim_settle(w);
    sim_target *far = t->target;
    far->stalls = true;
    t->send_total = 50000;
    t->send_fin = true;
    sim_wake(t);
    sim_settle(w);
    sim_leave(c, false);
    sim_settle(w);
    far->source = 300000;
    sim_settle(w);
    SIM_CHECK(w, c->ended && far->committed == 300000, "%llu bytes were read", (unsigned long long)far->committed);
    far->stalls = false;
    sim_settle(w);
    SIM_CHECK(w, far->received == 50000 && far->got_fin && !far->ended, "%llu bytes, FIN %d",
              (unsigned long long)far->received, far->got_fin);
    far->send_fin = says_end;
    sim_advance(w, says_end ? 0 : 60 * MASQUE_SECOND);
    SIM_CHECK(w, far->ended && !far->got_reset, "ended %d, reset %d", far->ended, far->got_reset);
    sim_world_close(w);
}

static void test_talking_target(void **state) {
    (void)state;
    run_talking_target(true);
    run_talking_target(false);
}

/* --- dials ------------------------------------------------------------------------------------------ */

static void two_dials(masque_limits *limits) {
    limits->dials_per_connection_max = 2;
}

/* Waiting for a place to dial costs a target named by its address no time limit either. */
static void test_literal_that_waits(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = two_dials});
    sim_add_site(w, "45.60.0.41", (sim_site){.delay = SIM_NEVER});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_request(c, &(sim_ask){.authority = "45.60.0.41:1000"});
    sim_request(c, &(sim_ask){.authority = "45.60.0.41:1001"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1002"});
    sim_advance(w, 15 * MASQUE_SECOND);
    SIM_CHECK(w, t->status == 200, "status %u %s", t->status, t->proxy_status);
    SIM_CHECK(w, !strstr(t->server_timing, "dns"), "%s", t->server_timing);
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_flood),
        cmocka_unit_test(test_quiet_resets),
        cmocka_unit_test(test_connections_that_linger),
        cmocka_unit_test(test_windows_of_ended_streams),
        cmocka_unit_test(test_smallest_connection_buffer),
        cmocka_unit_test(test_last_words),
        cmocka_unit_test(test_talking_target),
        cmocka_unit_test(test_literal_that_waits),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
