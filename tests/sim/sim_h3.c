/*
 * sim_h3.c: HTTP/3 by the byte: what RFC 9114, RFC 9204 and RFC 9297 forbid ends the connection
 * with their code, what they allow is borne, and what is only meant to cost us (threats 2d)
 * is bounded.
 */
#include "harness/raw_h3.h"

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
        return sim_h3_request(c, r->bytes, r->length, r->fin);
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
        sim_conn *c = sim_h3_client(w, r->on != 'c' && r->on != 'C');
        open_for(c, r);
        sim_settle(w);
        uint64_t code = sim_quic_close_code(c);
        SIM_CHECK(w, code == r->code, "%s: code %llx instead of %llx", r->name, (unsigned long long)code,
                  (unsigned long long)r->code);
        if (r->code == NO_CLOSE) {
            int64_t id = sim_h3_request(c, NULL, 0, false);
            sim_settle(w);
            SIM_CHECK(w, sim_stream_seen_of(c, id).bytes > 0, "%s: no answer behind it", r->name);
        }
        sim_world_close(w);
    }
}

/* A critical stream that is reset is closed, too (RFC 9114 6.2.1). */
static void test_control_stream_reset(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, false);
    int64_t id = sim_stream_open(c, false);
    (void)state;
    sim_stream_send(c, id, BYTES(CONTROL), false);
    sim_settle(w);
    sim_stream_reset(c, id, 0x100);
    sim_settle(w);
    assert_int_equal(sim_quic_close_code(c), CLOSED_CRITICAL_STREAM);
    sim_world_close(w);
}

/* --- requests by the byte ------------------------------------------------------------------------ */

/* A request that comes byte by byte is answered all the same. */
static void test_byte_by_byte(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
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
    int64_t id = sim_h3_request(c, NULL, 0, false);
    (void)n;
    if (id >= 0) {
        sim_settle(c->world);
        sim_stream_reset(c, id, 0x10c);
        sim_stream_stop(c, id, 0x10c);
    }
}

/* STOP_SENDING instead: we reset. */
static void rapid_stop(sim_conn *c, unsigned n) {
    int64_t id = sim_h3_request(c, NULL, 0, false);
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
        sim_h3_request(c, NULL, 0, false);
    }
    for (int i = 0; i < 100; i++) {
        sim_bytes_add(&out, BYTES("\x21\x02xy"));
    }
    sim_h3_send(c, 0, &out, false);
}

static void empty_data(sim_conn *c, unsigned n) {
    sim_bytes out = {.bytes = NULL};
    if (n == 0) {
        sim_h3_request(c, NULL, 0, false);
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
    sim_conn *c = sim_h3_client(w, true);
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
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_attacks),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
