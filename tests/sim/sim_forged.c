/*
 * sim_forged.c: clients whose QUIC packets are well sealed and hold frames that ngtcp2 would never send (threats 2e):
 * each ends the connection with the code of RFC 9000 20.1, or costs nothing; and what the proxy itself sends.
 */
#include "harness/forge.h"
#include "harness/raw_h3.h"

/* RFC 9000 20.1. INTERNAL_ERROR is what ngtcp2 says when it has seen too much nonsense. */
#define INTERNAL_ERROR 0x1u
#define FLOW_CONTROL_ERROR 0x3u
#define STREAM_LIMIT_ERROR 0x4u
#define STREAM_STATE_ERROR 0x5u
#define FINAL_SIZE_ERROR 0x6u
#define FRAME_ENCODING_ERROR 0x7u
#define CONNECTION_ID_LIMIT_ERROR 0x9u
#define PROTOCOL_VIOLATION 0xau
#define CRYPTO_BUFFER_EXCEEDED 0xdu

#define TOKEN "tttttttttttttttt"

/* --- one frame ----------------------------------------------------------------------------------------------- */

typedef struct row {
    const char *name;
    const char *bytes;
    size_t length;
    uint64_t code; /* NO_CLOSE: none */
} row;

/* The raw client has its control stream 2 and one request, 0, open; the proxy has 3, 7 and 11. */
static const row ROWS[] = {
    {"nothing but padding", BYTES(""), NO_CLOSE},
    {"an unknown frame", BYTES("\x21"), FRAME_ENCODING_ERROR},
    {"half a frame", BYTES("\x18"), FRAME_ENCODING_ERROR}, /* its connection ID has no bytes: they are padding */
    {"ACK of what was never sent", BYTES("\x02\x7f\xff\x00\x00\x00"), PROTOCOL_VIOLATION},
    {"ACK that goes below 0", BYTES("\x02\x00\x00\x00\x05"), FRAME_ENCODING_ERROR},
    {"HANDSHAKE_DONE", BYTES("\x1e"), PROTOCOL_VIOLATION},
    {"NEW_TOKEN", BYTES("\x07\x01t"), PROTOCOL_VIOLATION},
    {"PATH_RESPONSE to no challenge", BYTES("\x1b\1\2\3\4\5\6\7\x08"), NO_CLOSE},
    {"CRYPTO far ahead", BYTES("\x06\x80\x02\x00\x00\x01x"), CRYPTO_BUFFER_EXCEEDED},
    {"NEW_CONNECTION_ID that retires itself",
     BYTES("\x18\x01\x02\x08"
           "cccccccc" TOKEN),
     FRAME_ENCODING_ERROR},
    {"NEW_CONNECTION_ID of another value",
     BYTES("\x18\x00\x00\x08"
           "cccccccc" TOKEN),
     PROTOCOL_VIOLATION},
    {"NEW_CONNECTION_ID of 21 bytes",
     BYTES("\x18\x01\x00\x15"
           "ccccccccccccccccccccc" TOKEN),
     FRAME_ENCODING_ERROR},
    {"RETIRE_CONNECTION_ID of none", BYTES("\x19\x40\xff"), PROTOCOL_VIOLATION},
    {"STREAM on the proxy's", BYTES("\x0a\x03\x01x"), STREAM_STATE_ERROR},
    {"STREAM on one that the proxy may open", BYTES("\x0a\x01\x01x"), STREAM_STATE_ERROR},
    {"STREAM beyond the limit", BYTES("\x0a\x80\x01\x00\x00\x01x"), STREAM_LIMIT_ERROR},
    {"STREAM beyond the window", BYTES("\x0e\x00\x84\x00\x00\x00\x01x"), FLOW_CONTROL_ERROR},
    /* ngtcp2 has this code where RFC 9000 19.4 says STREAM_STATE_ERROR. */
    {"RESET_STREAM of the proxy's", BYTES("\x04\x03\x00\x00"), PROTOCOL_VIOLATION},
    {"RESET_STREAM of less than was sent", BYTES("\x04\x00\x00\x01"), FINAL_SIZE_ERROR},
    {"STOP_SENDING to the client's", BYTES("\x05\x02\x00"), STREAM_STATE_ERROR},
    {"STOP_SENDING to what isn't there", BYTES("\x05\x01\x00"), STREAM_STATE_ERROR},
    {"MAX_STREAM_DATA of what isn't there", BYTES("\x11\x01\x41\x00"), STREAM_STATE_ERROR},
    {"MAX_STREAM_DATA of the client's", BYTES("\x11\x02\x41\x00"), STREAM_STATE_ERROR},
    {"MAX_STREAMS beyond 2^60", BYTES("\x12\xd0\x00\x00\x00\x00\x00\x00\x01"), FRAME_ENCODING_ERROR},
    {"STREAMS_BLOCKED beyond 2^60", BYTES("\x16\xd0\x00\x00\x00\x00\x00\x00\x01"), FRAME_ENCODING_ERROR},
    {"a DATAGRAM that is longer than its packet", BYTES("\x31\x60\x00xx"), FRAME_ENCODING_ERROR},
};

static sim_conn *client(sim_world *w) {
    sim_conn *c = sim_h3_client(w, true);
    sim_h3_request(c, NULL, 0, false);
    sim_settle(w);
    return c;
}

static void test_rows(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        const row r = ROWS[i];
        forge_state *forge = forge_begin();
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_conn *c = client(w);
        forge_next(SIM_TEST, r.bytes, r.length);
        forge_carrier(c);
        sim_settle(w);
        const forge_seen *proxy = &forge->seen[SIM_PROXY];
        SIM_CHECK(w, forge->made == 1, "%s: %llu packets are forged", r.name, (unsigned long long)forge->made);
        SIM_CHECK(w, proxy->close_code == r.code && (r.code == NO_CLOSE || proxy->close_is_transport),
                  "%s: code %llx instead of %llx", r.name, (unsigned long long)proxy->close_code,
                  (unsigned long long)r.code);
        sim_advance(w, 60 * MASQUE_SECOND);
        SIM_CHECK(w, r.code == NO_CLOSE || sim_stats(w).connections_active == 0, "%s: it is still there", r.name);
        forge_begin();
        sim_world_close(w);
    }
}

/* --- floods ---------------------------------------------------------------------------------------------------- */

typedef struct flood {
    const char *name;
    /* Writes the frame of this number, as many as fit. */
    void (*frame)(sim_bytes *out, uint64_t n);
    uint64_t code;
    /* The proxy may send so many packets for each of the client's. */
    unsigned answers;
} flood;

static void new_ids(sim_bytes *out, uint64_t n) {
    uint8_t id[8] = {(uint8_t)(n >> 8), (uint8_t)n, 'c'};
    sim_bytes_add(out, "\x18", 1);
    forge_number(out, n + 10);
    forge_number(out, 0);
    sim_bytes_add(out, "\x08", 1);
    sim_bytes_add(out, id, sizeof id);
    sim_bytes_add(out, TOKEN, 16);
}

/* Each makes the proxy say RETIRE_CONNECTION_ID (quic-go's CVE-2024-22189, quiche's CVE-2024-1410). */
static void new_ids_that_retire(sim_bytes *out, uint64_t n) {
    uint8_t id[8] = {(uint8_t)(n >> 8), (uint8_t)n, 'r'};
    sim_bytes_add(out, "\x18", 1);
    forge_number(out, n + 10);
    forge_number(out, n + 10);
    sim_bytes_add(out, "\x08", 1);
    sim_bytes_add(out, id, sizeof id);
    sim_bytes_add(out, TOKEN, 16);
}

/* Each would get a new one; at the first that was not given out it is over. */
static void retire(sim_bytes *out, uint64_t n) {
    sim_bytes_add(out, "\x19", 1);
    forge_number(out, n + 1);
}

static void challenges(sim_bytes *out, uint64_t n) {
    sim_bytes_add(out,
                  "\x1a"
                  "chall",
                  6);
    sim_bytes_add(out, &n, 3);
}

static void pings(sim_bytes *out, uint64_t n) {
    (void)n;
    sim_bytes_add(out, "\x01", 1);
}

static void windows(sim_bytes *out, uint64_t n) {
    sim_bytes_add(out, "\x10", 1);
    forge_number(out, 1048576 + n);
}

static void windows_again(sim_bytes *out, uint64_t n) {
    (void)n;
    sim_bytes_add(out, "\x10\x01", 2);
}

static void blocked(sim_bytes *out, uint64_t n) {
    (void)n;
    sim_bytes_add(out, "\x14\x41\x00", 3);
}

static void pieces_of_crypto(sim_bytes *out, uint64_t n) {
    sim_bytes_add(out, "\x06", 1);
    forge_number(out, 2 + 2 * n); /* a hole before each */
    sim_bytes_add(out, "\x01x", 2);
}

static void pieces_of_stream(sim_bytes *out, uint64_t n) {
    sim_bytes_add(out, "\x0e\x00", 2);
    forge_number(out, 1000 + 2 * n);
    sim_bytes_add(out, "\x01x", 2);
}

static void nothing_on_streams(sim_bytes *out, uint64_t n) {
    (void)n;
    sim_bytes_add(out, "\x0a\x00\x00", 3);
}

static const flood FLOODS[] = {
    {"NEW_CONNECTION_ID", new_ids, CONNECTION_ID_LIMIT_ERROR, 2},
    {"NEW_CONNECTION_ID that retires", new_ids_that_retire, CONNECTION_ID_LIMIT_ERROR, 2},
    {"RETIRE_CONNECTION_ID", retire, PROTOCOL_VIOLATION, 2},
    {"PATH_CHALLENGE", challenges, NO_CLOSE, 5},
    {"PING", pings, NO_CLOSE, 2},
    {"MAX_DATA", windows, NO_CLOSE, 2},
    {"MAX_DATA of less", windows_again, NO_CLOSE, 2},
    {"DATA_BLOCKED", blocked, NO_CLOSE, 2},
    {"CRYPTO with holes", pieces_of_crypto, INTERNAL_ERROR, 2},
    {"STREAM with holes", pieces_of_stream, INTERNAL_ERROR, 2},
    {"STREAM of nothing", nothing_on_streams, INTERNAL_ERROR, 2},
};

typedef struct flooding {
    const flood *flood;
    uint64_t n;
} flooding;

static bool make_flood(void *user, uint8_t *frames, size_t room) {
    flooding *now = user;
    sim_bytes out = {.bytes = NULL};
    if (room < FORGE_ROOM) {
        return false;
    }
    memset(frames, 0, room);
    for (;;) {
        size_t before = out.end;
        now->flood->frame(&out, now->n);
        if (out.end > room) {
            memcpy(frames, out.bytes, before);
            sim_bytes_free(&out);
            return true;
        }
        now->n++;
    }
}

#define ROUNDS 200u
#define GROWTH_MAX 1048576u

static void run_flood(const flood *f) {
    flooding now = {.flood = f};
    forge_state *forge = forge_begin();
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = client(w);
    forge->side = SIM_TEST;
    forge->make = make_flood;
    forge->user = &now;
    sim_alloc_reset_peak();
    uint64_t before = sim_proxy_bytes();
    uint64_t sent = forge->seen[SIM_PROXY].packets;
    for (unsigned i = 0; i < ROUNDS && !c->closed; i++) {
        forge_carrier(c);
        sim_settle(w);
    }
    const forge_seen *proxy = &forge->seen[SIM_PROXY];
    uint64_t growth = sim_alloc_memory(SIM_PROXY)->peak_bytes - before;
    if (getenv("SIM_VERBOSE")) {
        print_message("%-32s %6llu frames in %llu packets, %llu packets back, %llu bytes more, code %llx\n", f->name,
                      (unsigned long long)now.n, (unsigned long long)forge->made,
                      (unsigned long long)(proxy->packets - sent), (unsigned long long)growth,
                      (unsigned long long)proxy->close_code);
    }
    SIM_CHECK(w, forge->made > 0, "%s: nothing is forged", f->name);
    SIM_CHECK(w, proxy->close_code == f->code, "%s: code %llx instead of %llx", f->name,
              (unsigned long long)proxy->close_code, (unsigned long long)f->code);
    SIM_CHECK(w, growth < GROWTH_MAX, "%s: %llu bytes more", f->name, (unsigned long long)growth);
    SIM_CHECK(w, proxy->packets - sent <= f->answers * forge->made + 10, "%s: %llu packets for %llu", f->name,
              (unsigned long long)(proxy->packets - sent), (unsigned long long)forge->made);
    forge_begin();
    sim_world_close(w);
}

static void test_floods(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(FLOODS); i++) {
        run_flood(&FLOODS[i]);
    }
}

/* --- optimistic ACK (CVE-2025-4820) ----------------------------------------------------------------------------- */

static size_t number_size(const uint8_t *at) {
    return (size_t)1 << (*at >> 6);
}

/* An ACK with a hole becomes one that has it all: from the largest down to 0. */
static bool make_optimist(void *user, uint8_t *frames, size_t room) {
    size_t at = 1 + number_size(frames + 1);
    (void)user;
    if (frames[0] != 0x02 && frames[0] != 0x03) {
        return false;
    }
    size_t size = number_size(frames + 1);
    size_t delay = number_size(frames + at);
    size_t count = at + delay;
    if (frames[count] == 0) {
        return false; /* no hole */
    }
    uint8_t forged[32] = {2};
    memcpy(forged + 1, frames + 1, size + delay);
    forged[count] = 0;
    memcpy(forged + count + 1, frames + 1, size);
    memset(frames, 0, room);
    memcpy(frames, forged, count + 1 + size < room ? count + 1 + size : room);
    return true;
}

static void test_optimistic_ack(void **state) {
    forge_state *forge = forge_begin();
    sim_world *w = sim_world_new(&(sim_setup){.seed = 9});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
    (void)state;
    sim_settle(w);
    forge->side = SIM_TEST;
    forge->make = make_optimist;
    t->target->source = 4000000;
    sim_settle(w);
    assert_true(forge->made > 0);
    assert_int_equal(forge->seen[SIM_PROXY].close_code, PROTOCOL_VIOLATION);
    assert_true(forge->seen[SIM_PROXY].close_is_transport);
    sim_advance(w, 60 * MASQUE_SECOND);
    assert_int_equal(sim_stats(w).connections_active, 0);
    forge_begin();
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_optimistic_ack),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
