/*
 * sim_udp.c: CONNECT-UDP (RFC 9298) as capsules, over HTTP/2 and HTTP/1.1.
 */
#include "harness/suite.h"

#define HOST_IPV6 "2606:4700::1"

static const char *const PROTOCOLS[] = {"h2", "http/1.1"};

static sim_tun *open_on(sim_conn *conn, const char *authority) {
    sim_tun *t = sim_request(conn, &(sim_ask){.authority = authority, .udp = true});
    sim_settle(conn->world);
    return t;
}

static sim_tun *open_udp(sim_world *w, const char *alpn, const char *authority) {
    return open_on(sim_connect(w, &(sim_client){.alpn = alpn}), authority);
}

/* One there and back: from now on the target has answered. */
static void hear(sim_tun *tun) {
    sim_send_datagrams(tun, 1, 100);
    sim_settle(tun->conn->world);
}

/* --- requests and answers ---------------------------------------------------------------------- */

static void test_answers(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_tun *h2 = open_udp(w, "h2", "echo.test:1001");
    assert_int_equal(h2->status, 200);
    assert_string_equal(h2->capsule_protocol, "?1");
    assert_string_equal(h2->content_length, "");
    assert_non_null(strstr(h2->server_timing, "connect;dur="));
    sim_tun *h1 = open_udp(w, "http/1.1", "echo.test:1002");
    assert_int_equal(h1->status, 101);
    assert_string_equal(h1->capsule_protocol, "?1");
    assert_string_equal(h1->upgrade, "connect-udp");
    assert_string_equal(h1->connection, "Upgrade");
    sim_world_close(w);
}

static void test_refusals(void **state) {
    static const struct {
        const char *authority;
        const char *key;
        const char *path;
        unsigned status;
    } rows[] = {
        {SIM_ECHO ":1001", "", NULL, 403},
        {SIM_ECHO ":1001", "wrong-wrong-wrong", NULL, 403},
        {"10.0.0.1:1001", NULL, NULL, 403},
        {"unknown.test:1001", NULL, NULL, 502},
        {SIM_ECHO ":0", NULL, NULL, 400},
        {SIM_ECHO ":65536", NULL, NULL, 400},
        {SIM_ECHO ":1001", NULL, "/.well-known/masque/udp/" SIM_ECHO "/", 400},
        {SIM_ECHO ":1001", NULL, "/.well-known/masque/tcp/" SIM_ECHO "/1001/", 400},
        {SIM_ECHO ":1001", NULL, "/.well-known/masque/udp/a%00b/1001/", 400},
        {SIM_ECHO ":1001", NULL, "/.well-known/masque/udp/fe80%3A%3A1%25eth0/1001/", 400},
    };
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = i});
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = PROTOCOLS[k]});
            sim_ask ask = {.authority = rows[i].authority, .key = rows[i].key, .path = rows[i].path, .udp = true};
            sim_tun *t = sim_request(c, &ask);
            sim_settle(w);
            SIM_CHECK(w, t->status == rows[i].status, "row %zu over %s: %u", i, PROTOCOLS[k], t->status);
            assert_string_equal(t->capsule_protocol, "");
            assert_int_equal(w->target_count, 0);
            sim_world_close(w);
        }
    }
}

/* RFC 9297 3.4: a Capsule-Protocol that is no Boolean counts as if it were not there, and RFC 9298 needs none. */
static void test_capsule_protocol_is_not_needed(void **state) {
    static const char *const values[] = {"yes", "?0", "?1;x=1, ?1", "\"?1\""};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(values); i++) {
        const sim_field field = {"capsule-protocol", values[i]};
        for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = i});
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = PROTOCOLS[k]});
            sim_ask ask = {.authority = SIM_ECHO ":1001", .udp = true, .fields = &field, .field_count = 1};
            sim_tun *t = sim_request(c, &ask);
            sim_settle(w);
            hear(t);
            assert_int_equal(t->datagrams.received, 1);
            sim_world_close(w);
        }
    }
}

static void set_template(sim_world *w, masque_config *config) {
    int error = masque_config_set_udp_template(config, "https://proxy.example/udp{?target_host,target_port}");
    SIM_CHECK(w, error == 0, "%s", masque_error_name(error));
}

static void test_own_template(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 2, .configure = set_template});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = PROTOCOLS[k]});
        const char *path = "/udp?target_host=echo%2Etest&target_port=1001";
        sim_tun *t = sim_request(c, &(sim_ask){.authority = "echo.test:1001", .path = path, .udp = true});
        sim_settle(w);
        hear(t);
        assert_int_equal(t->datagrams.received, 1);
        sim_tun *usual = open_udp(w, PROTOCOLS[k], SIM_ECHO ":1002");
        assert_int_equal(usual->status, 400);
        sim_world_close(w);
    }
}

static void set_no_template(sim_world *w, masque_config *config) {
    int error = masque_config_set_udp_template(config, NULL);
    SIM_CHECK(w, error == 0, "%s", masque_error_name(error));
}

static void test_switched_off(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 2, .configure = set_no_template});
        assert_int_equal(open_udp(w, PROTOCOLS[k], SIM_ECHO ":1001")->status, 501);
        sim_world_close(w);
    }
}

static void test_ipv6_target(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 3});
        sim_add_site(w, HOST_IPV6, (sim_site){.echo = true});
        sim_tun *t = open_udp(w, PROTOCOLS[k], "[" HOST_IPV6 "]:1001");
        hear(t);
        assert_int_equal(t->datagrams.received, 1);
        sim_world_close(w);
    }
}

/* --- datagrams --------------------------------------------------------------------------------- */

static void echo_all(sim_world *w, const char *alpn) {
    static const size_t lengths[] = {0, 1, 7, 8, 61, 62, 63, 1200, 1452, 9000, 16300, 16500, 65527};
    sim_tun *t = open_udp(w, alpn, SIM_ECHO ":1001");
    hear(t);
    for (size_t i = 0; i < SIM_COUNT(lengths); i++) {
        sim_send_datagrams(t, 1 + i % 3, lengths[i]);
        sim_settle(w);
    }
    SIM_CHECK(w, t->datagrams.received == t->target->datagrams.received, "%llu of %llu came back",
              (unsigned long long)t->datagrams.received, (unsigned long long)t->target->datagrams.received);
    masque_stats stats = sim_stats(w);
    assert_int_equal(stats.datagrams_sent, t->target->datagrams.received);
    assert_int_equal(stats.datagrams_received, stats.datagrams_sent);
    assert_int_equal(stats.bytes_sent, t->target->datagrams.received_bytes);
    assert_int_equal(stats.datagrams_sent, 1 + 21);
    assert_int_equal(stats.datagrams_dropped, 0);
    assert_int_equal(stats.datagrams_too_big, 4); /* larger than 16 KiB */
}

static void test_echo(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        size_t segment = seed % 3 == 0 ? 1 : seed % 3 == 1 ? 100 : 65536;
        sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = segment});
        echo_all(w, PROTOCOLS[seed % 2]);
        sim_world_close(w);
    }
}

/* Before the answer they wait, up to the limit. */
static void test_early_datagrams(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = PROTOCOLS[k]});
        sim_add_site(w, "45.60.0.20", (sim_site){.echo = true, .delay = 200 * MASQUE_MILLISECOND});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = "45.60.0.20:1001", .udp = true, .early = true});
        sim_send_datagrams(t, 5, 1000);
        sim_settle(w);
        assert_int_equal(t->target->datagrams.received, 5);
        assert_int_equal(t->datagrams.received, 5);
        sim_world_close(w);
    }
}

/* A client that doesn't read gets the newest, and all the rest is counted. */
static void test_slow_client_loses_the_oldest(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 5, .pipe = 8192});
        sim_tun *t = open_udp(w, PROTOCOLS[k], SIM_QUIET ":1001");
        t->reading = false;
        t->conn->deaf = true;
        sim_target_datagrams(t->target, 2000, 1200);
        sim_settle(w);
        masque_stats stats = sim_stats(w);
        assert_in_range(stats.datagrams_dropped, 1000, 1999);
        assert_in_range(stats.buffered_bytes, 1200, w->limits.datagram_queue_max + 400000);
        t->reading = true;
        t->conn->deaf = false;
        sim_wake(t);
        sim_settle(w);
        stats = sim_stats(w);
        assert_int_equal(t->datagrams.next, 2000);
        assert_int_equal(t->datagrams.received + stats.datagrams_dropped, 2000);
        sim_world_close(w);
    }
}

/* A stream is never made to drop: its sender waits. */
static void test_slow_target_makes_the_stream_wait(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 6});
        sim_tun *t = open_udp(w, PROTOCOLS[k], SIM_QUIET ":1001");
        sim_target_datagrams(t->target, 1, 10);
        sim_settle(w);
        t->target->stalls = true;
        sim_send_datagrams(t, 2000, 1200);
        sim_settle(w);
        assert_true(t->sent < t->send_total);
        assert_int_equal(t->target->datagrams.received, 0);
        t->target->stalls = false;
        sim_settle(w);
        assert_int_equal(t->target->datagrams.received, 2000);
        assert_int_equal(sim_stats(w).datagrams_dropped, 0);
        sim_world_close(w);
    }
}

static void test_too_big_for_the_path(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 7});
    sim_tun *t = open_udp(w, "h2", SIM_ECHO ":1001");
    t->target->mtu = 1472;
    hear(t);
    sim_send_datagrams(t, 3, 1473);
    sim_send_datagrams(t, 2, 1472);
    sim_settle(w);
    assert_int_equal(t->target->datagrams.received, 3);
    assert_int_equal(sim_stats(w).datagrams_too_big, 3);
    sim_world_close(w);
}

/* A proxy must not help to flood somebody who never asked. */
static void test_unanswered(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 8});
        sim_tun *t = open_udp(w, PROTOCOLS[k], SIM_QUIET ":1001");
        sim_send_datagrams(t, 30, 1200);
        sim_settle(w);
        assert_int_equal(t->target->datagrams.received, 10);
        sim_advance(w, 3 * MASQUE_SECOND);
        sim_send_datagrams(t, 30, 1201); /* each counts as two */
        sim_settle(w);
        assert_int_equal(t->target->datagrams.received, 11);
        sim_target_datagrams(t->target, 1, 0);
        sim_settle(w);
        sim_send_datagrams(t, 30, 1200);
        sim_settle(w);
        assert_int_equal(t->target->datagrams.received, 41);
        sim_world_close(w);
    }
}

/* --- ends ---------------------------------------------------------------------------------------- */

static void test_idle(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 9});
        sim_tun *t = open_udp(w, PROTOCOLS[k], SIM_QUIET ":1001");
        masque_time most = w->limits.datagram_idle_timeout_ms * MASQUE_MILLISECOND;
        sim_advance(w, most - 1);
        sim_send_datagrams(t, 1, 10);
        sim_advance(w, most - 1);
        assert_false(t->target->ended);
        sim_target_datagrams(t->target, 1, 10);
        sim_advance(w, most - 1);
        assert_false(t->target->ended);
        sim_advance(w, 2);
        assert_true(t->target->ended);
        sim_world_close(w);
    }
}

static void test_unreachable(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 10});
        sim_tun *answered = open_udp(w, PROTOCOLS[k], SIM_ECHO ":1001");
        sim_tun *silent = open_udp(w, PROTOCOLS[k], SIM_QUIET ":1002");
        hear(answered);
        hear(silent);
        sim_target_unreachable(answered->target);
        sim_target_unreachable(silent->target);
        sim_settle(w);
        assert_false(answered->target->ended);
        assert_true(silent->target->ended);
        assert_true(silent->got_reset);
        assert_int_equal(sim_stats(w).targets_unreachable, 2);
        hear(answered);
        assert_int_equal(answered->datagrams.received, 2);
        sim_world_close(w);
    }
}

/* What came before the client's end goes out first. */
static void test_client_ends(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 11});
        sim_tun *t = open_udp(w, PROTOCOLS[k], SIM_QUIET ":1001");
        t->target->stalls = true;
        sim_send_datagrams(t, 4, 1200);
        sim_settle(w);
        sim_fin(t);
        sim_settle(w);
        assert_false(t->target->ended);
        t->target->stalls = false;
        sim_settle(w);
        assert_int_equal(t->target->datagrams.received, 4);
        assert_true(t->target->ended);
        assert_true(t->got_fin);
        assert_false(t->got_reset);
        sim_world_close(w);
    }
}

static void test_client_resets(void **state) {
    (void)state;
    for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 12});
        sim_tun *t = open_udp(w, PROTOCOLS[k], SIM_QUIET ":1001");
        t->target->stalls = true;
        sim_send_datagrams(t, 4, 1200);
        sim_settle(w);
        sim_reset(t);
        sim_settle(w);
        assert_true(t->target->ended);
        sim_world_close(w);
    }
}

/* --- capsules ------------------------------------------------------------------------------------- */

typedef struct capsule_row {
    const char *what;
    const char *bytes;
    size_t length;
    size_t padding; /* zeros behind them */
    bool ends;      /* RFC 9297 3.3: the message is malformed */
    bool fin;
} capsule_row;

#define BYTES(text) text, sizeof(text) - 1

static const capsule_row ROWS[] = {
    {"an unknown capsule", BYTES("\x17\x03xyz"), 0, false, false},
    {"an unknown capsule of 100,000 bytes", BYTES("\x17\x80\x01\x86\xa0"), 100000, false, false},
    {"an unknown type of eight bytes", BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\x00"), 0, false, false},
    {"an unknown context",
     BYTES("\x00\x04\x02"
           "abc"),
     0, false, false},
    {"a context of eight bytes", BYTES("\x00\x09\xc0\x00\x00\x00\x00\x00\x00\x01x"), 0, false, false},
    {"no context", BYTES("\x00\x00"), 0, false, false},
    {"half a context", BYTES("\x00\x01\x40"), 0, false, false},
    {"a datagram longer than any", BYTES("\x00\x80\x01\x00\x09\x00"), 65544, true, false},
    {"an end inside a head", BYTES("\x00"), 0, true, true},
    {"an end inside a value",
     BYTES("\x00\x05\x00"
           "abc"),
     0, true, true},
};

static void run_row(const capsule_row *row, const char *alpn, size_t segment) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 13, .segment = segment});
    sim_tun *t = open_udp(w, alpn, SIM_ECHO ":1001");
    static const uint8_t zeros[100000];
    bool h2 = strcmp(alpn, "h2") == 0;
    hear(t);
    sim_send_capsules(t, row->bytes, row->length);
    sim_send_capsules(t, zeros, row->padding);
    sim_settle(w);
    if (row->fin) {
        sim_fin(t);
        sim_settle(w);
    }
    SIM_CHECK(w, t->target->ended == row->ends, "%s over %s: ended %d", row->what, alpn, t->target->ended);
    if (row->ends) {
        SIM_CHECK(w, t->got_reset && (!h2 || t->reset_code == 1), "%s over %s: reset %d, code %u", row->what, alpn,
                  t->got_reset, t->reset_code);
    } else {
        hear(t);
        SIM_CHECK(w, t->datagrams.received == 2, "%s over %s: the next datagram is lost", row->what, alpn);
    }
    sim_world_close(w);
}

static void test_capsules(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        for (size_t k = 0; k < SIM_COUNT(PROTOCOLS); k++) {
            run_row(&ROWS[i], PROTOCOLS[k], 1);
            run_row(&ROWS[i], PROTOCOLS[k], 0);
        }
    }
}

/* --- the rest ---------------------------------------------------------------------------------- */

/* The functions of the other kind of tunnel find none. */
static void test_wrong_functions(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 14});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    masque_iovec piece;
    sim_tun *udp = open_on(c, SIM_ECHO ":1001");
    sim_tun *tcp = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1002"});
    sim_settle(w);
    masque_tunnel_id u = udp->target->tunnel;
    masque_tunnel_id t = tcp->target->tunnel;
    assert_int_equal(masque_tunnel_reserve(w->engine, u, &piece, 1), 0);
    assert_int_equal(masque_tunnel_commit(w->engine, u, 0, w->now), MASQUE_ERR_STALE);
    assert_int_equal(masque_tunnel_pull(w->engine, u, &piece, 1), 0);
    assert_int_equal(masque_tunnel_pulled(w->engine, u, 0, w->now), MASQUE_ERR_STALE);
    assert_int_equal(masque_tunnel_datagrams(w->engine, t, "x", 1, 0, w->now), MASQUE_ERR_STALE);
    assert_int_equal(masque_tunnel_pull_datagrams(w->engine, t, &piece, 1), 0);
    assert_int_equal(masque_tunnel_pulled_datagrams(w->engine, t, 0, 0, w->now), MASQUE_ERR_STALE);
    assert_int_equal(masque_tunnel_unreachable(w->engine, t, w->now), MASQUE_ERR_STALE);
    sim_world_close(w);
}

/* Many tunnels of both kinds on one connection, all at once. */
static void test_mixed(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 2 ? 3000 : 0});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
        for (unsigned i = 0; i < 20; i++) {
            char authority[32];
            snprintf(authority, sizeof authority, SIM_ECHO ":%u", 1001 + i);
            sim_tun *t = i % 2 ? open_on(c, authority)
                               : sim_request(c, &(sim_ask){.authority = authority, .send = 200000, .send_fin = true});
            sim_send_datagrams(t, i % 2 ? 1 : 0, 64);
        }
        sim_settle(w);
        for (size_t i = 1; i < c->tun_count; i += 2) {
            sim_send_datagrams(c->tuns[i], 60, 1000);
        }
        sim_settle(w);
        for (size_t i = 0; i < c->tun_count; i++) {
            const sim_tun *t = c->tuns[i];
            SIM_CHECK(w, t->udp ? t->datagrams.received == 61 : t->received == 200000, "tunnel %zu: %llu", i,
                      (unsigned long long)(t->udp ? t->datagrams.received : t->received));
        }
        sim_world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_capsule_protocol_is_not_needed),
        cmocka_unit_test(test_own_template),
        cmocka_unit_test(test_switched_off),
        cmocka_unit_test(test_ipv6_target),
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_early_datagrams),
        cmocka_unit_test(test_slow_client_loses_the_oldest),
        cmocka_unit_test(test_slow_target_makes_the_stream_wait),
        cmocka_unit_test(test_too_big_for_the_path),
        cmocka_unit_test(test_unanswered),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test(test_client_ends),
        cmocka_unit_test(test_client_resets),
        cmocka_unit_test(test_capsules),
        cmocka_unit_test(test_wrong_functions),
        cmocka_unit_test(test_mixed),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
