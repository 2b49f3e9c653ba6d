/*
 * sim_floods.c: hostile HTTP/2, frame by frame. The proxy closes the connection
 * or holds still, its memory grows by less than 1 MiB, dials stay under their cap,
 * nothing happens after a fatal error, and another client doesn't notice.
 */
#include "harness/frames.h"
#include "harness/pattern.h"
#include "harness/suite.h"
#include "harness/wolf.h"

#define GROWTH_MAX 1048576u
#define DIALS_MAX 32u
#define NO_ANSWER "45.60.0.30"

typedef enum fate { CLOSES, LIVES } fate;

typedef struct attack {
    const char *name;
    /* Appends round N of the attack. */
    void (*round)(sim_bytes *out, unsigned n);
    unsigned rounds;
    unsigned rounds_each; /* between two turns of the proxy */
    masque_time pause;    /* between those turns */
    fate fate;
    int error; /* of CONN_END with CLOSES; 0: any */
    bool deaf; /* the client doesn't read */
} attack;

static uint32_t stream_of(unsigned n) {
    return 2 * n + 1;
}

/* --- resets ------------------------------------------------------------------------------- */

static void open_unanswered(sim_bytes *out, unsigned n, unsigned flags) {
    sim_connect_frame(out, stream_of(n), NO_ANSWER ":1001", flags);
}

static void rapid_reset(sim_bytes *out, unsigned n) {
    open_unanswered(out, n, 0);
    sim_frame32(out, SIM_FRAME_RST_STREAM, stream_of(n), 8);
}

static void made_by_zero_increment(sim_bytes *out, unsigned n) {
    open_unanswered(out, n, 0);
    sim_frame32(out, SIM_FRAME_WINDOW_UPDATE, stream_of(n), 0);
}

static void made_by_large_increment(sim_bytes *out, unsigned n) {
    open_unanswered(out, n, 0);
    sim_frame32(out, SIM_FRAME_WINDOW_UPDATE, stream_of(n), 0x7fffffff);
}

static void made_by_late_data(sim_bytes *out, unsigned n) {
    open_unanswered(out, n, SIM_FLAG_END_STREAM);
    sim_frame(out, SIM_FRAME_DATA, 0, stream_of(n), "late", 4);
}

static void made_by_late_headers(sim_bytes *out, unsigned n) {
    open_unanswered(out, n, SIM_FLAG_END_STREAM);
    sim_frame(out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS, stream_of(n), "\x82", 1);
}

static void made_by_trailers(sim_bytes *out, unsigned n) {
    open_unanswered(out, n, 0);
    sim_frame(out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS | SIM_FLAG_END_STREAM, stream_of(n), "\x90", 1);
}

static void made_by_short_priority(sim_bytes *out, unsigned n) {
    open_unanswered(out, n, 0);
    sim_frame(out, SIM_FRAME_PRIORITY, 0, stream_of(n), "abc", 3);
}

static void made_by_bad_head(sim_bytes *out, unsigned n) {
    sim_bytes block = {.bytes = NULL};
    sim_hpack(&block, ":method", "CONNECT");
    sim_hpack(&block, "Bad", "x");
    sim_frame(out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS, stream_of(n), block.bytes, block.end);
    sim_bytes_free(&block);
}

static void made_by_excess_data(sim_bytes *out, unsigned n) {
    static uint8_t bytes[16384];
    sim_connect_frame(out, stream_of(n), SIM_QUIET ":1001", 0);
    for (int i = 0; i < 5; i++) {
        sim_frame(out, SIM_FRAME_DATA, 0, stream_of(n), bytes, sizeof bytes);
    }
}

/* --- heads ---------------------------------------------------------------------------------- */

static void continuation_flood(sim_bytes *out, unsigned n) {
    if (n == 0) {
        sim_frame(out, SIM_FRAME_HEADERS, 0, 1, "\x82", 1);
    }
    sim_frame(out, SIM_FRAME_CONTINUATION, 0, 1, "\x90", 1);
}

static void empty_continuation_flood(sim_bytes *out, unsigned n) {
    if (n == 0) {
        sim_frame(out, SIM_FRAME_HEADERS, 0, 1, "\x82", 1);
    }
    sim_frame(out, SIM_FRAME_CONTINUATION, 0, 1, NULL, 0);
}

/* 16,370 fields in as many bytes (CVE-2026-49975). */
static void field_bomb(sim_bytes *out, unsigned n) {
    uint8_t block[16370];
    memset(block, 0x90, sizeof block);
    sim_frame(out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS, stream_of(n), block, sizeof block);
}

/* A 3.9 kB entry of the table, referred to again and again (CVE-2016-6581). */
static void table_bomb(sim_bytes *out, unsigned n) {
    static char value[3900];
    sim_bytes block = {.bytes = NULL};
    memset(value, 'v', sizeof value);
    sim_hpack_bytes(&block, "x", value, sizeof value);
    block.bytes[block.start] = 0x40; /* to be indexed */
    for (int i = 0; i < 12000; i++) {
        sim_bytes_add(&block, "\xbe", 1);
    }
    sim_frame(out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS, stream_of(n), block.bytes, block.end);
    sim_bytes_free(&block);
}

/* One field of 80 kB in the four CONTINUATIONs that are allowed. */
static void size_bomb(sim_bytes *out, unsigned n) {
    static char value[80000];
    sim_bytes block = {.bytes = NULL};
    memset(value, 'v', sizeof value);
    sim_hpack_bytes(&block, "x", value, sizeof value);
    for (size_t at = 0; at < block.end; at += 16384) {
        size_t length = block.end - at < 16384 ? block.end - at : 16384;
        unsigned type = at ? SIM_FRAME_CONTINUATION : SIM_FRAME_HEADERS;
        unsigned flags = at + length == block.end ? SIM_FLAG_END_HEADERS : 0;
        sim_frame(out, type, flags, stream_of(n), block.bytes + at, length);
    }
    sim_bytes_free(&block);
}

/* --- frames without use ------------------------------------------------------------------------ */

static void settings_flood(sim_bytes *out, unsigned n) {
    (void)n;
    sim_frame(out, SIM_FRAME_SETTINGS, 0, 0, NULL, 0);
}

static void ping_flood(sim_bytes *out, unsigned n) {
    (void)n;
    sim_frame(out, SIM_FRAME_PING, 0, 0, "12345678", 8);
}

static void empty_data_flood(sim_bytes *out, unsigned n) {
    if (n == 0) {
        sim_connect_frame(out, 1, SIM_QUIET ":1001", 0);
    }
    sim_frame(out, SIM_FRAME_DATA, 0, 1, NULL, 0);
}

static void priority_flood(sim_bytes *out, unsigned n) {
    uint8_t payload[5] = {0, 0, 0, 0, (uint8_t)n};
    sim_frame(out, SIM_FRAME_PRIORITY, 0, stream_of(n % 1000), payload, sizeof payload);
}

static void unknown_flood(sim_bytes *out, unsigned n) {
    sim_frame(out, 0xbe, n & 0xff, n % 7, "abcdefgh", n % 8);
}

static void small_updates_flood(sim_bytes *out, unsigned n) {
    (void)n;
    sim_frame32(out, SIM_FRAME_WINDOW_UPDATE, 0, 1);
}

static void single_bytes(sim_bytes *out, unsigned n) {
    if (n == 0) {
        sim_connect_frame(out, 1, "45.60.0.31:1001", 0);
    }
    uint8_t byte = sim_pattern_byte(1001 * 2, n); /* as its target will expect, when it reads at last */
    sim_frame(out, SIM_FRAME_DATA, 0, 1, &byte, 1);
}

static void initial_window_flood(sim_bytes *out, unsigned n) {
    uint8_t entry[6] = {0, 4, 0, 0, (uint8_t)(n & 0x7f), 0};
    sim_frame(out, SIM_FRAME_SETTINGS, 0, 0, entry, sizeof entry);
}

static const attack ATTACKS[] = {
    {"rapid reset", rapid_reset, 2000, 100, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"rapid reset, one by one", rapid_reset, 400, 1, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"some resets, slowly", rapid_reset, 300, 1, 200 * MASQUE_MILLISECOND, LIVES, 0, false},
    {"zero increments", made_by_zero_increment, 2000, 10, 0, CLOSES, MASQUE_ERR_PROTOCOL, false},
    {"large increments", made_by_large_increment, 2000, 10, 0, CLOSES, MASQUE_ERR_PROTOCOL, false},
    {"DATA behind the end", made_by_late_data, 2000, 10, 0, CLOSES, MASQUE_ERR_PROTOCOL, false},
    {"HEADERS behind the end", made_by_late_headers, 2000, 10, 0, CLOSES, MASQUE_ERR_PROTOCOL, false},
    {"trailers", made_by_trailers, 2000, 10, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"short PRIORITY", made_by_short_priority, 2000, 10, 0, CLOSES, MASQUE_ERR_PROTOCOL, false},
    {"malformed heads", made_by_bad_head, 2000, 10, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"DATA beyond the window", made_by_excess_data, 300, 1, 0, CLOSES, MASQUE_ERR_PROTOCOL, false},
    {"CONTINUATION", continuation_flood, 10000, 1000, 0, CLOSES, 0, false},
    {"CONTINUATION, empty", empty_continuation_flood, 10000, 1000, 0, CLOSES, 0, false},
    {"many fields", field_bomb, 500, 10, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"a large entry, often", table_bomb, 500, 10, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"large fields", size_bomb, 500, 1, 0, CLOSES, MASQUE_ERR_PROTOCOL, false},
    {"SETTINGS, unread", settings_flood, 20000, 1000, 0, CLOSES, MASQUE_ERR_FLOOD, true},
    {"PING, unread", ping_flood, 20000, 1000, 0, CLOSES, MASQUE_ERR_FLOOD, true},
    {"SETTINGS", settings_flood, 20000, 50, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"PING", ping_flood, 20000, 50, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"changing windows", initial_window_flood, 20000, 50, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"empty DATA", empty_data_flood, 100000, 1000, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"PRIORITY", priority_flood, 100000, 1000, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"unknown frames", unknown_flood, 100000, 1000, 0, CLOSES, MASQUE_ERR_FLOOD, false},
    {"WINDOW_UPDATE of one", small_updates_flood, 100000, 1000, 0, LIVES, 0, false},
    {"single bytes to a stalled target", single_bytes, 65000, 1000, 0, LIVES, 0, false},
};

/* --- the runner ----------------------------------------------------------------------------------- */

static void check_dials(const sim_world *w, const char *name) {
    size_t live = 0;
    for (size_t i = 0; i < w->target_count; i++) {
        live += w->targets[i]->state == SIM_DIALING && !w->targets[i]->cancelled;
    }
    SIM_CHECK(w, live <= DIALS_MAX, "%s: %zu dials at once", name, live);
}

static sim_conn *hostile_client(sim_world **w, uint64_t seed) {
    sim_bytes out = {.bytes = NULL};
    *w = sim_world_new(&(sim_setup){.seed = seed});
    sim_add_site(*w, NO_ANSWER, (sim_site){.delay = SIM_NEVER});
    sim_add_site(*w, "45.60.0.31", (sim_site){.stalls = true});
    sim_conn *c = sim_connect(*w, &(sim_client){.raw = true, .stubborn = true});
    sim_settle(*w);
    sim_preface(&out);
    sim_send_all(c, &out);
    sim_settle(*w);
    return c;
}

/* The attacker goes on when it is over: nothing may come of it. */
static void go_on_after_the_end(sim_conn *c) {
    uint8_t noise[1024];
    uint64_t events = c->world->event_count;
    uint64_t dials = c->world->target_count;
    memset(noise, 0x01, sizeof noise);
    sim_raw_send(c, noise, sizeof noise);
    sim_settle(c->world);
    SIM_CHECK(c->world, c->world->target_count == dials, "a dial after a fatal error");
    SIM_CHECK(c->world, c->world->event_count < events + 10, "it goes on after a fatal error");
}

static void check_others(sim_world *w, const char *name) {
    sim_conn *other = sim_connect(w, &(sim_client){.alpn = "h2", .address = "198.51.100.200"});
    sim_tun *t = sim_request(other, &(sim_ask){.authority = SIM_ECHO ":2000", .send = 5000, .send_fin = true});
    sim_settle(w);
    SIM_CHECK(w, t->status == 200 && t->received == 5000, "%s: another client suffers", name);
}

static void run_attack(const attack *row) {
    sim_world *w;
    sim_bytes out = {.bytes = NULL};
    sim_conn *c = hostile_client(&w, 1);
    c->deaf = row->deaf;
    sim_alloc_reset_peak();
    uint64_t before = sim_proxy_bytes();
    unsigned n = 0;
    /* GOAWAY without an error is no end yet. */
    while (n < row->rounds && !c->ended && !c->finished && c->seen.goaway_code == 0) {
        for (unsigned i = 0; i < row->rounds_each; i++) {
            row->round(&out, n++);
        }
        sim_send_all(c, &out);
        sim_advance(w, row->pause);
        check_dials(w, row->name);
    }
    uint64_t growth = sim_alloc_memory(SIM_PROXY)->peak_bytes - before;
    if (getenv("SIM_VERBOSE")) {
        print_message("%-34s %6u rounds, %7llu bytes more, GOAWAY %llu code %u, RST %llu, status %u\n", row->name, n,
                      (unsigned long long)growth, (unsigned long long)c->seen.frames[SIM_FRAME_GOAWAY],
                      c->seen.goaway_code, (unsigned long long)c->seen.frames[SIM_FRAME_RST_STREAM], c->seen.status);
    }
    SIM_CHECK(w, growth < GROWTH_MAX, "%s: %llu bytes more", row->name, (unsigned long long)growth);
    bool said_goodbye = c->seen.frames[SIM_FRAME_GOAWAY] > 0;
    SIM_CHECK(w, row->fate == CLOSES || !said_goodbye, "%s: GOAWAY after %u rounds", row->name, n);
    check_others(w, row->name);
    if (row->fate == CLOSES) {
        go_on_after_the_end(c);
    }
    c->deaf = false;
    sim_advance(w, row->fate == CLOSES ? 40 * MASQUE_SECOND : 0);
    SIM_CHECK(w, c->ended == (row->fate == CLOSES), "%s: %s after %u rounds", row->name,
              c->ended ? "closed" : "not closed", n);
    SIM_CHECK(w, !row->error || c->end_error == row->error, "%s: %s", row->name, masque_error_name(c->end_error));
    sim_world_close(w);
}

static void test_attacks(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ATTACKS); i++) {
        run_attack(&ATTACKS[i]);
    }
}

/* --- one fatal frame each ------------------------------------------------------------------------------ */

typedef struct fatal_row {
    const char *name;
    unsigned type;
    unsigned flags;
    uint32_t stream;
    const char *payload;
    size_t length;
    uint32_t code; /* of GOAWAY */
} fatal_row;

static const char LARGE[16385];

static const fatal_row FATAL_ROWS[] = {
    {"DATA on stream 0", 0, 0, 0, "x", 1, 1},
    {"DATA on an idle stream", 0, 0, 9, "x", 1, 1},
    {"HEADERS on stream 0", 1, 4, 0, "\x82", 1, 1},
    {"HEADERS on an even stream", 1, 4, 2, "\x82", 1, 1},
    {"HEADERS, broken block", 1, 4, 3, "\xff\xff\xff\xff\xff\xff", 6, 9},
    {"HEADERS, padding too long", 1, 12, 3, "\x7f\x82", 2, 1},
    {"RST_STREAM on an idle stream", 3, 0, 9, "\0\0\0\0", 4, 1},
    {"RST_STREAM, short", 3, 0, 1, "\0\0\0", 3, 6},
    {"SETTINGS on a stream", 4, 0, 1, NULL, 0, 1},
    {"SETTINGS, odd length", 4, 0, 0, "\0\1\0\0\0", 5, 6},
    {"SETTINGS, ACK with payload", 4, 1, 0, "\0\1\0\0\0\0", 6, 6},
    {"SETTINGS, ENABLE_PUSH 2", 4, 0, 0, "\0\2\0\0\0\2", 6, 1},
    {"SETTINGS, window over 2^31-1", 4, 0, 0, "\0\4\xff\xff\xff\xff", 6, 3},
    {"SETTINGS, frame size 1", 4, 0, 0, "\0\5\0\0\0\1", 6, 1},
    {"PUSH_PROMISE", 5, 4, 1, "\0\0\0\2\x82", 5, 1},
    {"PING on a stream", 6, 0, 1, "12345678", 8, 1},
    {"PING, short", 6, 0, 0, "1234", 4, 6},
    {"GOAWAY on a stream", 7, 0, 1, "\0\0\0\0\0\0\0\0", 8, 1},
    {"WINDOW_UPDATE, short", 8, 0, 0, "\0\0\0", 3, 6},
    {"WINDOW_UPDATE of 0 on the connection", 8, 0, 0, "\0\0\0\0", 4, 1},
    {"WINDOW_UPDATE too large", 8, 0, 0, "\x7f\xff\xff\xff", 4, 3},
    {"WINDOW_UPDATE on an idle stream", 8, 0, 9, "\0\0\0\1", 4, 1},
    {"CONTINUATION alone", 9, 4, 1, "\x82", 1, 1},
    {"a frame over 16,384 bytes", 0, 0, 1, LARGE, sizeof LARGE, 6},
};

static void test_fatal_frames(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(FATAL_ROWS); i++) {
        const fatal_row *row = &FATAL_ROWS[i];
        sim_world *w;
        sim_bytes out = {.bytes = NULL};
        sim_conn *c = hostile_client(&w, i);
        sim_connect_frame(&out, 1, SIM_QUIET ":1001", 0);
        sim_send_all(c, &out);
        sim_settle(w);
        SIM_CHECK(w, c->seen.status == 200, "%s: no tunnel", row->name);
        sim_frame(&out, row->type, row->flags, row->stream, row->payload, row->length);
        sim_connect_frame(&out, 11, SIM_ECHO ":1002", 0);
        sim_send_all(c, &out);
        sim_settle(w);
        SIM_CHECK(w, c->seen.frames[SIM_FRAME_GOAWAY] == 1, "%s: no GOAWAY", row->name);
        SIM_CHECK(w, c->seen.goaway_code == row->code, "%s: code %u", row->name, c->seen.goaway_code);
        SIM_CHECK(w, sim_find_site(w, SIM_ECHO)->dials == 0, "%s: a request behind it counted", row->name);
        SIM_CHECK(w, w->targets[0]->ended && w->targets[0]->got_reset, "%s: the target lives", row->name);
        go_on_after_the_end(c);
        sim_advance(w, 5 * MASQUE_SECOND);
        SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_PROTOCOL, "%s: %s", row->name,
                  masque_error_name(c->end_error));
        sim_world_close(w);
    }
}

static void test_wrong_preface(void **state) {
    static const char *const prefaces[] = {"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", "GET / HTTP/1.1\r\n\r\n        ",
                                           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\4\6\0\0\0\0\0"};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(prefaces); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_conn *c = sim_connect(w, &(sim_client){.raw = true, .stubborn = true});
        sim_settle(w);
        sim_raw_send(c, prefaces[i], i == 2 ? 33 : 24);
        sim_settle(w);
        go_on_after_the_end(c);
        sim_advance(w, 5 * MASQUE_SECOND);
        SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_PROTOCOL, "%zu: %s", i, masque_error_name(c->end_error));
        sim_world_close(w);
    }
}

/* --- clients that take nothing ------------------------------------------------------------------ */

/* SETTINGS_INITIAL_WINDOW_SIZE 0, then tunnels to targets that talk: each ends by
   the stall limit (30 s, looked at every 15), its answer was sent all the same. */
static void test_zero_window(void **state) {
    static const uint8_t zero[6] = {0, 4, 0, 0, 0, 0};
    sim_bytes out = {.bytes = NULL};
    sim_world *w;
    (void)state;
    sim_conn *c = hostile_client(&w, 1);
    sim_find_site(w, SIM_SOURCE)->source = 1000000;
    sim_frame(&out, SIM_FRAME_SETTINGS, 0, 0, zero, sizeof zero);
    for (unsigned n = 0; n < 20; n++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_SOURCE ":%u", 1000 + n);
        sim_connect_frame(&out, stream_of(n), authority, 0);
    }
    sim_send_all(c, &out);
    sim_advance(w, 29 * MASQUE_SECOND);
    SIM_CHECK(w, sim_stats(w).tunnels_active == 20 && c->seen.status == 200, "%llu tunnels, status %u",
              (unsigned long long)sim_stats(w).tunnels_active, c->seen.status);
    for (size_t i = 0; i < w->target_count; i++) {
        uint64_t most = w->limits.tunnel_buffer_max;
        SIM_CHECK(w, w->targets[i]->committed <= most, "%llu bytes read", (unsigned long long)w->targets[i]->committed);
    }
    sim_advance(w, 17 * MASQUE_SECOND);
    SIM_CHECK(w, sim_stats(w).tunnels_active == 0 && c->seen.frames[SIM_FRAME_RST_STREAM] == 20, "%llu tunnels left",
              (unsigned long long)sim_stats(w).tunnels_active);
    for (size_t i = 0; i < w->target_count; i++) {
        SIM_CHECK(w, w->targets[i]->ended && w->targets[i]->got_reset, "a target was not reset");
    }
    SIM_CHECK(w, !c->ended, "the connection is over, too");
    sim_world_close(w);
}

/* A client that trickles its window open is served, however slowly. */
static void test_trickling_window(void **state) {
    static const uint8_t zero[6] = {0, 4, 0, 0, 0, 0};
    sim_bytes out = {.bytes = NULL};
    sim_world *w;
    (void)state;
    sim_conn *c = hostile_client(&w, 1);
    sim_find_site(w, SIM_SOURCE)->source = 1000000;
    sim_frame(&out, SIM_FRAME_SETTINGS, 0, 0, zero, sizeof zero);
    sim_connect_frame(&out, 1, SIM_SOURCE ":1000", 0);
    sim_send_all(c, &out);
    for (unsigned i = 0; i < 20; i++) {
        sim_advance(w, 14 * MASQUE_SECOND);
        sim_frame32(&out, SIM_FRAME_WINDOW_UPDATE, 1, 1);
        sim_send_all(c, &out);
        sim_settle(w);
        SIM_CHECK(w, c->seen.frames[SIM_FRAME_DATA] == i + 1, "%llu DATA frames",
                  (unsigned long long)c->seen.frames[SIM_FRAME_DATA]);
    }
    SIM_CHECK(w, sim_stats(w).tunnels_active == 1, "the tunnel is gone");
    sim_world_close(w);
}

/* One byte in each of a hundred tunnels, each in a record of its own: what may a
   byte cost? */
static void test_a_byte_each(void **state) {
    sim_bytes out = {.bytes = NULL};
    sim_world *w;
    (void)state;
    sim_conn *c = hostile_client(&w, 1);
    for (unsigned n = 0; n < 100; n++) {
        char authority[32];
        snprintf(authority, sizeof authority, "45.60.0.31:%u", 1000 + n);
        sim_connect_frame(&out, stream_of(n), authority, 0);
    }
    sim_send_all(c, &out);
    sim_settle(w);
    uint64_t before = sim_proxy_bytes();
    for (unsigned n = 0; n < 100; n++) {
        sim_frame(&out, SIM_FRAME_DATA, 0, stream_of(n), "x", 1);
        sim_send_all(c, &out);
        sim_settle(w);
    }
    uint64_t growth = sim_proxy_bytes() - before;
    SIM_CHECK(w, growth < GROWTH_MAX, "100 bytes hold %llu", (unsigned long long)growth);
    sim_world_close(w);
}

/* So few at a time that their answers are no flood. */
static void send_pings(sim_conn *c, sim_bytes *out, unsigned count) {
    for (unsigned n = 0; n < count; n++) {
        ping_flood(out, n);
        if (n % 25 == 24) {
            sim_send_all(c, out);
            sim_settle(c->world);
        }
    }
}

/* Odd, but no attack: at three quarters of its glitches a client is told to go. It keeps
   its tunnel, opens no other one, and at the last glitch that is left nothing happens. */
static void test_odd_client_is_told_to_go(void **state) {
    sim_bytes out = {.bytes = NULL};
    sim_world *w;
    (void)state;
    sim_conn *c = hostile_client(&w, 1);
    sim_connect_frame(&out, 1, SIM_ECHO ":1001", 0);
    send_pings(c, &out, 375);
    SIM_CHECK(w, c->seen.status == 200 && c->seen.frames[SIM_FRAME_GOAWAY] == 0, "told at three quarters already");
    send_pings(c, &out, 125);
    sim_connect_frame(&out, 3, SIM_ECHO ":1002", 0);
    uint8_t bytes[4];
    sim_pattern_fill(1001 * 2, 0, bytes, sizeof bytes);
    sim_frame(&out, SIM_FRAME_DATA, 0, 1, bytes, sizeof bytes);
    sim_send_all(c, &out);
    sim_settle(w);
    SIM_CHECK(w, c->seen.frames[SIM_FRAME_GOAWAY] == 1 && c->seen.goaway_code == 0 && c->seen.goaway_last == 1,
              "%llu GOAWAY, code %u", (unsigned long long)c->seen.frames[SIM_FRAME_GOAWAY], c->seen.goaway_code);
    SIM_CHECK(w, w->target_count == 1 && w->targets[0]->received == 4 && c->seen.frames[SIM_FRAME_DATA] == 1,
              "its tunnel is disturbed, or another one was opened");
    sim_frame(&out, SIM_FRAME_DATA, SIM_FLAG_END_STREAM, 1, "", 0);
    sim_send_all(c, &out);
    sim_advance(w, MASQUE_SECOND);
    SIM_CHECK(w, c->finished && c->seen.frames[SIM_FRAME_RST_STREAM] == 0, "its end is not in order");
    sim_advance(w, 40 * MASQUE_SECOND);
    SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_FLOOD, "%s", masque_error_name(c->end_error));
    sim_world_close(w);
}

/* RFC 9113 5.4.2, 6.5.3, 6.7, 4.1: PING and SETTINGS are answered, a reset by none, and what nobody knows by
   nothing; a tunnel beside them goes on. */
static void test_control_frames(void **state) {
    sim_bytes out = {.bytes = NULL};
    uint8_t bytes[4];
    sim_world *w;
    (void)state;
    sim_conn *c = hostile_client(&w, 1);
    sim_connect_frame(&out, 1, SIM_ECHO ":1001", 0);
    sim_connect_frame(&out, 3, SIM_ECHO ":1002", 0);
    sim_send_all(c, &out);
    sim_settle(w);
    uint64_t acks = c->seen.acks;
    sim_frame(&out, SIM_FRAME_SETTINGS, 0, 0, "", 0);
    sim_frame(&out, SIM_FRAME_PING, 0, 0, "12345678", 8);
    sim_frame(&out, 0xee, 0, 1, "?", 1);
    sim_frame(&out, 0xef, 0xff, 0, "?", 1);
    sim_frame32(&out, SIM_FRAME_RST_STREAM, 3, 8);
    sim_pattern_fill(1001 * 2, 0, bytes, sizeof bytes);
    sim_frame(&out, SIM_FRAME_DATA, 0, 1, bytes, sizeof bytes);
    sim_send_all(c, &out);
    sim_settle(w);
    SIM_CHECK(w, c->seen.acks == acks + 2, "%llu answers", (unsigned long long)(c->seen.acks - acks));
    SIM_CHECK(w, c->seen.frames[SIM_FRAME_RST_STREAM] == 0, "a reset is answered by one");
    SIM_CHECK(w, c->seen.frames[SIM_FRAME_DATA] == 1 && sim_stats(w).tunnels_active == 1, "the tunnel is disturbed");
    SIM_CHECK(w, c->seen.frames[SIM_FRAME_GOAWAY] == 0, "the client is told to go");
    c->options.stubborn = false;
    sim_world_close(w);
}

/* TLS 1.3 KeyUpdates want to be answered: a client that sends many and reads none. */
static void test_key_updates(void **state) {
    sim_world *w;
    (void)state;
    sim_conn *c = hostile_client(&w, 1);
    c->deaf = true;
    sim_alloc_reset_peak();
    uint64_t before = sim_proxy_bytes();
    for (unsigned i = 0; i < 200000 && !c->ended; i++) {
        wolfSSL_update_keys(c->ssl);
        if (i % 500 == 0) {
            sim_settle(w);
        }
    }
    sim_settle(w);
    uint64_t growth = sim_alloc_memory(SIM_PROXY)->peak_bytes - before;
    if (getenv("SIM_VERBOSE")) {
        print_message("KeyUpdate: %llu bytes sent, %llu bytes more, ended %d: %s\n", (unsigned long long)c->up.written,
                      (unsigned long long)growth, c->ended, masque_error_name(c->end_error));
    }
    SIM_CHECK(w, growth < 100000, "%llu bytes more", (unsigned long long)growth);
    check_others(w, "KeyUpdate");
    c->deaf = false;
    c->options.stubborn = false;
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attacks),          cmocka_unit_test(test_fatal_frames),
        cmocka_unit_test(test_wrong_preface),    cmocka_unit_test(test_zero_window),
        cmocka_unit_test(test_trickling_window), cmocka_unit_test(test_a_byte_each),
        cmocka_unit_test(test_key_updates),      cmocka_unit_test(test_odd_client_is_told_to_go),
        cmocka_unit_test(test_control_frames),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
