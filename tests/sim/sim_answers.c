/*
 * sim_answers.c: what a proxy may answer to our client, and what it may not: a proxy that says what a row has,
 * over HTTP/1.1 and HTTP/2 in TLS. Its own world: one engine, one connection.
 */
#include "harness/frames.h"
#include "harness/suite.h"
#include "harness/wolf.h"

#define STEPS_MAX 200
#define TCP_TARGET "target.test:443"
/* RFC 9113 6.5.2, RFC 8441 3. */
#define MAX_CONCURRENT_STREAMS 3
#define ENABLE_CONNECT_PROTOCOL 8
#define UDP_TARGET "target.test:53"

typedef struct side {
    WOLFSSL_CTX *ctx;
    WOLFSSL *ssl;
    sim_bytes to_proxy;
    sim_bytes to_client;
    sim_bytes heard; /* what the client said in TLS */
    bool ready;
} side;

typedef struct world {
    side proxy;
    masque_engine *engine;
    masque_conn_id conn;
    masque_tunnel_id tunnel;
    masque_time now;
    bool open, leaves, over;
    int error; /* of CONN_END */
    unsigned answers, status;
    bool ended, reset;
    sim_bytes received; /* through the tunnel */
} world;

/* --- the proxy's TLS ------------------------------------------------------------------------- */

static int take_input(WOLFSSL *ssl, char *buffer, int size, void *context) {
    side *proxy = context;
    size_t length = proxy->to_proxy.end - proxy->to_proxy.start;
    (void)ssl;
    length = length < (size_t)size ? length : (size_t)size;
    if (length == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    memcpy(buffer, proxy->to_proxy.bytes + proxy->to_proxy.start, length);
    proxy->to_proxy.start += length;
    return (int)length;
}

static int put_output(WOLFSSL *ssl, char *buffer, int size, void *context) {
    side *proxy = context;
    (void)ssl;
    sim_bytes_add(&proxy->to_client, buffer, (size_t)size);
    return size;
}

static void begin_proxy(side *proxy, const char *alpn) {
    char protocols[16];
    proxy->ctx = wolfSSL_CTX_new(wolfTLSv1_3_server_method());
    assert_non_null(proxy->ctx);
    assert_int_equal(wolfSSL_CTX_use_certificate_chain_file(proxy->ctx, SIM_DATA "/sim_server.pem"), WOLFSSL_SUCCESS);
    assert_int_equal(wolfSSL_CTX_use_PrivateKey_file(proxy->ctx, SIM_DATA "/sim_server_key.pem", WOLFSSL_FILETYPE_PEM),
                     WOLFSSL_SUCCESS);
    wolfSSL_CTX_SetIORecv(proxy->ctx, take_input);
    wolfSSL_CTX_SetIOSend(proxy->ctx, put_output);
    proxy->ssl = wolfSSL_new(proxy->ctx);
    assert_non_null(proxy->ssl);
    snprintf(protocols, sizeof protocols, "%s", alpn);
    wolfSSL_UseALPN(proxy->ssl, protocols, (unsigned)strlen(protocols), WOLFSSL_ALPN_FAILED_ON_MISMATCH);
    /* RFC 6066 3: the client names it. */
    assert_int_equal(wolfSSL_UseSNI(proxy->ssl, WOLFSSL_SNI_HOST_NAME, "proxy.test", 10), WOLFSSL_SUCCESS);
    wolfSSL_SNI_SetOptions(proxy->ssl, WOLFSSL_SNI_HOST_NAME, WOLFSSL_SNI_ABORT_ON_ABSENCE);
    wolfSSL_SetIOReadCtx(proxy->ssl, proxy);
    wolfSSL_SetIOWriteCtx(proxy->ssl, proxy);
}

static bool step_proxy(side *proxy) {
    uint8_t bytes[4096];
    if (!proxy->ready) {
        proxy->ready = wolfSSL_accept(proxy->ssl) == WOLFSSL_SUCCESS;
        return proxy->ready;
    }
    int length = wolfSSL_read(proxy->ssl, bytes, sizeof bytes);
    if (length > 0) {
        sim_bytes_add(&proxy->heard, bytes, (size_t)length);
    }
    return length > 0;
}

static void say(world *w, const void *bytes, size_t length) {
    if (length > 0) {
        assert_int_equal(wolfSSL_write(w->proxy.ssl, bytes, (int)length), length);
    }
}

/* --- the client ------------------------------------------------------------------------------- */

static void on_random(void *context, uint8_t *buffer, size_t size) {
    static uint8_t next;
    (void)context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(next++ * 29 + 3);
    }
}

static void receive(world *w) {
    masque_iovec piece;
    while (masque_tunnel_pull(w->engine, w->tunnel, &piece, 1) == 1) {
        sim_bytes_add(&w->received, piece.base, piece.length);
        masque_tunnel_pulled(w->engine, w->tunnel, piece.length, w->now);
    }
}

static void take_events(world *w) {
    masque_event event;
    while (masque_next_event(w->engine, &event)) {
        if (event.type == MASQUE_EVENT_CONN_OPEN) {
            w->open = true;
        } else if (event.type == MASQUE_EVENT_CONN_FINISH) {
            w->leaves = true;
        } else if (event.type == MASQUE_EVENT_CONN_END) {
            w->over = true;
            w->error = event.error;
        } else if (event.type == MASQUE_EVENT_TUNNEL_ANSWER) {
            w->answers++;
            w->status = event.status;
        } else if (event.type == MASQUE_EVENT_TUNNEL_OUTPUT) {
            receive(w);
        } else if (event.type == MASQUE_EVENT_TUNNEL_END) {
            w->ended = true;
            w->reset = event.reset;
        }
    }
}

static bool step_client(world *w) {
    masque_iovec piece;
    bool progress = false;
    while (!w->over && masque_conn_pull(w->engine, w->conn, &piece, 1, w->now) == 1) {
        sim_bytes_add(&w->proxy.to_proxy, piece.base, piece.length);
        masque_conn_pulled(w->engine, w->conn, piece.length, w->now);
        progress = true;
    }
    sim_bytes *in = &w->proxy.to_client;
    while (!w->over && in->start < in->end && masque_conn_reserve(w->engine, w->conn, &piece)) {
        size_t length = in->end - in->start < piece.length ? in->end - in->start : piece.length;
        memcpy(piece.base, in->bytes + in->start, length);
        in->start += length;
        masque_conn_commit(w->engine, w->conn, length, w->now);
        take_events(w);
        progress = true;
    }
    take_events(w);
    return progress;
}

static void settle(world *w) {
    bool more = true;
    for (int i = 0; i < STEPS_MAX && more; i++) {
        more = step_client(w);
        more = step_proxy(&w->proxy) || more;
    }
    assert_false(more);
    if (w->leaves && !w->over) {
        masque_conn_finished(w->engine, w->conn, w->now); /* so does the proxy */
        take_events(w);
    }
}

static masque_engine *new_engine(void) {
    static char text[8192];
    const masque_runtime runtime = {.random = on_random};
    masque_engine *engine = NULL;
    FILE *file = fopen(SIM_DATA "/sim_ca.pem", "rb");
    assert_non_null(file);
    size_t length = fread(text, 1, sizeof text, file);
    fclose(file);
    masque_config *config = masque_config_new(&runtime);
    assert_int_equal(masque_config_set_trust(config, text, length), 0);
    assert_int_equal(masque_config_seal(config), 0);
    assert_int_equal(masque_engine_new(&engine, config, &runtime), 0);
    masque_config_release(config);
    return engine;
}

static void begin(world *w, const char *alpn) {
    int error;
    bool h2 = strcmp(alpn, "h2") == 0;
    *w = (world){.now = 1000 * MASQUE_SECOND};
    begin_proxy(&w->proxy, alpn);
    w->engine = new_engine();
    const masque_proxy proxy = {.authority = "proxy.test:443",
                                .protocols = h2 ? MASQUE_PROTOCOL_H2 : MASQUE_PROTOCOL_HTTP11};
    w->conn = masque_connect(w->engine, &proxy, NULL, w->now, &error);
    assert_int_not_equal(w->conn, 0);
    settle(w);
    assert_true(w->proxy.ready && w->open == !h2); /* HTTP/2 begins with the proxy's SETTINGS */
}

static void ask(world *w, bool udp) {
    static const masque_field credential = {.name = "proxy-authorization", .value = "Preshared abc"};
    const masque_tunnel_request request = {.transport = udp ? MASQUE_TRANSPORT_UDP : MASQUE_TRANSPORT_TCP,
                                           .target = udp ? UDP_TARGET : TCP_TARGET,
                                           .fields = &credential,
                                           .field_count = 1};
    masque_iovec piece;
    int error;
    w->tunnel = masque_tunnel_open(w->engine, w->conn, &request, NULL, w->now, &error);
    assert_int_equal(error, 0);
    settle(w);
    /* RFC 9931: nothing goes through before the proxy has agreed. */
    size_t said = w->proxy.heard.end;
    assert_int_equal(masque_tunnel_reserve(w->engine, w->tunnel, &piece, 1), 0);
    masque_tunnel_datagrams(w->engine, w->tunnel, "early", 5, 0, w->now);
    settle(w);
    assert_int_equal(w->proxy.heard.end, said);
}

static void end(world *w) {
    masque_engine_free(w->engine);
    wolfSSL_free(w->proxy.ssl);
    wolfSSL_CTX_free(w->proxy.ctx);
    sim_bytes_free(&w->proxy.to_proxy);
    sim_bytes_free(&w->proxy.to_client);
    sim_bytes_free(&w->proxy.heard);
    sim_bytes_free(&w->received);
}

/* --- what is expected -------------------------------------------------------------------------- */

/* BROKEN: the connection ends; RESET: the tunnel does, without an answer. */
typedef enum outcome { OPENED, REFUSED, RESET, BROKEN, WAITING } outcome;

static void check(const world *w, const char *name, outcome expected, unsigned status) {
    outcome seen = w->answers == 1 ? (w->ended  ? REFUSED
                                      : w->over ? BROKEN
                                                : OPENED)
                   : w->over       ? BROKEN
                   : w->ended      ? RESET
                                   : WAITING;
    if (seen != expected || w->status != status) {
        print_error("%s: outcome %d, status %u, %u answers, error %s\n", name, (int)seen, w->status, w->answers,
                    masque_error_name(w->error));
        fail();
    }
}

/* --- HTTP/1.1 ------------------------------------------------------------------------------------ */

typedef struct h1_row {
    const char *name;
    bool udp;
    const char *answer;
    outcome outcome;
    unsigned status;
    const char *received;
} h1_row;

#define UPGRADE "Connection: Upgrade\r\nUpgrade: connect-udp\r\n"

static const h1_row H1_ROWS[] = {
    {"200", false, "HTTP/1.1 200 OK\r\n\r\nhello", OPENED, 200, "hello"},
    {"200 without a reason", false, "HTTP/1.1 200 \r\n\r\n", OPENED, 200, NULL},
    {"another 2xx", false, "HTTP/1.1 299 Fine\r\n\r\nhello", OPENED, 299, "hello"},
    {"interim answers first", false,
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nhello", OPENED,
     200, "hello"},
    {"only an interim answer", false, "HTTP/1.1 199 Wait\r\n\r\n", WAITING, 0, NULL},
    /* RFC 9110 9.3.6: a client ignores both. */
    {"200 with Content-Length", false, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhello", OPENED, 200, "hello"},
    {"200 with Transfer-Encoding", false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx", OPENED, 200,
     "1\r\nx"},
    {"407", false, "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno", REFUSED, 407, NULL},
    {"an unknown status", false, "HTTP/1.1 599 What\r\n\r\n", REFUSED, 599, NULL},
    {"302", false, "HTTP/1.1 302 There\r\nLocation: https://other.test/\r\n\r\n", REFUSED, 302, NULL},
    {"101 for CONNECT", false, "HTTP/1.1 101 What\r\n" UPGRADE "\r\n", BROKEN, 0, NULL},
    {"half a head", false, "HTTP/1.1 200 OK\r\nX: y", WAITING, 0, NULL},
    {"another protocol", false, "SSH-2.0-OpenSSH\r\n\r\n", BROKEN, 0, NULL},
    {"a status of two digits", false, "HTTP/1.1 20 OK\r\n\r\n", BROKEN, 0, NULL},
    {"a status of four digits", false, "HTTP/1.1 2000 OK\r\n\r\n", BROKEN, 0, NULL},
    {"no colon", false, "HTTP/1.1 200 OK\r\nhello\r\n\r\n", BROKEN, 0, NULL},
    {"HTTP/2.0", false, "HTTP/2.0 200 OK\r\n\r\n", BROKEN, 0, NULL},
    {"a control character", false, "HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n", BROKEN, 0, NULL},
    {"UDP: 101", true, "HTTP/1.1 101 Switching Protocols\r\n" UPGRADE "capsule-protocol: ?1\r\n\r\n", OPENED, 101,
     NULL},
    {"UDP: 101 in other cases", true,
     "HTTP/1.1 101 x\r\nconnection: keep-alive, upgrade\r\nupgrade: Connect-UDP\r\n\r\n", OPENED, 101, NULL},
    {"UDP: 101 without Upgrade", true, "HTTP/1.1 101 x\r\nConnection: Upgrade\r\n\r\n", BROKEN, 0, NULL},
    {"UDP: 101 without Connection", true, "HTTP/1.1 101 x\r\nUpgrade: connect-udp\r\n\r\n", BROKEN, 0, NULL},
    {"UDP: 101 to something else", true, "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", BROKEN,
     0, NULL},
    {"UDP: 101 with Content-Length", true, "HTTP/1.1 101 x\r\n" UPGRADE "Content-Length: 0\r\n\r\n", BROKEN, 0, NULL},
    {"UDP: 200", true, "HTTP/1.1 200 OK\r\n\r\n", REFUSED, 200, NULL},
    {"UDP: 426", true, "HTTP/1.1 426 Upgrade Required\r\nUpgrade: h2\r\n\r\n", REFUSED, 426, NULL},
};

static void test_h1(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(H1_ROWS); i++) {
        const h1_row *row = &H1_ROWS[i];
        for (int whole = 0; whole < 2; whole++) {
            world w;
            begin(&w, "http/1.1");
            ask(&w, row->udp);
            size_t length = strlen(row->answer);
            for (size_t at = 0; at < length && !w.over; at += whole ? length : 1) {
                say(&w, row->answer + at, whole ? length : 1);
                settle(&w);
            }
            check(&w, row->name, row->outcome, row->status);
            size_t expected = row->received ? strlen(row->received) : 0;
            assert_int_equal(w.received.end, expected);
            assert_true(expected == 0 || memcmp(w.received.bytes, row->received, expected) == 0);
            end(&w);
        }
    }
}

/* Each field once, Host first (RFC 9112 3.2), and no word behind the head. */
static void test_h1_requests(void **state) {
    static const char *const heads[] = {
        "CONNECT " TCP_TARGET " HTTP/1.1\r\nhost: " TCP_TARGET "\r\n"
        "proxy-authorization: Preshared abc\r\n\r\n",
        "GET /.well-known/masque/udp/target.test/53/ HTTP/1.1\r\nhost: proxy.test:443\r\n"
        "connection: Upgrade\r\nupgrade: connect-udp\r\ncapsule-protocol: ?1\r\n"
        "proxy-authorization: Preshared abc\r\n\r\n"};
    (void)state;
    for (int udp = 0; udp < 2; udp++) {
        world w;
        begin(&w, "http/1.1");
        ask(&w, udp);
        sim_bytes_add(&w.proxy.heard, "", 1);
        assert_string_equal((const char *)w.proxy.heard.bytes, heads[udp]);
        end(&w);
    }
}

/* A head without an end is bounded (header_bytes_max). */
static void test_h1_endless_head(void **state) {
    static const char line[] = "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    world w;
    size_t sent = 0;
    (void)state;
    begin(&w, "http/1.1");
    ask(&w, false);
    say(&w, "HTTP/1.1 200 OK\r\n", 17);
    while (!w.over && sent < 1000000) {
        say(&w, line, sizeof line - 1);
        sent += sizeof line - 1;
        settle(&w);
    }
    assert_true(w.over && sent < 100000);
    assert_int_equal(w.error, MASQUE_ERR_FLOOD);
    end(&w);
}

/* RFC 9112 8: a head that is cut off is no answer. */
static void test_h1_cut_head(void **state) {
    world w;
    (void)state;
    begin(&w, "http/1.1");
    ask(&w, false);
    say(&w, "HTTP/1.1 200 OK\r\nX", 18);
    settle(&w);
    masque_conn_finished(w.engine, w.conn, w.now);
    settle(&w);
    assert_true(w.ended && w.reset && w.answers == 0);
    end(&w);
}

/* RFC 9112 9.2: what comes before it was asked for answers nothing. */
static void test_h1_unasked(void **state) {
    world w;
    (void)state;
    begin(&w, "http/1.1");
    say(&w, "HTTP/1.1 200 OK\r\n\r\n", 19);
    settle(&w);
    assert_true(w.over && w.answers == 0);
    assert_int_equal(w.error, MASQUE_ERR_PROTOCOL);
    end(&w);
}

/* --- HTTP/2 -------------------------------------------------------------------------------------- */

typedef struct h2_row {
    const char *name;
    bool udp;
    const char *fields[8]; /* pairs; ":status" begins another head */
    outcome outcome;
    unsigned status;
} h2_row;

static const h2_row H2_ROWS[] = {
    {"200", false, {":status", "200"}, OPENED, 200},
    {"another 2xx", false, {":status", "299"}, OPENED, 299},
    {"204", false, {":status", "204"}, OPENED, 204},
    {"interim answers first", false, {":status", "100", ":status", "103", ":status", "200"}, OPENED, 200},
    {"only an interim answer", false, {":status", "103"}, WAITING, 0},
    {"407", false, {":status", "407", "proxy-authenticate", "Basic"}, REFUSED, 407},
    {"an unknown status", false, {":status", "599"}, REFUSED, 599},
    {"101 (RFC 9113 8.6)", false, {":status", "101"}, RESET, 0},
    {"no status", false, {"x", "y"}, RESET, 0},
    {"a status of two digits", false, {":status", "20"}, RESET, 0},
    {"a field in upper case", false, {":status", "200", "X", "y"}, RESET, 0},
    {"connection", false, {":status", "200", "connection", "close"}, RESET, 0},
    {"another pseudo-header", false, {":status", "200", ":path", "/"}, RESET, 0},
    {"UDP: 200", true, {":status", "200", "capsule-protocol", "?1"}, OPENED, 200},
    {"UDP: without Capsule-Protocol", true, {":status", "200"}, OPENED, 200},
    {"UDP: 204", true, {":status", "204"}, RESET, 0},
    {"UDP: 205", true, {":status", "205"}, RESET, 0},
    {"UDP: 206", true, {":status", "206"}, RESET, 0},
    {"UDP: Content-Type", true, {":status", "200", "content-type", "a/b"}, RESET, 0},
    {"UDP: 503", true, {":status", "503", "content-type", "a/b"}, REFUSED, 503},
};

static void answer(world *w, const char *const fields[8]) {
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    for (size_t i = 0; i < 8 && fields[i]; i += 2) {
        sim_hpack(&block, fields[i], fields[i + 1]);
        bool last = i + 2 >= 8 || !fields[i + 2] || strcmp(fields[i + 2], ":status") == 0;
        if (last) {
            sim_frame(&out, SIM_FRAME_HEADERS, SIM_FLAG_END_HEADERS, 1, block.bytes, block.end);
            sim_bytes_free(&block);
            block = (sim_bytes){.bytes = NULL};
        }
    }
    say(w, out.bytes, out.end);
    sim_bytes_free(&out);
}

/* One setting of VALUE. */
static void settings(world *w, uint8_t setting, uint8_t value) {
    const uint8_t payload[6] = {0, setting, 0, 0, 0, value};
    sim_bytes out = {.bytes = NULL};
    sim_frame(&out, SIM_FRAME_SETTINGS, 0, 0, payload, sizeof payload);
    say(w, out.bytes, out.end);
    sim_bytes_free(&out);
    settle(w);
}

static void test_h2(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(H2_ROWS); i++) {
        const h2_row *row = &H2_ROWS[i];
        world w;
        begin(&w, "h2");
        settings(&w, ENABLE_CONNECT_PROTOCOL, 1);
        ask(&w, row->udp);
        answer(&w, row->fields);
        settle(&w);
        check(&w, row->name, row->outcome, row->status);
        end(&w);
    }
}

/* RFC 8441 3: no extended CONNECT before the proxy said that it can. */
static void test_h2_no_extended_connect(void **state) {
    const masque_tunnel_request request = {.transport = MASQUE_TRANSPORT_UDP, .target = UDP_TARGET};
    world w;
    int error;
    (void)state;
    begin(&w, "h2");
    settings(&w, MAX_CONCURRENT_STREAMS, 100);
    assert_int_equal(masque_tunnel_open(w.engine, w.conn, &request, NULL, w.now, &error), 0);
    assert_int_equal(error, MASQUE_ERR_PROTOCOL);
    end(&w);
}

/* RFC 8441 3: it is 0 or 1. */
static void test_h2_bad_setting(void **state) {
    world w;
    (void)state;
    begin(&w, "h2");
    settings(&w, ENABLE_CONNECT_PROTOCOL, 2);
    assert_true(w.over && !w.open);
    assert_int_equal(w.error, MASQUE_ERR_PROTOCOL);
    end(&w);
}

/* RFC 9113 5.1.2. */
static void test_h2_stream_limit(void **state) {
    const masque_tunnel_request request = {.transport = MASQUE_TRANSPORT_TCP, .target = TCP_TARGET};
    world w;
    int error;
    (void)state;
    begin(&w, "h2");
    settings(&w, MAX_CONCURRENT_STREAMS, 1);
    ask(&w, false);
    assert_int_equal(masque_tunnel_open(w.engine, w.conn, &request, NULL, w.now, &error), 0);
    assert_int_equal(error, MASQUE_ERR_OVERLOAD);
    end(&w);
}

/* --- what the application may add ------------------------------------------------------------------ */

static void test_fields(void **state) {
    static const struct {
        masque_field field;
        bool good;
    } rows[] = {
        {{"sec-ch-geohash", "xn76c-JP"}, true},
        {{"x", ""}, true},
        {{"x", "a\tb c"}, true},
        {{"x", "\xc3\xbc"}, true},
        {{"X", "y"}, false},
        {{"", "y"}, false},
        {{":path", "/"}, false},
        {{"a b", "y"}, false},
        {{"x", "a\r\nb: c"}, false},
        {{"x", "a\x7f"}, false},
        {{"x", " a"}, false},
        {{"x", "a\t"}, false},
        {{"connection", "close"}, false},
        {{"host", "other"}, false},
        {{"transfer-encoding", "chunked"}, false},
        {{"content-length", "0"}, false},
        {{"te", "trailers"}, false},
        {{"upgrade", "h2c"}, false},
    };
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        const masque_tunnel_request request = {
            .transport = MASQUE_TRANSPORT_TCP, .target = TCP_TARGET, .fields = &rows[i].field, .field_count = 1};
        world w;
        int error;
        begin(&w, "http/1.1");
        masque_tunnel_id tunnel = masque_tunnel_open(w.engine, w.conn, &request, NULL, w.now, &error);
        if ((tunnel != 0) != rows[i].good || error != (rows[i].good ? 0 : MASQUE_ERR_INVALID)) {
            print_error("%s: %s\n", rows[i].field.name, masque_error_name(error));
            fail();
        }
        end(&w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h1),
        cmocka_unit_test(test_h1_requests),
        cmocka_unit_test(test_h1_endless_head),
        cmocka_unit_test(test_h1_cut_head),
        cmocka_unit_test(test_h1_unasked),
        cmocka_unit_test(test_h2),
        cmocka_unit_test(test_h2_bad_setting),
        cmocka_unit_test(test_h2_stream_limit),
        cmocka_unit_test(test_h2_no_extended_connect),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
