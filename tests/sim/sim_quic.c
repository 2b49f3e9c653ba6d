/*
 * sim_quic.c: QUIC before, beside and behind a connection: what the proxy answers to whom, and
 * what it keeps for clients that have shown nothing. The ledger of RFC 9000 8.1 holds in every
 * world with an HTTP/3 client, see harness/packets.c.
 */
#include "harness/parts.h"
#include "harness/suite.h"

static const sim_link_model DARK = {.dark = SIM_NEVER};

/* --- the proxy's UDP socket, by hand ------------------------------------------------------- */

typedef struct answers {
    size_t count;
    size_t bytes;
    size_t longest;
    uint8_t last[1500];
    size_t last_length;
} answers;

/* Gives the proxy a payload from PORT of an address where nobody is. */
static void give(sim_world *w, uint16_t port, const void *bytes, size_t length) {
    static uint8_t copy[65536];
    masque_route route;
    memcpy(copy, bytes, length);
    const masque_packets packets = {.local = sim_address("192.0.2.1", 443),
                                    .remote = sim_address("198.51.100.99", port),
                                    .bytes = copy,
                                    .length = length};
    sim_alloc_side(SIM_PROXY);
    masque_engine_packets(w->engine, &packets, &route, w->now);
    sim_alloc_side(SIM_TEST);
    sim_events(w);
}

static answers take_all(sim_world *w) {
    masque_packets packets[4];
    answers all = {.count = 0};
    size_t count;
    sim_alloc_side(SIM_PROXY);
    while ((count = masque_engine_pull_packets(w->engine, packets, 4, w->now)) > 0) {
        for (size_t i = 0; i < count; i++) {
            all.count++;
            all.bytes += packets[i].length;
            all.longest = packets[i].length > all.longest ? packets[i].length : all.longest;
            all.last_length = packets[i].length < sizeof all.last ? packets[i].length : sizeof all.last;
            memcpy(all.last, packets[i].bytes, all.last_length);
        }
        masque_engine_pulled_packets(w->engine, count, w->now);
    }
    sim_alloc_side(SIM_TEST);
    w->has_packets = false;
    return all;
}

static answers ask(sim_world *w, const void *bytes, size_t length) {
    give(w, 1000, bytes, length);
    return take_all(w);
}

/* A long header: FIRST byte, VERSION, connection IDs of DCID and 8 bytes, then nothing that makes sense. */
static void long_header(uint8_t *bytes, size_t length, uint8_t first, uint32_t version, uint8_t dcid) {
    memset(bytes, 0x5a, length);
    bytes[0] = first;
    for (size_t i = 0; i < 4; i++) {
        bytes[1 + i] = (uint8_t)(version >> (24 - 8 * i));
    }
    bytes[5] = dcid;
    bytes[6 + dcid] = 8;
}

static sim_world *world(void) {
    return sim_world_new(&(sim_setup){.seed = 5});
}

/* --- version negotiation (RFC 9000 6) -------------------------------------------------------- */

static void test_version_negotiation(void **state) {
    uint8_t bytes[1500];
    sim_world *w = world();
    (void)state;
    long_header(bytes, sizeof bytes, 0xc3, 0x1a2a3a4a, 8);
    answers got = ask(w, bytes, 1200);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.last[0] & 0x80, 0x80);
    assert_memory_equal(got.last + 1, "\0\0\0\0", 4);
    /* The client's IDs, the other way round. */
    assert_memory_equal(got.last + 6, bytes + 15, 8);
    assert_memory_equal(got.last + 15, bytes + 6, 8);
    assert_int_equal((got.last_length - 23) % 4, 0);
    /* RFC 9000 6.3: one that is reserved is among them; and ours are. */
    bool reserved = false;
    bool first = false;
    for (size_t at = 23; at + 4 <= got.last_length; at += 4) {
        reserved = reserved || (got.last[at] & got.last[at + 1] & got.last[at + 2] & got.last[at + 3] & 0x0f) == 0x0a;
        first = first || memcmp(got.last + at, "\0\0\0\1", 4) == 0;
    }
    assert_true(reserved && first);
    /* Not for less than a client's first packet, and never for one of its own kind. */
    assert_int_equal(ask(w, bytes, 1199).count, 0);
    long_header(bytes, sizeof bytes, 0xc3, 0, 8);
    assert_int_equal(ask(w, bytes, 1200).count, 0);
    /* RFC 8999: other versions may have longer IDs; they are answered all the same, or not at all. */
    long_header(bytes, sizeof bytes, 0xc3, 0x1a2a3a4a, 255);
    assert_true(ask(w, bytes, 1500).bytes <= 1500);
    sim_world_close(w);
}

/* RFC 9000 14.1: a client's first packet has 1,200 bytes at least. */
static void test_short_initial(void **state) {
    uint8_t bytes[1200];
    sim_world *w = world();
    (void)state;
    long_header(bytes, sizeof bytes, 0xc3, 1, 8);
    memcpy(bytes + 23, "\0\x44\x80", 3); /* no token, a length of 1152 */
    assert_int_equal(ask(w, bytes, 1199).count, 0);
    assert_int_equal(sim_stats(w).connections_total, 0);
    (void)ask(w, bytes, 1200);
    assert_int_equal(sim_stats(w).connections_total, 1);
    sim_advance(w, 60 * MASQUE_SECOND);
    sim_world_close(w);
}

/* Early data is for nobody: no connection begins with it, and nothing is said. */
static void test_early_data(void **state) {
    uint8_t bytes[1200];
    sim_world *w = world();
    (void)state;
    long_header(bytes, sizeof bytes, 0xd3, 1, 8);
    memcpy(bytes + 23, "\x44\x80", 2); /* a length of 1152 */
    assert_int_equal(ask(w, bytes, sizeof bytes).count, 0);
    assert_int_equal(sim_stats(w).connections_total, 0);
    sim_world_close(w);
}

/* A server without any version of ours (RFC 9000 6.2): the client gives up, unless one of the server's is the
   one that it began with. */
static void test_version_negotiation_for_a_client(void **state) {
    static const uint8_t versions[][4] = {{0x1a, 0x2a, 0x3a, 0x4a}, {0, 0, 0, 1}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(versions); i++) {
        const sim_link_model path = {.delay = 20 * MASQUE_MILLISECOND};
        uint8_t bytes[100] = {0x80};
        sim_world *w = world();
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .up = &path, .down = &path});
        while (c->to_proxy.count == 0) {
            sim_step(w);
        }
        const uint8_t *initial = c->to_proxy.packets[0].bytes;
        size_t dcid = initial[5];
        size_t scid = initial[6 + dcid];
        size_t length = 5;
        bytes[length++] = (uint8_t)scid;
        memcpy(bytes + length, initial + 7 + dcid, scid);
        length += scid;
        bytes[length++] = (uint8_t)dcid;
        memcpy(bytes + length, initial + 6, dcid);
        length += dcid;
        memcpy(bytes + length, versions[i], 4);
        const sim_packet packet = {.port = c->address.port, .length = length + 4, .bytes = bytes};
        sim_link_send(&c->to_client, &packet, w->now);
        sim_advance(w, MASQUE_SECOND);
        assert_int_equal(c->handshaken, i == 1);
        assert_int_equal(c->closed, i == 0);
        sim_world_close(w);
    }
}

/* --- garbage --------------------------------------------------------------------------------- */

/* Whatever comes: an answer is never longer than its cause, and nothing is kept. */
static void test_garbage(void **state) {
    static const uint32_t versions[] = {1, 0x6b3343cf, 0, 0x1a2a3a4a, 0xff00001d};
    uint8_t bytes[1500];
    sim_prng chance;
    sim_world *w = world();
    (void)state;
    sim_prng_seed(&chance, 3);
    (void)ask(w, "x", 1); /* what only QUIC needs is there from now on */
    uint64_t before = sim_proxy_bytes();
    for (unsigned i = 0; i < 100000; i++) {
        size_t length = 1 + sim_random(&chance) % (sizeof bytes - 1);
        for (size_t k = 0; k < length; k += 8) {
            uint64_t word = sim_random(&chance);
            memcpy(bytes + k, &word, length - k < 8 ? length - k : 8);
        }
        if (i % 2 && length > 300) {
            long_header(bytes, length, (uint8_t)(0xc0 | sim_random(&chance)), versions[i / 2 % SIM_COUNT(versions)],
                        (uint8_t)(sim_random(&chance) % 21));
        }
        answers got = ask(w, bytes, length);
        assert_true(got.bytes <= length);
        if (i % 100 == 0) {
            sim_advance(w, 100 * MASQUE_MILLISECOND);
        }
    }
    sim_advance(w, 60 * MASQUE_SECOND);
    assert_int_equal(sim_stats(w).connections_active, 0);
    assert_true(sim_proxy_bytes() <= before + 4096);
    sim_world_close(w);
}

/* --- stateless reset (RFC 9000 10.3) ------------------------------------------------------------- */

/* It is shorter than what it answers, so two that reset each other come to an end. */
static void test_reset_loop(void **state) {
    uint8_t bytes[1200];
    sim_world *w = world();
    unsigned rounds = 0;
    (void)state;
    memset(bytes, 0x41, sizeof bytes);
    for (size_t length = sizeof bytes; length > 0; rounds++) {
        answers got = ask(w, bytes, length);
        assert_true(got.count == 0 || (got.last_length >= 21 && got.last_length < length));
        assert_true(got.count == 0 || (got.last[0] & 0xc0) == 0x40);
        memcpy(bytes, got.last, got.last_length);
        length = got.last_length;
    }
    assert_true(rounds < 100);
    sim_world_close(w);
}

/* A flood of them is answered up to a rate. */
static void test_reset_rate(void **state) {
    uint8_t bytes[100];
    sim_world *w = world();
    size_t answered = 0;
    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        memset(bytes, (int)(i & 0x3f) | 0x40, sizeof bytes);
        answered += ask(w, bytes, sizeof bytes).count;
    }
    assert_true(answered > 0 && answered <= 1000);
    sim_world_close(w);
}

static void replace_engine(sim_world *w) {
    masque_runtime runtime = sim_runtime(w);
    sim_alloc_side(SIM_PROXY);
    masque_engine_free(w->engine);
    assert_int_equal(masque_engine_new(&w->engine, w->config, &runtime), 0);
    sim_alloc_side(SIM_TEST);
    w->has_packets = false;
    for (size_t i = 0; i < w->target_count; i++) {
        w->targets[i]->state = SIM_CLOSED;
    }
}

/* A proxy that was restarted: its clients hear of it by the first word they say. */
static void test_lost_state(void **state) {
    sim_world *w = world();
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 10});
    (void)state;
    sim_settle(w);
    assert_int_equal(t->received, 10);
    replace_engine(w);
    t->target = NULL;
    t->retired = true;
    t->send_total += 100;
    sim_advance(w, 2 * MASQUE_SECOND);
    assert_true(c->closed && t->closed && t->got_reset);
    sim_world_close(w);
}

static void as_server(sim_world *w, masque_config *config) {
    static const uint8_t key[MASQUE_QUIC_KEY_LENGTH] = {1, 2, 3};
    assert_int_equal(masque_config_add_quic_key(config, 0, key), 0);
    assert_int_equal(masque_config_set_server_number(config, *(const uint32_t *)w->setup.user), 0);
}

static void replace_server(sim_world *w) {
    masque_config *config = sim_config_new(w, NULL, true);
    as_server(w, config);
    sim_alloc_side(SIM_PROXY);
    assert_int_equal(masque_config_seal(config), 0);
    masque_config_release(w->config);
    sim_alloc_side(SIM_TEST);
    w->config = config;
    replace_engine(w);
}

/* Two proxies with one key know each other's reset tokens. None says one for the other, as whoever may send it
   packets could end the other's connections: a packet goes to whom its connection ID names, or nowhere. */
static void test_no_reset_for_another_server(void **state) {
    uint32_t server = 7;
    uint8_t bytes[100] = {0x41};
    masque_route route = {.server = 0};
    sim_world *w = sim_world_new(&(sim_setup){.seed = 5, .configure = as_server, .user = &server});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .raw = true});
    size_t length = sim_quic_dcid(c, bytes + 1);
    (void)state;
    assert_int_equal(length, MASQUE_CONNECTION_ID_LENGTH);
    (void)take_all(w);
    server = 8;
    replace_server(w);
    const masque_packets packets = {.local = sim_address("192.0.2.1", 443),
                                    .remote = sim_address("198.51.100.99", 1000),
                                    .bytes = bytes,
                                    .length = sizeof bytes};
    assert_int_equal(masque_engine_packets(w->engine, &packets, &route, w->now), MASQUE_ERR_ELSEWHERE);
    assert_int_equal(route.server, 7);
    assert_int_equal(take_all(w).count, 0);
    server = 7;
    replace_server(w);
    assert_int_equal(ask(w, bytes, sizeof bytes).count, 1);
    sim_world_close(w);
}

/* --- half-open (threats 2e) ------------------------------------------------------------------------- */

static void retry_at_once(masque_limits *limits) {
    limits->half_open_before_retry = 0;
}

/* With a Retry a client takes a round trip more, and gets in. */
static void test_retry(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 5, .limits = retry_at_once});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 10, .send_fin = true});
    (void)state;
    sim_settle(w);
    assert_int_equal(t->received, 10);
    /* One for each packet of the ClientHello, which a post-quantum key share makes two. */
    assert_in_range(sim_stats(w).retries, 1, 2);
    assert_int_equal(sim_stats(w).connections_total, 1);
    sim_world_close(w);
}

/* The token is for the port that was seen: from another one it is refused (RFC 9000 8.1.2). */
static void test_retry_from_elsewhere(void **state) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 5, .limits = retry_at_once});
    const sim_link_model path = {.delay = 5 * MASQUE_MILLISECOND};
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .up = &path, .down = &path});
    (void)state;
    while (sim_stats(w).retries == 0) {
        sim_advance(w, MASQUE_MILLISECOND);
    }
    sim_advance(w, 6 * MASQUE_MILLISECOND); /* the Retry is there */
    sim_rebind(c);
    for (size_t i = 0; i < c->to_proxy.count; i++) {
        c->to_proxy.packets[i].port = c->address.port;
    }
    sim_advance(w, MASQUE_SECOND);
    assert_true(c->closed && !c->handshaken);
    assert_int_equal(sim_stats(w).connections_total, 0);
    sim_world_close(w);
}

/* Clients that say the first word and no second: memory is bounded, and time takes them away. */
static void test_half_open(void **state) {
    sim_world *w = world();
    (void)state;
    for (unsigned i = 0; i < 300; i++) {
        sim_connect(w, &(sim_client){.alpn = "h3", .down = &DARK});
        sim_step(w);
        sim_step(w);
    }
    masque_stats stats = sim_stats(w);
    assert_int_equal(stats.connections_active, 256);
    assert_true(stats.retries >= 44);
    uint64_t each = sim_proxy_bytes() / 256;
    print_message("%llu bytes for a half-open connection\n", (unsigned long long)each);
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 10});
    sim_settle(w);
    assert_int_equal(t->received, 10);
    sim_advance(w, 20 * MASQUE_SECOND);
    assert_int_equal(sim_stats(w).connections_active, 1);
    sim_world_close(w);
}

/* COUNT packets that nobody can read, for the connection that ID names. */
static size_t answers_to(sim_world *w, const uint8_t *id, size_t length, unsigned count) {
    uint8_t bytes[60] = {0x41};
    size_t answered = 0;
    memcpy(bytes + 1, id, length);
    for (unsigned i = 0; i < count; i++) {
        answered += ask(w, bytes, sizeof bytes).count;
    }
    return answered;
}

/* RFC 9000 10.2: behind our CONNECTION_CLOSE a packet is answered by it again, ever more seldom; behind the
   client's by nothing. When three PTOs are over nobody knows the connection. */
static void test_closing_and_draining(void **state) {
    (void)state;
    for (int ours = 0; ours < 2; ours++) {
        sim_world *w = world();
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .raw = true});
        uint8_t id[20];
        size_t length = sim_quic_dcid(c, id);
        if (ours) {
            sim_stream_send(c, sim_stream_open(c, false), "\0\7\1\0", 4, false); /* GOAWAY instead of SETTINGS */
            sim_step(w);
            sim_advance(w, 5 * MASQUE_MILLISECOND);
        } else {
            sim_leave(c, false);
            sim_advance(w, 5 * MASQUE_MILLISECOND);
        }
        (void)take_all(w);
        size_t answered = answers_to(w, id, length, 100);
        SIM_CHECK(w, ours ? answered >= 5 && answered <= 8 : answered == 0, "%u answers", (unsigned)answered);
        sim_advance(w, 10 * MASQUE_SECOND);
        assert_int_equal(sim_stats(w).connections_active, 0);
        assert_int_equal(answers_to(w, id, length, 3), 3); /* Stateless Reset */
        sim_world_close(w);
    }
}

static void idle_soon(masque_limits *limits) {
    limits->idle_timeout_ms = 10000;
}

/* RFC 9000 10.1: without a tunnel it ends, in silence, when the announced time is over; with one it is kept. */
static void test_idle_time(void **state) {
    (void)state;
    for (int with_tunnel = 0; with_tunnel < 2; with_tunnel++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 5, .limits = idle_soon});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3"});
        if (with_tunnel) {
            sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001"});
        }
        sim_settle(w);
        sim_advance(w, 9 * MASQUE_SECOND);
        assert_int_equal(sim_stats(w).connections_active, 1);
        sim_advance(w, 4 * MASQUE_SECOND);
        assert_int_equal(sim_stats(w).connections_active, with_tunnel);
        sim_advance(w, 60 * MASQUE_SECOND);
        assert_int_equal(sim_stats(w).connections_active, with_tunnel);
        sim_world_close(w);
    }
}

/* An idle connection with a tunnel. wolfSSL has nothing of it when the handshake is done. */
static void test_idle_memory(void **state) {
    enum { CONNECTIONS = 50 };
    sim_world *w = world();
    (void)state;
    uint64_t before = 0;
    uint64_t wolfssl_before = 0;
    for (unsigned i = 0; i <= CONNECTIONS; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_QUIET ":%u", 1000 + i);
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3"});
        sim_request(c, &(sim_ask){.authority = authority});
        sim_settle(w);
        if (i == 0) { /* the first one brings what all share */
            before = sim_proxy_bytes();
            wolfssl_before = sim_alloc_memory(SIM_PROXY)->wolfssl_bytes;
        }
    }
    sim_advance(w, 20 * MASQUE_SECOND);
    uint64_t each = (sim_proxy_bytes() - before) / CONNECTIONS;
    uint64_t wolfssl = (sim_alloc_memory(SIM_PROXY)->wolfssl_bytes - wolfssl_before) / CONNECTIONS;
    print_message("%llu bytes for an idle connection with a tunnel, %llu of them wolfSSL's\n", (unsigned long long)each,
                  (unsigned long long)wolfssl);
    assert_true(each <= 47 * 1024 && wolfssl == 0);
    sim_world_close(w);
}

/* --- drain --------------------------------------------------------------------------------------------- */

/* Whoever comes then is told so, at once. */
static void test_refused_while_draining(void **state) {
    sim_world *w = world();
    (void)state;
    sim_alloc_side(SIM_PROXY);
    masque_engine_drain(w->engine, w->now);
    sim_alloc_side(SIM_TEST);
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3"});
    sim_advance(w, 100 * MASQUE_MILLISECOND);
    assert_true(c->closed && !c->handshaken);
    assert_int_equal(sim_stats(w).connections_total, 0);
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_negotiation),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_reset_loop),
        cmocka_unit_test(test_reset_rate),
        cmocka_unit_test(test_lost_state),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_retry_from_elsewhere),
        cmocka_unit_test(test_half_open),
        cmocka_unit_test(test_refused_while_draining),
        cmocka_unit_test(test_short_initial),
        cmocka_unit_test(test_idle_time),
        cmocka_unit_test(test_closing_and_draining),
        cmocka_unit_test(test_idle_memory),
        cmocka_unit_test(test_no_reset_for_another_server),
        cmocka_unit_test(test_early_data),
        cmocka_unit_test(test_version_negotiation_for_a_client),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
