/*
 * harness/client_engine.c: a client that is the library itself (client.h): an engine of its own with
 * the host around it, over QUIC on the links of packets.c, or over TLS on the connection's pipes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"

#define PIECES_MAX 16
#define PULLS_MAX 8

/* --- life ------------------------------------------------------------------------------ */

static void on_random(void *context, uint8_t *buffer, size_t size) {
    sim_conn *conn = context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(sim_random(&conn->engine_chance) >> 32);
    }
}

/* Whose memory the engine's calls use. */
static void enter(const sim_conn *conn) {
    sim_alloc_side(conn->world->setup.clients_may_fail ? SIM_PROXY : SIM_TEST);
}

static void leave(void) {
    sim_alloc_side(SIM_TEST);
}

static int show_certificate(const sim_conn *conn, masque_config *config) {
    bool stranger = conn->options.stranger;
    size_t chain_length, key_length;
    char *chain =
        sim_read_file(stranger ? SIM_DATA "/unit-server-chain.pem" : SIM_DATA "/sim_client.pem", &chain_length);
    char *key = sim_read_file(stranger ? SIM_DATA "/unit-server-key.pem" : SIM_DATA "/sim_client_key.pem", &key_length);
    int error =
        masque_config_set_client_identity(config, conn->options.raw_key ? NULL : chain, chain_length, key, key_length);
    free(chain);
    free(key);
    return error;
}

static masque_config *make_config(const sim_conn *conn, const masque_runtime *runtime) {
    masque_config *config = masque_config_new(runtime);
    if (!config) {
        SIM_CHECK(conn->world, conn->world->setup.clients_may_fail, "no configuration for a client");
        return NULL;
    }
    size_t length;
    char *text =
        sim_read_file(conn->options.untrusting ? SIM_DATA "/unit-server-chain.pem" : SIM_DATA "/sim_ca.pem", &length);
    masque_limits limits;
    masque_limits_init(&limits);
    limits.handshake_timeout_ms = conn->world->limits.handshake_timeout_ms;
    const uint8_t *pin = conn->options.trusted_key;
    int error = pin ? masque_config_add_trusted_key(config, pin) : masque_config_set_trust(config, text, length);
    free(text);
    if (!error && (conn->options.identified || conn->options.stranger)) {
        error = show_certificate(conn, config);
    }
    if (!error) {
        error = masque_config_set_limits(config, &limits);
    }
    if (!error) {
        error = masque_config_set_congestion(config, conn->options.congestion);
    }
    if (!error) {
        error = masque_config_seal(config);
    }
    SIM_CHECK(conn->world, error == 0 || conn->world->setup.clients_may_fail, "a client's configuration: %s",
              masque_error_name(error));
    return config;
}

/* Without memory there is none: the client is closed from the start. */
static masque_engine *make_engine(sim_conn *conn) {
    masque_runtime runtime = {.random = on_random, .context = conn};
    masque_engine *engine = NULL;
    if (conn->world->setup.clients_may_fail) {
        runtime.allocator = sim_allocator();
    }
    masque_config *config = make_config(conn, &runtime);
    int error = config ? masque_engine_new(&engine, config, &runtime) : MASQUE_ERR_NO_MEMORY;
    masque_config_release(config);
    SIM_CHECK(conn->world, error == 0 || conn->world->setup.clients_may_fail, "no engine for a client: %s",
              masque_error_name(error));
    return engine;
}

static unsigned protocols_of(const sim_conn *conn) {
    const char *alpn = conn->options.alpn;
    if (conn->address.port != 0) {
        return MASQUE_PROTOCOL_H3;
    }
    return !alpn ? MASQUE_PROTOCOL_ALL : strcmp(alpn, "h2") == 0 ? MASQUE_PROTOCOL_H2 : MASQUE_PROTOCOL_HTTP11;
}

void sim_engine_open(sim_conn *conn) {
    static const sim_link_model perfect = {.delay = 0};
    sim_world *w = conn->world;
    const sim_client *options = &conn->options;
    int error;
    sim_prng_seed(&conn->engine_chance, w->setup.seed * 7 + conn->index);
    sim_link_init(&conn->to_proxy, options->up ? options->up : &perfect, w->setup.seed * 3 + conn->index);
    sim_link_init(&conn->to_client, options->down ? options->down : &perfect, w->setup.seed * 5 + conn->index);
    enter(conn);
    conn->engine = make_engine(conn);
    const masque_proxy proxy = {.authority = options->name ? options->name : "proxy.test:443",
                                .protocols = protocols_of(conn),
                                .remote = sim_address("192.0.2.1", 443),
                                .local = sim_address("10.0.0.2", 50000)};
    conn->engine_conn = conn->engine ? masque_connect(conn->engine, &proxy, conn, w->now, &error) : 0;
    leave();
    SIM_CHECK(w, conn->engine_conn || w->setup.clients_may_fail, "masque_connect: %s", masque_error_name(error));
    conn->closed = conn->up.fin = !conn->engine_conn;
    w->quic_count += sim_is_quic(conn);
    w->engine_count++;
}

void sim_engine_free(sim_conn *conn) {
    enter(conn);
    masque_engine_free(conn->engine);
    leave();
    conn->engine = NULL;
    sim_link_free(&conn->to_proxy);
    sim_link_free(&conn->to_client);
}

void sim_rebind(sim_conn *conn) {
    conn->address.port++;
}

static void leave_at_once(sim_conn *conn) {
    /* Over UDP it is gone without a word. */
    conn->to_proxy.model.dark = SIM_NEVER;
    conn->to_proxy.model.dark_from = 0;
    conn->to_proxy.model.period = 0;
    if (!sim_is_quic(conn)) {
        sim_pipe_reset(&conn->up);
        masque_conn_failed(conn->engine, conn->engine_conn, conn->world->now);
    }
}

void sim_engine_leave(sim_conn *conn, bool reset) {
    enter(conn);
    if (reset) {
        leave_at_once(conn);
    }
    masque_conn_close(conn->engine, conn->engine_conn, conn->world->now);
    leave();
}

/* --- requests --------------------------------------------------------------------------- */

void sim_engine_request(sim_tun *tun, const sim_ask *ask) {
    sim_world *w = tun->conn->world;
    char credential[300] = "Preshared ";
    masque_field fields[MASQUE_REQUEST_FIELDS_MAX];
    size_t count = 0;
    const char *key = ask->key ? ask->key : SIM_KEY;
    int error;
    for (size_t i = 0; i < ask->field_count; i++) {
        fields[count++] = (masque_field){.name = ask->fields[i].name, .value = ask->fields[i].value};
    }
    if (key[0]) {
        strncat(credential, key, sizeof credential - 16);
        fields[count++] = (masque_field){.name = "proxy-authorization", .value = credential};
    }
    const masque_tunnel_request request = {.transport = ask->udp ? MASQUE_TRANSPORT_UDP : MASQUE_TRANSPORT_TCP,
                                           .target = ask->authority,
                                           .fields = fields,
                                           .field_count = count};
    tun->datagrams.unordered = true;
    enter(tun->conn);
    tun->handle = masque_tunnel_open(tun->conn->engine, tun->conn->engine_conn, &request, tun, w->now, &error);
    leave();
    bool too_late = w->setup.clients_may_fail || error == MASQUE_ERR_STALE || error == MASQUE_ERR_DRAINED ||
                    error == MASQUE_ERR_OVERLOAD;
    SIM_CHECK(w, tun->handle || too_late, "masque_tunnel_open: %s", masque_error_name(error));
    tun->closed = !tun->handle;
}

void sim_engine_wake(sim_tun *tun) {
    (void)tun; /* each step looks at what a test has changed */
}

void sim_engine_reset(sim_tun *tun) {
    enter(tun->conn);
    masque_tunnel_failed(tun->conn->engine, tun->handle, tun->conn->world->now);
    leave();
}

/* --- events ------------------------------------------------------------------------------- */

static void on_answer(sim_tun *tun, const masque_event *event) {
    sim_world *w = tun->conn->world;
    SIM_CHECK(w, !tun->answered, "a second answer for port %u", tun->port);
    tun->answered = true;
    tun->answered_at = w->now;
    tun->status = event->status;
    for (size_t i = 0; i < event->field_count; i++) {
        const masque_field *field = &event->fields[i];
        sim_tun_field(tun, field->name, strlen(field->name), field->value, strlen(field->value));
    }
}

static void on_tunnel_event(sim_tun *tun, const masque_event *event) {
    sim_world *w = tun->conn->world;
    SIM_CHECK(w, !tun->closed, "a client's event behind TUNNEL_END, port %u", tun->port);
    if (event->type == MASQUE_EVENT_TUNNEL_ANSWER) {
        on_answer(tun, event);
    } else if (event->type == MASQUE_EVENT_TUNNEL_OUTPUT) {
        tun->has_more = true;
    } else if (event->type == MASQUE_EVENT_TUNNEL_INPUT) {
        tun->blocked = false;
    } else if (event->type == MASQUE_EVENT_TUNNEL_FINISH) {
        SIM_CHECK(w, !tun->got_fin, "TUNNEL_FINISH twice, port %u", tun->port);
        tun->got_fin = true;
    } else {
        SIM_CHECK(w, event->type == MASQUE_EVENT_TUNNEL_END, "a client was told of %d", event->type);
        tun->closed = true;
        tun->got_reset = event->reset && !tun->reset_sent;
        tun->got_fin = tun->got_fin || (!event->reset && sim_tun_is_open(tun)); /* it implies TUNNEL_FINISH */
    }
}

static void on_event(sim_conn *conn, const masque_event *event) {
    sim_world *w = conn->world;
    if (event->type == MASQUE_EVENT_PACKETS) {
        conn->has_packets = true;
    } else if (event->type == MASQUE_EVENT_CONN_OPEN) {
        SIM_CHECK(w, event->user == conn && (event->protocol & protocols_of(conn)) != 0, "a wrong CONN_OPEN");
        conn->handshaken = true;
    } else if (event->type == MASQUE_EVENT_CONN_OUTPUT) {
        conn->engine_writes = true;
    } else if (event->type == MASQUE_EVENT_CONN_INPUT) {
        conn->engine_blocked = false;
    } else if (event->type == MASQUE_EVENT_CONN_FINISH) {
        conn->up.fin = true;
    } else if (event->type == MASQUE_EVENT_CONN_END) {
        SIM_CHECK(w, event->user == conn && !conn->closed, "CONN_END twice");
        conn->closed = true;
        conn->engine_error = event->error;
        conn->up.fin = true;
        if (event->reset) {
            sim_pipe_reset(&conn->up);
        }
    } else {
        on_tunnel_event(event->user, event);
    }
}

static bool take_events(sim_conn *conn) {
    masque_event event;
    bool some = false;
    while (masque_next_event(conn->engine, &event)) {
        some = true;
        on_event(conn, &event);
    }
    return some;
}

/* --- bytes ---------------------------------------------------------------------------------- */

static bool send_bytes(sim_tun *tun) {
    sim_world *w = tun->conn->world;
    sim_prng *chance = &tun->conn->chance;
    masque_iovec pieces[PIECES_MAX];
    bool more = tun->sent < tun->send_total;
    if (tun->blocked || !more || tun->fin_sent || tun->reset_sent || !sim_tun_is_open(tun)) {
        return false;
    }
    size_t count = masque_tunnel_reserve(tun->conn->engine, tun->handle, pieces, 1 + sim_random(chance) % PIECES_MAX);
    size_t given = 0;
    for (size_t i = 0; i < count; i++) {
        size_t piece = sim_tun_send(tun, pieces[i].base, pieces[i].length);
        given += piece;
        if (piece < pieces[i].length) {
            break;
        }
    }
    tun->blocked = count == 0;
    if (count > 0) {
        int error = masque_tunnel_commit(tun->conn->engine, tun->handle, given, w->now);
        SIM_CHECK(w, error == 0, "a client's masque_tunnel_commit: %s", masque_error_name(error));
    }
    return count > 0;
}

static bool send_payloads(sim_tun *tun) {
    static uint8_t burst[SIM_BURST_MAX];
    sim_world *w = tun->conn->world;
    size_t segment;
    if (sim_bytes_length(&tun->capsules) == 0 || !sim_tun_is_open(tun) || tun->fin_sent) {
        return false;
    }
    size_t length = sim_payloads_gather(&tun->conn->chance, &tun->capsules, burst, &segment);
    int error = masque_tunnel_datagrams(tun->conn->engine, tun->handle, burst, length, segment, w->now);
    SIM_CHECK(w, error == 0, "a client's masque_tunnel_datagrams: %s", masque_error_name(error));
    return true;
}

static bool send_fin(sim_tun *tun) {
    sim_world *w = tun->conn->world;
    bool all = tun->udp ? sim_bytes_length(&tun->capsules) == 0 : tun->sent == tun->send_total;
    if (!tun->send_fin || !all || tun->fin_sent || tun->reset_sent || !sim_tun_is_open(tun)) {
        return false;
    }
    tun->fin_sent = true;
    int error = masque_tunnel_finished(tun->conn->engine, tun->handle, w->now);
    SIM_CHECK(w, error == 0, "a client's masque_tunnel_finished: %s", masque_error_name(error));
    return true;
}

static bool receive_bytes(sim_tun *tun) {
    sim_world *w = tun->conn->world;
    masque_iovec pieces[PIECES_MAX];
    if (!tun->has_more || !tun->reading) {
        return false;
    }
    size_t count = masque_tunnel_pull(tun->conn->engine, tun->handle, pieces, PIECES_MAX);
    size_t taken = 0;
    for (size_t i = 0; i < count; i++) {
        sim_tun_received(tun, pieces[i].base, pieces[i].length);
        taken += pieces[i].length;
    }
    tun->has_more = count > 0;
    int error = masque_tunnel_pulled(tun->conn->engine, tun->handle, taken, w->now);
    SIM_CHECK(w, error == 0, "a client's masque_tunnel_pulled: %s", masque_error_name(error));
    return true;
}

static bool receive_payloads(sim_tun *tun) {
    sim_world *w = tun->conn->world;
    masque_iovec pieces[PIECES_MAX];
    if (!tun->has_more || !tun->reading) {
        return false;
    }
    size_t count = masque_tunnel_pull_datagrams(tun->conn->engine, tun->handle, pieces, PIECES_MAX);
    for (size_t i = 0; i < count; i++) {
        sim_datagrams_check(w, sim_down_seed(tun->target), &tun->datagrams, pieces[i].base, pieces[i].length);
    }
    tun->has_more = count > 0;
    int error = masque_tunnel_pulled_datagrams(tun->conn->engine, tun->handle, count, 0, w->now);
    SIM_CHECK(w, error == 0, "a client's masque_tunnel_pulled_datagrams: %s", masque_error_name(error));
    return true;
}

static bool step_tunnel(sim_tun *tun) {
    static bool (*const acts[2][3])(sim_tun * tun) = {{receive_bytes, send_bytes, send_fin},
                                                      {receive_payloads, send_payloads, send_fin}};
    bool progress = false;
    for (size_t i = 0; i < 3 && tun->handle && !tun->closed; i++) {
        if (acts[tun->udp][i](tun)) {
            progress = true;
            take_events(tun->conn);
        }
    }
    return progress;
}

/* --- packets ---------------------------------------------------------------------------------- */

static bool receive_packet(sim_conn *conn) {
    sim_world *w = conn->world;
    masque_route route;
    sim_packet packet;
    if (!sim_link_take(&conn->to_client, w->now, &packet)) {
        return false;
    }
    const masque_packets packets = {.local = sim_address("10.0.0.2", 50000),
                                    .remote = sim_address("192.0.2.1", 443),
                                    .ecn = packet.ecn,
                                    .bytes = packet.bytes,
                                    .length = packet.length};
    masque_engine_packets(conn->engine, &packets, &route, w->now);
    free(packet.bytes);
    return true;
}

static bool send_packets(sim_conn *conn) {
    sim_world *w = conn->world;
    masque_packets packets[PULLS_MAX];
    if (!conn->has_packets) {
        return false;
    }
    size_t count = masque_engine_pull_packets(conn->engine, packets, PULLS_MAX, w->now);
    for (size_t i = 0; i < count; i++) {
        sim_packets_send(&conn->to_proxy, &packets[i], conn->address.port, w->now);
    }
    masque_engine_pulled_packets(conn->engine, count, w->now);
    conn->has_packets = count > 0;
    return true;
}

/* --- TLS ------------------------------------------------------------------------------------------ */

static size_t segment_max(const sim_conn *conn) {
    size_t segment = conn->options.segment ? conn->options.segment : conn->world->setup.segment;
    return segment ? segment : 65536;
}

static bool receive_ciphertext(sim_conn *conn) {
    sim_world *w = conn->world;
    masque_iovec piece;
    bool over = conn->down.reset || (conn->down.fin && conn->down.length == 0);
    if (over && !conn->eof) {
        conn->eof = true;
        (conn->down.reset ? masque_conn_failed : masque_conn_finished)(conn->engine, conn->engine_conn, w->now);
        return true;
    }
    if (conn->deaf || conn->engine_blocked || conn->down.length == 0) {
        return false;
    }
    if (!masque_conn_reserve(conn->engine, conn->engine_conn, &piece)) {
        conn->engine_blocked = true;
        return true;
    }
    size_t most = sim_random_size(&conn->chance, segment_max(conn));
    size_t length = sim_pipe_read(&conn->down, piece.base, most < piece.length ? most : piece.length);
    int error = masque_conn_commit(conn->engine, conn->engine_conn, length, w->now);
    SIM_CHECK(w, error == 0, "a client's masque_conn_commit: %s", masque_error_name(error));
    return true;
}

static bool send_ciphertext(sim_conn *conn) {
    sim_world *w = conn->world;
    masque_iovec piece;
    if (!conn->engine_writes || sim_pipe_room(&conn->up) == 0) {
        return false;
    }
    size_t count = masque_conn_pull(conn->engine, conn->engine_conn, &piece, 1, w->now);
    if (count == 0) {
        conn->engine_writes = false;
        return true;
    }
    size_t most = sim_random_size(&conn->chance, segment_max(conn));
    size_t length = sim_pipe_write(&conn->up, piece.base, most < piece.length ? most : piece.length);
    masque_conn_pulled(conn->engine, conn->engine_conn, length, w->now);
    return true;
}

bool sim_engine_step(sim_conn *conn) {
    bool quic = sim_is_quic(conn);
    enter(conn);
    bool progress = quic ? receive_packet(conn) : !conn->closed && receive_ciphertext(conn);
    progress = take_events(conn) || progress;
    for (size_t i = 0; i < conn->tun_count; i++) {
        progress = step_tunnel(conn->tuns[i]) || progress;
    }
    progress = (quic ? send_packets(conn) : send_ciphertext(conn)) || progress;
    leave();
    return progress;
}
