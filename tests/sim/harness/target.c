/*
 * harness/target.c: targets and the host's sockets to them. A target is a model:
 * what it received is checked at once, what it sends is made when it is read, so
 * nothing is stored.
 */
#include <stdlib.h>

#include "harness/parts.h"

/* A socket's receive buffer: what an echoing target holds back. */
#define ECHO_MAX 65536u
#define PIECES_MAX 16

sim_target *sim_target_new(sim_world *world, const masque_event *event) {
    sim_target *target = calloc(1, sizeof *target);
    sim_tun *tun = world->ports[event->address.port];
    sim_site *site = sim_site_of(world, &event->address);
    SIM_CHECK(world, target, "no memory");
    *target = (sim_target){.world = world,
                           .site = site,
                           .tun = tun,
                           .index = world->target_count,
                           .attempt = event->attempt,
                           .tunnel = event->tunnel,
                           .address = event->address,
                           .transport = event->transport,
                           .source = site ? site->source : 0,
                           .stalls = site && site->stalls,
                           .send_fin = site && (site->source_fin || site->fin_at_once),
                           .send_reset = site && site->reset_at_once};
    world->targets = sim_grow(world->targets, &world->target_capacity, world->target_count + 1, sizeof(sim_target *));
    world->targets[world->target_count++] = target;
    return target;
}

void sim_target_dialed(sim_target *target) {
    sim_world *w = target->world;
    masque_dial_result result = target->site ? target->site->result : MASQUE_DIAL_UNREACHABLE;
    sim_alloc_side(SIM_PROXY);
    int error = masque_dialed(w->engine, target->attempt, result, w->now);
    sim_alloc_side(SIM_TEST);
    if (target->cancelled) {
        SIM_CHECK(w, error == MASQUE_ERR_STALE, "a late dial gave %s", masque_error_name(error));
        target->state = SIM_CLOSED;
        return;
    }
    bool lost = error == MASQUE_ERR_NO_MEMORY && sim_alloc_memory(SIM_PROXY)->failed > 0;
    bool denied = error == MASQUE_ERR_DENIED && result == MASQUE_DIAL_OWN;
    SIM_CHECK(w, error == 0 || lost || denied, "masque_dialed: %s", masque_error_name(error));
    bool connected = result == MASQUE_DIAL_OK || result == MASQUE_DIAL_OWN;
    target->state = connected && error == 0 ? SIM_OPEN : SIM_CLOSED;
    if (target->state == SIM_OPEN && target->tun) {
        target->tun->target = target;
    }
}

/* --- client to target ------------------------------------------------------------------ */

static size_t appetite(const sim_target *target) {
    const sim_site *site = target->site;
    uint64_t most = site->reads_each ? site->reads_each : SIZE_MAX;
    if (target->stalls) {
        return 0;
    }
    if (site->reads_until) {
        uint64_t left = site->reads_until > target->received ? site->reads_until - target->received : 0;
        most = most < left ? most : left;
    }
    if (site->echo && !target->fin_told) {
        uint64_t held = target->received - target->committed;
        uint64_t left = held < ECHO_MAX ? ECHO_MAX - held : 0;
        most = most < left ? most : left;
    }
    return (size_t)most;
}

static void take(sim_target *target, const masque_iovec *piece, size_t length) {
    sim_world *w = target->world;
    const sim_tun *tun = target->tun;
    SIM_CHECK(w, !target->got_fin, "bytes behind FIN to port %u", target->address.port);
    SIM_CHECK(w, !tun || tun->retired || target->received + length <= tun->sent,
              "more bytes to port %u than the client sent", target->address.port);
    SIM_CHECK(w, sim_pattern_fits(sim_up_seed(target->address.port), target->received, piece->base, length),
              "wrong bytes to port %u at %llu", target->address.port, (unsigned long long)target->received);
    target->received += length;
}

static bool write_target(sim_target *target) {
    sim_world *w = target->world;
    masque_iovec pieces[PIECES_MAX];
    size_t most = appetite(target);
    if (!target->want_write || most == 0) {
        return false;
    }
    size_t count = masque_tunnel_pull(w->engine, target->tunnel, pieces, 1 + sim_random(&w->chance) % PIECES_MAX);
    if (count == 0) {
        target->want_write = false;
        return true;
    }
    size_t cut = sim_random(&w->chance) % 4 == 0 ? sim_random_size(&w->chance, 65536) : SIZE_MAX;
    most = most < cut ? most : cut;
    size_t taken = 0;
    for (size_t i = 0; i < count && taken < most; i++) {
        size_t length = pieces[i].length < most - taken ? pieces[i].length : most - taken;
        take(target, &pieces[i], length);
        taken += length;
    }
    sim_alloc_side(SIM_PROXY);
    int error = masque_tunnel_pulled(w->engine, target->tunnel, taken, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_tunnel_pulled: %s", masque_error_name(error));
    return true;
}

/* --- target to client ------------------------------------------------------------------- */

static uint64_t to_send(const sim_target *target) {
    return target->site->echo ? target->received : target->source;
}

static bool tell_end(sim_target *target) {
    sim_world *w = target->world;
    bool replies = target->site->fin_for_fin && target->got_fin;
    if (target->fin_told || target->committed < to_send(target) || !(target->send_fin || replies)) {
        return false;
    }
    target->fin_told = true;
    sim_alloc_side(SIM_PROXY);
    int error = masque_tunnel_finished(w->engine, target->tunnel, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_tunnel_finished: %s", masque_error_name(error));
    return true;
}

static bool read_target(sim_target *target) {
    sim_world *w = target->world;
    masque_iovec pieces[PIECES_MAX];
    uint64_t left = to_send(target) - target->committed;
    if (left == 0 || target->read_blocked || target->fin_told) {
        return tell_end(target);
    }
    size_t segment = w->setup.segment ? w->setup.segment : 65536;
    size_t most = sim_random_size(&w->chance, segment * 4);
    most = most < left ? most : (size_t)left;
    sim_alloc_side(SIM_PROXY);
    size_t count = masque_tunnel_reserve(w->engine, target->tunnel, pieces, 1 + sim_random(&w->chance) % PIECES_MAX);
    sim_alloc_side(SIM_TEST);
    if (count == 0) {
        target->read_blocked = true;
        return true;
    }
    size_t given = 0;
    for (size_t i = 0; i < count && given < most; i++) {
        size_t length = pieces[i].length < most - given ? pieces[i].length : most - given;
        sim_pattern_fill(sim_down_seed(target), target->committed + given, pieces[i].base, length);
        given += length;
    }
    target->committed += given;
    sim_alloc_side(SIM_PROXY);
    int error = masque_tunnel_commit(w->engine, target->tunnel, given, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_tunnel_commit: %s", masque_error_name(error));
    return true;
}

static bool tell_reset(sim_target *target) {
    sim_world *w = target->world;
    if (!target->send_reset || target->reset_told) {
        return false;
    }
    target->reset_told = true;
    sim_alloc_side(SIM_PROXY);
    int error = masque_tunnel_failed(w->engine, target->tunnel, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_tunnel_failed: %s", masque_error_name(error));
    return true;
}

bool sim_target_step(sim_target *target) {
    static bool (*const acts[2][3])(sim_target * target) = {
        {tell_reset, write_target, read_target}, {tell_reset, sim_target_take_datagrams, sim_target_give_datagrams}};
    bool progress = false;
    bool udp = target->transport == MASQUE_TRANSPORT_UDP;
    for (size_t i = 0; i < 3 && target->state == SIM_OPEN; i++) {
        if (acts[udp][i](target)) {
            progress = true;
            sim_events(target->world);
        }
    }
    return progress;
}

/* --- events ------------------------------------------------------------------------------- */

static void on_end(sim_target *target, bool reset) {
    sim_world *w = target->world;
    const sim_tun *tun = target->tun;
    SIM_CHECK(w, !target->ended, "TUNNEL_END twice, port %u", target->address.port);
    target->ended = true;
    target->got_reset = reset;
    target->state = SIM_CLOSED;
    bool complete =
        !tun || tun->retired || tun->udp || target->received == tun->sent || (tun->closed && !tun->fin_sent);
    SIM_CHECK(w, reset || complete, "an orderly end, but port %u has %llu of %llu bytes (closed %d, FIN %d, h2 %d)",
              target->address.port, (unsigned long long)target->received, (unsigned long long)tun->sent, tun->closed,
              tun->fin_sent, tun->conn->h2 != NULL);
}

void sim_target_event(sim_world *world, const masque_event *event) {
    sim_target *target = event->user;
    SIM_CHECK(world, target && target->tunnel == event->tunnel, "a tunnel's event with another's user");
    SIM_CHECK(world, target->state == SIM_OPEN, "an event of a tunnel without a target");
    switch (event->type) {
    case MASQUE_EVENT_TUNNEL_OUTPUT:
        target->want_write = true;
        break;
    case MASQUE_EVENT_TUNNEL_INPUT:
        target->read_blocked = false;
        break;
    case MASQUE_EVENT_TUNNEL_FINISH:
        SIM_CHECK(world, !target->got_fin && target->transport == MASQUE_TRANSPORT_TCP,
                  "TUNNEL_FINISH twice or of UDP");
        target->got_fin = true;
        target->received_at_fin = target->received;
        SIM_CHECK(world, !target->tun || target->tun->retired || target->received == target->tun->sent,
                  "FIN before the bytes, port %u", target->address.port);
        break;
    case MASQUE_EVENT_TUNNEL_END:
        on_end(target, event->reset);
        break;
    case MASQUE_EVENT_CONN_OUTPUT:
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_CONN_FINISH:
    case MASQUE_EVENT_CONN_END:
    case MASQUE_EVENT_AUTHORIZE:
    case MASQUE_EVENT_RESOLVE:
    case MASQUE_EVENT_DIAL:
    case MASQUE_EVENT_CANCEL_DIAL:
        break;
    }
}
