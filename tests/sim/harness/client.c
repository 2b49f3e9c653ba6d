/*
 * harness/client.c: one client connection: reads and writes its transport in
 * random pieces, and hands bytes to the protocol the test chose.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"

static bool is_h2(const sim_conn *conn) {
    return !conn->options.alpn || strcmp(conn->options.alpn, "h2") == 0;
}

static size_t segment_max(const sim_conn *conn) {
    size_t segment = conn->options.segment ? conn->options.segment : conn->world->setup.segment;
    return segment ? segment : 65536;
}

/* --- tunnels ------------------------------------------------------------------------ */

bool sim_tun_is_open(const sim_tun *tun) {
    unsigned status = tun->udp && !is_h2(tun->conn) && !sim_is_quic(tun->conn) ? 101 : 200;
    return tun->answered && tun->status == status;
}

void sim_tun_received(sim_tun *tun, const uint8_t *bytes, size_t length) {
    sim_world *w = tun->conn->world;
    if (tun->udp) {
        sim_capsules_received(tun, bytes, length);
        return;
    }
    const sim_target *target = tun->target;
    SIM_CHECK(w, target, "tunnel bytes but no target, port %u", tun->port);
    SIM_CHECK(w, tun->answered && tun->status == 200, "tunnel bytes before a 200, port %u", tun->port);
    SIM_CHECK(w, !tun->got_fin, "tunnel bytes behind the end, port %u", tun->port);
    SIM_CHECK(w, tun->received + length <= target->committed, "more bytes than the target sent, port %u", tun->port);
    SIM_CHECK(w, sim_pattern_fits(sim_down_seed(target), tun->received, bytes, length),
              "wrong bytes from the target, port %u, offset %llu", tun->port, (unsigned long long)tun->received);
    tun->received += length;
}

size_t sim_tun_send(sim_tun *tun, uint8_t *bytes, size_t length) {
    bool may = tun->early || sim_tun_is_open(tun);
    uint64_t left = tun->send_total - tun->sent;
    if (!may || tun->fin_sent || tun->reset_sent || tun->conn->said_close) {
        return 0;
    }
    length = length < left ? length : (size_t)left;
    if (tun->udp) {
        length = sim_capsules_take(tun, bytes, length);
    } else {
        sim_pattern_fill(sim_up_seed(tun->port), tun->sent, bytes, length);
    }
    tun->sent += length;
    return length;
}

void sim_tun_field(sim_tun *tun, const char *name, size_t name_length, const char *value, size_t value_length) {
    const struct {
        const char *name;
        char *text;
        size_t size;
    } kept[] = {{"server-timing", tun->server_timing, SIM_TEXT},
                {"proxy-status", tun->proxy_status, SIM_TEXT},
                {"allow", tun->allow, SIM_TEXT},
                {"connection", tun->connection, SIM_TEXT},
                {"content-length", tun->content_length, SIM_TEXT},
                {"capsule-protocol", tun->capsule_protocol, SIM_TEXT},
                {"upgrade", tun->upgrade, SIM_TEXT},
                {"proxy-authenticate", tun->proxy_authenticate, SIM_LONG_TEXT}};
    tun->field_count++;
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) {
        tun->status = (unsigned)strtoul(value, NULL, 10);
    }
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (strlen(kept[i].name) == name_length && strncasecmp(kept[i].name, name, name_length) == 0 &&
            value_length < kept[i].size) {
            memcpy(kept[i].text, value, value_length);
            kept[i].text[value_length] = 0;
        }
    }
}

static uint16_t port_of(const char *authority) {
    const char *colon = authority ? strrchr(authority, ':') : NULL;
    return colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0;
}

static void take_port(sim_world *w, sim_tun *tun, const char *authority) {
    tun->port = port_of(authority);
    if (w->ports[tun->port]) {
        w->ports[tun->port]->retired = true;
    }
    w->ports[tun->port] = tun;
}

sim_tun *sim_request(sim_conn *conn, const sim_ask *request) {
    sim_world *w = conn->world;
    sim_tun *tun = calloc(1, sizeof *tun);
    SIM_CHECK(w, tun && !conn->options.raw && !conn->options.naked, "no request possible here");
    *tun = (sim_tun){.conn = conn,
                     .may_dial = !request->key || request->may_dial,
                     .send_total = request->send,
                     .send_fin = request->send_fin,
                     .reading = !request->deaf,
                     .early = request->early,
                     .udp = request->udp};
    take_port(w, tun, request->authority);
    conn->tuns = sim_grow(conn->tuns, &conn->tun_capacity, conn->tun_count + 1, sizeof *conn->tuns);
    conn->tuns[conn->tun_count++] = tun;
    for (int i = 0; i < 100000 && !conn->handshaken && !conn->ended && !conn->closed; i++) {
        if (sim_is_quic(conn)) {
            sim_advance(w, MASQUE_MILLISECOND);
        } else {
            sim_step(w);
        }
    }
    if (!conn->handshaken || conn->ended || conn->closed) {
        tun->closed = true;
    } else if (sim_is_engine(conn)) {
        sim_engine_request(tun, request);
    } else if (is_h2(conn)) {
        sim_h2_request(tun, request);
    } else {
        sim_h1_request(tun, request);
    }
    return tun;
}

void sim_wake(sim_tun *tun) {
    if (sim_is_engine(tun->conn)) {
        sim_engine_wake(tun);
    } else if (is_h2(tun->conn)) {
        sim_h2_wake(tun);
    }
}

void sim_fin(sim_tun *tun) {
    tun->send_total = tun->sent;
    tun->send_fin = true;
    sim_wake(tun);
}

void sim_reset(sim_tun *tun) {
    tun->reset_sent = true;
    if (sim_is_engine(tun->conn)) {
        sim_engine_reset(tun);
    } else if (is_h2(tun->conn)) {
        sim_h2_reset(tun);
    } else {
        sim_leave(tun->conn, true);
    }
}

/* --- leaving -------------------------------------------------------------------------- */

static void end_tuns(sim_conn *conn) {
    for (size_t i = 0; i < conn->tun_count; i++) {
        sim_tun *tun = conn->tuns[i];
        if (is_h2(conn) && !tun->closed && !tun->got_fin) {
            tun->got_reset = true;
        }
        tun->closed = true;
    }
    sim_h1_ended(conn);
}

void sim_leave(sim_conn *conn, bool reset) {
    if (conn->closed) {
        return;
    }
    if (sim_is_quic(conn) || sim_is_engine(conn)) {
        (conn->quic ? sim_raw_quic_leave : sim_engine_leave)(conn, reset);
        return;
    }
    if (reset) {
        sim_pipe_reset(&conn->up);
        conn->closed = true;
        end_tuns(conn);
        return;
    }
    sim_tls_say_close(conn);
    conn->leaving = true;
}

void sim_say_close(sim_conn *conn) {
    sim_tls_say_close(conn);
}

static void note_transport(sim_conn *conn) {
    if (conn->down.reset && !conn->eof) {
        conn->eof = conn->was_reset = true;
        conn->closed = true;
        sim_pipe_reset(&conn->up);
        end_tuns(conn);
    } else if (conn->down.fin && conn->down.length == 0 && !conn->eof) {
        conn->eof = true;
        end_tuns(conn);
    }
}

static bool wants_to_leave(const sim_conn *conn) {
    if (conn->options.stubborn) {
        return false;
    }
    if (conn->eof || conn->tls_failed) {
        return true;
    }
    if (!conn->peer_closed) {
        return false;
    }
    const sim_tun *tun = conn->h1_tun;
    return is_h2(conn) || !tun || tun->fin_sent || (tun->answered && !sim_tun_is_open(tun));
}

/* --- steps ------------------------------------------------------------------------------ */

static void open_protocol(sim_conn *conn) {
    /* The handshake's lengths vary by a byte or two; from here on chance is as planned. */
    sim_prng_seed(&conn->chance, conn->world->setup.seed * 1000 + conn->index);
    if (is_h2(conn) && !conn->options.raw) {
        sim_h2_open(conn);
    }
}

static void hand_on(sim_conn *conn, const uint8_t *bytes, size_t length) {
    if (conn->options.raw) {
        sim_raw_input(conn, bytes, length);
    } else if (is_h2(conn)) {
        sim_h2_input(conn, bytes, length);
    } else {
        sim_h1_input(conn, bytes, length);
    }
}

static bool is_deaf(const sim_conn *conn) {
    const sim_tun *tun = conn->h1_tun;
    return conn->deaf || (tun && tun->answered && !tun->reading);
}

static void read_transport(sim_conn *conn) {
    uint8_t bytes[17408];
    size_t length;
    if (is_deaf(conn)) {
        return;
    }
    conn->budget = sim_random_size(&conn->chance, segment_max(conn));
    if (conn->options.naked) {
        conn->seen.bytes += sim_pipe_read(&conn->down, bytes, sizeof bytes);
        return;
    }
    if (!conn->handshaken) {
        if (conn->tls_failed || !sim_tls_handshake(conn)) {
            return;
        }
        open_protocol(conn);
    }
    while ((length = sim_tls_read(conn, bytes, sizeof bytes)) > 0) {
        hand_on(conn, bytes, length);
        if (is_deaf(conn)) {
            break;
        }
    }
    if (conn->peer_closed) {
        sim_h1_ended(conn);
    }
}

static void write_transport(sim_conn *conn) {
    if (conn->handshaken && !conn->options.raw && !conn->tls_failed) {
        if (conn->h2) {
            sim_h2_output(conn);
        } else if (!is_h2(conn)) {
            sim_h1_output(conn);
        }
    }
    size_t waiting = sim_bytes_length(&conn->out);
    size_t most = sim_random_size(&conn->chance, segment_max(conn));
    if (waiting > 0) {
        size_t length = waiting < most ? waiting : most;
        length = sim_pipe_write(&conn->up, conn->out.bytes + conn->out.start, length);
        sim_bytes_drop(&conn->out, length);
    }
    if (conn->leaving && sim_bytes_length(&conn->out) == 0) {
        conn->up.fin = true;
        conn->closed = conn->eof;
    }
}

bool sim_client_step(sim_conn *conn) {
    if (conn->quic) {
        return sim_raw_quic_step(conn);
    }
    if (sim_is_engine(conn)) {
        return sim_engine_step(conn);
    }
    if (conn->closed || !conn->id) {
        return false;
    }
    uint64_t before = conn->down.read + conn->up.written + conn->up.fin;
    size_t waiting = sim_bytes_length(&conn->out);
    note_transport(conn);
    if (conn->closed) {
        return true;
    }
    read_transport(conn);
    write_transport(conn);
    if (!conn->leaving && wants_to_leave(conn)) {
        sim_leave(conn, false);
        return true;
    }
    return conn->closed || conn->down.read + conn->up.written + conn->up.fin != before ||
           sim_bytes_length(&conn->out) > waiting;
}

void sim_client_free(sim_conn *conn) {
    sim_h2_free(conn);
    if (conn->ssl) {
        sim_tls_free(conn);
    }
    for (size_t i = 0; i < conn->tun_count; i++) {
        sim_bytes_free(&conn->tuns[i]->capsules);
        sim_bytes_free(&conn->tuns[i]->incoming);
        free(conn->tuns[i]);
    }
    free(conn->tuns);
    sim_bytes_free(&conn->out);
    sim_bytes_free(&conn->plain);
    sim_pipe_free(&conn->up);
    sim_pipe_free(&conn->down);
    free(conn);
}
