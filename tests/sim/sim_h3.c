/*
 * sim_h3.c: HTTP/3 by the byte: what RFC 9114, RFC 9204 and RFC 9297 forbid ends the connection
 * with their code, what they allow is borne, and what is only meant to cost us (threats 2d)
 * is bounded.
 */
#include "harness/frames.h"
#include "harness/suite.h"

#define NO_CLOSE MASQUE_NEVER
#define STREAM_CREATION_ERROR 0x103u
#define CLOSED_CRITICAL_STREAM 0x104u
#define FRAME_UNEXPECTED 0x105u
#define FRAME_ERROR 0x106u
#define EXCESSIVE_LOAD 0x107u
#define SETTINGS_ERROR 0x109u
#define MISSING_SETTINGS 0x10au
#define MESSAGE_ERROR 0x10eu
#define QPACK_DECOMPRESSION_FAILED 0x200u
#define QPACK_ENCODER_STREAM_ERROR 0x201u
#define CONNECT_ERROR 0x10fu
#define REQUEST_REJECTED 0x10bu
#define REQUEST_CANCELLED 0x10cu
#define REQUEST_INCOMPLETE 0x10du
#define DATAGRAM_ERROR 0x33u

/* Bytes that hold zeros. */
#define BYTES(text) (text), sizeof(text) - 1

/* Quarter Stream ID and context ID 0, and no payload; back it comes with a length of two bytes. */
#define DATAGRAM BYTES("\x00\x00")
#define UDP_PATH "/.well-known/masque/udp/" SIM_ECHO "/1001/"
#define CONTROL SIM_H3_CONTROL
/* A CONNECT to SIM_QUIET:1001 without a credential, as QPACK. */
#define HEAD                                                                                                           \
    "\x00\x00\xcf\x50\x0e"                                                                                             \
    "45.60.0.4:1001"

static sim_conn *raw_client(sim_world *w, bool with_control) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .raw = true});
    assert_true(c->handshaken);
    if (with_control) {
        sim_stream_send(c, sim_stream_open(c, false), BYTES(CONTROL), false);
    }
    return c;
}

/* A good request; MORE is what follows its head. */
static int64_t request(sim_conn *c, const void *more, size_t length, bool fin) {
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    int64_t id = sim_stream_open(c, true);
    sim_bytes_add(&block, BYTES(HEAD));
    sim_qpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
    sim_h3_frame(&out, 1, block.bytes, block.end);
    sim_bytes_add(&out, more, length);
    sim_h3_send(c, id, &out, fin);
    sim_bytes_free(&block);
    return id;
}

/* --- what is wrong at once ------------------------------------------------------------------ */

typedef struct row {
    const char *name;
    char on; /* c: control stream's whole, C: behind a good one, r: a request, R: behind a good head, u: another stream
              */
    const char *bytes;
    size_t length;
    bool fin;
    uint64_t code;
} row;

static const row ROWS[] = {
    {"no SETTINGS", 'c', BYTES("\x00\x07\x01\x00"), false, MISSING_SETTINGS},
    {"SETTINGS twice", 'C', BYTES("\x04\x00"), false, FRAME_UNEXPECTED},
    {"a setting twice", 'c', BYTES("\x00\x04\x04\x33\x01\x33\x01"), false, NO_CLOSE}, /* RFC 9114 7.2.4: MAY */
    {"a setting of HTTP/2", 'c', BYTES("\x00\x04\x02\x02\x00"), false, SETTINGS_ERROR},
    {"H3_DATAGRAM of 2", 'c', BYTES("\x00\x04\x02\x33\x02"), false, SETTINGS_ERROR},
    {"a control stream's end", 'C', BYTES(""), true, CLOSED_CRITICAL_STREAM},
    {"DATA on the control stream", 'C', BYTES("\x00\x01x"), false, FRAME_UNEXPECTED},
    {"HEADERS on the control stream", 'C', BYTES("\x01\x01x"), false, FRAME_UNEXPECTED},
    {"PUSH_PROMISE on the control stream", 'C', BYTES("\x05\x01x"), false, FRAME_UNEXPECTED},
    {"PRIORITY of HTTP/2", 'C', BYTES("\x02\x00"), false, FRAME_UNEXPECTED},
    /* The two of pushes that can't be: nghttp3 has a code of its own for each where RFC 9114 7.2.3 and
       7.2.7 say H3_ID_ERROR. */
    {"CANCEL_PUSH of no push", 'C', BYTES("\x03\x01\x05"), false, FRAME_UNEXPECTED},
    {"MAX_PUSH_ID that shrinks", 'C', BYTES("\x0d\x01\x05\x0d\x01\x04"), false, FRAME_ERROR},
    {"GOAWAY", 'C', BYTES("\x07\x01\x00"), false, NO_CLOSE},
    {"MAX_PUSH_ID", 'C', BYTES("\x0d\x01\x05"), false, NO_CLOSE},
    {"an unknown frame", 'C',
     BYTES("\x21\x03"
           "abc"),
     false, NO_CLOSE},
    {"a second control stream", 'u', BYTES("\x00\x04\x00"), false, STREAM_CREATION_ERROR},
    {"a push stream", 'u', BYTES("\x01\x00"), false, STREAM_CREATION_ERROR},
    {"an unknown stream", 'u',
     BYTES("\x21"
           "whatever"),
     true, NO_CLOSE},
    {"QPACK: a capacity beyond ours", 'u', BYTES("\x02\x3f\xe1\x5f"), false, QPACK_ENCODER_STREAM_ERROR},
    {"QPACK: its end", 'u', BYTES("\x02"), true, CLOSED_CRITICAL_STREAM},
    {"DATA first", 'r', BYTES("\x00\x01x"), false, FRAME_UNEXPECTED},
    {"SETTINGS on a request", 'r', BYTES("\x04\x00"), false, FRAME_UNEXPECTED},
    {"GOAWAY on a request", 'r', BYTES("\x07\x01\x00"), false, FRAME_UNEXPECTED},
    {"PUSH_PROMISE on a request", 'r', BYTES("\x05\x03\x00\x00\x00"), false, FRAME_UNEXPECTED},
    {"PING of HTTP/2 on a request", 'r', BYTES("\x06\x00"), false, FRAME_UNEXPECTED},
    {"QPACK: an entry that isn't there", 'r', BYTES("\x01\x03\x00\x00\x80"), false, QPACK_DECOMPRESSION_FAILED},
    {"QPACK: it should wait", 'r', BYTES("\x01\x03\x02\x00\x80"), false, QPACK_DECOMPRESSION_FAILED},
    {"QPACK: a static entry beyond the table", 'r', BYTES("\x01\x04\x00\x00\xff\x24"), false,
     QPACK_DECOMPRESSION_FAILED},
    {"an end inside a frame", 'r', BYTES("\x01\x10\x00\x00"), true, FRAME_ERROR},
    /* nghttp3 makes it an error of the connection, with this code where RFC 9114 4.1 says H3_REQUEST_INCOMPLETE. */
    {"an end before a head", 'r', BYTES(""), true, FRAME_UNEXPECTED},
    {"trailers", 'R', BYTES("\x01\x04\x00\x00\xc1\xc1"), false, FRAME_UNEXPECTED},
    {"DATA behind the head", 'R', BYTES("\x00\x00"), false, NO_CLOSE},
    {"a request without a method", 'r',
     BYTES("\x01\x05\x00\x00\x50\x01"
           "a"),
     true, MESSAGE_ERROR},
    {"unknown frames behind the head", 'R',
     BYTES("\x21\x03"
           "abc\x40\x5f\x00"),
     false, NO_CLOSE},
};

static int64_t open_for(sim_conn *c, const row *r) {
    bool request_stream = r->on == 'r' || r->on == 'R';
    if (r->on == 'R') {
        return request(c, r->bytes, r->length, r->fin);
    }
    int64_t id = sim_stream_open(c, request_stream);
    if (r->on == 'C') {
        sim_stream_send(c, id, BYTES(CONTROL), false);
    }
    sim_stream_send(c, id, r->bytes, r->length, r->fin);
    return id;
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        const row *r = &ROWS[i];
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_conn *c = raw_client(w, r->on != 'c' && r->on != 'C');
        open_for(c, r);
        sim_settle(w);
        uint64_t code = sim_quic_close_code(c);
        SIM_CHECK(w, code == r->code, "%s: code %llx instead of %llx", r->name, (unsigned long long)code,
                  (unsigned long long)r->code);
        if (r->code == NO_CLOSE) {
            int64_t id = request(c, NULL, 0, false);
            sim_settle(w);
            SIM_CHECK(w, sim_stream_seen_of(c, id).bytes > 0, "%s: no answer behind it", r->name);
        }
        sim_world_close(w);
    }
}

/* A critical stream that is reset is closed, too (RFC 9114 6.2.1). */
static void test_control_stream_reset(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = raw_client(w, false);
    int64_t id = sim_stream_open(c, false);
    (void)state;
    sim_stream_send(c, id, BYTES(CONTROL), false);
    sim_settle(w);
    sim_stream_reset(c, id, 0x100);
    sim_settle(w);
    assert_int_equal(sim_quic_close_code(c), CLOSED_CRITICAL_STREAM);
    sim_world_close(w);
}

/* --- datagrams, and ends --------------------------------------------------------------------- */

static int64_t udp_request(sim_conn *c) {
    static const char *const fields[] = {":method", "CONNECT",    ":protocol",  "connect-udp", ":scheme",
                                         "https",   ":authority", "proxy.test", ":path",       UDP_PATH};
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    int64_t id = sim_stream_open(c, true);
    sim_bytes_add(&block, "\0\0", 2);
    for (size_t i = 0; i < SIM_COUNT(fields); i += 2) {
        sim_qpack(&block, fields[i], fields[i + 1]);
    }
    sim_qpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
    sim_h3_frame(&out, 1, block.bytes, block.end);
    sim_h3_send(c, id, &out, false);
    sim_bytes_free(&block);
    return id;
}

/* A datagram may overtake SETTINGS, and its request: it is kept for a while, or dropped. */
static void test_datagram_before_settings(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = raw_client(w, false);
    (void)state;
    sim_datagram_send(c, DATAGRAM);
    sim_settle(w);
    sim_stream_send(c, sim_stream_open(c, false), BYTES(CONTROL), false);
    int64_t id = udp_request(c);
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
        sim_conn *c = raw_client(w, true);
        int64_t id = early ? 0 : request(c, NULL, 0, false);
        sim_settle(w);
        sim_datagram_send(c, DATAGRAM);
        sim_settle(w);
        id = early ? request(c, NULL, 0, false) : id;
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
        sim_conn *c = raw_client(w, true);
        int64_t id = udp_request(c);
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
    sim_conn *c = raw_client(w, false);
    (void)state;
    sim_stream_send(c, sim_stream_open(c, false), BYTES("\x00\x04\x00"), false);
    int64_t id = udp_request(c);
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
        sim_conn *c = raw_client(w, true);
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
    sim_conn *c = raw_client(w, true);
    (void)state;
    int64_t id = udp_request(c);
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
    sim_conn *c = raw_client(w, true);
    int64_t first = request(c, NULL, 0, false);
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
    sim_conn *c = raw_client(w, true);
    (void)state;
    int64_t before = request(c, NULL, 0, false);
    sim_settle(w);
    sim_alloc_side(SIM_PROXY);
    masque_engine_drain(w->engine, w->now);
    sim_alloc_side(SIM_TEST);
    sim_advance(w, 2 * MASQUE_SECOND);
    uint64_t tunnels = sim_stats(w).tunnels_total;
    int64_t behind = request(c, NULL, 0, false);
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
    sim_conn *c = raw_client(w, true);
    (void)state;
    int64_t id = udp_request(c);
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
    assert_true(sim_quic_is_fixed(raw_client(w, true)));
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
        sim_conn *c = raw_client(w, true);
        int64_t id = request(c, NULL, 0, false);
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
    sim_conn *c = raw_client(w, true);
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
    sim_conn *c = raw_client(w, true);
    (void)state;
    int64_t by_target = request(c, NULL, 0, false);
    sim_settle(w);
    w->targets[0]->send_reset = true;
    sim_settle(w);
    assert_true(sim_stream_seen_of(c, by_target).reset);
    assert_int_equal(sim_stream_seen_of(c, by_target).reset_code, CONNECT_ERROR);
    int64_t by_client = request(c, NULL, 0, false);
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
    sim_conn *c = raw_client(w, true);
    (void)state;
    c->deaf = true;
    request(c, NULL, 0, false);
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

/* Half a head, and nothing behind it. */
static void test_stalled_head(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = raw_client(w, true);
    (void)state;
    int64_t good = request(c, NULL, 0, false);
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

/* --- requests by the byte ------------------------------------------------------------------------ */

/* A request that comes byte by byte is answered all the same. */
static void test_byte_by_byte(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = raw_client(w, true);
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    int64_t id = sim_stream_open(c, true);
    (void)state;
    sim_bytes_add(&block, BYTES(HEAD));
    sim_qpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
    sim_h3_frame(&out, 1, block.bytes, block.end);
    for (size_t i = 0; i < out.end; i++) {
        sim_stream_send(c, id, out.bytes + i, 1, false);
        sim_settle(w);
    }
    assert_true(sim_stream_seen_of(c, id).bytes > 0);
    assert_int_equal(sim_stats(w).requests_200, 1);
    sim_bytes_free(&block);
    sim_bytes_free(&out);
    sim_world_close(w);
}

/* --- floods ------------------------------------------------------------------------------------------ */

typedef struct attack {
    const char *name;
    void (*round)(sim_conn *c, unsigned n);
    unsigned rounds;
    uint64_t code; /* NO_CLOSE: it lives */
} attack;

static void rapid_reset(sim_conn *c, unsigned n) {
    int64_t id = request(c, NULL, 0, false);
    (void)n;
    if (id >= 0) {
        sim_settle(c->world);
        sim_stream_reset(c, id, 0x10c);
        sim_stream_stop(c, id, 0x10c);
    }
}

/* STOP_SENDING instead: we reset. */
static void rapid_stop(sim_conn *c, unsigned n) {
    int64_t id = request(c, NULL, 0, false);
    (void)n;
    if (id >= 0) {
        sim_settle(c->world);
        sim_stream_stop(c, id, 0x10c);
        sim_settle(c->world);
        sim_stream_reset(c, id, 0x10c);
    }
}

/* CVE-2025-8671's idea: heads that we must reset. */
static void bad_heads(sim_conn *c, unsigned n) {
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    (void)n;
    sim_bytes_add(&block, BYTES(HEAD));
    sim_qpack(&block, "Upper", "x");
    sim_h3_frame(&out, 1, block.bytes, block.end);
    sim_h3_send(c, sim_stream_open(c, true), &out, true);
    sim_bytes_free(&block);
}

/* One byte of QPACK is a field of 58 bytes: access-control-allow-headers, say. */
static void field_bomb(sim_conn *c, unsigned n) {
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    (void)n;
    sim_bytes_add(&block, BYTES(HEAD));
    for (int i = 0; i < 16000; i++) {
        sim_bytes_add(&block, "\xe0", 1);
    }
    sim_h3_frame(&out, 1, block.bytes, block.end);
    sim_h3_send(c, sim_stream_open(c, true), &out, true);
    sim_bytes_free(&block);
}

static void unknown_streams(sim_conn *c, unsigned n) {
    int64_t id = sim_stream_open(c, false);
    (void)n;
    if (id >= 0) {
        sim_stream_send(c, id,
                        BYTES("\x21"
                              "something that nobody asked for"),
                        true);
    }
}

static void unknown_frames(sim_conn *c, unsigned n) {
    sim_bytes out = {.bytes = NULL};
    if (n == 0) {
        request(c, NULL, 0, false);
    }
    for (int i = 0; i < 100; i++) {
        sim_bytes_add(&out, BYTES("\x21\x02xy"));
    }
    sim_h3_send(c, 0, &out, false);
}

static void empty_data(sim_conn *c, unsigned n) {
    sim_bytes out = {.bytes = NULL};
    if (n == 0) {
        request(c, NULL, 0, false);
    }
    for (int i = 0; i < 100; i++) {
        sim_bytes_add(&out, BYTES("\x00\x00"));
    }
    sim_h3_send(c, 0, &out, false);
}

/* Of a request that never comes: RFC 9297 2.1 lets us drop them. */
static void early_datagrams(sim_conn *c, unsigned n) {
    static uint8_t bytes[1000];
    bytes[0] = (uint8_t)(1 + n % 60);
    sim_datagram_send(c, bytes, sizeof bytes);
}

static void empty_datagrams(sim_conn *c, unsigned n) {
    (void)n;
    sim_datagram_send(c, "\x00", 1);
}

static void malformed_datagram(sim_conn *c, unsigned n) {
    (void)n;
    sim_datagram_send(c, "\xc0", 1);
}

static void far_datagram(sim_conn *c, unsigned n) {
    (void)n;
    sim_datagram_send(c, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void encoder_stream(sim_conn *c, unsigned n) {
    static int64_t id;
    sim_bytes out = {.bytes = NULL};
    if (n == 0) {
        id = sim_stream_open(c, false);
        sim_bytes_add(&out, BYTES("\x02\x3f\xe1\x1f")); /* a table of 4,096 bytes, as we offer */
    }
    for (int i = 0; i < 50; i++) {
        sim_bytes_add(&out, BYTES("\xc0\x05value")); /* inserts :authority: value */
    }
    sim_h3_send(c, id, &out, false);
}

static const attack ATTACKS[] = {
    {"rapid reset", rapid_reset, 500, EXCESSIVE_LOAD},
    {"rapid STOP_SENDING", rapid_stop, 500, EXCESSIVE_LOAD},
    {"malformed heads", bad_heads, 1, MESSAGE_ERROR}, /* nghttp3 ends the connection, as RFC 9114 8 allows */
    {"many fields", field_bomb, 500, EXCESSIVE_LOAD},
    {"unknown streams", unknown_streams, 2000, NO_CLOSE},
    {"unknown frames", unknown_frames, 500, EXCESSIVE_LOAD},
    {"empty DATA", empty_data, 500, NO_CLOSE}, /* two bytes each, and nothing is done for them */
    {"datagrams before their request", early_datagrams, 2000, NO_CLOSE},
    {"datagrams of nothing", empty_datagrams, 2000, NO_CLOSE},
    {"a datagram without an ID", malformed_datagram, 1, DATAGRAM_ERROR},
    {"a datagram beyond all streams", far_datagram, 1, DATAGRAM_ERROR},
    {"QPACK's encoder stream", encoder_stream, 1000, QPACK_ENCODER_STREAM_ERROR},
};

#define GROWTH_MAX 1048576u

static void run_attack(const attack *a) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = raw_client(w, true);
    sim_settle(w);
    sim_alloc_reset_peak();
    uint64_t before = sim_proxy_bytes();
    unsigned n = 0;
    while (n < a->rounds && !c->closed) {
        a->round(c, n++);
        sim_settle(w);
    }
    uint64_t growth = sim_alloc_memory(SIM_PROXY)->peak_bytes - before;
    uint64_t code = sim_quic_close_code(c);
    if (getenv("SIM_VERBOSE")) {
        print_message("%-34s %6u rounds, %7llu bytes more, code %llx\n", a->name, n, (unsigned long long)growth,
                      (unsigned long long)code);
    }
    SIM_CHECK(w, code == a->code, "%s: code %llx instead of %llx after %u rounds", a->name, (unsigned long long)code,
              (unsigned long long)a->code, n);
    SIM_CHECK(w, growth < GROWTH_MAX, "%s: %llu bytes more", a->name, (unsigned long long)growth);
    sim_conn *other = sim_connect(w, &(sim_client){.alpn = "h3", .address = "198.51.100.200"});
    sim_tun *t = sim_request(other, &(sim_ask){.authority = SIM_ECHO ":2000", .send = 5000, .send_fin = true});
    sim_settle(w);
    SIM_CHECK(w, t->status == 200 && t->received == 5000, "%s: another client suffers", a->name);
    sim_world_close(w);
}

static void test_attacks(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ATTACKS); i++) {
        run_attack(&ATTACKS[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_control_stream_reset),
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
        cmocka_unit_test(test_codes_of_resets),
        cmocka_unit_test(test_control_stream_stopped),
        cmocka_unit_test(test_deaf),
        cmocka_unit_test(test_stalled_head),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_attacks),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
