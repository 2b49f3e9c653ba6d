/*
 * engine/udp_tunnel.c: the datagrams of one CONNECT-UDP, between its stream and the host's
 * socket.
 *
 * UDP promises nothing, so neither do queues: what finds one full makes the oldest go. Only
 * what a stream brings is never dropped for that: its credit is kept back while the queue is
 * more than half full, and the client waits.
 */
#include "engine/udp_tunnel.h"

#include <string.h>

#include "tunnel/datagram_queue.h"

/* What one unit of unanswered_datagrams_max pays for. */
#define UNANSWERED_BYTES 1200u
#define UNANSWERED_RATE 1u

static const masque_limits *limits_of(const mq_tunnel *tunnel) {
    return &tunnel->conn->setup->config->limits;
}

/* --- life ----------------------------------------------------------------------------------- */

static masque_time idle_limit(const mq_udp *udp) {
    return limits_of(udp->tunnel)->datagram_idle_timeout_ms * MASQUE_MILLISECOND;
}

static void on_idle(mq_timer *timer, masque_time now) {
    mq_udp *udp = MQ_MEMBER(timer, mq_udp, idle);
    mq_tunnel *tunnel = udp->tunnel;
    mq_conn *conn = tunnel->conn;
    masque_time due = udp->moved_at + idle_limit(udp);
    if (due > now) {
        mq_timer_set(&conn->engine->timers, timer, due);
        return;
    }
    mq_tunnel_end(tunnel, true);
    mq_conn_settle(conn);
}

int mq_udp_new(mq_tunnel *tunnel) {
    masque_engine *engine = tunnel->conn->engine;
    mq_udp *udp = mq_zalloc(mq_engine_allocator(engine), sizeof *udp);
    if (!udp) {
        return MASQUE_ERR_NO_MEMORY;
    }
    udp->tunnel = tunnel;
    if (mq_timer_init(&engine->timers, &udp->idle, on_idle)) {
        mq_free(mq_engine_allocator(engine), udp);
        return MASQUE_ERR_NO_MEMORY;
    }
    tunnel->udp = udp;
    tunnel->stream.datagrams = true;
    return 0;
}

static void drop_partial(mq_udp *udp) {
    if (udp->partial) {
        mq_block_release(&udp->tunnel->conn->engine->pool, udp->partial);
        udp->partial = NULL;
    }
}

void mq_udp_del(mq_tunnel *tunnel) {
    masque_engine *engine = tunnel->conn->engine;
    if (tunnel->udp) {
        drop_partial(tunnel->udp);
        mq_timer_free(&engine->timers, &tunnel->udp->idle);
        mq_free(mq_engine_allocator(engine), tunnel->udp);
        tunnel->udp = NULL;
    }
}

/* --- from the client --------------------------------------------------------------------------- */

size_t mq_udp_take_owed(mq_udp *udp) {
    size_t owed = udp->owed;
    udp->owed = 0;
    return owed;
}

static void pay_owed(mq_tunnel *tunnel) {
    if (tunnel->incoming.bytes <= limits_of(tunnel)->datagram_queue_max / 2) {
        mq_tunnel_credit(tunnel, mq_udp_take_owed(tunnel->udp));
    }
}

/* May LENGTH bytes go to a target that, as far as we know, never asked for any? */
static bool may_send(mq_udp *udp, size_t length) {
    const masque_limits *limits = limits_of(udp->tunnel);
    masque_time now = udp->tunnel->conn->engine->now;
    if (udp->answered) {
        return true;
    }
    size_t units = length / UNANSWERED_BYTES + (length % UNANSWERED_BYTES > 0 || length == 0);
    bool may = true;
    for (size_t i = 0; i < units && may; i++) {
        may = mq_bucket_take(&udp->unanswered, now, UNANSWERED_RATE, limits->unanswered_datagrams_max);
    }
    return may;
}

/* VALUE is a whole HTTP datagram: a context ID and what it says. */
static void take_value(mq_tunnel *tunnel, const uint8_t *value, size_t length) {
    masque_engine *engine = tunnel->conn->engine;
    uint64_t context;
    size_t used = mq_varint_read(value, length, &context);
    if (tunnel->failed || tunnel->ended || used == 0 || context != 0) {
        return; /* RFC 9298 4: an unknown context is dropped */
    }
    size_t size = length - used;
    if (size > MQ_DATAGRAM_PAYLOAD_MAX) {
        engine->stats.datagrams_too_big++;
        return;
    }
    if (mq_engine_is_past(engine, 100) || !may_send(tunnel->udp, size) ||
        mq_datagrams_add(&tunnel->incoming, &engine->pool, value + used, size)) {
        engine->stats.datagrams_dropped++;
        return;
    }
    tunnel->udp->moved_at = engine->now;
    mq_tunnel_tell_output(tunnel);
}

static void begin_partial(mq_udp *udp, const mq_capsule_piece *piece) {
    masque_engine *engine = udp->tunnel->conn->engine;
    drop_partial(udp);
    if (piece->whole > MQ_BLOCK_SIZE) {
        engine->stats.datagrams_too_big++;
        return;
    }
    udp->partial = mq_block_new(&engine->pool);
    engine->stats.datagrams_dropped += !udp->partial;
}

static void take_piece(mq_udp *udp, const mq_capsule_piece *piece) {
    if (piece->first && piece->last) {
        take_value(udp->tunnel, piece->bytes, piece->length);
        return;
    }
    if (piece->first) {
        begin_partial(udp, piece);
    }
    mq_block *block = udp->partial;
    if (block) {
        memcpy(block->bytes + block->used, piece->bytes, piece->length);
        block->used += (uint32_t)piece->length;
    }
    if (piece->last && block) {
        take_value(udp->tunnel, block->bytes, block->used);
        drop_partial(udp);
    }
}

static void end_malformed(mq_tunnel *tunnel) {
    tunnel->stream.malformed = true;
    mq_tunnel_end(tunnel, true);
}

void mq_udp_take_bytes(mq_tunnel *tunnel, const uint8_t *bytes, size_t length) {
    mq_udp *udp = tunnel->udp;
    mq_capsule_piece piece;
    mq_capsule_step step;
    udp->owed += length;
    while ((step = mq_capsule_read(&udp->reader, &bytes, &length, &piece)) == MQ_CAPSULE_PIECE) {
        take_piece(udp, &piece);
    }
    if (step == MQ_CAPSULE_TOO_LONG) {
        end_malformed(tunnel);
        return;
    }
    pay_owed(tunnel);
}

void mq_udp_take_datagram(mq_tunnel *tunnel, const uint8_t *bytes, size_t length) {
    masque_engine *engine = tunnel->conn->engine;
    size_t limit = limits_of(tunnel)->datagram_queue_max;
    if (tunnel->ended || tunnel->failed) {
        return;
    }
    take_value(tunnel, bytes, length);
    while (tunnel->incoming.bytes > limit) {
        mq_datagrams_drop(&tunnel->incoming, &engine->pool);
        engine->stats.datagrams_dropped++;
    }
}

/* The client said its end, and its datagrams are with the target: so do we. */
static void finish(mq_tunnel *tunnel) {
    mq_session *session = tunnel->stream.session;
    bool due = tunnel->client_finished && !tunnel->opening && tunnel->incoming.bytes == 0;
    if (due && !tunnel->stream.outgoing_end && session) {
        tunnel->stream.outgoing_end = true;
        session->ops->resume(session, &tunnel->stream);
    }
}

void mq_udp_client_finished(mq_tunnel *tunnel) {
    if (mq_capsule_is_inside(&tunnel->udp->reader)) {
        end_malformed(tunnel);
        return;
    }
    finish(tunnel);
}

void mq_udp_opened(mq_tunnel *tunnel) {
    masque_engine *engine = tunnel->conn->engine;
    tunnel->udp->moved_at = engine->now;
    mq_timer_set(&engine->timers, &tunnel->udp->idle, engine->now + idle_limit(tunnel->udp));
    finish(tunnel);
}

/* A UDP tunnel with its target. */
static mq_tunnel *find_open(const masque_engine *engine, masque_tunnel_id id) {
    mq_tunnel *tunnel = mq_tunnel_find(engine, id);
    return tunnel && !tunnel->opening && !tunnel->asked && tunnel->udp ? tunnel : NULL;
}

size_t masque_tunnel_pull_datagrams(masque_engine *engine, masque_tunnel_id id, masque_iovec *datagrams, size_t count) {
    mq_tunnel *tunnel = find_open(engine, id);
    if (!tunnel) {
        return 0;
    }
    mq_ready_clear(&tunnel->ready, MASQUE_EVENT_TUNNEL_OUTPUT);
    tunnel->output_told = tunnel->incoming.bytes > 0;
    return mq_datagrams_list(&tunnel->incoming, datagrams, count);
}

int masque_tunnel_pulled_datagrams(masque_engine *engine, masque_tunnel_id id, size_t count, size_t too_big,
                                   masque_time now) {
    mq_tunnel *tunnel = find_open(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    masque_iovec payload;
    size_t carried = 0;
    engine->now = now;
    mq_conn *conn = tunnel->conn;
    if (conn->session) {
        conn->session->now = now;
        conn->session->may_grow = !mq_engine_is_past(engine, 80);
    }
    for (size_t i = 0; i < count && mq_datagrams_list(&tunnel->incoming, &payload, 1) == 1; i++) {
        engine->stats.bytes_sent += payload.length;
        carried += payload.length;
        engine->stats.datagrams_sent++;
        mq_datagrams_drop(&tunnel->incoming, &engine->pool);
    }
    engine->stats.datagrams_too_big += too_big;
    pay_owed(tunnel);
    if (tunnel->lingering && tunnel->incoming.bytes == 0) {
        mq_tunnel_end(tunnel, false);
    } else {
        finish(tunnel);
    }
    mq_admission_use(tunnel, carried);
    mq_conn_settle(conn);
    return 0;
}

/* --- to the client ---------------------------------------------------------------------------------- */

/* Makes room for SIZE bytes; false when the new one must go instead. */
static bool make_room(mq_tunnel *tunnel, size_t size) {
    mq_queue *queue = &tunnel->stream.outgoing;
    size_t limit = mq_tunnel_client_limit(tunnel, limits_of(tunnel)->datagram_queue_max);
    while (queue->bytes + size > limit) {
        if (queue->bytes == 0 || tunnel->stream.partial > 0) {
            return false;
        }
        tunnel->conn->outgoing_bytes -= mq_datagrams_drop(queue, &tunnel->conn->engine->pool);
        tunnel->conn->engine->stats.datagrams_dropped++;
    }
    return true;
}

static void give_client(mq_tunnel *tunnel, const uint8_t *payload, size_t length) {
    masque_engine *engine = tunnel->conn->engine;
    mq_queue *queue = &tunnel->stream.outgoing;
    engine->stats.datagrams_received++;
    engine->stats.bytes_received += length;
    if (length > MQ_DATAGRAM_PAYLOAD_MAX) {
        engine->stats.datagrams_too_big++;
        return;
    }
    size_t size = mq_datagram_size(length);
    if (!make_room(tunnel, size) || mq_datagrams_add(queue, &engine->pool, payload, length)) {
        engine->stats.datagrams_dropped++;
        return;
    }
    tunnel->conn->outgoing_bytes += size;
}

int masque_tunnel_datagrams(masque_engine *engine, masque_tunnel_id id, const void *bytes, size_t length,
                            size_t segment, masque_time now) {
    mq_tunnel *tunnel = find_open(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    engine->now = now;
    tunnel->udp->answered = true;
    tunnel->udp->moved_at = now;
    if (tunnel->lingering || tunnel->stream.outgoing_end || tunnel->failed) {
        return 0; /* nobody is there to hear it */
    }
    mq_conn *conn = tunnel->conn;
    const uint8_t *at = bytes;
    size_t left = length;
    if (tunnel->stream.outgoing.bytes == 0) {
        tunnel->moved_at = now;
    }
    do {
        size_t take = segment > 0 && segment < left ? segment : left;
        give_client(tunnel, at, take);
        at += take;
        left -= take;
    } while (left > 0);
    tunnel->stream.session->ops->resume(tunnel->stream.session, &tunnel->stream);
    mq_admission_use(tunnel, length);
    mq_conn_settle(conn);
    return 0;
}

int masque_tunnel_unreachable(masque_engine *engine, masque_tunnel_id id, masque_time now) {
    mq_tunnel *tunnel = find_open(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    engine->now = now;
    engine->stats.targets_unreachable++;
    mq_conn *conn = tunnel->conn;
    if (!tunnel->udp->answered) {
        mq_tunnel_end(tunnel, true);
    }
    mq_conn_settle(conn);
    return 0;
}
