/*
 * engine/tunnel.c: the bytes of one CONNECT, between a stream of the session and
 * the host's socket.
 *
 * Each direction ends on its own. The tunnel is over when the stream has ended in
 * both directions and the target took what came, or with a reset of either side.
 *
 * A client that said its end and then left, in order, leaves a tunnel that lingers: the
 * target still gets what came, and its end; what it says meanwhile is read and dropped, or
 * the system would answer with a reset that destroys what the target didn't read yet.
 */
#include <assert.h>

#include "engine/engine.h"
#include "engine/udp_tunnel.h"

/* What every tunnel may hold for its client, however full the connection is: all
   shares together fill half of the connection's buffer at most. */
#define FAIR_SHARE_MAX 65536u
#define FAIR_SHARE_MIN 1024u
/* A tunnel whose target hasn't taken this much may not add to it in a full engine. */
#define HELD_WHEN_FULL MQ_BLOCK_SIZE

static const masque_limits *limits_of(const mq_tunnel *tunnel) {
    return &tunnel->conn->setup->config->limits;
}

mq_tunnel *mq_tunnel_find(const masque_engine *engine, masque_tunnel_id id) {
    mq_tunnel *tunnel = mq_slots_find(&engine->tunnels, id);
    return tunnel && !tunnel->ended ? tunnel : NULL;
}

/* A tunnel that the host has a socket, or an application, of. */
static mq_tunnel *find_held(masque_engine *engine, masque_tunnel_id id) {
    mq_tunnel *tunnel = mq_tunnel_find(engine, id);
    return tunnel && !tunnel->opening ? tunnel : NULL;
}

/* One whose target is connected, or whose proxy said 200. */
static mq_tunnel *find_open(masque_engine *engine, masque_tunnel_id id) {
    mq_tunnel *tunnel = find_held(engine, id);
    return tunnel && !tunnel->asked ? tunnel : NULL;
}

/* The same of a tunnel of bytes. */
static mq_tunnel *find_bytes(masque_engine *engine, masque_tunnel_id id) {
    mq_tunnel *tunnel = find_open(engine, id);
    return tunnel && !tunnel->udp ? tunnel : NULL;
}

mq_tunnel *mq_tunnel_new(mq_conn *conn) {
    masque_engine *engine = conn->engine;
    mq_tunnel *tunnel = mq_zalloc(mq_engine_allocator(engine), sizeof *tunnel);
    if (!tunnel) {
        return NULL;
    }
    tunnel->conn = conn;
    tunnel->moved_at = engine->now;
    tunnel->read_blocks = MQ_RESERVE_FIRST;
    mq_ready_init(&tunnel->ready, MQ_READY_TUNNEL);
    mq_link_init(&tunnel->in_conn);
    mq_link_init(&tunnel->starved);
    tunnel->id = mq_slots_add(&engine->tunnels, tunnel);
    if (!tunnel->id) {
        mq_free(mq_engine_allocator(engine), tunnel);
        return NULL;
    }
    mq_list_append(&conn->tunnels, &tunnel->in_conn);
    conn->tunnel_count++;
    return tunnel;
}

/* --- ends ----------------------------------------------------------------------------- */

static void drop_opening(mq_tunnel *tunnel) {
    masque_engine *engine = tunnel->conn->engine;
    mq_opening *opening = tunnel->opening;
    if (!opening) {
        return;
    }
    mq_dialing_cancel(opening, NULL);
    /* A host may answer what it hasn't been asked yet. */
    mq_ready_clear(&tunnel->ready, MASQUE_EVENT_RESOLVE);
    mq_ready_clear(&tunnel->ready, MASQUE_EVENT_AUTHORIZE);
    mq_link_remove(&opening->waiting);
    mq_timer_free(&engine->timers, &opening->timer);
    if (opening->dial_ready) {
        mq_dial_free(&opening->dial);
    }
    mq_free(mq_engine_allocator(engine), opening->hint);
    mq_free(mq_engine_allocator(engine), opening);
    tunnel->opening = NULL;
}

void mq_tunnel_credit(mq_tunnel *tunnel, size_t length) {
    mq_session *session = tunnel->conn->session;
    if (session && length > 0) {
        session->ops->credit(session, &tunnel->stream, length);
    }
}

/* Bytes nobody will take: the client gets its connection's credit back. */
static void drop_incoming(mq_tunnel *tunnel) {
    mq_tunnel_credit(tunnel, tunnel->udp ? mq_udp_take_owed(tunnel->udp) : tunnel->incoming.bytes);
    mq_queue_clear(&tunnel->incoming, &tunnel->conn->engine->pool);
}

static void drop_queues(mq_tunnel *tunnel) {
    mq_conn *conn = tunnel->conn;
    drop_incoming(tunnel);
    conn->outgoing_bytes -= tunnel->stream.outgoing.bytes;
    mq_queue_clear(&tunnel->stream.outgoing, &conn->engine->pool);
}

void mq_tunnel_del(mq_tunnel *tunnel) {
    mq_conn *conn = tunnel->conn;
    masque_engine *engine = conn->engine;
    assert(!tunnel->stream.session);
    mq_door_left(tunnel);
    mq_admission_end(tunnel);
    drop_opening(tunnel);
    mq_answer_free(&tunnel->answer);
    drop_queues(tunnel);
    mq_udp_del(tunnel);
    conn->lingering -= tunnel->lingering;
    conn->failing -= tunnel->failed;
    mq_link_remove(&tunnel->ready.link);
    mq_link_remove(&tunnel->starved);
    mq_link_remove(&tunnel->in_conn);
    conn->tunnel_count--;
    if (conn->tunnel_count == 0) {
        conn->idle_since = engine->now;
    }
    mq_slots_remove(&engine->tunnels, tunnel->id);
    mq_free(mq_engine_allocator(engine), tunnel);
}

void mq_tunnel_end(mq_tunnel *tunnel, bool reset) {
    mq_conn *conn = tunnel->conn;
    if (tunnel->ended) {
        return;
    }
    mq_session *session = tunnel->stream.session;
    if (session) {
        session->now = conn->engine->now;
        (tunnel->failed ? session->ops->cut : session->ops->reset)(session, &tunnel->stream);
    }
    if (tunnel->opening) {
        mq_tunnel_del(tunnel);
        return;
    }
    tunnel->ended = true;
    tunnel->reset = reset || tunnel->failed;
    mq_link_remove(&tunnel->starved);
    drop_queues(tunnel);
    /* Of what is due only a refusal's answer still means something. */
    bool answered = mq_ready_has(&tunnel->ready, MASQUE_EVENT_TUNNEL_ANSWER);
    while (tunnel->ready.due) {
        mq_ready_clear(&tunnel->ready, (masque_event_type)__builtin_ctz(tunnel->ready.due));
    }
    if (answered) {
        mq_ready_set(conn->engine, &tunnel->ready, MASQUE_EVENT_TUNNEL_ANSWER);
    }
    mq_ready_set(conn->engine, &tunnel->ready, MASQUE_EVENT_TUNNEL_END);
}

static void report_finish(mq_tunnel *tunnel) {
    bool due = tunnel->client_finished && !tunnel->opening && !tunnel->failed && !tunnel->udp;
    if (due && tunnel->incoming.bytes == 0 && !tunnel->finish_reported) {
        tunnel->finish_reported = true;
        mq_ready_set(tunnel->conn->engine, &tunnel->ready, MASQUE_EVENT_TUNNEL_FINISH);
    }
}

void mq_tunnel_let_target_be_read(mq_tunnel *tunnel) {
    if (tunnel->target_blocked) {
        tunnel->target_blocked = false;
        mq_ready_set(tunnel->conn->engine, &tunnel->ready, MASQUE_EVENT_TUNNEL_INPUT);
    }
}

static void linger(mq_tunnel *tunnel) {
    mq_conn *conn = tunnel->conn;
    mq_session *session = tunnel->stream.session;
    if (session) {
        session->ops->reset(session, &tunnel->stream);
    }
    conn->outgoing_bytes -= tunnel->stream.outgoing.bytes;
    mq_queue_clear(&tunnel->stream.outgoing, &conn->engine->pool);
    conn->lingering++;
    tunnel->lingering = true;
    tunnel->moved_at = conn->engine->now;
    mq_link_remove(&tunnel->starved);
    report_finish(tunnel);
    mq_tunnel_let_target_be_read(tunnel);
}

void mq_tunnel_client_gone(mq_tunnel *tunnel, bool clean) {
    /* One that lingers had its end in order; what becomes of the connection is no matter. */
    if (tunnel->ended || tunnel->lingering) {
        return;
    }
    /* Only END_STREAM, or HTTP/1.1's close_notify, says that these were all the bytes. */
    clean = clean && tunnel->client_finished && !tunnel->failed && !tunnel->asked;
    bool target_lives = tunnel->incoming.bytes > 0 || (!tunnel->stream.outgoing_end && !tunnel->udp);
    if (clean && !tunnel->opening && target_lives) {
        linger(tunnel);
        return;
    }
    mq_tunnel_end(tunnel, !clean);
}

void mq_tunnel_client_finished(mq_tunnel *tunnel) {
    tunnel->client_finished = true;
    if (tunnel->udp) {
        mq_udp_client_finished(tunnel);
        return;
    }
    report_finish(tunnel);
}

void mq_tunnel_check_stall(mq_tunnel *tunnel, masque_time now) {
    masque_time stall = limits_of(tunnel)->write_stall_timeout_ms * MASQUE_MILLISECOND;
    bool waits = tunnel->stream.outgoing.bytes > 0 || tunnel->lingering;
    if (waits && !tunnel->ended && now - tunnel->moved_at >= stall) {
        bool delivered = tunnel->lingering && tunnel->incoming.bytes == 0;
        mq_tunnel_end(tunnel, !delivered);
    }
}

/* --- client to target -------------------------------------------------------------------- */

void mq_tunnel_tell_output(mq_tunnel *tunnel) {
    if (!tunnel->opening && !tunnel->output_told && tunnel->incoming.bytes > 0) {
        tunnel->output_told = true;
        mq_ready_set(tunnel->conn->engine, &tunnel->ready, MASQUE_EVENT_TUNNEL_OUTPUT);
    }
}

/* False: there is no memory for LENGTH bytes more. Those that nobody is there to take are credited. */
static bool may_take(mq_tunnel *tunnel, size_t length) {
    mq_session *session = tunnel->stream.session;
    assert(!tunnel->ended);
    if (tunnel->failed) {
        session->ops->credit(session, &tunnel->stream, length);
        return true;
    }
    /* Its window was granted when there was memory. Now it is one of those that hold it. */
    return !mq_engine_is_past(tunnel->conn->engine, 100) || tunnel->incoming.bytes < HELD_WHEN_FULL;
}

bool mq_tunnel_take_data(mq_tunnel *tunnel, mq_block *block, uint32_t start, uint32_t end) {
    masque_engine *engine = tunnel->conn->engine;
    if (tunnel->udp) {
        mq_udp_take_bytes(tunnel, block->bytes + start, end - start);
        return true;
    }
    if (!may_take(tunnel, end - start)) {
        return false;
    }
    if (tunnel->failed) {
        return true;
    }
    if (mq_queue_append(&tunnel->incoming, &engine->pool, block, start, end)) {
        return false;
    }
    mq_tunnel_tell_output(tunnel);
    return true;
}

bool mq_tunnel_take_bytes(mq_tunnel *tunnel, const uint8_t *bytes, size_t length) {
    masque_engine *engine = tunnel->conn->engine;
    if (tunnel->udp) {
        mq_udp_take_bytes(tunnel, bytes, length);
        return true;
    }
    if (!may_take(tunnel, length)) {
        return false;
    }
    if (tunnel->failed) {
        return true;
    }
    if (mq_queue_copy(&tunnel->incoming, &engine->pool, bytes, (uint32_t)length)) {
        return false;
    }
    mq_tunnel_tell_output(tunnel);
    return true;
}

void mq_tunnel_opened(mq_tunnel *tunnel) {
    drop_opening(tunnel);
    tunnel->moved_at = tunnel->conn->engine->now;
    mq_tunnel_tell_output(tunnel);
    if (tunnel->udp) {
        mq_udp_opened(tunnel);
        return;
    }
    report_finish(tunnel);
}

size_t masque_tunnel_pull(masque_engine *engine, masque_tunnel_id id, masque_iovec *pieces, size_t count) {
    mq_tunnel *tunnel = find_bytes(engine, id);
    if (!tunnel) {
        return 0;
    }
    mq_ready_clear(&tunnel->ready, MASQUE_EVENT_TUNNEL_OUTPUT);
    tunnel->output_told = tunnel->incoming.bytes > 0;
    return mq_queue_pieces(&tunnel->incoming, pieces, count);
}

int masque_tunnel_pulled(masque_engine *engine, masque_tunnel_id id, size_t length, masque_time now) {
    mq_tunnel *tunnel = find_bytes(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    if (length > tunnel->incoming.bytes) {
        return MASQUE_ERR_INVALID;
    }
    engine->now = now;
    mq_conn *conn = tunnel->conn;
    mq_queue_drop(&tunnel->incoming, &engine->pool, length);
    engine->stats.bytes_sent += length;
    if (conn->session && length > 0) {
        conn->session->now = now;
        conn->session->may_grow = !mq_engine_is_past(engine, 80);
        conn->session->ops->credit(conn->session, &tunnel->stream, length);
    }
    if (tunnel->lingering && length > 0) {
        tunnel->moved_at = now;
    }
    bool over = tunnel->lingering && tunnel->incoming.bytes == 0 && tunnel->stream.outgoing_end;
    if (over) {
        mq_tunnel_end(tunnel, false);
    } else {
        report_finish(tunnel);
    }
    mq_admission_use(tunnel, length);
    mq_conn_settle(conn);
    return 0;
}

/* --- target to client --------------------------------------------------------------------- */

static size_t fair_share(const masque_limits *limits) {
    uint64_t share = limits->connection_buffer_max / 2 / limits->tunnels_per_connection_max;
    share = share < FAIR_SHARE_MAX ? share : FAIR_SHARE_MAX;
    return share > FAIR_SHARE_MIN ? share : FAIR_SHARE_MIN;
}

size_t mq_tunnel_client_limit(const mq_tunnel *tunnel, size_t limit) {
    const masque_limits *limits = limits_of(tunnel);
    const masque_engine *engine = tunnel->conn->engine;
    const mq_session *session = tunnel->stream.session;
    size_t held = tunnel->conn->outgoing_bytes + (session ? session->unacked : 0);
    bool crowded = held >= limits->connection_buffer_max / 2 || mq_engine_is_past(engine, 80);
    size_t share = fair_share(limits);
    limit = crowded && limit > share ? share : limit;
    return mq_engine_is_past(engine, 100) ? 0 : limit;
}

static size_t room_for_client(const mq_tunnel *tunnel) {
    size_t limit = mq_tunnel_client_limit(tunnel, limits_of(tunnel)->tunnel_buffer_max);
    size_t have = tunnel->stream.outgoing.bytes;
    return have < limit ? limit - have : 0;
}

/* Offers fresh blocks for up to ROOM bytes. */
static size_t offer_blocks(masque_engine *engine, masque_iovec *pieces, size_t count, size_t room) {
    size_t offered = 0;
    assert(count <= MQ_RESERVE_BLOCKS);
    while (offered < count && room > 0) {
        if (!engine->reserved[offered]) {
            engine->reserved[offered] = mq_block_new(&engine->pool);
            if (!engine->reserved[offered]) {
                break;
            }
        }
        size_t length = room < MQ_BLOCK_PAYLOAD ? room : MQ_BLOCK_PAYLOAD;
        pieces[offered] =
            (masque_iovec){.base = engine->reserved[offered]->bytes + MQ_BLOCK_HEADROOM, .length = length};
        engine->reserved_total += length;
        room -= length;
        offered++;
    }
    return offered;
}

static void drop_reservation(masque_engine *engine) {
    if (engine->reserved_tail) {
        mq_block_release(&engine->pool, engine->reserved_tail);
        engine->reserved_tail = NULL;
    }
    engine->reserved_for = 0;
    engine->reserved_tail_length = engine->reserved_total = 0;
}

/* Offers what is left of the queue's last block. Held by a reference: the queue may be
   sent, and the block with it, before the host commits. */
static size_t offer_tail(masque_engine *engine, const mq_queue *queue, masque_iovec *piece, size_t room) {
    mq_block *tail = mq_queue_open_tail(queue);
    if (!tail || room == 0) {
        return 0;
    }
    size_t space = tail->capacity - tail->used;
    size_t length = space < room ? space : room;
    tail->references++;
    engine->reserved_tail = tail;
    engine->reserved_tail_length = engine->reserved_total = length;
    *piece = (masque_iovec){.base = tail->bytes + tail->used, .length = length};
    return length;
}

size_t masque_tunnel_reserve(masque_engine *engine, masque_tunnel_id id, masque_iovec *pieces, size_t count) {
    mq_tunnel *tunnel = find_held(engine, id);
    if (!tunnel || tunnel->udp || tunnel->stream.outgoing_end || tunnel->failed || count == 0) {
        return 0;
    }
    if (tunnel->asked) {
        tunnel->target_blocked = true; /* until the answer */
        return 0;
    }
    size_t room = tunnel->lingering ? MQ_BLOCK_PAYLOAD : room_for_client(tunnel);
    drop_reservation(engine);
    engine->reserved_for = id;
    size_t tail = offer_tail(engine, &tunnel->stream.outgoing, pieces, room);
    size_t used = tail > 0 ? 1 : 0;
    size_t most = count - used < tunnel->read_blocks ? count - used : tunnel->read_blocks;
    used += offer_blocks(engine, pieces + used, most, room - tail);
    if (used == 0 && room > 0) {
        mq_tunnel_end(tunnel, true); /* the system has no memory; nobody would tell when it has */
    } else if (used == 0) {
        tunnel->target_blocked = true;
        /* Nothing of its own will wake it up: the engine's memory must. */
        if (tunnel->stream.outgoing.bytes == 0) {
            mq_link_remove(&tunnel->starved);
            mq_list_append(&engine->starved, &tunnel->starved);
        }
    }
    return used;
}

/* Twice as much after a read that took all that was offered, else a block more than it took. */
static void follow_pace(mq_tunnel *tunnel, size_t length, size_t offered) {
    size_t blocks = length == offered ? 2u * tunnel->read_blocks : length / MQ_BLOCK_PAYLOAD + MQ_RESERVE_FIRST;
    tunnel->read_blocks = (uint8_t)(blocks < MQ_RESERVE_BLOCKS ? blocks : MQ_RESERVE_BLOCKS);
}

/* LENGTH bytes stand in the offered rest of a block. */
static int take_tail(masque_engine *engine, mq_queue *queue, uint32_t length) {
    mq_block *tail = engine->reserved_tail;
    if (mq_queue_ends_with(queue, tail)) {
        mq_queue_extend_tail(queue, length);
        return 0;
    }
    /* What stood before was sent meanwhile; the block lives on for these. */
    uint32_t start = tail->used;
    tail->used += length;
    tail->references++;
    int error = mq_queue_push(queue, &engine->pool, tail, start, tail->used);
    tail->references -= error ? 1 : 0;
    return error;
}

/* Moves the filled blocks to the queue; what isn't filled stays reserved. */
static int take_reserved(masque_engine *engine, mq_queue *queue, size_t length) {
    size_t first = 0;
    if (queue->count == 0 && length > 0 && length <= MQ_SMALL_MAX) {
        return mq_queue_copy(queue, &engine->pool, engine->reserved[0]->bytes + MQ_BLOCK_HEADROOM, (uint32_t)length);
    }
    while (length > 0) {
        mq_block *block = engine->reserved[first];
        uint32_t take = length < MQ_BLOCK_PAYLOAD ? (uint32_t)length : MQ_BLOCK_PAYLOAD;
        block->used = MQ_BLOCK_HEADROOM + take;
        if (mq_queue_push(queue, &engine->pool, block, MQ_BLOCK_HEADROOM, block->used)) {
            block->used = 0;
            return MASQUE_ERR_NO_MEMORY;
        }
        engine->reserved[first++] = NULL;
        length -= take;
    }
    /* Keep the rest in front. */
    for (size_t i = first; first > 0 && i < MQ_RESERVE_BLOCKS; i++) {
        engine->reserved[i - first] = engine->reserved[i];
        engine->reserved[i] = NULL;
    }
    return 0;
}

int masque_tunnel_commit(masque_engine *engine, masque_tunnel_id id, size_t length, masque_time now) {
    mq_tunnel *tunnel = find_bytes(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    if (engine->reserved_for != id || length > engine->reserved_total) {
        return MASQUE_ERR_INVALID;
    }
    if (tunnel->stream.outgoing_end) {
        return MASQUE_ERR_STATE;
    }
    engine->now = now;
    if (length == 0 || tunnel->lingering) {
        drop_reservation(engine); /* what came for a client that is gone is dropped */
        tunnel->moved_at = length > 0 ? now : tunnel->moved_at;
        return 0;
    }
    mq_conn *conn = tunnel->conn;
    mq_queue *queue = &tunnel->stream.outgoing;
    size_t before = queue->bytes;
    size_t tail = length < engine->reserved_tail_length ? length : engine->reserved_tail_length;
    if (before == 0) {
        tunnel->moved_at = now;
    }
    follow_pace(tunnel, length, engine->reserved_total);
    int error = tail > 0 ? take_tail(engine, queue, (uint32_t)tail) : 0;
    if (!error) {
        error = take_reserved(engine, queue, length - tail);
    }
    drop_reservation(engine);
    conn->outgoing_bytes += queue->bytes - before;
    engine->stats.bytes_received += queue->bytes - before;
    if (error) {
        mq_tunnel_end(tunnel, true);
    } else {
        tunnel->stream.session->ops->resume(tunnel->stream.session, &tunnel->stream);
        mq_admission_use(tunnel, length);
    }
    mq_conn_settle(conn);
    return 0;
}

void mq_tunnel_sent(mq_tunnel *tunnel, size_t length) {
    masque_engine *engine = tunnel->conn->engine;
    tunnel->conn->outgoing_bytes -= length;
    tunnel->moved_at = engine->now;
    if (tunnel->stream.outgoing.bytes == 0) {
        mq_tunnel_let_target_be_read(tunnel);
    }
}

int masque_tunnel_finished(masque_engine *engine, masque_tunnel_id id, masque_time now) {
    mq_tunnel *tunnel = find_open(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    if (tunnel->stream.outgoing_end) {
        return MASQUE_ERR_STATE;
    }
    engine->now = now;
    mq_conn *conn = tunnel->conn;
    tunnel->stream.outgoing_end = true;
    if (tunnel->stream.session) {
        tunnel->stream.session->ops->resume(tunnel->stream.session, &tunnel->stream);
    } else if (tunnel->incoming.bytes == 0) {
        mq_tunnel_end(tunnel, false);
    }
    mq_conn_settle(conn);
    return 0;
}

/* Is something that the target said on its way still, that a reset would destroy? */
static bool owes_client(const mq_tunnel *tunnel) {
    const mq_session *session = tunnel->stream.session;
    if (!session) {
        return false;
    }
    /* The end of HTTP/1.1's stream is the transport's. */
    return session->ops->owes(session, &tunnel->stream) ||
           (!session->has_streams && mq_tls_stream_waiting(&tunnel->conn->tls) > 0);
}

void mq_tunnel_end_failed(mq_tunnel *tunnel) {
    if (tunnel->failed && !owes_client(tunnel)) {
        mq_tunnel_end(tunnel, true);
    }
}

int masque_tunnel_failed(masque_engine *engine, masque_tunnel_id id, masque_time now) {
    mq_tunnel *tunnel = find_held(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    engine->now = now;
    mq_conn *conn = tunnel->conn;
    if (!owes_client(tunnel)) {
        mq_tunnel_end(tunnel, true);
    } else if (!tunnel->failed) {
        /* A server that refuses an upload answers, and resets behind it. */
        tunnel->failed = true;
        conn->failing++;
        drop_incoming(tunnel);
    }
    mq_conn_settle(conn);
    return 0;
}
