/*
 * harness/datagrams.c: both ends of CONNECT-UDP. A datagram begins with its number and its
 * length, the rest is the pattern at a place of its own: each end checks that what comes is
 * whole, was sent, and comes once and in order. What is lost the tests count.
 */
#include <stdio.h>
#include <string.h>

#include "harness/parts.h"

#define HEAD 8u
#define PIECES_MAX 16
#define BURST_MAX 65535u

static void put32(uint8_t *at, uint32_t value) {
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static uint32_t get32(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void fill(uint64_t seed, uint32_t number, uint8_t *bytes, size_t length) {
    if (length < HEAD) {
        sim_pattern_fill(seed, length, bytes, length);
        return;
    }
    put32(bytes, number);
    put32(bytes + 4, (uint32_t)length);
    sim_pattern_fill(seed, (uint64_t)number << 16, bytes + HEAD, length - HEAD);
}

/* True the first time. */
static bool mark(sim_datagrams *seen, uint32_t number) {
    if (!seen->unordered) {
        return number >= seen->next;
    }
    uint8_t bit = (uint8_t)(1u << number % 8);
    bool first = number / 8 < sizeof seen->seen && !(seen->seen[number / 8] & bit);
    seen->seen[number / 8 % sizeof seen->seen] |= bit;
    return first;
}

void sim_datagrams_check(sim_world *world, uint64_t seed, sim_datagrams *seen, const uint8_t *bytes, size_t length) {
    seen->received++;
    seen->received_bytes += length;
    if (length < HEAD) {
        SIM_CHECK(world, sim_pattern_fits(seed, length, bytes, length), "wrong bytes in a short datagram");
        return;
    }
    uint32_t number = get32(bytes);
    SIM_CHECK(world, get32(bytes + 4) == length, "datagram %u has %zu bytes instead of %u", number, length,
              get32(bytes + 4));
    SIM_CHECK(world, mark(seen, number), "datagram %u came again or late, behind %u", number, seen->next);
    SIM_CHECK(world, sim_pattern_fits(seed, (uint64_t)number << 16, bytes + HEAD, length - HEAD),
              "wrong bytes in datagram %u", number);
    seen->next = number + 1;
}

/* --- the client ---------------------------------------------------------------------------- */

/* A varint (RFC 9000 16) in one of the lengths that hold it. */
static size_t put_varint(sim_prng *chance, uint8_t *at, uint64_t value) {
    unsigned bits = value < 64 ? 0 : value < 16384 ? 1 : value < 1073741824 ? 2 : 3;
    bits += (unsigned)(sim_random(chance) % (4 - bits));
    size_t length = (size_t)1 << bits;
    for (size_t i = 0; i < length; i++) {
        at[i] = (uint8_t)(value >> (8 * (length - 1 - i)));
    }
    at[0] |= (uint8_t)(bits << 6);
    return length;
}

/* 0: not all of it is there. */
static size_t get_varint(const uint8_t *at, size_t length, uint64_t *value) {
    size_t used = length > 0 ? (size_t)1 << (at[0] >> 6) : 1;
    if (length < used) {
        return 0;
    }
    *value = at[0] & 63u;
    for (size_t i = 1; i < used; i++) {
        *value = *value << 8 | at[i];
    }
    return used;
}

void sim_send_capsules(sim_tun *tun, const void *bytes, size_t length) {
    sim_bytes_add(&tun->capsules, bytes, length);
    tun->send_total += length;
    sim_wake(tun);
}

static void add_payload(sim_bytes *payloads, const uint8_t *bytes, size_t length) {
    uint8_t head[4];
    put32(head, (uint32_t)length);
    sim_bytes_add(payloads, head, sizeof head);
    sim_bytes_add(payloads, bytes, length);
}

void sim_send_datagrams(sim_tun *tun, size_t count, size_t length) {
    static uint8_t bytes[32 + 70000];
    sim_prng *chance = &tun->conn->chance;
    for (size_t i = 0; i < count && sim_is_engine(tun->conn); i++) {
        fill(sim_up_seed(tun->port), tun->datagrams.made++, bytes, length);
        add_payload(&tun->capsules, bytes, length);
    }
    if (sim_is_engine(tun->conn)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t context[8];
        size_t context_length = put_varint(chance, context, 0);
        size_t head = put_varint(chance, bytes, 0);
        head += put_varint(chance, bytes + head, context_length + length);
        memcpy(bytes + head, context, context_length);
        fill(sim_up_seed(tun->port), tun->datagrams.made++, bytes + head + context_length, length);
        sim_send_capsules(tun, bytes, head + context_length + length);
    }
}

size_t sim_capsules_take(sim_tun *tun, uint8_t *bytes, size_t length) {
    size_t waiting = sim_bytes_length(&tun->capsules);
    length = length < waiting ? length : waiting;
    if (length > 0) {
        memcpy(bytes, tun->capsules.bytes + tun->capsules.start, length);
        sim_bytes_drop(&tun->capsules, length);
    }
    return length;
}

static bool take_capsule(sim_tun *tun) {
    sim_world *w = tun->conn->world;
    const uint8_t *at = tun->incoming.bytes + tun->incoming.start;
    size_t left = sim_bytes_length(&tun->incoming);
    uint64_t type = 0;
    uint64_t length = 0;
    uint64_t context = 0;
    size_t first = get_varint(at, left, &type);
    size_t second = first ? get_varint(at + first, left - first, &length) : 0;
    if (second == 0 || left - first - second < length) {
        return false;
    }
    const uint8_t *value = at + first + second;
    size_t third = get_varint(value, (size_t)length, &context);
    SIM_CHECK(w, type == 0 && third > 0 && context == 0, "capsule %llu, context %llu", (unsigned long long)type,
              (unsigned long long)context);
    sim_datagrams_check(w, sim_down_seed(tun->target), &tun->datagrams, value + third, (size_t)length - third);
    sim_bytes_drop(&tun->incoming, first + second + (size_t)length);
    return true;
}

void sim_capsules_received(sim_tun *tun, const uint8_t *bytes, size_t length) {
    sim_world *w = tun->conn->world;
    SIM_CHECK(w, tun->target && sim_tun_is_open(tun), "capsules before the answer, port %u", tun->port);
    SIM_CHECK(w, !tun->got_fin, "capsules behind the end, port %u", tun->port);
    tun->received += length;
    sim_bytes_add(&tun->incoming, bytes, length);
    while (take_capsule(tun)) {
    }
}

void sim_udp_path(const char *authority, char *path, size_t size) {
    const char *port = strrchr(authority, ':');
    size_t at = (size_t)snprintf(path, size, "/.well-known/masque/udp/");
    for (const char *c = authority; c < port && at + 8 < size; c++) {
        if (*c == ':') {
            at += (size_t)snprintf(path + at, size - at, "%%3A");
        } else if (*c != '[' && *c != ']') {
            path[at++] = *c;
        }
    }
    snprintf(path + at, size - at, "/%s/", port ? port + 1 : "");
}

/* --- the target ------------------------------------------------------------------------------- */

void sim_target_datagrams(sim_target *target, size_t count, size_t length) {
    static uint8_t bytes[70000];
    for (size_t i = 0; i < count; i++) {
        fill(sim_down_seed(target), target->datagrams.made++, bytes, length);
        add_payload(&target->payloads, bytes, length);
    }
}

void sim_target_unreachable(sim_target *target) {
    sim_world *w = target->world;
    sim_alloc_side(SIM_PROXY);
    int error = masque_tunnel_unreachable(w->engine, target->tunnel, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_tunnel_unreachable: %s", masque_error_name(error));
}

bool sim_target_take_datagrams(sim_target *target) {
    sim_world *w = target->world;
    masque_iovec pieces[PIECES_MAX];
    if (!target->want_write || target->stalls) {
        return false;
    }
    size_t count =
        masque_tunnel_pull_datagrams(w->engine, target->tunnel, pieces, 1 + sim_random(&w->chance) % PIECES_MAX);
    if (count == 0) {
        target->want_write = false;
        return true;
    }
    size_t taken = 1 + sim_random(&w->chance) % count;
    size_t too_big = 0;
    for (size_t i = 0; i < taken; i++) {
        if (target->mtu > 0 && pieces[i].length > target->mtu) {
            too_big++;
            continue;
        }
        sim_datagrams_check(w, sim_up_seed(target->address.port), &target->datagrams, pieces[i].base, pieces[i].length);
        if (target->site->echo) {
            add_payload(&target->payloads, pieces[i].base, pieces[i].length);
        }
    }
    sim_alloc_side(SIM_PROXY);
    int error = masque_tunnel_pulled_datagrams(w->engine, target->tunnel, taken, too_big, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_tunnel_pulled_datagrams: %s", masque_error_name(error));
    return true;
}

/* Some of one length, and one at the end that may be shorter. */
size_t sim_payloads_gather(sim_prng *chance, sim_bytes *payloads, uint8_t *burst, size_t *segment) {
    size_t most = 1 + sim_random(chance) % 64;
    size_t used = 0;
    *segment = 0;
    for (size_t i = 0; i < most && sim_bytes_length(payloads) > 0; i++) {
        const uint8_t *at = payloads->bytes + payloads->start;
        size_t length = get32(at);
        bool fits = i == 0 || (length > 0 && length <= *segment && used + length <= BURST_MAX);
        if (!fits) {
            break;
        }
        memcpy(burst + used, at + 4, length);
        used += length;
        sim_bytes_drop(payloads, 4 + length);
        *segment = i == 0 ? length : *segment;
        if (length == 0 || length < *segment) {
            break;
        }
    }
    return used;
}

bool sim_target_give_datagrams(sim_target *target) {
    static uint8_t burst[SIM_BURST_MAX];
    sim_world *w = target->world;
    if (sim_bytes_length(&target->payloads) == 0) {
        return false;
    }
    size_t segment;
    size_t length = sim_payloads_gather(&w->chance, &target->payloads, burst, &segment);
    sim_alloc_side(SIM_PROXY);
    int error = masque_tunnel_datagrams(w->engine, target->tunnel, burst, length, segment, w->now);
    sim_alloc_side(SIM_TEST);
    SIM_CHECK(w, error == 0, "masque_tunnel_datagrams: %s", masque_error_name(error));
    return true;
}
