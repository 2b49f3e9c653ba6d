/*
 * sim_h3_tunnels.c: tunnels over HTTP/3 by the byte: datagrams and capsules, their limits, and how streams,
 * keys and connections end.
 */
#include "harness/raw_h3.h"

/* A datagram may overtake SETTINGS, and its request: it is kept for a while, or dropped. */
static void test_datagram_before_settings(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, false);
    (void)state;
    sim_datagram_send(c, DATAGRAM);
    sim_settle(w);
    sim_stream_send(c, sim_stream_open(c, false), BYTES(CONTROL), false);
    int64_t id = sim_h3_udp_request(c);
    sim_settle(w);
    assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
    assert_int_equal(sim_h3_status(c, id), 200);
    assert_int_equal(sim_stats(w).datagrams_sent, 1);
    sim_world_close(w);
}

/* RFC 9297 2: a tunnel of bytes has no use for one, and ends; also where it came before its request. */
static void test_datagram_for_bytes(void **state) {
    (void)state;
    for (int early = 0; early < 2; early++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c = sim_h3_client(w, true);
        int64_t id = early ? 0 : sim_h3_request(c, NULL, 0, false);
        sim_settle(w);
        sim_datagram_send(c, DATAGRAM);
        sim_settle(w);
        id = early ? sim_h3_request(c, NULL, 0, false) : id;
        sim_settle(w);
        const sim_stream_seen seen = sim_stream_seen_of(c, id);
        SIM_CHECK(w, seen.reset && seen.reset_code == DATAGRAM_ERROR, "early %d: reset %d, code %llx", early,
                  seen.reset, (unsigned long long)seen.reset_code);
        assert_int_equal(sim_stats(w).tunnels_active, 0);
        assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
        sim_world_close(w);
    }
}

/* RFC 9297 2.1: behind the stream's end comes none. The target that stalls keeps the tunnel. */
static void test_datagram_behind_the_end(void **state) {
    (void)state;
    for (int ended = 0; ended < 2; ended++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c = sim_h3_client(w, true);
        int64_t id = sim_h3_udp_request(c);
        sim_settle(w);
        w->targets[0]->stalls = true;
        sim_datagram_send(c, DATAGRAM);
        sim_settle(w);
        sim_stream_send(c, id, "", 0, ended);
        sim_settle(w);
        sim_datagram_send(c, DATAGRAM);
        sim_settle(w);
        assert_int_equal(sim_stats(w).datagrams_sent, 0);
        w->targets[0]->stalls = false;
        sim_advance(w, MASQUE_SECOND);
        SIM_CHECK(w, sim_stats(w).datagrams_sent == (ended ? 1 : 2), "ended %d: %llu sent", ended,
                  (unsigned long long)sim_stats(w).datagrams_sent);
        sim_world_close(w);
    }
}

/* RFC 9297 2.1.1: a client that says nothing of H3_DATAGRAM has its datagrams as capsules, both ways. */
static void test_capsules_alone(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, false);
    (void)state;
    sim_stream_send(c, sim_stream_open(c, false), BYTES("\x00\x04\x00"), false);
    int64_t id = sim_h3_udp_request(c);
    sim_settle(w);
    assert_int_equal(sim_h3_status(c, id), 200);
    uint64_t answer = sim_stream_seen_of(c, id).bytes;
    /* DATA with a capsule: DATAGRAM, 1 byte, context 0, no payload; back it comes with a length of two bytes. */
    sim_stream_send(c, id, BYTES("\x00\x03\x00\x01\x00"), false);
    sim_settle(w);
    assert_int_equal(sim_stats(w).datagrams_sent, 1);
    assert_int_equal(sim_stats(w).datagrams_received, 1);
    assert_int_equal(sim_stream_seen_of(c, id).bytes, answer + 6);
    assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
    sim_world_close(w);
}

/* RFC 9114 4.2.2: too many fields, or too large ones. */
static void test_large_heads(void **state) {
    static char value[251]; /* 60 of them, with 32 bytes more for each, are more than 16,384 */
    (void)state;
    memset(value, 'a', sizeof value - 1);
    for (int large = 0; large < 2; large++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c = sim_h3_client(w, true);
        sim_bytes block = {.bytes = NULL};
        sim_bytes out = {.bytes = NULL};
        int64_t id = sim_stream_open(c, true);
        sim_bytes_add(&block, BYTES(HEAD));
        for (unsigned i = 0; i < (large ? 60u : 100u); i++) {
            sim_qpack(&block, "x", large ? value : "y");
        }
        sim_h3_frame(&out, 1, block.bytes, block.end);
        sim_h3_send(c, id, &out, false);
        sim_bytes_free(&block);
        sim_settle(w);
        assert_int_equal(sim_h3_status(c, id), 431);
        assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
        sim_world_close(w);
    }
}

/* RFC 9297 3.3: the end of the stream inside a capsule. */
static void test_cut_capsule(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    int64_t id = sim_h3_udp_request(c);
    sim_settle(w);
    sim_stream_send(c, id, BYTES("\x00\x02\x00\x05"), true);
    sim_settle(w);
    assert_true(sim_stream_seen_of(c, id).reset);
    assert_int_equal(sim_stream_seen_of(c, id).reset_code, MESSAGE_ERROR);
    assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
    sim_world_close(w);
}

/* RFC 9114 6.1: a hundred at least; QUIC's limit keeps the client from more, and gives each back. */
static void test_many_streams(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    int64_t first = sim_h3_request(c, NULL, 0, false);
    unsigned opened = 1;
    (void)state;
    while (opened < 1000 && sim_stream_open(c, true) >= 0) {
        opened++;
    }
    assert_true(opened >= 100 && opened < 1000);
    sim_settle(w);
    assert_int_equal(sim_h3_status(c, first), 200);
    sim_stream_reset(c, first, REQUEST_CANCELLED);
    sim_stream_stop(c, first, REQUEST_CANCELLED);
    sim_settle(w);
    assert_true(sim_stream_open(c, true) >= 0);
    sim_world_close(w);
}

/* RFC 9114 5.2: what comes behind the last GOAWAY is rejected, and nothing was done for it. */
static void test_behind_goaway(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    int64_t before = sim_h3_request(c, NULL, 0, false);
    sim_settle(w);
    sim_alloc_side(SIM_PROXY);
    masque_engine_drain(w->engine, w->now);
    sim_alloc_side(SIM_TEST);
    sim_advance(w, 2 * MASQUE_SECOND);
    uint64_t tunnels = sim_stats(w).tunnels_total;
    int64_t behind = sim_h3_request(c, NULL, 0, false);
    sim_settle(w);
    assert_true(sim_stream_seen_of(c, behind).reset);
    assert_int_equal(sim_stream_seen_of(c, behind).reset_code, REQUEST_REJECTED);
    assert_int_equal(sim_stats(w).tunnels_total, tunnels);
    assert_false(sim_stream_seen_of(c, before).reset);
    assert_int_equal(sim_stats(w).tunnels_active, 1);
    sim_world_close(w);
}

/* RFC 9001 6: the client's key phase flips, ours follows, and again. */
static void test_key_updates(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    int64_t id = sim_h3_udp_request(c);
    sim_settle(w);
    for (unsigned i = 1; i <= 3; i++) {
        sim_advance(w, MASQUE_SECOND);
        sim_quic_update_keys(c);
        sim_datagram_send(c, DATAGRAM);
        sim_settle(w);
        assert_int_equal(sim_stats(w).datagrams_sent, i);
        assert_int_equal(sim_stats(w).datagrams_received, i); /* the echo went back under new keys */
    }
    assert_false(sim_stream_seen_of(c, id).reset);
    assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
    sim_world_close(w);
}

/* RFC 9000 18.2: disable_active_migration, for nothing else was configured. */
static void test_migration_is_off(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    (void)state;
    assert_true(sim_quic_is_fixed(sim_h3_client(w, true)));
    sim_world_close(w);
}

/* RFC 9114 8: a code that nobody knows, as those who grease send, is no error. */
static void test_codes_of_stop_sending(void **state) {
    static const struct {
        uint64_t code;
        bool ends;
    } rows[] = {{0x100, false}, {0x21, false}, {0x1f * 7 + 0x21, false}, {0x10c, true}, {0x102, true}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c = sim_h3_client(w, true);
        int64_t id = sim_h3_request(c, NULL, 0, false);
        sim_settle(w);
        sim_stream_stop(c, id, rows[i].code);
        sim_settle(w);
        SIM_CHECK(w, sim_stats(w).tunnels_active == !rows[i].ends, "code %llx", (unsigned long long)rows[i].code);
        assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
        sim_world_close(w);
    }
}

/* RFC 9114 6.2.1: 3 is the proxy's control stream. */
static void test_control_stream_stopped(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    sim_settle(w);
    sim_stream_stop(c, 3, 0x100);
    sim_settle(w);
    assert_int_equal(sim_quic_close_code(c), CLOSED_CRITICAL_STREAM);
    sim_world_close(w);
}

/* RFC 9114 4.4: a target's reset, and a client's, go on as resets; the other direction is answered likewise. */
static void test_codes_of_resets(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    int64_t by_target = sim_h3_request(c, NULL, 0, false);
    sim_settle(w);
    w->targets[0]->send_reset = true;
    sim_settle(w);
    assert_true(sim_stream_seen_of(c, by_target).reset);
    assert_int_equal(sim_stream_seen_of(c, by_target).reset_code, CONNECT_ERROR);
    int64_t by_client = sim_h3_request(c, NULL, 0, false);
    sim_settle(w);
    sim_stream_reset(c, by_client, REQUEST_CANCELLED);
    sim_settle(w);
    assert_true(sim_stream_seen_of(c, by_client).reset);
    assert_int_equal(sim_stream_seen_of(c, by_client).reset_code, REQUEST_CANCELLED);
    assert_true(w->targets[1]->ended && w->targets[1]->got_reset);
    assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
    sim_world_close(w);
}

/* A client that reads nothing: its tunnel's target waits, and after the write stall it ends. */
static void test_deaf(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    c->deaf = true;
    sim_h3_request(c, NULL, 0, false);
    sim_settle(w);
    sim_target *target = w->targets[0];
    target->source = 10000000;
    sim_advance(w, 29 * MASQUE_SECOND);
    assert_true(target->committed < 1000000);
    assert_int_equal(sim_stats(w).tunnels_active, 1);
    sim_advance(w, 20 * MASQUE_SECOND);
    assert_int_equal(sim_stats(w).tunnels_active, 0);
    assert_true(target->ended && target->got_reset);
    sim_world_close(w);
}

/* MAX_DATA holds all streams back (RFC 9000 4.1); datagrams have no part in it, and go on. */
static void test_datagrams_beside_blocked_streams(void **state) {
    enum { TUNNELS = 20 };
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    (void)sim_h3_udp_request(c);
    sim_settle(w);
    c->deaf = true;
    for (unsigned i = 0; i < TUNNELS; i++) {
        sim_h3_request(c, NULL, 0, false);
    }
    sim_settle(w);
    for (size_t i = 1; i <= TUNNELS; i++) { /* the first one is UDP's */
        w->targets[i]->source = 100000;
    }
    sim_advance(w, MASQUE_SECOND);
    for (unsigned i = 1; i <= 50; i++) {
        uint64_t before = c->seen.bytes;
        unsigned count = 1 + i % 3;
        for (unsigned k = 0; k < count; k++) {
            sim_datagram_send(c, DATAGRAM);
        }
        sim_advance(w, 2 * MASQUE_MILLISECOND); /* less than an ACK's delay, which would bring a packet anyway */
        SIM_CHECK(w, c->seen.bytes == before + 2 * count, "round %u: %u bytes came back", i,
                  (unsigned)(c->seen.bytes - before));
        sim_advance(w, (10 + i) * MASQUE_MILLISECOND);
    }
    sim_world_close(w);
}

/* Half a head, and nothing behind it. */
static void test_stalled_head(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    int64_t good = sim_h3_request(c, NULL, 0, false);
    int64_t half = sim_stream_open(c, true);
    sim_stream_send(c, half, BYTES("\x01\x40\x40\x00\x00\xcf"), false);
    sim_advance(w, 9 * MASQUE_SECOND);
    assert_false(sim_stream_seen_of(c, half).reset);
    sim_advance(w, 2 * MASQUE_SECOND);
    assert_true(sim_stream_seen_of(c, half).reset);
    assert_int_equal(sim_stream_seen_of(c, half).reset_code, REQUEST_INCOMPLETE);
    /* The others go on. */
    assert_int_equal(sim_quic_close_code(c), NO_CLOSE);
    assert_false(sim_stream_seen_of(c, good).reset);
    assert_int_equal(sim_stats(w).tunnels_active, 1);
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_datagram_before_settings),
        cmocka_unit_test(test_datagram_for_bytes),
        cmocka_unit_test(test_datagram_behind_the_end),
        cmocka_unit_test(test_capsules_alone),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_cut_capsule),
        cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_behind_goaway),
        cmocka_unit_test(test_key_updates),
        cmocka_unit_test(test_migration_is_off),
        cmocka_unit_test(test_codes_of_stop_sending),
        cmocka_unit_test(test_control_stream_stopped),
        cmocka_unit_test(test_codes_of_resets),
        cmocka_unit_test(test_deaf),
        cmocka_unit_test(test_datagrams_beside_blocked_streams),
        cmocka_unit_test(test_stalled_head),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
