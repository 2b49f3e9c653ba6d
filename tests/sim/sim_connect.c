/*
 * sim_connect.c: requests that succeed and requests that are refused, on HTTP/2
 * and HTTP/1.1: bytes both ways, every status with its fields, and what clients
 * rely on in an answer.
 */
#include "harness/suite.h"

/* --- bytes both ways ------------------------------------------------------------------ */

typedef struct echo_row {
    const char *name;
    const char *alpn;
    int tls;
    size_t segment;
    size_t pipe;
    uint64_t bytes;
    unsigned seeds;
} echo_row;

static const echo_row ECHO_ROWS[] = {
    {"h2, any pieces", "h2", 13, 65536, 65536, 50000, 200},
    {"h1, any pieces", "http/1.1", 13, 65536, 65536, 50000, 200},
    {"h2, no ALPN is HTTP/1.1", "", 13, 65536, 65536, 5000, 10},
    {"h2 of two offers", "http/1.1,h2", 13, 65536, 65536, 5000, 10},
    {"h2, TLS 1.2", "h2", 12, 4096, 65536, 50000, 50},
    {"h1, TLS 1.2", "http/1.1", 12, 4096, 65536, 50000, 50},
    {"h2, single bytes", "h2", 13, 1, 65536, 3000, 10},
    {"h1, single bytes", "http/1.1", 13, 1, 65536, 3000, 10},
    {"h2, a narrow pipe", "h2", 13, 65536, 700, 200000, 20},
    {"h1, a narrow pipe", "http/1.1", 13, 65536, 700, 200000, 20},
    {"h2, large", "h2", 13, 65536, 262144, 3000000, 10},
    {"h1, large", "http/1.1", 13, 65536, 262144, 3000000, 10},
};

static bool offers_h2(const char *alpn) {
    return strstr(alpn, "h2") != NULL;
}

static void run_echo(const echo_row *row, uint64_t seed) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = row->segment, .pipe = row->pipe});
    const char *alpn = strcmp(row->alpn, "http/1.1,h2") == 0 ? "h2" : row->alpn;
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = alpn, .tls = row->tls});
    sim_tun *t = sim_request(
        c,
        &(sim_ask){.authority = seed % 2 ? SIM_ECHO ":1001" : "echo.test:1001", .send = row->bytes, .send_fin = true});
    sim_settle(w);
    SIM_CHECK(w, t->status == 200, "%s: status %u (handshake %d, alert %d, tls failed %d, end error %d)", row->name,
              t->status, c->handshaken, c->alert, c->tls_error, c->end_error);
    SIM_CHECK(w, t->received == row->bytes, "%s: %llu bytes came back", row->name, (unsigned long long)t->received);
    SIM_CHECK(w, t->got_fin && !t->got_reset, "%s: the end", row->name);
    SIM_CHECK(w, t->target->received == row->bytes && t->target->got_fin, "%s: the target", row->name);
    SIM_CHECK(w, !t->target->got_reset && t->target->ended, "%s: the target's end", row->name);
    SIM_CHECK(w, !t->content_length[0] && !t->proxy_status[0], "%s: fields", row->name);
    SIM_CHECK(w, strncmp(t->server_timing, "proxy;dur=", 10) == 0, "%s: timing '%s'", row->name, t->server_timing);
    SIM_CHECK(w, offers_h2(row->alpn) || (c->alone_in_record && c->alone_in_write), "%s: head not alone", row->name);
    masque_stats stats = sim_stats(w);
    SIM_CHECK(w, stats.bytes_sent == row->bytes && stats.bytes_received == row->bytes, "%s: counters", row->name);
    sim_world_close(w);
}

static void test_echo(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ECHO_ROWS); i++) {
        for (unsigned seed = 1; seed <= ECHO_ROWS[i].seeds; seed++) {
            run_echo(&ECHO_ROWS[i], seed);
        }
    }
}

/* --- refusals ------------------------------------------------------------------------- */

static void add_refusing_sites(sim_world *w) {
    static const struct {
        const char *name;
        const char *address;
        masque_dial_result result;
    } rows[] = {{"refused.test", "45.60.0.10", MASQUE_DIAL_REFUSED},
                {"unreachable.test", "45.60.0.11", MASQUE_DIAL_UNREACHABLE},
                {"slow.test", "45.60.0.12", MASQUE_DIAL_TIMEOUT},
                {"failed.test", "45.60.0.13", MASQUE_DIAL_FAILED},
                {"exhausted.test", "45.60.0.14", MASQUE_DIAL_EXHAUSTED}};
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        sim_add_site(w, rows[i].address, (sim_site){.result = rows[i].result});
        sim_add_name(w, (sim_name){.text = rows[i].name, .ipv4 = {{.addresses = {rows[i].address}}}});
    }
    sim_add_name(w, (sim_name){.text = "empty.test"});
    sim_add_name(w, (sim_name){.text = "broken.test",
                               .ipv6 = {{.result = MASQUE_LOOKUP_FAILED}},
                               .ipv4 = {{.result = MASQUE_LOOKUP_FAILED}}});
    sim_add_name(w, (sim_name){.text = "late.test",
                               .ipv6 = {{.result = MASQUE_LOOKUP_TIMEOUT}},
                               .ipv4 = {{.result = MASQUE_LOOKUP_TIMEOUT}}});
    sim_add_name(w, (sim_name){.text = "private.test", .ipv4 = {{.addresses = {"10.1.2.3", "127.0.0.1"}}}});
}

static const sim_field GET_FIELDS[] = {{":scheme", "https"}, {":path", "/"}};
static const sim_field WEBSOCKET_FIELDS[] = {{":scheme", "https"}, {":path", "/"}, {":protocol", "websocket"}};
static const sim_field UPGRADE_FIELDS[] = {{"Connection", "keep-alive, Upgrade"}, {"Upgrade", "connect-udp"}};
static const sim_field OTHER_UPGRADE_FIELDS[] = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
static const sim_field BODY_FIELDS[] = {{"Content-Length", "5"}};
static const sim_field TWO_KEYS[] = {{"proxy-authorization", "Preshared " SIM_KEY}};

typedef struct refusal_row {
    const char *name;
    sim_ask ask;
    int version; /* 1, 2 or 0 for both */
    unsigned status;
    const char *proxy_status; /* behind "masqueproxy; error=" */
} refusal_row;

#define FIELDS(array) .fields = (array), .field_count = SIM_COUNT(array)
#define KEYLESS .key = ""

static const refusal_row REFUSALS[] = {
    {"no port", {.authority = "echo.test"}, 0, 400, "http_request_error; details=\"malformed authority\""},
    {"port 0", {.authority = "echo.test:0"}, 0, 400, "http_request_error; details=\"malformed authority\""},
    {"port 65536", {.authority = "echo.test:65536"}, 0, 400, "http_request_error; details=\"malformed authority\""},
    {"short address", {.authority = "127.1:80"}, 0, 400, "http_request_error; details=\"malformed authority\""},
    {"octal address", {.authority = "0177.0.0.1:80"}, 0, 400, "http_request_error; details=\"malformed authority\""},
    {"one number", {.authority = "2130706433:80"}, 0, 400, "http_request_error; details=\"malformed authority\""},
    {"user info", {.authority = "a@echo.test:80"}, 1, 400, "http_request_error; details=\"malformed authority\""},
    {"a body",
     {.authority = "echo.test:80", FIELDS(BODY_FIELDS)},
     1,
     400,
     "http_request_error; details=\"malformed request\""},
    {"wrong key", {.authority = "echo.test:80", .key = "wrong-key-wrong"}, 0, 403, "http_request_denied"},
    {"no key", {.authority = "echo.test:80", KEYLESS}, 0, 403, "http_request_denied"},
    {"two keys", {.authority = "echo.test:80", .key = NULL, FIELDS(TWO_KEYS)}, 0, 403, "http_request_denied"},
    {"loopback", {.authority = "127.0.0.1:80"}, 0, 403, "destination_ip_prohibited"},
    {"loopback, IPv6", {.authority = "[::1]:80"}, 0, 403, "destination_ip_prohibited"},
    {"loopback, mapped", {.authority = "[::ffff:127.0.0.1]:80"}, 0, 403, "destination_ip_prohibited"},
    {"loopback, NAT64", {.authority = "[64:ff9b::7f00:1]:80"}, 0, 403, "destination_ip_prohibited"},
    {"metadata", {.authority = "169.254.169.254:80"}, 0, 403, "destination_ip_prohibited"},
    {"a private name", {.authority = "private.test:80"}, 0, 403, "destination_ip_prohibited"},
    {"mail", {.authority = SIM_ECHO ":25"}, 0, 403, "destination_ip_prohibited"},
    {"GET",
     {.authority = "echo.test:80", .method = "GET", FIELDS(GET_FIELDS)},
     2,
     405,
     "http_request_error; details=\"method not supported\""},
    {"GET", {.authority = "/", .method = "GET"}, 1, 405, "http_request_error; details=\"method not supported\""},
    {"POST", {.authority = "/", .method = "POST"}, 1, 405, "http_request_error; details=\"method not supported\""},
    {"websocket",
     {.authority = "echo.test:80", FIELDS(WEBSOCKET_FIELDS)},
     2,
     501,
     "http_request_error; details=\"protocol not supported\""},
    {"upgrade without a target",
     {.authority = "/", .method = "GET", FIELDS(UPGRADE_FIELDS)},
     1,
     400,
     "http_request_error; details=\"malformed authority\""},
    {"upgrade to something else",
     {.authority = "/", .method = "GET", FIELDS(OTHER_UPGRADE_FIELDS)},
     1,
     501,
     "http_request_error; details=\"protocol not supported\""},
    {"unknown name", {.authority = "nowhere.test:80"}, 0, 502, "dns_error; rcode=\"NXDOMAIN\""},
    {"name without address", {.authority = "empty.test:80"}, 0, 502, "dns_error; rcode=\"NOERROR\""},
    {"broken name", {.authority = "broken.test:80"}, 0, 502, "dns_error; rcode=\"SERVFAIL\""},
    {"late name", {.authority = "late.test:80"}, 0, 502, "dns_timeout"},
    {"refused", {.authority = "refused.test:80"}, 0, 502, "connection_refused"},
    {"unreachable", {.authority = "unreachable.test:80"}, 0, 502, "destination_ip_unroutable"},
    {"timed out", {.authority = "slow.test:80"}, 0, 502, "connection_timeout"},
    {"failed", {.authority = "failed.test:80"}, 0, 502, "connection_terminated"},
    {"exhausted",
     {.authority = "exhausted.test:80"},
     0,
     503,
     "connection_limit_reached; details=\"no descriptor or port left\""},
};

static void run_refusal(const refusal_row *row, int version, uint64_t seed) {
    char expected[SIM_TEXT];
    sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 2 ? 0 : 7});
    add_refusing_sites(w);
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2", .stubborn = true});
    sim_settle(w); /* the client knows SETTINGS_ENABLE_CONNECT_PROTOCOL */
    sim_tun *t = sim_request(c, &row->ask);
    sim_settle(w);
    snprintf(expected, sizeof expected, "masqueproxy; error=%s", row->proxy_status);
    SIM_CHECK(w, t->status == row->status, "h%d %s: status %u", version, row->name, t->status);
    SIM_CHECK(w, strcmp(t->proxy_status, expected) == 0, "h%d %s: '%s'", version, row->name, t->proxy_status);
    SIM_CHECK(w, strncmp(t->server_timing, "proxy;dur=", 10) == 0, "h%d %s: timing", version, row->name);
    SIM_CHECK(w, (row->status == 405) == (strcmp(t->allow, "CONNECT") == 0), "h%d %s: Allow", version, row->name);
    /* Behind END_STREAM HTTP/2 may say that it wants no more (RFC 9113 8.1). */
    bool cut = t->got_reset && t->reset_code != 0;
    SIM_CHECK(w, t->received == 0 && t->got_fin && !cut, "h%d %s: the end", version, row->name);
    if (version == 1) {
        SIM_CHECK(w, strcmp(t->connection, "close") == 0, "%s: Connection '%s'", row->name, t->connection);
        SIM_CHECK(w, strcmp(t->content_length, "0") == 0, "%s: length '%s'", row->name, t->content_length);
        SIM_CHECK(w, c->peer_closed && c->finished, "%s: not closed", row->name);
    } else {
        SIM_CHECK(w, !c->peer_closed, "%s: HTTP/2 was closed", row->name);
    }
    sim_world_close(w);
}

static void test_refusals(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(REFUSALS); i++) {
        for (int version = 1; version <= 2; version++) {
            for (uint64_t seed = 1; seed <= 2; seed++) {
                if (REFUSALS[i].version == 0 || REFUSALS[i].version == version) {
                    run_refusal(&REFUSALS[i], version, seed);
                }
            }
        }
    }
}

/* --- heads that are too large ------------------------------------------------------------ */

static void test_large_heads(void **state) {
    static char value[20000];
    sim_field fields[100];
    (void)state;
    memset(value, 'a', sizeof value - 1);
    for (size_t i = 0; i < SIM_COUNT(fields); i++) {
        fields[i] = (sim_field){.name = "x", .value = "y"};
    }
    for (int version = 1; version <= 2; version++) {
        for (int large = 0; large <= 1; large++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = 3});
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
            sim_field one = {.name = "x", .value = value};
            sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001",
                                                   .fields = large ? &one : fields,
                                                   .field_count = large ? 1 : SIM_COUNT(fields)});
            sim_settle(w);
            SIM_CHECK(w, t->status == 431, "h%d: status %u", version, t->status);
            SIM_CHECK(w, strstr(t->proxy_status, "error=http_request_error; details=\"request head too large\""),
                      "h%d: '%s'", version, t->proxy_status);
            sim_world_close(w);
        }
    }
}

/* --- what clients rely on ------------------------------------------------------------------ */

/* Tunnel bytes in the request's own record, before any answer. */
static void test_early_bytes(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 2 ? 0 : 50});
        sim_find_site(w, SIM_ECHO)->delay = seed % 3 ? 300 * MASQUE_MILLISECOND : 0;
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = seed % 4 ? "http/1.1" : "h2"});
        sim_tun *t =
            sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .early = true, .send = 30000, .send_fin = true});
        sim_settle(w);
        SIM_CHECK(w, t->status == 200 && t->received == 30000 && t->got_fin, "status %u, %llu bytes", t->status,
                  (unsigned long long)t->received);
        sim_world_close(w);
    }
}

/* A refused client's tunnel bytes are never a request, and don't lose the answer. */
static void test_early_bytes_of_a_refused_client(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = seed});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "http/1.1"});
        sim_tun *t = sim_request(
            c, &(sim_ask){.authority = SIM_ECHO ":1001", .key = "wrong-wrong", .early = true, .send = 100000});
        sim_settle(w);
        SIM_CHECK(w, t->status == 403 && t->got_fin && !c->was_reset, "status %u", t->status);
        SIM_CHECK(w, sim_stats(w).requests_total == 1, "another request was seen");
        sim_world_close(w);
    }
}

static void test_timing_leaves_waiting_out(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_find_site(w, SIM_ECHO)->delay = 30 * MASQUE_MILLISECOND;
    sim_add_name(w, (sim_name){.text = "slow.test",
                               .ipv6 = {{.delay = 20 * MASQUE_MILLISECOND}},
                               .ipv4 = {{.delay = 20 * MASQUE_MILLISECOND, .addresses = {SIM_ECHO}}}});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = "slow.test:1001"});
    sim_settle(w);
    assert_string_equal(t->server_timing, "proxy;dur=0.0, dns;dur=20.0, connect;dur=30.0");
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_large_heads),
        cmocka_unit_test(test_early_bytes),
        cmocka_unit_test(test_early_bytes_of_a_refused_client),
        cmocka_unit_test(test_timing_leaves_waiting_out),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
