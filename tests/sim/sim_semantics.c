/*
 * sim_semantics.c: requests that are nearly right: malformed pseudo-headers,
 * fields that would smuggle, DATA and HEADERS where none may be. One request a
 * connection, byte by byte as the row says, whole and in single bytes.
 */
#include "harness/frames.h"
#include "harness/pattern.h"
#include "harness/suite.h"

#define H3_MESSAGE_ERROR 0x10e
#define PROTOCOL_ERROR 1
#define AUTHORITY SIM_ECHO ":1001"

/* --- HTTP/2 ------------------------------------------------------------------------------ */

/* FIELD_ERROR: a stream error, too; but nghttp3 leaves such a field out, as if it hadn't come. */
typedef enum outcome { STATUS, STREAM_ERROR, FIELD_ERROR } outcome;

typedef struct head_row {
    const char *name;
    /* Pairs of name and value; NULL ends. The credential is added unless `bare`. */
    const char *fields[16];
    outcome outcome;
    unsigned status; /* of STATUS */
    unsigned flags;
    bool bare;
} head_row;

static const head_row HEADS[] = {
    {"good", {":method", "CONNECT", ":authority", AUTHORITY}, STATUS, 200, 0, false},
    {"good, END_STREAM", {":method", "CONNECT", ":authority", AUTHORITY}, STATUS, 200, SIM_FLAG_END_STREAM, false},
    {"authority first", {":authority", AUTHORITY, ":method", "CONNECT"}, STATUS, 200, 0, false},
    {"host beside :authority",
     {":method", "CONNECT", ":authority", AUTHORITY, "host", AUTHORITY},
     STATUS,
     200,
     0,
     false},
    {"another host", {":method", "CONNECT", ":authority", AUTHORITY, "host", "other.test:1"}, STATUS, 200, 0, false},
    {"unknown fields",
     {":method", "CONNECT", ":authority", AUTHORITY, "x-y", "z", "user-agent", "u"},
     STATUS,
     200,
     0,
     false},
    {"value with a tab", {":method", "CONNECT", ":authority", AUTHORITY, "x-y", "a\tb"}, STATUS, 200, 0, false},
    {"with :scheme", {":method", "CONNECT", ":authority", AUTHORITY, ":scheme", "https"}, STREAM_ERROR, 0, 0, false},
    {"with :path", {":method", "CONNECT", ":authority", AUTHORITY, ":path", "/"}, STREAM_ERROR, 0, 0, false},
    {"with both",
     {":method", "CONNECT", ":authority", AUTHORITY, ":scheme", "https", ":path", "/"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"no :authority", {":method", "CONNECT"}, STREAM_ERROR, 0, 0, false},
    {"host alone", {":method", "CONNECT", "host", AUTHORITY}, STREAM_ERROR, 0, 0, false},
    {"no :method", {":authority", AUTHORITY}, STREAM_ERROR, 0, 0, false},
    {"two methods", {":method", "CONNECT", ":method", "CONNECT", ":authority", AUTHORITY}, STREAM_ERROR, 0, 0, false},
    {"two authorities",
     {":method", "CONNECT", ":authority", AUTHORITY, ":authority", AUTHORITY},
     STREAM_ERROR,
     0,
     0,
     false},
    {"unknown pseudo-header", {":method", "CONNECT", ":authority", AUTHORITY, ":what", "x"}, STREAM_ERROR, 0, 0, false},
    {"a response's pseudo-header",
     {":method", "CONNECT", ":authority", AUTHORITY, ":status", "200"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"late pseudo-header", {":method", "CONNECT", "x", "y", ":authority", AUTHORITY}, STREAM_ERROR, 0, 0, false},
    {"upper-case pseudo-header", {":method", "CONNECT", ":Authority", AUTHORITY}, STREAM_ERROR, 0, 0, false},
    {"upper-case field", {":method", "CONNECT", ":authority", AUTHORITY, "X-Y", "z"}, STREAM_ERROR, 0, 0, false},
    {"empty :authority", {":method", "CONNECT", ":authority", ""}, STREAM_ERROR, 0, 0, false},
    {"user info", {":method", "CONNECT", ":authority", "u@" AUTHORITY}, STREAM_ERROR, 0, 0, false},
    {"value with LF", {":method", "CONNECT", ":authority", AUTHORITY, "x-y", "a\nset: b"}, FIELD_ERROR, 0, 0, false},
    {"value with CR", {":method", "CONNECT", ":authority", AUTHORITY, "x-y", "a\rb"}, FIELD_ERROR, 0, 0, false},
    {"authority with CRLF", {":method", "CONNECT", ":authority", SIM_ECHO "\r\n:1001"}, STREAM_ERROR, 0, 0, false},
    {"value behind a space", {":method", "CONNECT", ":authority", AUTHORITY, "x-y", " a"}, FIELD_ERROR, 0, 0, false},
    {"value before a space", {":method", "CONNECT", ":authority", AUTHORITY, "x-y", "a "}, FIELD_ERROR, 0, 0, false},
    {"name with a space", {":method", "CONNECT", ":authority", AUTHORITY, "x y", "z"}, FIELD_ERROR, 0, 0, false},
    {"empty name", {":method", "CONNECT", ":authority", AUTHORITY, "", "z"}, FIELD_ERROR, 0, 0, false},
    {"connection", {":method", "CONNECT", ":authority", AUTHORITY, "connection", "close"}, STREAM_ERROR, 0, 0, false},
    {"upgrade", {":method", "CONNECT", ":authority", AUTHORITY, "upgrade", "h2c"}, STREAM_ERROR, 0, 0, false},
    {"transfer-encoding",
     {":method", "CONNECT", ":authority", AUTHORITY, "transfer-encoding", "chunked"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"te: trailers", {":method", "CONNECT", ":authority", AUTHORITY, "te", "trailers"}, STATUS, 200, 0, false},
    {"content-length", {":method", "CONNECT", ":authority", AUTHORITY, "content-length", "5"}, STATUS, 400, 0, false},
    {"content-length 0", {":method", "CONNECT", ":authority", AUTHORITY, "content-length", "0"}, STATUS, 400, 0, false},
    {"broken content-length",
     {":method", "CONNECT", ":authority", AUTHORITY, "content-length", "-5"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"extended",
     {":method", "CONNECT", ":authority", "p.test", ":scheme", "https", ":path", "/", ":protocol", "websocket"},
     STATUS,
     501,
     0,
     false},
    {"extended, no :path",
     {":method", "CONNECT", ":authority", "p.test", ":scheme", "https", ":protocol", "websocket"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"extended, no :scheme",
     {":method", "CONNECT", ":authority", "p.test", ":path", "/", ":protocol", "websocket"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"extended, no :authority",
     {":method", "CONNECT", ":scheme", "https", ":path", "/", ":protocol", "websocket"},
     STREAM_ERROR,
     0,
     0,
     false},
    {":protocol on GET",
     {":method", "GET", ":authority", "p.test", ":scheme", "https", ":path", "/", ":protocol", "websocket"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"two :protocol",
     {":method", "CONNECT", ":authority", "p.test", ":scheme", "https", ":path", "/", ":protocol", "a", ":protocol",
      "b"},
     STREAM_ERROR,
     0,
     0,
     false},
    {"GET",
     {":method", "GET", ":authority", "p.test", ":scheme", "https", ":path", "/"},
     STATUS,
     405,
     SIM_FLAG_END_STREAM,
     false},
    {"POST", {":method", "POST", ":authority", "p.test", ":scheme", "https", ":path", "/"}, STATUS, 405, 0, false},
    {"OPTIONS *",
     {":method", "OPTIONS", ":authority", "p.test", ":scheme", "https", ":path", "*"},
     STATUS,
     405,
     SIM_FLAG_END_STREAM,
     false},
    {"lower-case method",
     {":method", "connect", ":authority", AUTHORITY, ":scheme", "https", ":path", "/"},
     STATUS,
     405,
     0,
     false},
    {"no credential", {":method", "CONNECT", ":authority", AUTHORITY}, STATUS, 403, 0, true},
    {"two credentials",
     {":method", "CONNECT", ":authority", AUTHORITY, "proxy-authorization", "Preshared " SIM_KEY},
     STATUS,
     403,
     0,
     false},
    {"even port", {":method", "CONNECT", ":authority", SIM_ECHO ":01001"}, STATUS, 400, 0, false},
};

static sim_conn *raw_client(sim_world **w, uint64_t seed, sim_bytes *out) {
    *w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 2 ? 0 : 1});
    sim_conn *c = sim_connect(*w, &(sim_client){.raw = true});
    sim_settle(*w);
    sim_preface(out);
    return c;
}

static void run_h2_row(const head_row *row, uint64_t seed) {
    sim_bytes out = {.bytes = NULL};
    sim_bytes block = {.bytes = NULL};
    sim_world *w;
    sim_conn *c = raw_client(&w, seed, &out);
    for (size_t i = 0; i + 1 < SIM_COUNT(row->fields) && row->fields[i]; i += 2) {
        sim_hpack(&block, row->fields[i], row->fields[i + 1]);
    }
    if (!row->bare) {
        sim_hpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
    }
    sim_frame(&out, SIM_FRAME_HEADERS, row->flags | SIM_FLAG_END_HEADERS, 1, block.bytes, block.end);
    sim_bytes_free(&block);
    sim_send_all(c, &out);
    sim_settle(w);
    const sim_seen *seen = &c->seen;
    if (row->outcome == STATUS) {
        SIM_CHECK(w, seen->status == row->status, "%s: status %u, RST %llu", row->name, seen->status,
                  (unsigned long long)seen->frames[SIM_FRAME_RST_STREAM]);
    } else {
        SIM_CHECK(w, seen->status == 0 && seen->frames[SIM_FRAME_RST_STREAM] == 1, "%s: status %u, %llu RST", row->name,
                  seen->status, (unsigned long long)seen->frames[SIM_FRAME_RST_STREAM]);
        SIM_CHECK(w, seen->reset_code == PROTOCOL_ERROR, "%s: code %u", row->name, seen->reset_code);
    }
    bool dialed = sim_find_site(w, SIM_ECHO)->dials > 0;
    SIM_CHECK(w, dialed == (row->outcome == STATUS && row->status == 200), "%s: dialed %d", row->name, dialed);
    /* The connection lives on. */
    sim_connect_frame(&out, 3, SIM_ECHO ":1002", 0);
    sim_send_all(c, &out);
    sim_settle(w);
    SIM_CHECK(w, seen->status == 200 && seen->frames[SIM_FRAME_GOAWAY] == 0, "%s: next status %u", row->name,
              seen->status);
    sim_world_close(w);
}

static void test_h2_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(HEADS); i++) {
        run_h2_row(&HEADS[i], 1);
        run_h2_row(&HEADS[i], 2);
    }
}

/* The same over HTTP/3; what is malformed ends the connection, as nghttp3 has it (RFC 9114 4.1.2: MAY). */
static void run_h3_row(const head_row *row, uint64_t seed) {
    sim_bytes out = {.bytes = NULL};
    sim_bytes block = {.bytes = NULL};
    sim_world *w = sim_world_new(&(sim_setup){.seed = seed});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .raw = true});
    sim_stream_send(c, sim_stream_open(c, false), SIM_H3_CONTROL, sizeof SIM_H3_CONTROL - 1, false);
    sim_bytes_add(&block, "\0\0", 2);
    for (size_t i = 0; i + 1 < SIM_COUNT(row->fields) && row->fields[i]; i += 2) {
        sim_qpack(&block, row->fields[i], row->fields[i + 1]);
    }
    if (!row->bare) {
        sim_qpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
    }
    sim_h3_frame(&out, 1, block.bytes, block.end);
    sim_bytes_free(&block);
    int64_t id = sim_stream_open(c, true);
    sim_h3_send(c, id, &out, row->flags & SIM_FLAG_END_STREAM);
    sim_settle(w);
    bool good = row->outcome != STREAM_ERROR;
    unsigned expected = row->outcome == FIELD_ERROR ? 200 : row->status;
    unsigned status = sim_h3_status(c, id);
    SIM_CHECK(w, status == (good ? expected : 0), "%s: status %u", row->name, status);
    uint64_t code = sim_quic_close_code(c);
    SIM_CHECK(w, code == (good ? MASQUE_NEVER : H3_MESSAGE_ERROR), "%s: code %llx", row->name,
              (unsigned long long)code);
    bool dialed = sim_find_site(w, SIM_ECHO)->dials > 0;
    SIM_CHECK(w, dialed == (good && expected == 200), "%s: dialed %d", row->name, dialed);
    sim_world_close(w);
}

static void test_h3_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(HEADS); i++) {
        run_h3_row(&HEADS[i], i);
    }
}

/* A value with a NUL can't stand in a table of texts. */
static void test_h2_nul(void **state) {
    (void)state;
    for (int where = 0; where < 2; where++) {
        sim_bytes out = {.bytes = NULL};
        sim_bytes block = {.bytes = NULL};
        sim_world *w;
        sim_conn *c = raw_client(&w, 1, &out);
        sim_hpack(&block, ":method", "CONNECT");
        sim_hpack_bytes(&block, ":authority", where ? SIM_ECHO ":1001" : SIM_ECHO "\0:1001", where ? 14 : 15);
        sim_hpack_bytes(&block, "x-y", where ? "a\0b" : "a", where ? 3 : 1);
        sim_hpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
        sim_frame(&out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS, 1, block.bytes, block.end);
        sim_bytes_free(&block);
        sim_send_all(c, &out);
        sim_settle(w);
        SIM_CHECK(w, c->seen.frames[SIM_FRAME_RST_STREAM] == 1 && c->seen.reset_code == PROTOCOL_ERROR, "row %d",
                  where);
        SIM_CHECK(w, sim_find_site(w, SIM_ECHO)->dials == 0, "dialed");
        sim_world_close(w);
    }
}

/* --- frames of a tunnel --------------------------------------------------------------------- */

/* A second HEADERS is no trailer here (RFC 9113 8.5). */
static void test_h2_second_headers(void **state) {
    (void)state;
    for (int with_end = 0; with_end <= 1; with_end++) {
        for (int before_answer = 0; before_answer <= 1; before_answer++) {
            sim_bytes out = {.bytes = NULL};
            sim_bytes block = {.bytes = NULL};
            sim_world *w;
            sim_conn *c = raw_client(&w, 1, &out);
            sim_find_site(w, SIM_ECHO)->delay = MASQUE_SECOND;
            sim_connect_frame(&out, 1, SIM_ECHO ":1001", 0);
            sim_send_all(c, &out);
            sim_advance(w, before_answer ? 0 : 2 * MASQUE_SECOND);
            sim_hpack(&block, "x", "y");
            sim_frame(&out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS | (with_end ? SIM_FLAG_END_STREAM : 0u), 1,
                      block.bytes, block.end);
            sim_bytes_free(&block);
            sim_send_all(c, &out);
            sim_settle(w);
            SIM_CHECK(w, c->seen.frames[SIM_FRAME_RST_STREAM] == 1, "end %d, early %d: no reset", with_end,
                      before_answer);
            SIM_CHECK(w, c->seen.reset_code == PROTOCOL_ERROR && !c->ended, "code %u", c->seen.reset_code);
            for (size_t i = 0; i < w->target_count; i++) {
                SIM_CHECK(w, w->targets[i]->cancelled || (w->targets[i]->ended && w->targets[i]->got_reset),
                          "the target lives, or ended in order");
            }
            sim_world_close(w);
        }
    }
}

/* Bytes before our answer are kept and delivered; padding is no data. */
static void test_h2_early_and_padded_data(void **state) {
    static const uint8_t padded[] = {3, 'x', 'y', 0, 0, 0};
    (void)state;
    sim_bytes out = {.bytes = NULL};
    sim_world *w;
    sim_conn *c = raw_client(&w, 1, &out);
    sim_site *site = sim_find_site(w, SIM_QUIET);
    site->delay = MASQUE_SECOND;
    site->stalls = true;
    sim_connect_frame(&out, 1, SIM_QUIET ":1001", 0);
    sim_frame(&out, SIM_FRAME_DATA, 0, 1, NULL, 0);
    sim_frame(&out, SIM_FRAME_DATA, SIM_FLAG_PADDED, 1, padded, sizeof padded);
    sim_frame(&out, SIM_FRAME_DATA, SIM_FLAG_END_STREAM, 1, "z", 1);
    sim_send_all(c, &out);
    sim_settle(w);
    masque_iovec piece[4];
    size_t count = masque_tunnel_pull(w->engine, w->targets[0]->tunnel, piece, 4);
    char got[8] = "";
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(got + at, piece[i].base, piece[i].length);
        at += piece[i].length;
    }
    SIM_CHECK(w, at == 3 && memcmp(got, "xyz", 3) == 0, "'%s'", got);
    SIM_CHECK(w, !w->targets[0]->got_fin, "FIN before the bytes");
    masque_tunnel_pulled(w->engine, w->targets[0]->tunnel, 3, w->now);
    sim_events(w);
    SIM_CHECK(w, w->targets[0]->got_fin, "no FIN");
    sim_world_free(w);
}

/* A client that wants no more requests may still use what it has (RFC 9113 6.8). */
static void test_h2_goaway_of_the_client(void **state) {
    (void)state;
    sim_bytes out = {.bytes = NULL};
    sim_world *w;
    sim_conn *c = raw_client(&w, 1, &out);
    sim_connect_frame(&out, 1, SIM_QUIET ":1001", 0);
    sim_frame(&out, SIM_FRAME_GOAWAY, 0, 0, "\0\0\0\0\0\0\0\0", 8);
    sim_send_all(c, &out);
    sim_settle(w);
    uint8_t byte = sim_pattern_byte(2 * 1001, 0);
    sim_frame(&out, SIM_FRAME_DATA, 0, 1, &byte, 1);
    sim_send_all(c, &out);
    sim_advance(w, 100 * MASQUE_SECOND);
    SIM_CHECK(w, c->seen.status == 200 && w->targets[0]->received == 1, "status %u", c->seen.status);
    SIM_CHECK(w, !c->finished, "the tunnel was ended");
    sim_frame(&out, SIM_FRAME_DATA, SIM_FLAG_END_STREAM, 1, NULL, 0);
    sim_send_all(c, &out);
    w->targets[0]->send_fin = true;
    sim_advance(w, MASQUE_SECOND);
    SIM_CHECK(w, w->targets[0]->ended && !w->targets[0]->got_reset && c->finished, "not over");
    sim_world_close(w);
}

/* --- HTTP/1.1 --------------------------------------------------------------------------------- */

typedef struct h1_row {
    const char *name;
    const char *head;
    const char *answer; /* how it begins; NULL: none yet */
} h1_row;

#define HOST "Host: " AUTHORITY "\r\n"
#define KEY "Proxy-Authorization: Preshared " SIM_KEY "\r\n"
#define LINE "CONNECT " AUTHORITY " HTTP/1.1\r\n"
#define UDP_LINE "GET /.well-known/masque/udp/" SIM_ECHO "/1001/ HTTP/1.1\r\n"
#define UPGRADE "Connection: Upgrade\r\n"

static const h1_row H1_ROWS[] = {
    {"good", LINE HOST KEY "\r\n", "HTTP/1.1 200 "},
    {"an empty line first", "\r\n" LINE HOST KEY "\r\n", "HTTP/1.1 200 "},
    {"scheme in capitals", LINE HOST "proxy-AUTHORIZATION: PRESHARED " SIM_KEY "\r\n\r\n", "HTTP/1.1 200 "},
    {"another Host", LINE "Host: other.test\r\n" KEY "\r\n", "HTTP/1.1 200 "},
    {"spaces around the value", LINE HOST "Proxy-Authorization:  \t Preshared " SIM_KEY " \t\r\n\r\n", "HTTP/1.1 200 "},
    {"no Host", LINE KEY "\r\n", "HTTP/1.1 400 "},
    {"two Hosts", LINE HOST HOST KEY "\r\n", "HTTP/1.1 400 "},
    {"origin-form", "CONNECT / HTTP/1.1\r\n" HOST KEY "\r\n", "HTTP/1.1 400 "},
    {"absolute-form", "CONNECT https://" AUTHORITY "/ HTTP/1.1\r\n" HOST KEY "\r\n", "HTTP/1.1 400 "},
    {"HTTP/1.0", "CONNECT " AUTHORITY " HTTP/1.0\r\n" HOST KEY "\r\n", "HTTP/1.1 400 "},
    {"HTTP/2.0", "CONNECT " AUTHORITY " HTTP/2.0\r\n" HOST KEY "\r\n", "HTTP/1.1 400 "},
    {"no version", "CONNECT " AUTHORITY "\r\n" HOST KEY "\r\n", "HTTP/1.1 400 "},
    {"two spaces", "CONNECT  " AUTHORITY " HTTP/1.1\r\n" HOST KEY "\r\n", "HTTP/1.1 400 "},
    {"bare LF in the request line", "CONNECT " AUTHORITY " HTTP/1.1\n" HOST KEY "\r\n\r\n", "HTTP/1.1 400 "},
    {"bare LF in a field", LINE HOST "X: a\nProxy-Authorization: Preshared " SIM_KEY "\r\n\r\n", "HTTP/1.1 400 "},
    {"bare CR in a field", LINE HOST KEY "X: a\rb\r\n\r\n", "HTTP/1.1 400 "},
    {"folding", LINE HOST KEY "X: a\r\n b\r\n\r\n", "HTTP/1.1 400 "},
    {"space before the colon", LINE HOST KEY "X : a\r\n\r\n", "HTTP/1.1 400 "},
    {"no colon", LINE HOST KEY "X\r\n\r\n", "HTTP/1.1 400 "},
    {"empty name", LINE HOST KEY ": a\r\n\r\n", "HTTP/1.1 400 "},
    {"control in a value", LINE HOST KEY "X: a\x01\r\n\r\n", "HTTP/1.1 400 "},
    {"Content-Length", LINE HOST KEY "Content-Length: 0\r\n\r\n", "HTTP/1.1 400 "},
    {"Transfer-Encoding", LINE HOST KEY "Transfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400 "},
    {"two credentials", LINE HOST KEY KEY "\r\n", "HTTP/1.1 403 "},
    {"an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400 "},
    {"a Host that is none", LINE "Host: a b@c/d\r\n" KEY "\r\n", "HTTP/1.1 400 "},
    {"an Upgrade of another hop", LINE HOST KEY "Upgrade: websocket\r\n\r\n", "HTTP/1.1 200 "},
    {"an Upgrade of another hop to ours", LINE HOST KEY "Upgrade: connect-udp\r\n\r\n", "HTTP/1.1 200 "},
    {"an Upgrade that CONNECT needs not", LINE HOST KEY "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
     "HTTP/1.1 200 "},
    {"CONNECT-UDP", UDP_LINE HOST KEY UPGRADE "Upgrade: connect-udp\r\n\r\n", "HTTP/1.1 101 "},
    {"CONNECT-UDP in any case", UDP_LINE HOST KEY UPGRADE "Upgrade: Connect-UDP\r\n\r\n", "HTTP/1.1 101 "},
    {"CONNECT-UDP among others", UDP_LINE HOST KEY UPGRADE "Upgrade: websocket, connect-udp\r\n\r\n", "HTTP/1.1 101 "},
    {"CONNECT-UDP that isn't for us", UDP_LINE HOST KEY "Upgrade: connect-udp\r\n\r\n", "HTTP/1.1 405 "},
    {"CONNECT-UDP with Content-Length", UDP_LINE HOST KEY UPGRADE "Upgrade: connect-udp\r\nContent-Length: 0\r\n\r\n",
     "HTTP/1.1 400 "},
    {"CONNECT-UDP with Content-Type", UDP_LINE HOST KEY UPGRADE "Upgrade: connect-udp\r\nContent-Type: a/b\r\n\r\n",
     "HTTP/1.1 400 "},
    {"head without its end", LINE HOST KEY, NULL},
};

static void run_h1_row(const h1_row *row, uint64_t seed) {
    char answer[64] = "";
    sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 2 ? 0 : 1});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "http/1.1", .raw = true, .stubborn = true});
    sim_settle(w);
    sim_raw_send(c, row->head, strlen(row->head));
    sim_settle(w);
    size_t length = c->plain.end < sizeof answer - 1 ? c->plain.end : sizeof answer - 1;
    if (length > 0) {
        memcpy(answer, c->plain.bytes, length);
    }
    bool fits = row->answer ? strncmp(answer, row->answer, strlen(row->answer)) == 0 : length == 0;
    SIM_CHECK(w, fits, "%s: '%.20s'", row->name, answer);
    bool good =
        row->answer && (strncmp(row->answer, "HTTP/1.1 200", 12) == 0 || strncmp(row->answer, "HTTP/1.1 101", 12) == 0);
    SIM_CHECK(w, (w->target_count == 1) == good, "%s: dials", row->name);
    SIM_CHECK(w, !row->answer || good || c->peer_closed, "%s: refused, but open", row->name);
    sim_world_close(w);
}

static void test_h1_heads(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(H1_ROWS); i++) {
        run_h1_row(&H1_ROWS[i], 1);
        run_h1_row(&H1_ROWS[i], 2);
    }
}

/* Whatever follows a refused request is discarded. */
static void test_h1_no_second_request(void **state) {
    static const char two[] = "GET / HTTP/1.1\r\n" HOST "\r\n" LINE HOST KEY "\r\n";
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "http/1.1", .raw = true, .stubborn = true});
    sim_settle(w);
    sim_raw_send(c, two, sizeof two - 1);
    sim_settle(w);
    SIM_CHECK(w, sim_stats(w).requests_total == 1 && sim_find_site(w, SIM_ECHO)->dials == 0, "a second request");
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h2_heads),
        cmocka_unit_test(test_h3_heads),
        cmocka_unit_test(test_h2_nul),
        cmocka_unit_test(test_h2_second_headers),
        cmocka_unit_test(test_h2_early_and_padded_data),
        cmocka_unit_test(test_h2_goaway_of_the_client),
        cmocka_unit_test(test_h1_heads),
        cmocka_unit_test(test_h1_no_second_request),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
