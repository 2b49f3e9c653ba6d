/*
 * harness/packets.c: UDP between the proxy and its HTTP/3 clients: the proxy's packets go into
 * the clients' links, and what has arrived goes to the proxy, as sockets with UDP_GRO and
 * UDP_SEGMENT would do it. Keeps the ledger of RFC 9000 8.1: three times what came.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"

#define PULLS_MAX 16
#define IDLE_TICKS_MAX 1000u

/* --- whose packets ------------------------------------------------------------------ */

static sim_conn *client_at(const sim_world *world, const masque_address *address) {
    for (size_t i = 0; i < world->conn_count; i++) {
        sim_conn *conn = world->conns[i];
        if (sim_is_quic(conn) && conn->address.port == address->port &&
            masque_address_same_ip(&conn->address, address)) {
            return conn;
        }
    }
    return NULL;
}

/* --- the ledger ----------------------------------------------------------------------- */

static size_t varint_at(const uint8_t *bytes, size_t length, size_t at, uint64_t *value) {
    size_t used = at < length ? (size_t)1 << (bytes[at] >> 6) : 0;
    if (used == 0 || at + used > length) {
        return 0;
    }
    *value = bytes[at] & 63u;
    for (size_t i = 1; i < used; i++) {
        *value = *value << 8 | bytes[at + i];
    }
    return used;
}

/* Is there but a single Initial in it (RFC 9000 17.2.2)? Anything else shows that the proxy's
   packets came to the client. */
static bool is_only_initial(const uint8_t *bytes, size_t length) {
    uint64_t token = 0;
    uint64_t rest = 0;
    if (length < 7 || !(bytes[0] & 0x80)) {
        return false;
    }
    unsigned initial = bytes[4] == 1 ? 0 : 1; /* QUIC v1; v2 has other numbers (RFC 9369 3.2) */
    size_t at = 6 + bytes[5];
    at += at < length ? 1u + bytes[at] : 0;
    at += varint_at(bytes, length, at, &token);
    at += (size_t)token;
    at += varint_at(bytes, length, at, &rest);
    return (bytes[0] >> 4 & 3) == initial && at + rest >= length;
}

static void note_from_client(sim_conn *conn, const sim_packet *packet) {
    conn->bytes_to_proxy += packet->length;
    conn->validated = conn->validated || !is_only_initial(packet->bytes, packet->length);
}

static void note_to_client(sim_conn *conn, size_t length) {
    conn->bytes_to_client += length;
    SIM_CHECK(conn->world, conn->validated || conn->bytes_to_client <= 3 * conn->bytes_to_proxy,
              "client %zu: %llu bytes for %llu that came, and it showed no address", conn->index,
              (unsigned long long)conn->bytes_to_client, (unsigned long long)conn->bytes_to_proxy);
}

/* --- the proxy's socket ----------------------------------------------------------------- */

void sim_packets_send(sim_link *link, const masque_packets *packets, uint16_t port, masque_time now) {
    size_t segment = packets->segment > 0 ? packets->segment : packets->length;
    for (size_t at = 0; at < packets->length; at += segment) {
        size_t left = packets->length - at;
        sim_packet packet = {
            .port = port, .ecn = packets->ecn, .length = left < segment ? left : segment, .bytes = packets->bytes + at};
        sim_link_send(link, &packet, now);
    }
}

static bool send_packets(sim_world *world) {
    masque_packets packets[PULLS_MAX];
    if (!world->has_packets) {
        return false;
    }
    sim_alloc_side(SIM_PROXY);
    size_t count =
        masque_engine_pull_packets(world->engine, packets, 1 + sim_random(&world->chance) % PULLS_MAX, world->now);
    sim_alloc_side(SIM_TEST);
    size_t sent = count > 0 ? 1 + sim_random(&world->chance) % count : 0;
    for (size_t i = 0; i < sent; i++) {
        sim_conn *conn = client_at(world, &packets[i].remote);
        if (conn) {
            note_to_client(conn, packets[i].length);
            sim_packets_send(&conn->to_client, &packets[i], conn->address.port, world->now);
        }
        world->strays += !conn;
    }
    int error = masque_engine_pulled_packets(world->engine, sent, world->now);
    SIM_CHECK(world, error == 0, "masque_engine_pulled_packets: %s", masque_error_name(error));
    world->has_packets = count > 0;
    return true;
}

static bool receive_packet(sim_conn *conn) {
    sim_world *world = conn->world;
    masque_route route;
    sim_packet packet;
    if (!sim_link_take(&conn->to_proxy, world->now, &packet)) {
        return false;
    }
    if (packet.port == conn->address.port) {
        note_from_client(conn, &packet);
    }
    masque_packets packets = {.local = sim_address("192.0.2.1", 443),
                              .remote = conn->address,
                              .listener = conn->options.listener,
                              .socket = 5,
                              .ecn = packet.ecn,
                              .bytes = packet.bytes,
                              .length = packet.length};
    packets.remote.port = packet.port;
    sim_alloc_side(SIM_PROXY);
    int error = masque_engine_packets(world->engine, &packets, &route, world->now);
    sim_alloc_side(SIM_TEST);
    /* Damaged connection IDs, and Stateless Resets, may look like another server's. */
    SIM_CHECK(world, error == 0 || error == MASQUE_ERR_ELSEWHERE, "masque_engine_packets: %s",
              masque_error_name(error));
    free(packet.bytes);
    sim_events(world);
    return true;
}

bool sim_packets_step(sim_world *world) {
    bool progress = send_packets(world);
    for (size_t i = 0; i < world->conn_count; i++) {
        if (sim_is_quic(world->conns[i]) && receive_packet(world->conns[i])) {
            progress = true;
        }
    }
    return progress;
}

/* --- time ----------------------------------------------------------------------------------- */

static masque_time earlier(masque_time a, masque_time b) {
    return a < b ? a : b;
}

masque_time sim_packets_next(const sim_world *world) {
    masque_time next = SIM_NEVER;
    for (size_t i = 0; i < world->conn_count; i++) {
        const sim_conn *conn = world->conns[i];
        if (sim_is_quic(conn)) {
            next = earlier(next, sim_link_next(&conn->to_proxy));
            next = earlier(next, sim_link_next(&conn->to_client));
        }
        if (sim_is_engine(conn)) {
            next = earlier(next, masque_deadline(conn->engine));
        } else if (conn->quic) {
            next = earlier(next, sim_raw_quic_due(conn));
        }
    }
    return next;
}

void sim_packets_tick(sim_world *world) {
    for (size_t i = 0; i < world->conn_count; i++) {
        sim_conn *conn = world->conns[i];
        if (conn->quic) {
            sim_raw_quic_tick(conn);
        }
        if (sim_is_engine(conn) && masque_deadline(conn->engine) <= world->now) {
            sim_alloc_side(world->setup.clients_may_fail ? SIM_PROXY : SIM_TEST);
            masque_tick(conn->engine, world->now);
            sim_alloc_side(SIM_TEST);
            conn->ticks_now++;
            SIM_CHECK(world, conn->ticks_now < IDLE_TICKS_MAX, "a client's masque_deadline() is due again and again");
        } else {
            conn->ticks_now = 0;
        }
    }
}
