/*
 * harness/client_h1.c: an HTTP/1.1 client: one CONNECT, then the tunnel. Notes
 * whether the answer's head came alone in its TLS record and in the host's write
 * (some clients refuse bytes behind it).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"

static bool is_write_end(const sim_conn *conn, uint64_t position) {
    for (size_t i = 0; i < sizeof conn->write_ends / sizeof conn->write_ends[0]; i++) {
        if (conn->write_ends[i] == position) {
            return true;
        }
    }
    return false;
}

static void take_lines(sim_tun *tun, const char *head, size_t length) {
    const char *line = memchr(head, '\n', length);
    const char *end = head + length;
    tun->status = (unsigned)strtoul(head + 9, NULL, 10);
    while (line && line + 1 < end) {
        const char *start = line + 1;
        line = memchr(start, '\n', (size_t)(end - start));
        const char *colon = line ? memchr(start, ':', (size_t)(line - start)) : NULL;
        if (!colon) {
            return;
        }
        sim_tun_field(tun, start, (size_t)(colon - start), colon + 2, (size_t)(line - 1 - colon - 2));
    }
}

static void take_head(sim_conn *conn, sim_tun *tun) {
    const char *bytes = (const char *)conn->plain.bytes + conn->plain.start;
    size_t length = sim_bytes_length(&conn->plain);
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) {
        return;
    }
    size_t head = (size_t)(end - bytes) + 4;
    SIM_CHECK(conn->world, memcmp(bytes, "HTTP/1.1 ", 9) == 0, "an answer that is no HTTP/1.1");
    conn->alone_in_record = head == length;
    conn->alone_in_write = is_write_end(conn, conn->down.read);
    take_lines(tun, bytes, head - 2);
    tun->answered = true;
    tun->answered_at = conn->world->now;
    sim_bytes_drop(&conn->plain, head);
}

void sim_h1_input(sim_conn *conn, const uint8_t *bytes, size_t length) {
    sim_tun *tun = conn->h1_tun;
    SIM_CHECK(conn->world, tun, "HTTP/1.1 bytes without a request");
    if (tun->answered) {
        SIM_CHECK(conn->world, sim_tun_is_open(tun), "bytes behind a refusal");
        sim_tun_received(tun, bytes, length);
        return;
    }
    sim_bytes_add(&conn->plain, bytes, length);
    take_head(conn, tun);
    size_t rest = sim_bytes_length(&conn->plain);
    if (tun->answered && rest > 0) {
        sim_tun_received(tun, conn->plain.bytes + conn->plain.start, rest);
        sim_bytes_drop(&conn->plain, rest);
    }
}

void sim_h1_output(sim_conn *conn) {
    sim_tun *tun = conn->h1_tun;
    uint8_t bytes[16384];
    if (!tun || tun->fin_sent || conn->said_close) {
        return;
    }
    while (sim_bytes_length(&conn->out) < SIM_CLIENT_OUT_MAX) {
        size_t length = sim_tun_send(tun, bytes, sim_random_size(&conn->chance, sizeof bytes));
        if (length == 0) {
            break;
        }
        sim_tls_write(conn, bytes, length);
    }
    bool open = tun->early || sim_tun_is_open(tun);
    if (open && tun->send_fin && tun->sent == tun->send_total) {
        tun->fin_sent = true;
        sim_tls_say_close(conn);
    }
}

/* RFC 9298 3.2 */
static int udp_head(const sim_ask *request, char *head, size_t size) {
    char path[512];
    sim_udp_path(request->authority, path, sizeof path);
    return snprintf(head, size,
                    "GET %s HTTP/1.1\r\nHost: proxy.example\r\nConnection: Upgrade\r\n"
                    "Upgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n",
                    request->path ? request->path : path);
}

void sim_h1_request(sim_tun *tun, const sim_ask *request) {
    char head[32768];
    const char *key = request->key ? request->key : SIM_KEY;
    const char *authority = request->no_authority ? "" : request->authority;
    int at = request->udp ? udp_head(request, head, sizeof head)
                          : snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: %s\r\n",
                                     request->method ? request->method : "CONNECT", authority,
                                     authority[0] == '/' ? "proxy.example" : authority);
    for (size_t i = 0; i < request->field_count; i++) {
        at += snprintf(head + at, sizeof head - (size_t)at, "%s: %s\r\n", request->fields[i].name,
                       request->fields[i].value);
    }
    if (key[0]) {
        at += snprintf(head + at, sizeof head - (size_t)at, "Proxy-Authorization: Preshared %s\r\n", key);
    }
    at += snprintf(head + at, sizeof head - (size_t)at, "\r\n");
    SIM_CHECK(tun->conn->world, (size_t)at < sizeof head, "the request is too long for the harness");
    tun->stream = 1;
    tun->conn->h1_tun = tun;
    sim_tls_write(tun->conn, head, (size_t)at);
}

void sim_h1_ended(sim_conn *conn) {
    sim_tun *tun = conn->h1_tun;
    if (tun && !tun->got_fin && !tun->got_reset) {
        tun->got_fin = conn->peer_closed;
        tun->got_reset = !conn->peer_closed;
    }
}
