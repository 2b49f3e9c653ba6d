/*
 * sim_drain.c: an engine that takes leave: clients are told in two steps
 * (RFC 9113 6.8), what was begun goes on, nothing new begins, and at the end
 * nothing is left.
 */
#include "harness/frames.h"
#include "harness/suite.h"

#define LAST_POSSIBLE 0x7fffffff

static void drain(sim_world *w) {
    sim_alloc_side(SIM_PROXY);
    masque_engine_drain(w->engine, w->now);
    sim_alloc_side(SIM_TEST);
    sim_settle(w);
}

static void check_empty(sim_world *w, const char *what) {
    masque_stats stats = sim_stats(w);
    SIM_CHECK(w, stats.connections_active == 0 && stats.tunnels_active == 0, "%s: %llu connections, %llu tunnels", what,
              (unsigned long long)stats.connections_active, (unsigned long long)stats.tunnels_active);
}

static void check_refuses(sim_world *w) {
    sim_conn *late = sim_connect(w, &(sim_client){.alpn = "h2"});
    SIM_CHECK(w, !late->id && late->accept_error == MASQUE_ERR_DRAINED, "%s", masque_error_name(late->accept_error));
}

/* --- HTTP/2 ----------------------------------------------------------------------------------- */

static void test_live_tunnel_goes_on(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 100000});
    sim_settle(w);
    drain(w);
    SIM_CHECK(w, c->goaways == 1 && c->goaway_last == LAST_POSSIBLE && c->goaway_code == 0, "%llu GOAWAY, last %d",
              (unsigned long long)c->goaways, c->goaway_last);
    check_refuses(w);
    sim_advance(w, 1100 * MASQUE_MILLISECOND);
    SIM_CHECK(w, c->goaways == 2 && c->goaway_last == t->stream && c->goaway_code == 0, "%llu GOAWAY, last %d",
              (unsigned long long)c->goaways, c->goaway_last);
    drain(w);
    SIM_CHECK(w, c->goaways == 2, "draining twice");
    sim_advance(w, 600 * MASQUE_SECOND);
    t->send_total += 100000;
    sim_wake(t);
    sim_settle(w);
    SIM_CHECK(w, t->received == 200000 && !c->finished, "the tunnel is disturbed");
    sim_fin(t);
    sim_advance(w, MASQUE_SECOND);
    SIM_CHECK(w, t->got_fin && !t->got_reset && c->ended && c->end_error == 0, "not in order: %s",
              masque_error_name(c->end_error));
    check_empty(w, "live tunnel");
    sim_world_close(w);
}

/* A request that crossed the first GOAWAY is answered; one behind the second isn't taken. */
static void test_requests_in_between(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_bytes out = {.bytes = NULL};
    sim_conn *c = sim_connect(w, &(sim_client){.raw = true, .stubborn = true});
    sim_settle(w);
    sim_preface(&out);
    sim_connect_frame(&out, 1, SIM_ECHO ":1001", 0);
    sim_send_all(c, &out);
    sim_settle(w);
    drain(w);
    sim_connect_frame(&out, 3, SIM_ECHO ":1002", 0);
    sim_send_all(c, &out);
    sim_settle(w);
    SIM_CHECK(w, c->seen.status == 503 && w->target_count == 1, "status %u", c->seen.status);
    sim_advance(w, 1100 * MASQUE_MILLISECOND);
    SIM_CHECK(w, c->seen.goaway_last == 3, "last %u", c->seen.goaway_last);
    uint64_t before = sim_stats(w).requests_total;
    sim_connect_frame(&out, 5, SIM_ECHO ":1003", 0);
    sim_send_all(c, &out);
    sim_settle(w);
    SIM_CHECK(w, sim_stats(w).requests_total == before && w->target_count == 1, "it was taken");
    sim_world_close(w);
}

/* What waits for a look-up, a dial or a verdict was accepted: it is answered. */
static void test_requests_under_way(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_find_site(w, SIM_ECHO)->delay = 3 * MASQUE_SECOND;
    sim_conn *h2 = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_conn *h1 = sim_connect(w, &(sim_client){.alpn = "http/1.1"});
    sim_tun *a = sim_request(h2, &(sim_ask){.authority = "echo.test:1001", .send = 100, .send_fin = true});
    sim_tun *b = sim_request(h1, &(sim_ask){.authority = SIM_ECHO ":1002", .send = 100, .send_fin = true});
    sim_advance(w, MASQUE_SECOND);
    drain(w);
    sim_advance(w, 10 * MASQUE_SECOND);
    SIM_CHECK(w, a->status == 200 && a->received == 100 && a->got_fin, "h2: status %u", a->status);
    SIM_CHECK(w, b->status == 200 && b->received == 100 && b->got_fin, "h1: status %u", b->status);
    check_empty(w, "under way");
    sim_world_close(w);
}

/* --- connections without a tunnel --------------------------------------------------------------- */

static void test_idle_connections_leave(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *h2 = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_conn *h1 = sim_connect(w, &(sim_client){.alpn = "http/1.1"});
    sim_conn *tls12 = sim_connect(w, &(sim_client){.alpn = "h2", .tls = 12});
    sim_settle(w);
    sim_conn *handshaking = sim_connect(w, &(sim_client){.naked = true});
    sim_raw_send(handshaking, "\x16\x03", 2);
    sim_step(w);
    drain(w);
    sim_advance(w, 4 * MASQUE_SECOND);
    SIM_CHECK(w, h2->ended && h1->ended && tls12->ended && handshaking->ended, "ended: %d %d %d %d", h2->ended,
              h1->ended, tls12->ended, handshaking->ended);
    SIM_CHECK(w, h2->end_error == 0 && h1->end_error == 0 && h2->peer_closed && h1->peer_closed, "not in order");
    SIM_CHECK(w, handshaking->end_error == MASQUE_ERR_DRAINED, "%s", masque_error_name(handshaking->end_error));
    check_empty(w, "idle");
    sim_world_close(w);
}

static void test_http1_request_while_draining(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "http/1.1"});
    sim_conn *busy = sim_connect(w, &(sim_client){.alpn = "http/1.1"});
    sim_tun *live = sim_request(busy, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 1000});
    sim_settle(w);
    drain(w);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1002"});
    sim_settle(w);
    SIM_CHECK(w, t->status == 503 && strstr(t->proxy_status, "details=\"draining\""), "status %u %s", t->status,
              t->proxy_status);
    sim_advance(w, 100 * MASQUE_SECOND);
    live->send_total += 1000;
    sim_settle(w);
    SIM_CHECK(w, live->received == 2000, "the live tunnel suffers");
    live->send_fin = true;
    sim_advance(w, 5 * MASQUE_SECOND);
    SIM_CHECK(w, live->got_fin && busy->ended && busy->end_error == 0, "not in order");
    check_empty(w, "HTTP/1.1");
    sim_world_close(w);
}

/* Clients that don't react are not waited for beyond their tunnels. */
static void test_stubborn_clients(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    for (int i = 0; i < 6; i++) {
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = i % 2 ? "h2" : "http/1.1", .stubborn = true});
        if (i >= 4) {
            sim_request(c, &(sim_ask){.authority = SIM_SINK ":1001", .send = 10, .send_fin = true});
        }
        sim_settle(w);
        c->deaf = i < 2;
    }
    drain(w);
    sim_advance(w, 40 * MASQUE_SECOND);
    check_empty(w, "stubborn");
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_live_tunnel_goes_on),          cmocka_unit_test(test_requests_in_between),
        cmocka_unit_test(test_requests_under_way),           cmocka_unit_test(test_idle_connections_leave),
        cmocka_unit_test(test_http1_request_while_draining), cmocka_unit_test(test_stubborn_clients),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
