/*
 * sim_wire.c: what proxy and client say inside QUIC packets: frames, codes, the handshake's fields; and a client
 * whose proxy sends what no proxy should. harness/forge.h looks into the packets before they are sealed.
 */
#include "harness/forge.h"
#include "harness/raw_h3.h"

/* RFC 9000 20.1; a TLS alert is behind 0x100. */
#define STREAM_LIMIT_ERROR 0x4u
#define FRAME_ENCODING_ERROR 0x7u
#define NO_APPLICATION_PROTOCOL 0x178u

static const sim_client H3 = {.alpn = "h3"};

static sim_world *world(void) {
    return sim_world_new(&(sim_setup){.seed = 3});
}

static void end(sim_world *w) {
    forge_begin();
    sim_world_close(w);
}

/* --- a hostile proxy ------------------------------------------------------------------------------------------- */

typedef struct row {
    const char *name;
    const char *bytes;
    size_t length;
    uint64_t code;  /* the client's CONNECTION_CLOSE; NO_CLOSE: it goes on */
    bool transport; /* QUIC's */
} row;

/* The client has a tunnel on stream 0, and a request that waits on stream 4; the proxy has 3, 7 and 11. */
/* nghttp3 makes a malformed answer an error of the connection, as RFC 9114 8 allows; and has codes of its own for
   pushes, which 4.6 calls H3_ID_ERROR. */
static const row ROWS[] = {
    /* RFC 9114 6.1 has H3_STREAM_CREATION_ERROR for it; as the client lets none be opened, QUIC is first. */
    {"a stream both ways", BYTES("\x0a\x01\x01x"), STREAM_LIMIT_ERROR, true},
    {"a second control stream", BYTES("\x0a\x0f\x03\x00\x04\x00"), STREAM_CREATION_ERROR, false},
    {"a push stream", BYTES("\x0a\x0f\x02\x01\x00"), STREAM_CREATION_ERROR, false},
    {"an empty token", BYTES("\x07\x00"), FRAME_ENCODING_ERROR, true},
    {"another token", BYTES("\x07\x01t"), NO_CLOSE, false},
    {"DATA before an answer", BYTES("\x0a\x04\x03\x00\x01x"), FRAME_UNEXPECTED, false},
    {"a push promise", BYTES("\x0a\x04\x03\x05\x01\x00"), FRAME_UNEXPECTED, false},
    {"an answer without a status", BYTES("\x0a\x04\x05\x01\x03\x00\x00\xc6"), MESSAGE_ERROR, false},
    {"an answer with a method", BYTES("\x0a\x04\x06\x01\x04\x00\x00\xd1\xd9"), MESSAGE_ERROR, false},
    {"an answer whose field is a connection's",
     BYTES("\x0a\x04\x14\x01\x12\x00\x00\xd9\x27\x03"
           "connection"
           "\x01x"),
     MESSAGE_ERROR, false},
    {"an answer with a field in capitals",
     BYTES("\x0a\x04\x09\x01\x07\x00\x00\xd9\x21"
           "X\x01x"),
     MESSAGE_ERROR, false},
    {"an end without an answer", BYTES("\x0b\x04\x00"), FRAME_UNEXPECTED, false},
    {"an interim answer", BYTES("\x0a\x04\x05\x01\x03\x00\x00\xd8"), NO_CLOSE, false}, /* 103 */
};

static void test_hostile_proxy(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        const row r = ROWS[i];
        forge_state *forge = forge_begin();
        sim_world *w = world();
        sim_add_site(w, "45.60.0.9", (sim_site){.delay = SIM_NEVER});
        sim_conn *c = sim_connect(w, &H3);
        sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
        sim_settle(w);
        sim_tun *waits = sim_request(c, &(sim_ask){.authority = "45.60.0.9:1002"});
        sim_settle(w);
        forge_next(SIM_PROXY, r.bytes, r.length);
        t->target->source = 1100;
        sim_settle(w);
        SIM_CHECK(w, forge->made == 1, "%s: nothing is forged", r.name);
        const forge_seen *client = &forge->seen[SIM_TEST];
        SIM_CHECK(w, client->close_code == r.code && (r.code == NO_CLOSE || client->close_is_transport == r.transport),
                  "%s: code %llx instead of %llx", r.name, (unsigned long long)client->close_code,
                  (unsigned long long)r.code);
        SIM_CHECK(w, r.code == NO_CLOSE || (waits->closed && t->closed), "%s: a tunnel is left", r.name);
        end(w);
    }
}

/* --- the handshake --------------------------------------------------------------------------------------------- */

/* RFC 9001 8.1: without a protocol of ours the handshake fails. */
static void test_protocol(void **state) {
    static const char *const offers[] = {"hq-29", ""};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(offers); i++) {
        forge_state *forge = forge_begin();
        sim_world *w = world();
        forge->alpn = offers[i];
        sim_conn *c = sim_connect(w, &H3);
        sim_settle(w);
        assert_true(c->closed);
        assert_int_equal(forge->seen[SIM_PROXY].close_code, NO_APPLICATION_PROTOCOL);
        assert_true(forge->seen[SIM_PROXY].close_is_transport);
        end(w);
    }
}

typedef struct first {
    size_t initials;
    uint8_t dcid[2][20]; /* of two clients */
    size_t dcid_length;
    size_t which;
    bool has_token;
    bool has_name;
} first;

static void note_first(void *user, sim_side side, const uint8_t *header, size_t length) {
    first *seen = user;
    if (side == SIM_TEST && (header[0] & 0xf0) == 0xc0 && length > 30) {
        size_t token = 7u + header[5] + header[6 + header[5]];
        seen->has_token = seen->has_token || header[token] != 0;
        if (seen->initials++ == 0) {
            seen->dcid_length = header[5];
            memcpy(seen->dcid[seen->which], header + 6, header[5]);
        }
    }
}

static void note_name(void *user, sim_side side, const forge_frame *frame) {
    first *seen = user;
    if (side == SIM_TEST && frame->type == 0x06) {
        seen->has_name = seen->has_name || memmem(frame->bytes, frame->length, "proxy.test", 10);
    }
}

/* A client says whom it wants (SNI), and shows nothing by which it could be known again: RFC 9000 7.2 and 8.1.3. */
static void test_first_packet(void **state) {
    first seen = {.which = 0};
    (void)state;
    for (seen.which = 0; seen.which < 2; seen.which++) {
        forge_state *forge = forge_begin();
        forge->on_packet = note_first;
        forge->on_frame = note_name;
        forge->user = &seen;
        seen.initials = 0;
        seen.has_name = false;
        sim_world *w = sim_world_new(&(sim_setup){.seed = seen.which});
        sim_conn *c = sim_connect(w, &H3);
        sim_settle(w);
        assert_true(c->handshaken);
        assert_true(seen.initials > 0 && seen.has_name && !seen.has_token);
        assert_true(seen.dcid_length >= 8);
        assert_true(forge->seen[SIM_PROXY].frames[0x07] > 0); /* it was given a token */
        end(w);
    }
    assert_memory_not_equal(seen.dcid[0], seen.dcid[1], 8);
}

typedef struct tickets {
    unsigned seen;
    unsigned early; /* with an extension early_data */
} tickets;

static size_t two(const uint8_t *at) {
    return (size_t)at[0] << 8 | at[1];
}

/* RFC 8446 4.6.1: type and length, lifetime, age_add, nonce, ticket, extensions. */
static void note_ticket(void *user, sim_side side, const forge_frame *frame) {
    tickets *all = user;
    const uint8_t *at = frame->bytes;
    if (side != SIM_PROXY || frame->type != 0x06 || at[0] != 4) {
        return;
    }
    const uint8_t *to = at + frame->length;
    at += 12;
    at += 1 + *at;
    at += 2 + two(at);
    all->seen++;
    for (at += 2; at + 4 <= to; at += 4 + two(at + 2)) {
        all->early += two(at) == 42;
    }
}

/* RFC 9001 4.6.1: early data would be allowed by a ticket; and packets of it are none to begin with. */
static void test_no_early_data(void **state) {
    tickets all = {.seen = 0};
    forge_state *forge = forge_begin();
    sim_world *w = world();
    (void)state;
    forge->on_frame = note_ticket;
    forge->user = &all;
    sim_conn *c = sim_connect(w, &H3);
    sim_settle(w);
    assert_true(c->handshaken && all.seen > 0);
    assert_int_equal(all.early, 0);
    end(w);
}

/* RFC 9000 5.1.1: a client has as many connection IDs as it wants, and a new one for each that it retires. */
static void test_connection_ids(void **state) {
    forge_state *forge = forge_begin();
    sim_world *w = world();
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    sim_settle(w);
    uint64_t before = forge->seen[SIM_PROXY].frames[0x18];
    assert_true(before >= 1);
    forge_next(SIM_TEST, BYTES("\x19\x01")); /* RETIRE_CONNECTION_ID */
    forge_carrier(c);
    sim_settle(w);
    assert_int_equal(forge->made, 1);
    assert_int_equal(forge->seen[SIM_PROXY].frames[0x18], before + 1);
    end(w);
}

/* --- HTTP/3 ------------------------------------------------------------------------------------------------------- */

static void test_cancel_code(void **state) {
    forge_state *forge = forge_begin();
    sim_world *w = world();
    sim_conn *c = sim_connect(w, &H3);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
    (void)state;
    sim_settle(w);
    sim_reset(t);
    sim_settle(w);
    assert_true(t->closed && t->target->got_reset);
    assert_int_equal(forge->seen[SIM_TEST].frames[0x04], 1);
    assert_int_equal(forge->seen[SIM_TEST].reset_code, REQUEST_CANCELLED);
    end(w);
}

/* RFC 9220 3: a client asks for CONNECT-UDP only where the proxy said that it knows :protocol. */
static void test_no_protocols(void **state) {
    forge_state *forge = forge_begin();
    sim_world *w = world();
    forge->no_protocols = true;
    sim_conn *c = sim_connect(w, &H3);
    const masque_tunnel_request request = {.transport = MASQUE_TRANSPORT_UDP, .target = SIM_ECHO ":1001"};
    int error = 0;
    (void)state;
    sim_settle(w);
    assert_int_equal(masque_tunnel_open(c->engine, c->engine_conn, &request, NULL, w->now, &error), 0);
    assert_int_equal(error, MASQUE_ERR_PROTOCOL);
    end(w);
}

/* --- DATAGRAM frames ---------------------------------------------------------------------------------------------- */

static sim_tun *udp_tunnel(sim_conn *c) {
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .udp = true});
    sim_settle(c->world);
    assert_true(sim_tun_is_open(t));
    sim_target_datagrams(t->target, 1, 100);
    sim_settle(c->world);
    assert_int_equal(t->datagrams.received, 1);
    return t;
}

/* RFC 9221 3: none is larger than the client said, frame and all; RFC 9298 6.1: and what is goes in no capsule. */
static void test_datagram_max(void **state) {
    forge_state *forge = forge_begin();
    sim_world *w = world();
    forge->datagram_max = 301;
    sim_conn *c = sim_connect(w, &H3);
    sim_tun *t = udp_tunnel(c);
    (void)state;
    sim_target_datagrams(t->target, 3, 290);
    sim_settle(w);
    assert_int_equal(t->datagrams.received, 4);
    uint64_t before = sim_stats(w).datagrams_too_big;
    uint64_t streams = forge->seen[SIM_PROXY].frames[0x08];
    sim_target_datagrams(t->target, 3, 298);
    sim_advance(w, 5 * MASQUE_SECOND);
    assert_int_equal(t->datagrams.received, 4);
    assert_int_equal(sim_stats(w).datagrams_too_big - before, 3);
    assert_int_equal(forge->seen[SIM_PROXY].frames[0x08], streams);
    assert_false(c->closed);
    end(w);
}

/* Nor any to a client that takes none: capsules are used. */
static void test_no_datagrams(void **state) {
    forge_state *forge = forge_begin();
    sim_world *w = world();
    forge->datagram_max = 1;
    sim_conn *c = sim_h3_client(w, false);
    (void)state;
    sim_stream_send(c, sim_stream_open(c, false), BYTES("\x00\x04\x00"), false);
    int64_t id = sim_h3_udp_request(c);
    sim_settle(w);
    uint64_t before = sim_stream_seen_of(c, id).bytes;
    sim_target_datagrams(w->targets[0], 1, 50);
    sim_settle(w);
    assert_int_equal(sim_stream_seen_of(c, id).bytes - before, 2 + 4 + 50); /* DATA, capsule, payload */
    assert_int_equal(forge->seen[SIM_PROXY].frames[0x30], 0);
    end(w);
}

typedef struct order {
    bool fin;
    uint64_t behind;
    uint64_t before;
} order;

static void note_order(void *user, sim_side side, const forge_frame *frame) {
    order *seen = user;
    if (side == SIM_PROXY && frame->type >= 8 && frame->type < 16 && frame->numbers[0] == 0) {
        seen->fin = seen->fin || frame->type & 1;
    } else if (side == SIM_PROXY && (frame->type == 0x30 || frame->type == 0x31)) {
        seen->behind += seen->fin;
        seen->before += !seen->fin;
    }
}

/* RFC 9297 2.1: none is sent on a stream whose sending side is closed. */
static void test_none_behind_fin(void **state) {
    order seen = {.fin = false};
    const sim_link_model path = {.delay = 50 * MASQUE_MILLISECOND};
    forge_state *forge = forge_begin();
    sim_world *w = world();
    (void)state;
    forge->on_frame = note_order;
    forge->user = &seen;
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .up = &path, .down = &path});
    sim_tun *t = udp_tunnel(c);
    sim_fin(t);
    for (unsigned i = 0; i < 100; i++) {
        if (!t->target->ended) {
            sim_target_datagrams(t->target, 1, 500);
        }
        sim_advance(w, 2 * MASQUE_MILLISECOND);
    }
    sim_settle(w);
    assert_true(t->target->ended && t->closed);
    assert_true(seen.fin && seen.before > 1);
    assert_int_equal(seen.behind, 0);
    end(w);
}

/* RFC 9221 5.4: they keep to congestion control. Without acknowledgements no more than the first window is under way.
 */
static void test_datagrams_wait_for_acks(void **state) {
    const sim_link_model path = {.delay = 50 * MASQUE_MILLISECOND};
    forge_state *forge = forge_begin();
    sim_world *w = world();
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .up = &path, .down = &path});
    sim_tun *t = udp_tunnel(c);
    (void)state;
    c->to_proxy.model.dark = SIM_NEVER;
    uint64_t before = forge->seen[SIM_PROXY].frames[0x30];
    for (unsigned i = 0; i < 500; i++) {
        sim_target_datagrams(t->target, 1, 1000);
        sim_advance(w, MASQUE_MILLISECOND);
    }
    /* RFC 9002 7.2: ten packets; what the handshake has added; and probes. */
    assert_in_range(forge->seen[SIM_PROXY].frames[0x30] - before, 5, 40);
    end(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hostile_proxy),   cmocka_unit_test(test_protocol),
        cmocka_unit_test(test_first_packet),    cmocka_unit_test(test_no_early_data),
        cmocka_unit_test(test_cancel_code),     cmocka_unit_test(test_no_protocols),
        cmocka_unit_test(test_datagram_max),    cmocka_unit_test(test_no_datagrams),
        cmocka_unit_test(test_none_behind_fin), cmocka_unit_test(test_datagrams_wait_for_acks),
        cmocka_unit_test(test_connection_ids),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
