/*
 * engine/packets.c: UDP packets of clients, in and out: which connection they belong to,
 * what begins a new one, and what is answered without one (threats: an answer is never
 * longer than its cause, and nothing is kept for a client that didn't show its address).
 */
#include <assert.h>
#include <string.h>

#include "engine/engine.h"
#include "policy/address_class.h"
#include "transport/quic_packet.h"

/* RFC 9000 20.1. */
#define CONNECTION_REFUSED 0x2u
#define INVALID_TOKEN 0xbu
/* Answers without a connection: a flood's worth is dropped. */
#define STRAY_RATE 1000u
#define STRAY_BURST 1000u
#define OVERLOAD_REFUSE_PERCENT 95
#define OUTBOUND_SEARCH_MAX 64u

/* One UDP payload and what is known of it. */
typedef struct mq_arrival {
    const masque_packets *from;
    const uint8_t *bytes;
    size_t length;
    mq_packet_head head;
} mq_arrival;

void mq_packets_tell(masque_engine *engine) {
    bool some = mq_quic_packets_waiting(&engine->output) > 0 || !mq_link_alone(&engine->writers);
    if (some && !engine->packets_told) {
        engine->packets_told = true;
        mq_ready_set(engine, &engine->ready_packets, MASQUE_EVENT_PACKETS);
    }
}

bool mq_packets_prepare(masque_engine *engine) {
    uint64_t seed[2];
    if (engine->output.memory) {
        return true;
    }
    engine->output.memory = mq_alloc(mq_engine_allocator(engine), MQ_OUTPUT_BYTES);
    if (!engine->output.memory) {
        return false;
    }
    engine->runtime.random(engine->runtime.context, (uint8_t *)seed, sizeof seed);
    mq_cid_table_init(&engine->endpoint.table, mq_engine_allocator(engine), seed);
    return true;
}

/* --- answers without a connection ----------------------------------------------------- */

/* Room for one, or NULL: it is dropped, as the network might have. */
static uint8_t *stray_room(masque_engine *engine) {
    bool may = mq_bucket_take(&engine->strays, engine->now, STRAY_RATE, STRAY_BURST);
    return may ? mq_quic_packets_room(&engine->output) : NULL;
}

static void send_stray(masque_engine *engine, const mq_arrival *arrival, size_t length) {
    if (length == 0) {
        return;
    }
    masque_packets to = *arrival->from;
    to.ecn = 0;
    mq_quic_packets_seal(&engine->output);
    mq_quic_packets_add(&engine->output, &to, length);
    mq_quic_packets_seal(&engine->output);
    mq_packets_tell(engine);
}

static void negotiate_version(masque_engine *engine, const mq_arrival *arrival) {
    uint8_t *room = arrival->length >= MQ_INITIAL_MIN ? stray_room(engine) : NULL;
    if (room) {
        send_stray(engine, arrival, mq_write_version_negotiation(room, &arrival->head, &engine->runtime));
    }
}

static void send_retry(masque_engine *engine, const mq_arrival *arrival, const mq_quic_initial *initial) {
    mq_cid scid;
    mq_quic_keys *keys = &engine->setup->quic_keys;
    uint8_t *room = stray_room(engine);
    if (room && mq_cid_make(keys, &engine->endpoint.self, &engine->runtime, &scid) == 0) {
        engine->stats.retries++;
        send_stray(engine, arrival,
                   mq_write_retry(room, initial, &scid, keys, &engine->runtime, &arrival->from->remote, engine->now));
    }
}

static void refuse(masque_engine *engine, const mq_arrival *arrival, const mq_quic_initial *initial, uint64_t code) {
    uint8_t *room = stray_room(engine);
    if (room) {
        send_stray(engine, arrival, mq_write_refusal(room, initial, &engine->runtime, code));
    }
}

/* RFC 9000 10.3: of a connection that we don't know (any more). */
static void reset_stray(masque_engine *engine, const mq_arrival *arrival) {
    mq_cid cid = {.length = MASQUE_CONNECTION_ID_LENGTH};
    uint8_t *room = arrival->head.dcid_length == cid.length ? stray_room(engine) : NULL;
    if (room) {
        memcpy(cid.bytes, arrival->head.dcid, cid.length);
        send_stray(engine, arrival,
                   mq_write_stateless_reset(room, &cid, &engine->setup->quic_keys, &engine->runtime, arrival->length));
    }
}

/* --- new connections -------------------------------------------------------------------- */

static mq_conn *accept_initial(masque_engine *engine, const mq_arrival *arrival) {
    const masque_limits *limits = &engine->setup->config->limits;
    mq_quic_initial initial;
    if (!mq_quic_read_initial(&initial, &engine->setup->quic_keys, &arrival->from->remote, arrival->bytes,
                              arrival->length, engine->now)) {
        return NULL;
    }
    if (initial.token_state == MQ_TOKEN_BAD_RETRY) {
        refuse(engine, arrival, &initial, INVALID_TOKEN);
        return NULL;
    }
    if (!engine->setup->config->credentials.key_pem) {
        return NULL; /* it serves nobody */
    }
    bool full = engine->draining || engine->conns.live >= limits->connections_max ||
                mq_engine_is_past(engine, OVERLOAD_REFUSE_PERCENT);
    if (full) {
        refuse(engine, arrival, &initial, CONNECTION_REFUSED);
        return NULL;
    }
    if (engine->half_open >= limits->half_open_max) {
        return NULL;
    }
    if (engine->half_open >= limits->half_open_before_retry && !mq_initial_is_validated(&initial)) {
        send_retry(engine, arrival, &initial);
        return NULL;
    }
    return mq_quic_conn_new(engine, &initial, arrival->from);
}

/* --- input -------------------------------------------------------------------------------- */

/* Whose it is, when its connection ID says somebody else's. */
static bool is_elsewhere(masque_engine *engine, const mq_packet_head *head, masque_route *route) {
    const masque_route *self = &engine->endpoint.self;
    if (!mq_cid_read(&engine->setup->quic_keys, head->dcid, head->dcid_length, route)) {
        return false;
    }
    /* A client's first choice may look like another server's; only a short header can't be one. */
    if (route->server != self->server) {
        return head->kind == MQ_PACKET_SHORT;
    }
    return route->worker != self->worker || route->generation != self->generation;
}

/* A server that lost our connection answers with a Stateless Reset (RFC 9000 10.3), which names no
   connection ID: the path must tell. Bounded, or a flood would search again and again. */
static mq_conn *outbound_of(masque_engine *engine, const masque_packets *from) {
    size_t searched = 0;
    for (mq_link *link = engine->outbound.next; link != &engine->outbound && searched < OUTBOUND_SEARCH_MAX;
         link = link->next) {
        mq_outbound *outbound = MQ_MEMBER(link, mq_outbound, link);
        const masque_packets *path = &outbound->path;
        searched++;
        if (path->remote.port == from->remote.port && path->socket == from->socket &&
            masque_address_same_ip(&path->remote, &from->remote)) {
            return outbound->conn;
        }
    }
    return NULL;
}

static mq_conn *connection_of(masque_engine *engine, const mq_arrival *arrival) {
    mq_conn *outbound = NULL;
    switch (arrival->head.kind) {
    case MQ_PACKET_SHORT:
        outbound = outbound_of(engine, arrival->from);
        if (!outbound) {
            reset_stray(engine, arrival);
        }
        return outbound;
    case MQ_PACKET_LONG:
        return accept_initial(engine, arrival);
    case MQ_PACKET_VERSION:
        negotiate_version(engine, arrival);
        return NULL;
    case MQ_PACKET_NEGOTIATION: /* never answered (RFC 9000 6.1) */
    case MQ_PACKET_BAD:
        break;
    }
    return NULL;
}

/* The next UDP payload at OFFSET. */
static mq_arrival arrival_at(const masque_packets *packets, size_t offset) {
    size_t left = packets->length - offset;
    size_t segment = packets->segment > 0 && packets->segment < left ? packets->segment : left;
    return (mq_arrival){.from = packets,
                        .bytes = packets->bytes + offset,
                        .length = segment,
                        .head = mq_packet_read(packets->bytes + offset, segment)};
}

int masque_engine_packets(masque_engine *engine, const masque_packets *given, masque_route *route, masque_time now) {
    masque_packets packets = *given;
    mq_conn *conn = NULL;
    engine->now = now;
    packets.remote = mq_address_canonical(&given->remote);
    packets.local = mq_address_canonical(&given->local);
    if (!mq_packets_prepare(engine)) {
        return 0;
    }
    for (size_t offset = 0; offset < packets.length;) {
        const mq_arrival arrival = arrival_at(&packets, offset);
        offset += arrival.length;
        if (arrival.head.kind == MQ_PACKET_BAD) {
            continue;
        }
        mq_conn *owner = mq_cid_table_find(&engine->endpoint.table, arrival.head.dcid, arrival.head.dcid_length);
        if (!owner && offset == arrival.length && is_elsewhere(engine, &arrival.head, route)) {
            return MASQUE_ERR_ELSEWHERE;
        }
        if (!owner) {
            owner = connection_of(engine, &arrival);
        }
        if (conn && owner != conn) {
            mq_conn_settle(conn);
        }
        conn = owner;
        if (conn) {
            mq_quic_conn_input(conn, &packets, arrival.bytes, arrival.length);
        }
    }
    if (conn) {
        mq_conn_settle(conn);
    }
    return 0;
}

/* --- output --------------------------------------------------------------------------------- */

size_t masque_engine_pull_packets(masque_engine *engine, masque_packets *packets, size_t count, masque_time now) {
    mq_quic_packets *output = &engine->output;
    engine->now = now;
    if (mq_ready_has(&engine->ready_packets, MASQUE_EVENT_PACKETS)) {
        mq_ready_clear(&engine->ready_packets, MASQUE_EVENT_PACKETS);
    }
    while (!mq_link_alone(&engine->writers) && mq_quic_packets_waiting(output) < count &&
           mq_quic_packets_room(output)) {
        mq_conn *conn = MQ_MEMBER(engine->writers.next, mq_conn, in_writers);
        mq_quic_packets_seal(output);
        mq_quic_conn_output(conn);
    }
    mq_quic_packets_seal(output);
    size_t waiting = mq_quic_packets_waiting(output);
    size_t filled = waiting < count ? waiting : count;
    memcpy(packets, output->bursts + output->first, filled * sizeof *packets);
    engine->packets_told = filled > 0;
    engine->packets_pulled = filled;
    return filled;
}

int masque_engine_pulled_packets(masque_engine *engine, size_t count, masque_time now) {
    if (count > engine->packets_pulled) {
        return MASQUE_ERR_INVALID;
    }
    engine->now = now;
    engine->packets_pulled -= count;
    mq_quic_packets_sent(&engine->output, count);
    return 0;
}

void masque_engine_set_worker(masque_engine *engine, uint8_t worker, uint8_t generation) {
    engine->endpoint.self.worker = worker;
    engine->endpoint.self.generation = generation;
}
