/*
 * sim_api.c: a host that errs: old handles, twice the same, more than was
 * offered, calls in the wrong order, an engine freed in the middle. Each gets the
 * error its header promises, and nothing else happens.
 */
#include "harness/pattern.h"
#include "harness/suite.h"

#define STALE MASQUE_ERR_STALE

static sim_tun *open_tunnel(sim_world *w, const char *alpn, const char *authority, sim_conn **conn) {
    *conn = sim_connect(w, &(sim_client){.alpn = alpn, .window = 1000000});
    sim_tun *t = sim_request(*conn, &(sim_ask){.authority = authority});
    sim_settle(w);
    SIM_CHECK(w, t->status == 200, "status %u", t->status);
    return t;
}

/* --- handles -------------------------------------------------------------------------------- */

static void check_stale(sim_world *w, uint64_t handle) {
    masque_engine *e = w->engine;
    masque_iovec piece;
    masque_address address = sim_address(SIM_ECHO, 0);
    uint64_t events = w->event_count;
    assert_false(masque_conn_reserve(e, handle, &piece));
    assert_int_equal(masque_conn_commit(e, handle, 1, w->now), STALE);
    assert_int_equal(masque_conn_feed(e, handle, "x", 1, w->now), STALE);
    assert_int_equal(masque_conn_finished(e, handle, w->now), STALE);
    assert_int_equal(masque_conn_failed(e, handle, w->now), STALE);
    assert_int_equal(masque_conn_pull(e, handle, &piece, 1, w->now), 0);
    assert_int_equal(masque_conn_pulled(e, handle, 0, w->now), STALE);
    assert_int_equal(masque_conn_set_protocols(e, handle, MASQUE_PROTOCOL_H2), STALE);
    assert_int_equal(masque_conn_set_h3_port(e, handle, 443), STALE);
    assert_int_equal(masque_resolved(e, handle, MASQUE_IPV4, MASQUE_LOOKUP_OK, &address, 1, w->now), STALE);
    assert_int_equal(masque_attempt_set_user(e, handle, w), STALE);
    assert_int_equal(masque_dialed(e, handle, MASQUE_DIAL_OK, w->now), STALE);
    assert_int_equal(masque_authorized(e, handle, MASQUE_AUTH_ALLOW, w->now), STALE);
    assert_int_equal(masque_tunnel_reserve(e, handle, &piece, 1), 0);
    assert_int_equal(masque_tunnel_commit(e, handle, 0, w->now), STALE);
    assert_int_equal(masque_tunnel_finished(e, handle, w->now), STALE);
    assert_int_equal(masque_tunnel_failed(e, handle, w->now), STALE);
    assert_int_equal(masque_tunnel_pull(e, handle, &piece, 1), 0);
    assert_int_equal(masque_tunnel_pulled(e, handle, 0, w->now), STALE);
    assert_int_equal(masque_tunnel_datagrams(e, handle, "x", 1, 0, w->now), STALE);
    assert_int_equal(masque_tunnel_pull_datagrams(e, handle, &piece, 1), 0);
    assert_int_equal(masque_tunnel_pulled_datagrams(e, handle, 0, 0, w->now), STALE);
    assert_int_equal(masque_tunnel_unreachable(e, handle, w->now), STALE);
    sim_events(w);
    assert_int_equal(w->event_count, events);
}

static void test_handles_that_name_nothing(void **state) {
    static const uint64_t strange[] = {0,          1,          UINT32_MAX,           UINT64_MAX,
                                       1ull << 32, 1ull << 63, (1ull << 32) + 99999, UINT64_C(0xffffffff00000000)};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    for (size_t i = 0; i < SIM_COUNT(strange); i++) {
        check_stale(w, strange[i]);
    }
    sim_conn *c;
    sim_tun *t = open_tunnel(w, "http/1.1", SIM_ECHO ":1001", &c);
    uint64_t old[] = {c->id, t->target->tunnel, t->target->attempt};
    sim_leave(c, true);
    sim_settle(w);
    sim_conn *other; /* the same slots again */
    sim_tun *u = open_tunnel(w, "http/1.1", SIM_ECHO ":1002", &other);
    for (size_t i = 0; i < SIM_COUNT(old); i++) {
        check_stale(w, old[i]);
    }
    u->send_total = 100;
    sim_settle(w);
    assert_int_equal(u->received, 100);
    sim_world_close(w);
}

/* --- more than was offered --------------------------------------------------------------------- */

static void test_more_than_offered(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c;
        sim_tun *t = open_tunnel(w, version == 1 ? "http/1.1" : "h2", SIM_QUIET ":1001", &c);
        masque_engine *e = w->engine;
        masque_tunnel_id tunnel = t->target->tunnel;
        masque_iovec piece[2];
        assert_true(masque_conn_reserve(e, c->id, piece));
        assert_int_equal(masque_conn_commit(e, c->id, piece[0].length + 1, w->now), MASQUE_ERR_INVALID);
        assert_int_equal(masque_conn_commit(e, c->id, 0, w->now), 0);
        assert_int_equal(masque_conn_commit(e, c->id, 0, w->now), MASQUE_ERR_INVALID);
        assert_int_equal(masque_conn_pulled(e, c->id, 1, w->now), MASQUE_ERR_INVALID);
        assert_int_equal(masque_tunnel_pulled(e, tunnel, 1, w->now), MASQUE_ERR_INVALID);
        assert_int_equal(masque_tunnel_commit(e, tunnel, 1, w->now), MASQUE_ERR_INVALID);
        assert_int_equal(masque_tunnel_reserve(e, tunnel, piece, 0), 0);
        assert_int_equal(masque_conn_pull(e, c->id, piece, 0, w->now), 0);
        size_t count = masque_tunnel_reserve(e, tunnel, piece, 2);
        assert_int_equal(count, 2);
        assert_int_equal(masque_tunnel_commit(e, tunnel, piece[0].length + piece[1].length + 1, w->now),
                         MASQUE_ERR_INVALID);
        assert_int_equal(masque_tunnel_commit(e, tunnel, 0, w->now), 0);
        assert_int_equal(masque_tunnel_commit(e, tunnel, 1, w->now), MASQUE_ERR_INVALID);
        t->send_total = t->target->source = 5000;
        sim_wake(t);
        sim_settle(w);
        SIM_CHECK(w, t->received == 5000 && t->target->received == 5000, "h%d: it left a trace", version);
        sim_world_close(w);
    }
}

static void test_reserve_of_another(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c;
    sim_tun *a = open_tunnel(w, "h2", SIM_QUIET ":1001", &c);
    sim_tun *b = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1002"});
    sim_settle(w);
    masque_iovec piece;
    assert_int_equal(masque_tunnel_reserve(w->engine, a->target->tunnel, &piece, 1), 1);
    assert_int_equal(masque_tunnel_reserve(w->engine, b->target->tunnel, &piece, 1), 1);
    assert_int_equal(masque_tunnel_commit(w->engine, a->target->tunnel, 1, w->now), MASQUE_ERR_INVALID);
    sim_conn *d = sim_connect(w, &(sim_client){.alpn = "h2"});
    assert_true(masque_conn_reserve(w->engine, c->id, &piece));
    assert_true(masque_conn_reserve(w->engine, d->id, &piece));
    assert_int_equal(masque_conn_commit(w->engine, c->id, 1, w->now), MASQUE_ERR_INVALID);
    /* The tunnel dies between reserve and commit. */
    assert_int_equal(masque_tunnel_reserve(w->engine, b->target->tunnel, &piece, 1), 1);
    assert_int_equal(masque_tunnel_failed(w->engine, b->target->tunnel, w->now), 0);
    assert_int_equal(masque_tunnel_commit(w->engine, b->target->tunnel, 1, w->now), STALE);
    sim_settle(w);
    a->target->source = 100000;
    sim_settle(w);
    assert_int_equal(a->received, 100000);
    sim_world_close(w);
}

/* "Valid until the matching commit": other calls may come in between. */
static void test_calls_between_reserve_and_commit(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (int how = 0; how < 3; how++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
            sim_conn *c;
            sim_tun *t = open_tunnel(w, version == 1 ? "http/1.1" : "h2", SIM_QUIET ":1001", &c);
            sim_target *far = t->target;
            masque_iovec pieces[4];
            c->deaf = true;
            far->source = 100; /* a block that has room behind its bytes */
            sim_step(w);
            size_t count = masque_tunnel_reserve(w->engine, far->tunnel, pieces, 4);
            assert_true(count > 0);
            size_t length = pieces[0].length < 3000 ? pieces[0].length : 3000;
            sim_pattern_fill((uint64_t)t->port * 2 + 1, far->committed, pieces[0].base, length);
            c->deaf = false;
            far->read_blocked = true; /* the target's socket is being read */
            if (how == 0) {
                sim_settle(w); /* everything before goes to the client */
            } else if (how == 1) {
                sim_tun *other = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1002", .key = ""});
                sim_settle(w);
                (void)other;
            } else {
                masque_tick(w->engine, w->now);
            }
            far->committed += length;
            far->source = far->committed;
            int error = masque_tunnel_commit(w->engine, far->tunnel, length, w->now);
            SIM_CHECK(w, error == 0, "h%d, way %d: %s", version, how, masque_error_name(error));
            far->read_blocked = false;
            sim_settle(w);
            SIM_CHECK(w, t->received == far->committed, "h%d, way %d: %llu of %llu", version, how,
                      (unsigned long long)t->received, (unsigned long long)far->committed);
            sim_world_close(w);
            if (version == 1 && how == 0) {
                how = 1; /* a second request is HTTP/2's */
            }
        }
    }
}

/* The host reads LENGTH bytes, or all that is offered, of a target. Returns the pieces. */
static size_t read_once(sim_tun *tun, size_t length) {
    sim_world *w = tun->conn->world;
    sim_target *far = tun->target;
    masque_iovec pieces[20];
    size_t filled = 0;
    size_t count = masque_tunnel_reserve(w->engine, far->tunnel, pieces, SIM_COUNT(pieces));
    for (size_t i = 0; i < count && filled < length; i++) {
        size_t take = pieces[i].length < length - filled ? pieces[i].length : length - filled;
        sim_pattern_fill((uint64_t)tun->port * 2 + 1, far->committed, pieces[i].base, take);
        far->committed += take;
        filled += take;
    }
    far->source = far->committed;
    assert_int_equal(masque_tunnel_commit(w->engine, far->tunnel, filled, w->now), 0);
    sim_settle(w);
    assert_int_equal(tun->received, far->committed);
    return count;
}

/* A quiet target is offered little, a busy one as much as a system call can move. */
static void test_offer_follows_the_target(void **state) {
    static const size_t busy[] = {2, 4, 8, 16, 16};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c;
    sim_tun *t = open_tunnel(w, "h2", SIM_QUIET ":1001", &c);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_once(t, 100), 2);
    }
    for (size_t i = 0; i < SIM_COUNT(busy); i++) {
        assert_int_equal(read_once(t, SIZE_MAX), busy[i]);
    }
    assert_int_equal(read_once(t, 50000), 16);
    assert_int_equal(read_once(t, 100), 5);
    assert_int_equal(read_once(t, 100), 2);
    sim_world_close(w);
}

/* --- twice, and in the wrong order ---------------------------------------------------------------- */

static void test_twice(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c;
        sim_tun *t = open_tunnel(w, version == 1 ? "http/1.1" : "h2", SIM_QUIET ":1001", &c);
        masque_tunnel_id tunnel = t->target->tunnel;
        masque_iovec piece;
        assert_int_equal(masque_tunnel_finished(w->engine, tunnel, w->now), 0);
        assert_int_equal(masque_tunnel_finished(w->engine, tunnel, w->now), MASQUE_ERR_STATE);
        assert_int_equal(masque_tunnel_reserve(w->engine, tunnel, &piece, 1), 0);
        sim_settle(w);
        assert_true(t->got_fin);
        assert_int_equal(masque_tunnel_failed(w->engine, tunnel, w->now), 0);
        assert_int_equal(masque_tunnel_failed(w->engine, tunnel, w->now), STALE);
        assert_int_equal(masque_tunnel_finished(w->engine, tunnel, w->now), STALE);
        sim_settle(w);
        SIM_CHECK(w, t->target->ended && t->target->got_reset, "h%d: no end", version);
        if (!c->ended) {
            assert_int_equal(masque_conn_failed(w->engine, c->id, w->now), 0);
            assert_int_equal(masque_conn_failed(w->engine, c->id, w->now), STALE);
        }
        sim_settle(w);
        sim_world_close(w);
    }
}

/* HTTP/1.1 has no windows: a full tunnel blocks its transport. */
static void test_feed_while_blocked(void **state) {
    static const uint8_t noise[100];
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c;
    sim_tun *t = open_tunnel(w, "http/1.1", SIM_QUIET ":1001", &c);
    masque_iovec piece;
    t->target->stalls = true;
    t->send_total = 2000000;
    sim_settle(w);
    assert_true(c->read_blocked);
    assert_false(masque_conn_reserve(w->engine, c->id, &piece));
    assert_int_equal(masque_conn_feed(w->engine, c->id, noise, sizeof noise, w->now), MASQUE_ERR_STATE);
    assert_int_equal(masque_conn_commit(w->engine, c->id, 1, w->now), MASQUE_ERR_INVALID);
    t->target->stalls = false;
    sim_settle(w);
    SIM_CHECK(w, t->target->received == 2000000 && c->inputs > 0, "%llu received",
              (unsigned long long)t->target->received);
    sim_world_close(w);
}

static void test_pull_is_repeatable(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c;
        sim_tun *t = open_tunnel(w, version == 1 ? "http/1.1" : "h2", SIM_QUIET ":1001", &c);
        masque_iovec first;
        masque_iovec again;
        t->target->source = 200000;
        c->deaf = true; /* its transport fills up, something waits to be written */
        sim_settle(w);
        assert_int_equal(masque_conn_pull(w->engine, c->id, &first, 1, w->now), 1);
        uint8_t *copy = malloc(first.length);
        assert_non_null(copy);
        memcpy(copy, first.base, first.length);
        assert_int_equal(masque_conn_pull(w->engine, c->id, &again, 1, w->now), 1);
        assert_true(again.length >= first.length);
        assert_memory_equal(again.base, copy, first.length);
        assert_int_equal(masque_conn_pulled(w->engine, c->id, 0, w->now), 0);
        assert_int_equal(masque_conn_pull(w->engine, c->id, &again, 1, w->now), 1);
        assert_memory_equal(again.base, copy, first.length);
        free(copy);
        c->deaf = false;
        sim_settle(w);
        SIM_CHECK(w, t->received == 200000, "h%d: %llu received", version, (unsigned long long)t->received);
        sim_world_close(w);
    }
}

/* --- protocols ----------------------------------------------------------------------------------- */

static void test_protocols(void **state) {
    static const struct {
        unsigned protocols;
        const char *alpn;
        bool works;
    } rows[] = {{MASQUE_PROTOCOL_H2, "h2", true},      {MASQUE_PROTOCOL_H2, "http/1.1", false},
                {MASQUE_PROTOCOL_HTTP11, "h2", false}, {MASQUE_PROTOCOL_HTTP11, "http/1.1", true},
                {MASQUE_PROTOCOL_ALL, "h2", true},     {MASQUE_PROTOCOL_ALL, "http/1.1", true}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = rows[i].alpn});
        assert_int_equal(masque_conn_set_protocols(w->engine, c->id, 0), MASQUE_ERR_INVALID);
        assert_int_equal(masque_conn_set_protocols(w->engine, c->id, 8), MASQUE_ERR_INVALID);
        assert_int_equal(masque_conn_set_protocols(w->engine, c->id, rows[i].protocols), 0);
        sim_settle(w);
        SIM_CHECK(w, c->handshaken == rows[i].works, "row %zu", i);
        if (c->handshaken) {
            assert_int_equal(masque_conn_set_protocols(w->engine, c->id, MASQUE_PROTOCOL_ALL), MASQUE_ERR_STATE);
        }
        sim_world_close(w);
    }
}

/* --- values out of range --------------------------------------------------------------------------- */

static void test_strange_values(void **state) {
    static masque_address many[300];
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    masque_address nobody = {.family = MASQUE_FAMILY_NONE};
    int error;
    masque_conn_id id = masque_accept(w->engine, &nobody, NULL, w->now, &error);
    SIM_CHECK(w, id != 0, "a client without an address: %s", masque_error_name(error));
    sim_alloc_side(SIM_PROXY);
    assert_int_equal(masque_conn_failed(w->engine, id, w->now), 0);
    sim_alloc_side(SIM_TEST);
    masque_event event;
    while (masque_next_event(w->engine, &event)) {
    }
    for (size_t i = 0; i < SIM_COUNT(many); i++) {
        many[i] = sim_address(i % 2 ? "127.0.0.1" : "::ffff:127.0.0.1", (uint16_t)i);
        many[i].family = i % 7 ? many[i].family : 99;
    }
    sim_add_name(w, (sim_name){.text = "hand.test", .ipv6 = {{.delay = SIM_NEVER}}, .ipv4 = {{.delay = SIM_NEVER}}});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = "hand.test:1001"});
    sim_settle(w);
    masque_tunnel_id tunnel = w->last_resolve;
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV6, (masque_lookup)99, many, 300, w->now),
                     MASQUE_ERR_INVALID);
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV6, MASQUE_LOOKUP_FAILED, many, 300, w->now), 0);
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV4, MASQUE_LOOKUP_OK, many, 300, w->now), 0);
    sim_settle(w);
    SIM_CHECK(w, t->status == 403 && w->target_count == 0, "status %u", t->status);
    sim_find_site(w, SIM_ECHO)->delay = SIM_NEVER;
    t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1002"});
    sim_settle(w);
    error = masque_dialed(w->engine, w->targets[0]->attempt, (masque_dial_result)99, w->now);
    w->targets[0]->state = error ? SIM_DIALING : SIM_CLOSED;
    SIM_CHECK(w, error == 0 || error == MASQUE_ERR_INVALID, "%s", masque_error_name(error));
    sim_world_close(w);
}

/* --- the engine's life --------------------------------------------------------------------------- */

static void test_engine_new(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    masque_runtime runtime = sim_runtime(w);
    masque_runtime no_random = runtime;
    masque_config *open_config = sim_config_new(w, NULL, true);
    masque_engine *engine = (void *)w;
    no_random.random = NULL;
    assert_int_equal(masque_engine_new(&engine, open_config, &runtime), MASQUE_ERR_STATE);
    assert_null(engine);
    assert_int_equal(masque_engine_new(&engine, w->config, &no_random), MASQUE_ERR_INVALID);
    assert_null(engine);
    assert_int_equal(masque_engine_set_config(w->engine, open_config), MASQUE_ERR_STATE);
    masque_engine_free(NULL);
    masque_config_release(NULL);
    masque_config_release(open_config);
    sim_world_close(w);
}

/* Freed at any moment, with whatever lives: nothing leaks (the harness counts). */
static void test_free_in_the_middle(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 4 ? 0 : 300});
        sim_find_site(w, SIM_ECHO)->delay = seed % 3 ? 0 : SIM_NEVER;
        sim_add_name(w, (sim_name){.text = "never.test", .ipv6 = {{.delay = SIM_NEVER}}});
        for (int i = 0; i < 3; i++) {
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = i % 2 ? "h2" : "http/1.1", .pipe = 5000});
            static const char *const where[] = {SIM_ECHO, SIM_QUIET, "never.test"};
            for (int k = 0; k < (i % 2 ? 3 : 1); k++) {
                char authority[64];
                snprintf(authority, sizeof authority, "%s:%d", where[(i + k) % 3], 1000 + 10 * i + k);
                sim_request(c, &(sim_ask){.authority = authority, .send = 400000, .deaf = k == 1});
            }
        }
        sim_connect(w, &(sim_client){.naked = true});
        for (uint64_t i = 0; i < seed; i++) {
            sim_step(w);
        }
        if (seed % 5 == 0) { /* events that nobody took */
            sim_alloc_side(SIM_PROXY);
            masque_engine_drain(w->engine, w->now);
            masque_tick(w->engine, w->now + 60 * MASQUE_SECOND);
            sim_alloc_side(SIM_TEST);
        }
        sim_world_free(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handles_that_name_nothing),
        cmocka_unit_test(test_more_than_offered),
        cmocka_unit_test(test_reserve_of_another),
        cmocka_unit_test(test_calls_between_reserve_and_commit),
        cmocka_unit_test(test_offer_follows_the_target),
        cmocka_unit_test(test_twice),
        cmocka_unit_test(test_feed_while_blocked),
        cmocka_unit_test(test_pull_is_repeatable),
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_strange_values),
        cmocka_unit_test(test_engine_new),
        cmocka_unit_test(test_free_in_the_middle),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
