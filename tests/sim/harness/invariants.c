/*
 * harness/invariants.c: what must hold after every step, whatever happens. The
 * bytes themselves are checked where they arrive (client.c, target.c).
 */
#include <stdlib.h>

#include "harness/parts.h"

/* Between a host's write and a client's read lie the transport and what TLS holds. */
#define TLS_OUTPUT_MAX (16u * (16384u + 64u))
#define READ_MAX 262144u
/* Blocks the engine keeps to itself: for a read, and for sixteen pieces of a reserve. */
#define OWN_BLOCKS_MAX 17u
#define BLOCK_MAX 16512u

static void set_add(sim_set *set, uint64_t key) {
    size_t at = (size_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (set->capacity - 1);
    while (set->keys[at] != 0 && set->keys[at] != key) {
        at = (at + 1) & (set->capacity - 1);
    }
    set->count += set->keys[at] == 0;
    set->keys[at] = key;
}

static void set_grow(sim_set *set) {
    sim_set grown = {.capacity = set->capacity ? set->capacity * 2 : 1024};
    if (set->count * 2 < set->capacity) {
        return;
    }
    grown.keys = calloc(grown.capacity, sizeof *grown.keys);
    if (!grown.keys) {
        abort();
    }
    for (size_t i = 0; i < set->capacity; i++) {
        if (set->keys[i]) {
            set_add(&grown, set->keys[i]);
        }
    }
    free(set->keys);
    *set = grown;
}

void sim_check_new_handle(sim_world *world, unsigned kind, uint64_t handle) {
    SIM_CHECK(world, handle != 0, "a handle of 0");
    set_grow(&world->handles);
    size_t before = world->handles.count;
    set_add(&world->handles, handle ^ (uint64_t)kind << 62);
    SIM_CHECK(world, world->handles.count == before + 1, "a handle came twice");
}

/* A second opinion on addresses, by a short list of what must never be dialed. */
static bool is_private(const masque_address *address) {
    static const struct {
        const char *prefix;
        unsigned bits;
    } rows[] = {{"0.0.0.0", 8},     {"10.0.0.0", 8},      {"100.64.0.0", 10},  {"127.0.0.0", 8},   {"169.254.0.0", 16},
                {"172.16.0.0", 12}, {"192.0.0.0", 24},    {"192.168.0.0", 16}, {"198.18.0.0", 15}, {"224.0.0.0", 3},
                {"::", 96},         {"::ffff:0:0", 96},   {"64:ff9b:1::", 48}, {"100::", 64},      {"2001::", 32},
                {"2001:db8::", 32}, {"2002::", 16},       {"fc00::", 7},       {"fe80::", 10},     {"fec0::", 10},
                {"ff00::", 8},      {"198.51.100.0", 24}, {"203.0.113.0", 24}, {"192.0.2.0", 24}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        masque_address prefix = sim_address(rows[i].prefix, 0);
        bool fits = prefix.family == address->family;
        for (unsigned bit = 0; bit < rows[i].bits && fits; bit++) {
            fits = ((prefix.ip[bit / 8] ^ address->ip[bit / 8]) & 0x80u >> bit % 8) == 0;
        }
        if (fits) {
            return true;
        }
    }
    return false;
}

void sim_check_dial(sim_world *world, const masque_event *event, const sim_tun *tun) {
    const sim_site *site = sim_site_of(world, &event->address);
    char text[MASQUE_ADDRESS_TEXT_MAX];
    masque_address_format(&event->address, text, sizeof text);
    SIM_CHECK(world, !is_private(&event->address) || (site && site->may_be_private), "a dial of %s", text);
    SIM_CHECK(world, event->address.port != 0 && event->tunnel != 0, "a dial without port or tunnel");
    SIM_CHECK(world, !tun || tun->may_dial, "a dial of %s, which nobody was allowed", text);
    SIM_CHECK(world, !tun || tun->retired || tun->udp == (event->transport == MASQUE_TRANSPORT_UDP),
              "%s by the wrong transport", text);
}

void sim_check_conn_end(const sim_conn *conn) {
    const sim_world *w = conn->world;
    for (size_t i = 0; i < w->target_count; i++) {
        const sim_target *target = w->targets[i];
        bool ours = target->tun && target->tun->conn == conn;
        bool lingers = ours && target->tun->fin_sent;
        SIM_CHECK(w, !ours || target->state != SIM_OPEN || target->tun->target != target || lingers,
                  "CONN_END before TUNNEL_END of port %u", target->address.port);
    }
}

/* --- after each step --------------------------------------------------------------------- */

/* A client that is an engine has the default limits' buffers and windows. */
#define ENGINE_HOLDS (1048576u + 262144u)

/* What may be between the proxy's buffers and the client. */
static uint64_t transport_max(const sim_conn *conn) {
    uint64_t transport =
        sim_is_quic(conn) ? conn->world->limits.connection_buffer_max : conn->down.capacity + TLS_OUTPUT_MAX;
    return transport + (sim_is_engine(conn) ? ENGINE_HOLDS : 0);
}

typedef struct held {
    uint64_t up;
    uint64_t down;
    uint64_t tunnels;
} held;

static void check_target(const sim_target *target, held *all) {
    const sim_world *w = target->world;
    const masque_limits *limits = &w->limits;
    const sim_tun *tun = target->tun;
    if (target->state != SIM_OPEN || !tun || tun->retired || tun->target != target || tun->udp) {
        return;
    }
    const sim_conn *conn = tun->conn;
    uint64_t transport = transport_max(conn);
    uint64_t down = tun->closed ? 0 : target->committed - tun->received;
    SIM_CHECK(w, down <= limits->tunnel_buffer_max + transport, "port %u holds %llu bytes for its client",
              target->address.port, (unsigned long long)down);
    uint64_t up = tun->sent - target->received;
    uint64_t up_most = conn->h2 ? limits->stream_window_max
                       : sim_is_engine(conn)
                           ? limits->stream_window_max + ENGINE_HOLDS
                           : limits->tunnel_buffer_max + READ_MAX + conn->up.capacity + 2 * SIM_CLIENT_OUT_MAX;
    up_most = up_most < 65535 ? 65535 : up_most;
    SIM_CHECK(w, up <= up_most, "port %u holds %llu bytes for its target", target->address.port,
              (unsigned long long)up);
    all[conn->index].up += up;
    all[conn->index].down += down;
    all[conn->index].tunnels++;
}

static void check_conn(const sim_conn *conn, const held *sum) {
    const sim_world *w = conn->world;
    const masque_limits *limits = &w->limits;
    uint64_t transport = transport_max(conn);
    SIM_CHECK(w, sum->down <= limits->connection_buffer_max + transport,
              "a connection holds %llu bytes for its client, of %llu tunnels", (unsigned long long)sum->down,
              (unsigned long long)sum->tunnels);
    SIM_CHECK(w, !conn->h2 || sum->up <= limits->connection_buffer_max,
              "a connection holds %llu bytes for targets, of %llu tunnels", (unsigned long long)sum->up,
              (unsigned long long)sum->tunnels);
}

void sim_check_step(sim_world *world) {
    if (world->conn_count == 0) {
        return;
    }
    held *all = calloc(world->conn_count, sizeof *all);
    SIM_CHECK(world, all, "no memory");
    for (size_t i = 0; i < world->target_count; i++) {
        check_target(world->targets[i], all);
    }
    for (size_t i = 0; i < world->conn_count; i++) {
        if (!world->conns[i]->ended) {
            check_conn(world->conns[i], &all[i]);
        }
    }
    free(all);
    masque_stats stats = sim_stats(world);
    uint64_t most = world->limits.engine_buffer_max + (uint64_t)OWN_BLOCKS_MAX * BLOCK_MAX;
    SIM_CHECK(world, stats.buffered_bytes <= most, "the engine holds %llu bytes",
              (unsigned long long)stats.buffered_bytes);
}

void sim_check_over(sim_world *world) {
    for (size_t i = 0; i < world->conn_count; i++) {
        const sim_conn *conn = world->conns[i];
        SIM_CHECK(world, conn->ended || !conn->id, "connection %zu never ended", i);
    }
    for (size_t i = 0; i < world->target_count; i++) {
        const sim_target *target = world->targets[i];
        SIM_CHECK(world, target->state == SIM_CLOSED || target->cancelled, "the socket of port %u was never closed",
                  target->address.port);
    }
    masque_stats stats = sim_stats(world);
    SIM_CHECK(world, stats.connections_active == 0 && stats.tunnels_active == 0, "%llu connections, %llu tunnels left",
              (unsigned long long)stats.connections_active, (unsigned long long)stats.tunnels_active);
    SIM_CHECK(world, masque_deadline(world->engine) == MASQUE_NEVER, "a timer is left");
}
