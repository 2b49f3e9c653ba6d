/*
 * sim_nested.c: QUIC inside CONNECT-UDP, as every user of HTTP/3 behind a proxy has it: a client of a second proxy
 * whose packets are the datagrams of a tunnel through the first. And what that costs: the goodput of a lossy path,
 * beside a QUIC connection straight over the same path.
 *
 *   near.inner ─ near.outer ══ link with loss ══ hop ─ far ─ a target that sends SIZE bytes
 *   near.inner ════════════════ link with loss ══════ far ─ the same
 */
#include "harness/link.h"
#include "harness/pattern.h"
#include "harness/suite.h"

#define MS MASQUE_MILLISECOND
#define BURSTS 16
#define PIECES 16
#define TIME_MAX (600 * MASQUE_SECOND)

/* An engine with what it has been told. */
typedef struct node {
    masque_engine *engine;
    masque_conn_id conn; /* of a client */
    masque_tunnel_id tunnel;
    bool open, answered, ended, blocked;
    unsigned status;
    uint64_t moved;
} node;

typedef struct nest {
    masque_time now;
    uint64_t size;
    sim_prng chance;
    node inner, outer, hop, far;
    sim_link up, down;
    bool through;         /* inner's packets go through outer's tunnel */
    uint64_t full, split; /* bursts on the way down: as long as one may be; and what one left for another */
} nest;

static sim_prng *chance;

static void on_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(sim_random(chance) >> 32);
    }
}

/* --- engines ---------------------------------------------------------------------------------- */

static masque_verdict allow(void *context, const masque_auth_request *request) {
    (void)context;
    (void)request;
    return MASQUE_AUTH_ALLOW;
}

static masque_engine *new_engine(bool proxy, masque_congestion congestion) {
    static const masque_auth_method method = {.name = "allow", .check = allow};
    const masque_runtime runtime = {.random = on_random};
    size_t length;
    masque_engine *engine = NULL;
    masque_config *config = masque_config_new(&runtime);
    assert_non_null(config);
    if (proxy) {
        size_t key_length;
        char *chain = sim_read_file(SIM_DATA "/sim_server.pem", &length);
        char *key = sim_read_file(SIM_DATA "/sim_server_key.pem", &key_length);
        assert_int_equal(masque_config_set_certificate(config, chain, length, key, key_length), 0);
        free(chain);
        free(key);
        assert_int_equal(masque_config_add_auth_method(config, &method), 0);
    } else {
        char *trust = sim_read_file(SIM_DATA "/sim_ca.pem", &length);
        assert_int_equal(masque_config_set_trust(config, trust, length), 0);
        free(trust);
    }
    assert_int_equal(masque_config_set_congestion(config, congestion), 0);
    assert_int_equal(masque_config_seal(config), 0);
    assert_int_equal(masque_engine_new(&engine, config, &runtime), 0);
    masque_config_release(config);
    return engine;
}

static masque_address near_address(void) {
    return sim_address("198.51.100.7", 40000);
}

static masque_address far_address(void) {
    return sim_address("198.51.100.1", 443);
}

static void begin_client(nest *n, node *client) {
    int error;
    const masque_proxy proxy = {.authority = "proxy.test:443",
                                .protocols = MASQUE_PROTOCOL_H3,
                                .local = near_address(),
                                .remote = far_address()};
    client->conn = masque_connect(client->engine, &proxy, NULL, n->now, &error);
    assert_int_not_equal(client->conn, 0);
}

static void open_tunnel(nest *n, node *client, bool udp) {
    const masque_tunnel_request request = {.transport = udp ? MASQUE_TRANSPORT_UDP : MASQUE_TRANSPORT_TCP,
                                           .target = "45.60.0.1:443"};
    int error;
    client->tunnel = masque_tunnel_open(client->engine, client->conn, &request, NULL, n->now, &error);
    assert_int_not_equal(client->tunnel, 0);
}

/* --- events ------------------------------------------------------------------------------------- */

static bool take_events(nest *n, node *side) {
    masque_event event;
    bool some = false;
    while (masque_next_event(side->engine, &event)) {
        some = some || event.type != MASQUE_EVENT_PACKETS;
        if (event.type == MASQUE_EVENT_CONN_OPEN) {
            side->open = true;
        } else if (event.type == MASQUE_EVENT_DIAL) {
            side->tunnel = event.tunnel;
            masque_dialed(side->engine, event.attempt, MASQUE_DIAL_OK, n->now);
        } else if (event.type == MASQUE_EVENT_TUNNEL_ANSWER) {
            side->answered = true;
            side->status = event.status;
        } else if (event.type == MASQUE_EVENT_TUNNEL_INPUT) {
            side->blocked = false;
        } else if (event.type == MASQUE_EVENT_TUNNEL_END) {
            assert_false(event.reset);
            side->ended = true;
        } else if (event.type == MASQUE_EVENT_CONN_END) {
            fail_msg("a connection ended: %s", masque_error_name(event.error));
        }
    }
    return some;
}

/* --- what the tunnels carry -------------------------------------------------------------------------- */

/* The target of far's tunnel. */
static bool give_bytes(nest *n) {
    node *far = &n->far;
    masque_iovec pieces[PIECES];
    if (!far->tunnel || far->blocked || far->moved == n->size) {
        return false;
    }
    size_t count = masque_tunnel_reserve(far->engine, far->tunnel, pieces, PIECES);
    size_t given = 0;
    for (size_t i = 0; i < count && far->moved < n->size; i++) {
        uint64_t left = n->size - far->moved;
        size_t length = left < pieces[i].length ? (size_t)left : pieces[i].length;
        sim_pattern_fill(n->size, far->moved, pieces[i].base, length);
        far->moved += length;
        given += length;
    }
    far->blocked = count == 0;
    if (given > 0) {
        assert_int_equal(masque_tunnel_commit(far->engine, far->tunnel, given, n->now), 0);
    }
    if (far->moved == n->size) {
        masque_tunnel_finished(far->engine, far->tunnel, n->now);
    }
    return given > 0;
}

static bool take_bytes(nest *n) {
    node *inner = &n->inner;
    masque_iovec pieces[PIECES];
    size_t count = inner->tunnel ? masque_tunnel_pull(inner->engine, inner->tunnel, pieces, PIECES) : 0;
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(sim_pattern_fits(n->size, inner->moved, pieces[i].base, pieces[i].length));
        inner->moved += pieces[i].length;
        taken += pieces[i].length;
    }
    if (count > 0) {
        masque_tunnel_pulled(inner->engine, inner->tunnel, taken, n->now);
    }
    return count > 0;
}

/* The datagrams of FROM's tunnel are packets for TO. */
static bool unwrap(nest *n, node *from, node *to) {
    masque_iovec pieces[PIECES];
    masque_route route;
    size_t count = from->tunnel ? masque_tunnel_pull_datagrams(from->engine, from->tunnel, pieces, PIECES) : 0;
    for (size_t i = 0; i < count; i++) {
        const masque_packets packets = {.local = to == &n->inner ? near_address() : far_address(),
                                        .remote = to == &n->inner ? far_address() : near_address(),
                                        .bytes = pieces[i].base,
                                        .length = pieces[i].length};
        masque_engine_packets(to->engine, &packets, &route, n->now);
    }
    if (count > 0) {
        masque_tunnel_pulled_datagrams(from->engine, from->tunnel, count, 0, n->now);
    }
    return count > 0;
}

/* --- packets ------------------------------------------------------------------------------------------ */

/* FROM's packets go into INTO's tunnel or, where that is NULL, into LINK. */
static bool send_packets(nest *n, node *from, node *into, sim_link *link) {
    masque_packets bursts[BURSTS];
    size_t count = masque_engine_pull_packets(from->engine, bursts, BURSTS, n->now);
    for (size_t i = 0; i < count; i++) {
        size_t segment = bursts[i].segment ? bursts[i].segment : bursts[i].length;
        bool full = bursts[i].length + segment > 65000;
        n->full += link == &n->down && full;
        n->split += link == &n->down && full && i + 1 < count;
        if (into) {
            masque_tunnel_datagrams(into->engine, into->tunnel, bursts[i].bytes, bursts[i].length, segment, n->now);
            continue;
        }
        for (size_t at = 0; at < bursts[i].length; at += segment) {
            size_t left = bursts[i].length - at;
            sim_link_send(link,
                          &(sim_packet){.port = 40000,
                                        .ecn = bursts[i].ecn,
                                        .bytes = bursts[i].bytes + at,
                                        .length = left < segment ? left : segment},
                          n->now);
        }
    }
    masque_engine_pulled_packets(from->engine, count, n->now);
    return count > 0;
}

static bool receive_packets(nest *n, sim_link *link, node *to, bool is_client) {
    sim_packet packet;
    masque_route route;
    bool some = false;
    while (sim_link_take(link, n->now, &packet)) {
        const masque_packets packets = {.local = is_client ? near_address() : far_address(),
                                        .remote = is_client ? far_address() : near_address(),
                                        .ecn = packet.ecn,
                                        .bytes = packet.bytes,
                                        .length = packet.length};
        masque_engine_packets(to->engine, &packets, &route, n->now);
        free(packet.bytes);
        some = true;
    }
    return some;
}

/* --- time ------------------------------------------------------------------------------------------------ */

static bool step(nest *n) {
    node *near = n->through ? &n->outer : &n->inner;
    node *beyond = n->through ? &n->hop : &n->far;
    bool more = receive_packets(n, &n->up, beyond, false);
    more = receive_packets(n, &n->down, near, true) || more;
    if (n->through && n->outer.answered) {
        more = unwrap(n, &n->outer, &n->inner) || more;
        more = unwrap(n, &n->hop, &n->far) || more;
        more = (n->inner.conn && send_packets(n, &n->inner, &n->outer, NULL)) || more;
        more = send_packets(n, &n->far, &n->hop, NULL) || more;
    }
    more = give_bytes(n) || more;
    more = take_bytes(n) || more;
    more = send_packets(n, near, NULL, &n->up) || more;
    more = send_packets(n, beyond, NULL, &n->down) || more;
    more = take_events(n, &n->inner) || more;
    more = take_events(n, &n->far) || more;
    if (n->through) {
        more = take_events(n, &n->outer) || more;
        more = take_events(n, &n->hop) || more;
    }
    return more;
}

static void sooner(masque_time *due, masque_time other) {
    *due = other < *due ? other : *due;
}

/* On to what is due next. */
static void pass(nest *n) {
    node *const sides[] = {&n->inner, &n->far, &n->outer, &n->hop};
    masque_time due = n->now + MASQUE_SECOND;
    while (step(n)) {
    }
    sooner(&due, sim_link_next(&n->up));
    sooner(&due, sim_link_next(&n->down));
    for (size_t i = 0; i < (n->through ? 4 : 2); i++) {
        sooner(&due, masque_deadline(sides[i]->engine));
    }
    n->now = due > n->now ? due : n->now;
    for (size_t i = 0; i < (n->through ? 4 : 2); i++) {
        masque_tick(sides[i]->engine, n->now);
    }
}

static void await(nest *n, const bool *what) {
    masque_time until = n->now + TIME_MAX;
    while (!*what) {
        assert_true(n->now < until);
        pass(n);
    }
}

/* --- a transfer -------------------------------------------------------------------------------------------- */

/* The congestion control of the connection that is measured, and of the tunnel's. */
typedef struct controls {
    const char *name;
    masque_congestion inner, outer;
} controls;

static const controls CUBIC = {"CUBIC", MASQUE_CUBIC, MASQUE_CUBIC};
static const controls CUBIC_IN_BBR = {"CUBIC in BBR", MASQUE_CUBIC, MASQUE_BBR};
static const controls BBR = {"BBR", MASQUE_BBR, MASQUE_BBR};

static void begin(nest *n, const sim_link_model *model, const controls *control, bool through, uint64_t seed) {
    *n = (nest){.now = 1000 * MASQUE_SECOND, .through = through};
    sim_prng_seed(&n->chance, seed);
    chance = &n->chance;
    sim_link_init(&n->up, model, seed * 3);
    sim_link_init(&n->down, model, seed * 5);
    n->inner.engine = new_engine(false, control->inner);
    n->far.engine = new_engine(true, control->inner);
    if (through) {
        n->outer.engine = new_engine(false, control->outer);
        n->hop.engine = new_engine(true, control->outer);
    }
}

static void end(nest *n) {
    node *const sides[] = {&n->inner, &n->far, &n->outer, &n->hop};
    for (size_t i = 0; i < (n->through ? 4 : 2); i++) {
        masque_engine_free(sides[i]->engine);
    }
    sim_link_free(&n->up);
    sim_link_free(&n->down);
}

/* How long SIZE bytes take, from the request on. */
static masque_time transfer(const sim_link_model *model, const controls *control, bool through, uint64_t size,
                            uint64_t seed) {
    nest n;
    begin(&n, model, control, through, seed);
    if (through) {
        begin_client(&n, &n.outer);
        await(&n, &n.outer.open);
        open_tunnel(&n, &n.outer, true);
        await(&n, &n.outer.answered);
        assert_int_equal(n.outer.status, 200);
    }
    begin_client(&n, &n.inner);
    await(&n, &n.inner.open);
    n.size = size;
    open_tunnel(&n, &n.inner, false);
    masque_time began = n.now;
    await(&n, &n.inner.answered);
    assert_int_equal(n.inner.status, 200);
    while (n.inner.moved < size) {
        assert_true(n.now - began < TIME_MAX);
        pass(&n);
    }
    masque_time took = n.now - began;
    end(&n);
    return took;
}

/* While there is more to send, a system call takes as much as one can: no burst of two packets behind each full one. */
static void test_bursts(void **state) {
    const sim_link_model model = {.delay = 1 * MS};
    nest n;
    (void)state;
    begin(&n, &model, &CUBIC, false, 1);
    begin_client(&n, &n.inner);
    await(&n, &n.inner.open);
    n.size = 20000000;
    open_tunnel(&n, &n.inner, false);
    while (n.inner.moved < n.size) {
        pass(&n);
    }
    print_message("%llu full bursts, %llu with a rest\n", (unsigned long long)n.full, (unsigned long long)n.split);
    assert_true(n.full > 100 && n.split == 0);
    end(&n);
}

/* Whatever the path does, the bytes come whole. */
static void test_paths(void **state) {
    static const struct {
        const char *name;
        sim_link_model model;
    } paths[] = {
        {"perfect", {.delay = 1 * MS}},
        {"delay", {.delay = 25 * MS}},
        {"long", {.delay = 375 * MS}},
        {"loss", {.delay = 25 * MS, .loss = 200}},
        {"burst loss", {.delay = 15 * MS, .loss = 100, .burst = 6}},
        {"reorder", {.delay = 15 * MS, .reorder = 1000, .late = 12 * MS}},
        {"duplicate", {.delay = 15 * MS, .duplicate = 2000}},
        {"corrupt", {.delay = 10 * MS, .corrupt = 300}},
        {"mtu 1350", {.delay = 10 * MS, .mtu = 1350 - 48}},
        {"mtu 1500", {.delay = 10 * MS, .mtu = 1500 - 48}},
        {"slow", {.delay = 20 * MS, .rate = 250000, .queue = 40000}},
        {"black hole",
         {.delay = 15 * MS, .dark_from = 1000 * MASQUE_SECOND + 150 * MS, .dark = 2000 * MS, .period = 9000 * MS}},
    };
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(paths); i++) {
        masque_time took = transfer(&paths[i].model, &CUBIC, true, 300000, i + 1);
        print_message("%s: %.0f ms\n", paths[i].name, (double)took / MS);
    }
}

static void check_goodput(const controls *control, unsigned loss, unsigned seeds, double least) {
    const sim_link_model model = {.delay = 25 * MS, .loss = loss, .rate = 12500000, .queue = 625000};
    const uint64_t size = 4000000;
    masque_time direct = 0;
    masque_time through = 0;
    for (unsigned seed = 1; seed <= seeds; seed++) {
        direct += transfer(&model, control, false, size, seed);
        through += transfer(&model, control, true, size, seed);
    }
    double ratio = (double)direct / (double)through;
    print_message("%s, %u of 10,000 lost: direct %.0f ms, through CONNECT-UDP %.0f ms: %.2f\n", control->name, loss,
                  (double)direct / MS / seeds, (double)through / MS / seeds, ratio);
    assert_true(ratio >= least);
}

static void test_goodput(void **state) {
    (void)state;
    check_goodput(&CUBIC, 0, 1, 0.9);
    check_goodput(&BBR, 0, 1, 0.9);
    check_goodput(&BBR, 200, 10, 0.9);
    check_goodput(&CUBIC_IN_BBR, 200, 10, 0.9);
    /* Two that halve their windows at the same losses. */
    check_goodput(&CUBIC, 200, 10, 0.8);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_paths), cmocka_unit_test(test_bursts),
                                       cmocka_unit_test(test_goodput)};
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
