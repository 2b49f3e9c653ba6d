/*
 * sim_client.c: the library's own client (client.h) with the proxy, over HTTP/3, HTTP/2 and HTTP/1.1:
 * what it asks for, what it is told, how connections and tunnels end. Each test runs
 * once for each version that can do what it is about.
 */
#include "harness/suite.h"

static const sim_client H3 = {.alpn = "h3"};
static const sim_client H2 = {.alpn = "h2", .engine = true};
static const sim_client H1 = {.alpn = "http/1.1", .engine = true};

static sim_world *world(void) {
    return sim_world_new(&(sim_setup){.seed = 11, .segment = 5000});
}

static void test_echo(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 300000, .send_fin = true});
    sim_settle(w);
    assert_int_equal(t->status, 200);
    assert_int_equal(t->received, 300000);
    assert_true(t->got_fin && t->closed && !t->got_reset);
    assert_string_not_equal(t->server_timing, "");
    sim_world_close(w);
}

static void test_udp(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .udp = true});
    sim_settle(w);
    assert_true(sim_tun_is_open(t));
    assert_string_equal(t->capsule_protocol, "?1");
    sim_send_datagrams(t, 5, 1100); /* the target has to answer before it is sent more */
    sim_settle(w);
    sim_send_datagrams(t, 20, 1100);
    sim_settle(w);
    assert_int_equal(t->datagrams.received, 25);
    sim_fin(t);
    sim_settle(w);
    assert_true(t->closed && !t->got_reset && t->target->ended);
    sim_world_close(w);
}

static void test_many_tunnels(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *tuns[40];
    for (size_t i = 0; i < SIM_COUNT(tuns); i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_ECHO ":%zu", 1000 + i);
        tuns[i] = sim_request(c, &(sim_ask){.authority = authority, .send = 50000, .send_fin = true});
    }
    sim_settle(w);
    for (size_t i = 0; i < SIM_COUNT(tuns); i++) {
        assert_int_equal(tuns[i]->received, 50000);
        assert_true(tuns[i]->got_fin);
    }
    sim_world_close(w);
}

/* A refusal is an answer, then an end; the connection goes on. */
static void test_refused(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *wrong = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .key = "not-the-right-key"});
    sim_settle(w);
    assert_int_equal(wrong->status, 403);
    assert_string_equal(wrong->proxy_status, "masqueproxy; error=http_request_denied");
    assert_true(wrong->closed && !wrong->got_reset);
    sim_tun *denied = sim_request(c, &(sim_ask){.authority = "127.0.0.1:1002", .udp = true});
    sim_settle(w);
    assert_int_equal(denied->status, 403);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1003", .send = 10, .send_fin = true});
    sim_settle(w);
    assert_int_equal(t->received, 10);
    assert_int_equal(sim_stats(w).tunnels_active, 0);
    sim_world_close(w);
}

static void test_target_resets(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .send = 100});
    sim_settle(w);
    t->target->source = 5000;
    sim_settle(w);
    t->target->send_reset = true;
    sim_settle(w);
    assert_int_equal(t->received, 5000);
    assert_true(t->closed && t->got_reset);
    sim_world_close(w);
}

static void test_client_resets(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .send = 100});
    sim_settle(w);
    sim_reset(t);
    sim_settle(w);
    assert_true(t->closed && t->target->ended && t->target->got_reset);
    sim_world_close(w);
}

static void test_half_close(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .send = 100, .send_fin = true});
    sim_settle(w);
    assert_true(t->target->got_fin && !t->closed);
    t->target->source = 200000;
    t->target->send_fin = true;
    sim_settle(w);
    assert_int_equal(t->received, 200000);
    assert_true(t->got_fin && t->closed && !t->got_reset);
    sim_world_close(w);
}

/* Neither another host's certificate nor one that nobody signed. */
static void test_trust(const sim_client *client) {
    for (unsigned i = 0; i < 3; i++) {
        static const char *const names[] = {"other.test:443", "192.0.2.1:443", NULL};
        sim_client distrusted = *client;
        distrusted.name = names[i];
        distrusted.untrusting = !names[i];
        sim_world *w = world();
        sim_conn *c = sim_connect(w, &distrusted);
        sim_settle(w);
        assert_true(c->closed && !c->handshaken);
        assert_int_equal(c->engine_error, MASQUE_ERR_UNTRUSTED);
        sim_world_close(w);
    }
}

/* The proxy drains: tunnels go on, new ones are refused, and the last one takes the connection along. */
static void test_drain(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 1000});
    const masque_tunnel_request request = {.target = SIM_ECHO ":1002"};
    int error;
    sim_settle(w);
    masque_engine_drain(w->engine, w->now);
    sim_advance(w, 2 * MASQUE_SECOND);
    assert_int_equal(masque_tunnel_open(c->engine, c->engine_conn, &request, NULL, w->now, &error), 0);
    assert_int_equal(error, MASQUE_ERR_DRAINED);
    t->send_total += 1000;
    sim_fin(t);
    t->send_total = 1000;
    sim_settle(w);
    assert_true(t->got_fin && t->closed);
    sim_advance(w, 5 * MASQUE_SECOND);
    assert_true(c->closed);
    assert_int_equal(c->engine_error, 0);
    assert_int_equal(sim_stats(w).connections_active, 0);
    sim_world_close(w);
}

/* Its NAT gives it another port: nothing is lost. */
static void test_rebind(const sim_client *client) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 100000});
    sim_settle(w);
    assert_int_equal(t->received, 100000);
    sim_rebind(c);
    t->send_total += 100000;
    sim_settle(w);
    assert_int_equal(t->received, 200000);
    sim_fin(t);
    sim_settle(w);
    assert_true(t->got_fin);
    sim_world_close(w);
}

static void on_all(void (*test)(const sim_client *client)) {
    test(&H3);
    test(&H2);
    test(&H1);
}

static void on_streams(void (*test)(const sim_client *client)) {
    test(&H3);
    test(&H2);
}

#define ON(which, test)                                                                                                \
    static void run_##test(void **state) {                                                                             \
        (void)state;                                                                                                   \
        which(test);                                                                                                   \
    }

ON(on_all, test_echo)
ON(on_all, test_udp)
ON(on_streams, test_many_tunnels)
ON(on_streams, test_refused)
ON(on_all, test_trust)
ON(on_all, test_target_resets)
ON(on_all, test_client_resets)
ON(on_streams, test_drain)
ON(on_all, test_half_close)

static void run_test_rebind(void **state) {
    (void)state;
    test_rebind(&H3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_test_echo),          cmocka_unit_test(run_test_udp),
        cmocka_unit_test(run_test_many_tunnels),  cmocka_unit_test(run_test_refused),
        cmocka_unit_test(run_test_trust),         cmocka_unit_test(run_test_target_resets),
        cmocka_unit_test(run_test_client_resets), cmocka_unit_test(run_test_drain),
        cmocka_unit_test(run_test_half_close),    cmocka_unit_test(run_test_rebind),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
