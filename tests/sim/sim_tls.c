/*
 * sim_tls.c: what TLS negotiates with clients of different tastes, session
 * tickets within and across engines, and what happens when TLS is broken.
 */
#include "harness/suite.h"
#include "harness/wolf.h"

static sim_tun *echo_once(sim_conn *conn) {
    sim_tun *tun = sim_request(conn, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 1000, .send_fin = true});
    sim_settle(conn->world);
    return tun;
}

/* --- negotiation ----------------------------------------------------------------------- */

typedef struct taste_row {
    const char *name;
    sim_client client;
    const char *group; /* NULL: not asked */
    const char *cipher;
} taste_row;

static const taste_row TASTES[] = {
    {"post-quantum hybrid", {.group = WOLFSSL_X25519MLKEM768}, "X25519MLKEM768", NULL},
    {"X25519", {.group = WOLFSSL_ECC_X25519}, "X25519", NULL},
    {"P-256", {.group = WOLFSSL_ECC_SECP256R1}, "SECP256R1", NULL},
    {"P-384", {.group = WOLFSSL_ECC_SECP384R1}, "SECP384R1", NULL},
    {"AES first",
     {.ciphers = "TLS13-AES128-GCM-SHA256:TLS13-CHACHA20-POLY1305-SHA256"},
     NULL,
     "TLS13-AES128-GCM-SHA256"},
    {"AES-256 first, AES-128 offered",
     {.ciphers = "TLS13-AES256-GCM-SHA384:TLS13-AES128-GCM-SHA256"},
     NULL,
     "TLS13-AES128-GCM-SHA256"},
    {"only AES-256", {.ciphers = "TLS13-AES256-GCM-SHA384"}, NULL, "TLS13-AES256-GCM-SHA384"},
    {"ChaCha20 first",
     {.ciphers = "TLS13-CHACHA20-POLY1305-SHA256:TLS13-AES128-GCM-SHA256"},
     NULL,
     "TLS13-CHACHA20-POLY1305-SHA256"},
    {"ChaCha20 first, TLS 1.2",
     {.tls = 12, .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"},
     NULL,
     "ECDHE-ECDSA-CHACHA20-POLY1305"},
    {"AES first, TLS 1.2",
     {.tls = 12, .ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"},
     NULL,
     "ECDHE-ECDSA-AES128-GCM-SHA256"},
};

/* The first flight whole, and cut everywhere a network may cut it. */
static void test_tastes(void **state) {
    static const size_t segments[] = {65536, 600, 1};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(TASTES); i++) {
        for (size_t k = 0; k < SIM_COUNT(segments); k++) {
            const taste_row *row = &TASTES[i];
            sim_world *w = sim_world_new(&(sim_setup){.seed = k, .segment = segments[k]});
            sim_conn *c = sim_connect(w, &row->client);
            sim_tun *t = echo_once(c);
            SIM_CHECK(w, t->status == 200 && t->received == 1000, "%s, pieces of %zu: status %u", row->name,
                      segments[k], t->status);
            const char *group = wolfSSL_get_curve_name(c->ssl);
            const char *cipher = wolfSSL_get_cipher_name(c->ssl);
            SIM_CHECK(w, !row->group || (group && strcasecmp(group, row->group) == 0), "%s: group %s", row->name,
                      group);
            /* The order of ciphers is looked up in the first read only. */
            SIM_CHECK(w, segments[k] < 65536 || !row->cipher || strcmp(cipher, row->cipher) == 0,
                      "%s, pieces of %zu: cipher %s", row->name, segments[k], cipher);
            sim_world_close(w);
        }
    }
}

static void test_unknown_protocol_is_refused(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "spdy/9"});
    sim_settle(w);
    SIM_CHECK(w, !c->handshaken && c->alert == no_application_protocol, "alert %d", c->alert);
    SIM_CHECK(w, c->end_error == MASQUE_ERR_TLS_HANDSHAKE, "%s", masque_error_name(c->end_error));
    assert_int_equal(sim_stats(w).handshakes_failed, 1);
    sim_world_close(w);
}

/* --- tickets ------------------------------------------------------------------------------ */

static void run_resumption(int tls, uint64_t seed) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 2 ? 0 : 9});
    sim_conn *first = sim_connect(w, &(sim_client){.tls = tls});
    echo_once(first);
    void *session = sim_session_of(first);
    SIM_CHECK(w, sim_stats(w).handshakes_resumed == 0, "resumed from nothing");
    sim_conn *second = sim_connect(w, &(sim_client){.tls = tls, .session = session});
    sim_tun *t = echo_once(second);
    SIM_CHECK(w, t->status == 200 && t->received == 1000, "status %u", t->status);
    SIM_CHECK(w, wolfSSL_session_reused(second->ssl) == 1, "TLS %d: not resumed", tls);
    SIM_CHECK(w, sim_stats(w).handshakes_resumed == 1, "not counted");
    sim_session_free(session);
    sim_world_close(w);
}

static void test_resumption(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        run_resumption(13, seed);
        run_resumption(12, seed);
    }
}

static const uint8_t KEY_A[MASQUE_TICKET_KEY_LENGTH] = {1};
static const uint8_t KEY_B[MASQUE_TICKET_KEY_LENGTH] = {2};

static void use_a(sim_world *w, masque_config *config) {
    SIM_CHECK(w, masque_config_add_ticket_key(config, KEY_A) == 0, "key");
}

static void use_b(sim_world *w, masque_config *config) {
    SIM_CHECK(w, masque_config_add_ticket_key(config, KEY_B) == 0, "key");
}

static void use_b_then_a(sim_world *w, masque_config *config) {
    use_b(w, config);
    use_a(w, config);
}

/* Another engine with the same key, an old key, no such key. */
static void test_resumption_across_engines(void **state) {
    static const struct {
        const char *name;
        void (*configure)(sim_world *w, masque_config *config);
        uint64_t resumed;
    } rows[] = {{"the same key", use_a, 1}, {"now an old key", use_b_then_a, 1}, {"an unknown key", use_b, 0}};
    (void)state;
    for (size_t i = 0; i < 2 * SIM_COUNT(rows); i++) {
        int tls = i % 2 ? 12 : 13;
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = use_a});
        sim_conn *c = sim_connect(w, &(sim_client){.tls = tls});
        echo_once(c);
        void *session = sim_session_of(c);
        sim_world_close(w);
        w = sim_world_new(&(sim_setup){.seed = 2, .configure = rows[i / 2].configure});
        c = sim_connect(w, &(sim_client){.tls = tls, .session = session});
        sim_tun *t = echo_once(c);
        SIM_CHECK(w, t->status == 200, "%s, TLS %d: status %u", rows[i / 2].name, tls, t->status);
        SIM_CHECK(w, sim_stats(w).handshakes_resumed == rows[i / 2].resumed, "%s, TLS %d", rows[i / 2].name, tls);
        sim_session_free(session);
        sim_world_close(w);
    }
}

/* --- broken TLS ----------------------------------------------------------------------------- */

static void test_no_tls(void **state) {
    static const char *const hellos[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\xff\xff garbage", "\x16",
                                         "SSH-2.0-OpenSSH_9\r\n"};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(hellos); i++) {
        for (size_t segment = 1; segment <= 100; segment += 99) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = i, .segment = segment});
            sim_conn *c = sim_connect(w, &(sim_client){.naked = true});
            sim_raw_send(c, hellos[i], strlen(hellos[i]));
            sim_settle(w);
            sim_raw_send(c, hellos[0], strlen(hellos[0]));
            sim_advance(w, 15 * MASQUE_SECOND);
            SIM_CHECK(w, c->ended && c->end_error != 0, "%zu: %s", i, masque_error_name(c->end_error));
            SIM_CHECK(w, c->seen.bytes < 100, "%zu: %llu bytes came back", i, (unsigned long long)c->seen.bytes);
            sim_world_close(w);
        }
    }
}

static sim_world *live_tunnel(sim_conn **conn, sim_tun **tun, const char *alpn) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 5});
    *conn = sim_connect(w, &(sim_client){.alpn = alpn, .stubborn = true});
    *tun = sim_request(*conn, &(sim_ask){.authority = SIM_QUIET ":1001", .send = 1000});
    sim_settle(w);
    SIM_CHECK(w, (*tun)->status == 200 && (*tun)->target->received == 1000, "no tunnel");
    return w;
}

static void test_forged_record(void **state) {
    static const uint8_t record[] = {0x17, 3, 3, 0, 32, 1, 2, 3, [36] = 9};
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_conn *c;
        sim_tun *t;
        sim_world *w = live_tunnel(&c, &t, version == 1 ? "http/1.1" : "h2");
        sim_pipe_write(&c->up, record, sizeof record);
        sim_settle(w);
        SIM_CHECK(w, t->target->ended && t->target->got_reset, "the target was not reset");
        sim_advance(w, 5 * MASQUE_SECOND);
        SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_TLS_RECORD, "%s", masque_error_name(c->end_error));
        sim_world_close(w);
    }
}

/* FIN without close_notify may be anybody's: never an orderly end of a tunnel. */
static void test_cut_transport(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_conn *c;
        sim_tun *t;
        sim_world *w = live_tunnel(&c, &t, version == 1 ? "http/1.1" : "h2");
        c->up.fin = true;
        sim_settle(w);
        SIM_CHECK(w, t->target->ended && t->target->got_reset, "the target was not reset");
        SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_TRUNCATED, "%s", masque_error_name(c->end_error));
        sim_world_close(w);
    }
}

/* The same while bytes still wait for a full tunnel, in the transport or already in
   the engine: once they moved on it is clear that more was to come. */
static void test_cut_while_blocked(void **state) {
    unsigned waited[2] = {0, 0}; /* in the transport, in the engine */
    (void)state;
    for (uint64_t size = 264000; size < 400000; size += 4000) {
        sim_conn *c;
        sim_tun *t;
        sim_world *w = live_tunnel(&c, &t, "http/1.1");
        t->target->stalls = true;
        t->send_total += size;
        sim_settle(w);
        c->up.fin = true;
        sim_settle(w);
        SIM_CHECK(w, !t->target->ended, "ended while bytes wait");
        waited[c->up.length == 0]++;
        t->target->stalls = false;
        sim_settle(w);
        SIM_CHECK(w, t->target->ended && t->target->got_reset, "the target was not reset");
        SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_TRUNCATED, "%s", masque_error_name(c->end_error));
        sim_world_close(w);
    }
    assert_true(waited[0] > 0 && waited[1] > 0);
}

/* After close_notify nothing counts any more, not even a good record. */
static void test_bytes_behind_the_end(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        sim_conn *c;
        sim_tun *t;
        sim_world *w = live_tunnel(&c, &t, seed % 2 ? "http/1.1" : "h2");
        uint8_t noise[1024];
        memset(noise, (int)seed, sizeof noise);
        sim_say_close(c);
        sim_settle(w);
        sim_pipe_write(&c->up, noise, sizeof noise);
        sim_settle(w);
        SIM_CHECK(w, t->target->received == 1000, "more than was sent");
        sim_world_close(w);
    }
}

/* A client that asks for new keys again and again and reads none of the answers. */
static void test_key_update_flood(void **state) {
    (void)state;
    sim_conn *c;
    sim_tun *t;
    sim_world *w = live_tunnel(&c, &t, "h2");
    c->deaf = true;
    uint64_t before = sim_proxy_bytes();
    uint64_t most = 0;
    for (int i = 0; i < 40000 && !c->ended && !c->finished; i++) {
        wolfSSL_update_keys(c->ssl);
        sim_settle(w);
        most = sim_proxy_bytes() > most ? sim_proxy_bytes() : most;
    }
    SIM_CHECK(w, most < before + 1000000, "%llu bytes more", (unsigned long long)(most - before));
    c->deaf = false;
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tastes),
        cmocka_unit_test(test_unknown_protocol_is_refused),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_resumption_across_engines),
        cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_forged_record),
        cmocka_unit_test(test_cut_transport),
        cmocka_unit_test(test_cut_while_blocked),
        cmocka_unit_test(test_bytes_behind_the_end),
        cmocka_unit_test(test_key_update_flood),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
