/*
 * engine/connection.c: a client's transport, from masque_accept() to CONN_END; see also quic_connection.c.
 *
 *     HANDSHAKE --TLS done--> OPEN --goodbye--> CLOSING --all written--> LINGER --> ENDED
 *         `------ failed ---------------------------^                        |
 *     any state --transport failed, or must_abort----------------------------'
 */
#include <assert.h>
#include <string.h>

#include "engine/engine.h"
#include "policy/address_class.h"

/* How long requests may still come after the first GOAWAY (RFC 9113 6.8: a round trip). */
#define DRAIN_NOTICE MASQUE_SECOND

static const masque_limits *limits_of(const mq_conn *conn) {
    return &conn->setup->config->limits;
}

static masque_time milliseconds(uint64_t count) {
    return count * MASQUE_MILLISECOND;
}

mq_conn *mq_conn_find(const masque_engine *engine, masque_conn_id id) {
    mq_conn *conn = mq_slots_find(&engine->conns, id);
    return conn && conn->state != MQ_CONN_ENDED && !conn->over_quic ? conn : NULL;
}

void mq_conn_log(const mq_conn *conn, masque_log_level level, const char *event, int error) {
    masque_log_record record = {
        .level = level, .event = event, .conn = conn->id, .client = &conn->client, .error = error};
    mq_log(conn->engine, &record);
}

/* --- deadlines ------------------------------------------------------------------------ */

static masque_time earlier(masque_time a, masque_time b) {
    return a < b ? a : b;
}

static masque_time open_due(const mq_conn *conn) {
    const masque_limits *limits = limits_of(conn);
    masque_time due = earlier(conn->check_at, conn->drain_final_at);
    if (conn->tunnel_count == 0) {
        due = earlier(due, conn->idle_since + milliseconds(limits->idle_timeout_ms));
    }
    if (conn->head_since != MASQUE_NEVER) {
        due = earlier(due, conn->head_since + milliseconds(limits->headers_timeout_ms));
    }
    return due;
}

static masque_time linger_time(const mq_conn *conn) {
    return conn->quic ? mq_quic_closing_period(conn->quic) : milliseconds(limits_of(conn)->linger_timeout_ms);
}

static masque_time conn_due(const mq_conn *conn) {
    const masque_limits *limits = limits_of(conn);
    masque_time due = conn->check_at;
    switch (conn->state) {
    case MQ_CONN_HANDSHAKE:
        due = conn->over_quic ? due : conn->since + milliseconds(limits->handshake_timeout_ms);
        break;
    case MQ_CONN_OPEN:
        due = open_due(conn);
        break;
    case MQ_CONN_CLOSING:
        /* However slowly it reads: it was told to go. */
        due = earlier(due, conn->since + milliseconds(limits->write_stall_timeout_ms));
        break;
    case MQ_CONN_LINGER:
        due = earlier(due, conn->since + linger_time(conn));
        break;
    case MQ_CONN_ENDED:
        return due;
    }
    /* One that waits to write would be due again and again. */
    if (conn->quic && mq_link_alone(&conn->in_writers)) {
        due = earlier(due, mq_quic_due(conn->quic));
    }
    if (conn->output_since != MASQUE_NEVER) {
        due = earlier(due, conn->output_since + milliseconds(limits->write_stall_timeout_ms));
    }
    return due;
}

static void arm(mq_conn *conn) {
    masque_engine *engine = conn->engine;
    masque_time stall = milliseconds(limits_of(conn)->write_stall_timeout_ms);
    if (conn->check_at == MASQUE_NEVER && (conn->outgoing_bytes > 0 || conn->lingering > 0)) {
        conn->check_at = engine->now + stall / 2;
    }
    masque_time due = conn_due(conn);
    /* A later deadline than the armed one is found when that fires. */
    if (due < conn->timer.due || !conn->timer.place) {
        mq_timer_set(&engine->timers, &conn->timer, due);
    }
}

/* --- ends --------------------------------------------------------------------------- */

static void free_transport(mq_conn *conn) {
    if (conn->session) {
        conn->session->ops->free(conn->session);
        conn->session = NULL;
    }
    mq_quic_conn_free(conn);
    mq_tls_stream_free(&conn->tls);
    mq_conn_keep(conn, NULL, 0);
}

static void end_tunnels(mq_conn *conn, bool clean) {
    for (mq_link *link = conn->tunnels.next; link != &conn->tunnels;) {
        mq_tunnel *tunnel = MQ_MEMBER(link, mq_tunnel, in_conn);
        link = link->next;
        mq_tunnel_client_gone(tunnel, clean);
    }
}

static void drop_events(mq_conn *conn) {
    while (conn->ready.due) {
        mq_ready_clear(&conn->ready, (masque_event_type)__builtin_ctz(conn->ready.due));
    }
}

/* The transport is no more of use. Tunnels that still deliver keep the shell. */
static void conn_end(mq_conn *conn, int error, bool reset, bool clean) {
    if (conn->state == MQ_CONN_ENDED) {
        return;
    }
    end_tunnels(conn, clean);
    if (conn->state == MQ_CONN_HANDSHAKE) {
        conn->engine->stats.handshakes_failed++;
    }
    conn->state = MQ_CONN_ENDED;
    conn->error = conn->error ? conn->error : error;
    conn->reset = reset;
    mq_conn_log(conn, conn->error ? MASQUE_LOG_INFO : MASQUE_LOG_DEBUG, "connection-end", conn->error);
    free_transport(conn);
    drop_events(conn);
    if (!conn->end_taken) {
        mq_ready_set(conn->engine, &conn->ready, MASQUE_EVENT_CONN_END);
    }
    mq_timer_set(&conn->engine->timers, &conn->timer, MASQUE_NEVER);
    arm(conn);
}

/* A shell goes when nobody needs it. */
static void end_if_over(mq_conn *conn) {
    if (conn->end_taken && mq_link_alone(&conn->tunnels)) {
        mq_conn_del(conn);
    } else {
        arm(conn);
    }
}

void mq_conn_enter(mq_conn *conn, mq_conn_state state) {
    mq_quic_conn_is_known(conn);
    conn->state = state;
    conn->since = conn->engine->now;
}

void mq_conn_begin_close(mq_conn *conn, int error) {
    if (conn->state >= MQ_CONN_CLOSING) {
        return;
    }
    if (conn->state == MQ_CONN_HANDSHAKE) {
        conn->engine->stats.handshakes_failed++;
    }
    conn->error = error;
    mq_conn_enter(conn, MQ_CONN_CLOSING);
    end_tunnels(conn, error == 0);
    if (conn->over_quic) {
        mq_quic_conn_close(conn, error);
        if (!conn->end_taken) {
            /* The host of a client has no socket to wait for: what is left is QUIC's own. */
            drop_events(conn);
            mq_ready_set(conn->engine, &conn->ready, MASQUE_EVENT_CONN_END);
        }
    } else if (conn->session) {
        conn->session->now = conn->engine->now;
        conn->session->ops->terminate(conn->session, error);
    }
}

/* --- the transport ends ----------------------------------------------------------------- */

int masque_conn_finished(masque_engine *engine, masque_conn_id id, masque_time now) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    engine->now = now;
    conn->input_ended = true;
    bool said_goodbye = conn->tls.state == MQ_TLS_PEER_CLOSED || conn->kept_length > 0;
    if (conn->state < MQ_CONN_CLOSING && !said_goodbye) {
        conn_end(conn, conn->tunnel_count > 0 ? MASQUE_ERR_TRUNCATED : 0, false, false);
        return 0;
    }
    mq_conn_settle(conn);
    return 0;
}

int masque_conn_failed(masque_engine *engine, masque_conn_id id, masque_time now) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    engine->now = now;
    conn_end(conn, MASQUE_ERR_TRANSPORT, false, false);
    return 0;
}

/* --- output ------------------------------------------------------------------------------- */

static bool has_output(const mq_conn *conn) {
    if (conn->over_quic) {
        return !mq_link_alone(&conn->in_writers);
    }
    if (mq_tls_stream_waiting(&conn->tls) > 0) {
        return true;
    }
    return conn->session && !conn->session->must_abort && conn->session->ops->wants_output(conn->session);
}

static void produce(mq_conn *conn) {
    if (conn->session && conn->state <= MQ_CONN_CLOSING && !conn->session->must_abort) {
        conn->session->now = conn->engine->now;
        int error = conn->session->ops->output(conn->session, &conn->tls);
        if (error) {
            mq_conn_begin_close(conn, error);
        }
    }
    bool said_all = !conn->session || !conn->session->ops->wants_output(conn->session);
    if (conn->state == MQ_CONN_CLOSING && said_all) {
        mq_tls_stream_close(&conn->tls);
    }
}

size_t masque_conn_pull(masque_engine *engine, masque_conn_id id, masque_iovec *pieces, size_t count, masque_time now) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn || count == 0) {
        return 0;
    }
    engine->now = now;
    mq_ready_clear(&conn->ready, MASQUE_EVENT_CONN_OUTPUT);
    if (!has_output(conn)) {
        conn->output_told = false;
        return 0;
    }
    if (mq_tls_stream_waiting(&conn->tls) == 0) {
        produce(conn);
    }
    size_t waiting = mq_tls_stream_waiting(&conn->tls);
    if (waiting == 0) {
        conn->output_told = false;
        mq_conn_settle(conn);
        return 0;
    }
    conn->output_told = true;
    pieces[0] = (masque_iovec){.base = conn->tls.out + conn->tls.out_start, .length = waiting};
    return 1;
}

int masque_conn_pulled(masque_engine *engine, masque_conn_id id, size_t length, masque_time now) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    if (length > mq_tls_stream_waiting(&conn->tls)) {
        return MASQUE_ERR_INVALID;
    }
    engine->now = now;
    if (length > 0) {
        mq_tls_stream_pulled(&conn->tls, length);
        conn->output_since = MASQUE_NEVER;
    }
    mq_conn_settle(conn);
    return 0;
}

/* --- time ------------------------------------------------------------------------------------ */

static void check_tunnels(mq_conn *conn, masque_time now) {
    conn->check_at = MASQUE_NEVER;
    for (mq_link *link = conn->tunnels.next; link != &conn->tunnels;) {
        mq_tunnel *tunnel = MQ_MEMBER(link, mq_tunnel, in_conn);
        link = link->next;
        mq_tunnel_check_stall(tunnel, now);
    }
}

static bool is_head_late(const mq_conn *conn, masque_time now) {
    masque_time limit = milliseconds(limits_of(conn)->headers_timeout_ms);
    return conn->head_since != MASQUE_NEVER && now - conn->head_since >= limit;
}

static void give_up_heads(mq_conn *conn, masque_time now) {
    conn->session->now = now;
    while (is_head_late(conn, now)) {
        conn->session->ops->give_up_head(conn->session);
    }
}

static void time_out_open(mq_conn *conn, masque_time now) {
    const masque_limits *limits = limits_of(conn);
    if (conn->drain_final_at <= now) {
        conn->drain_final_at = MASQUE_NEVER;
        conn->session->now = now;
        conn->session->ops->drain(conn->session, true);
    }
    bool head_late = is_head_late(conn, now);
    if (head_late && conn->session->ops->give_up_head) {
        give_up_heads(conn, now);
        head_late = false;
    }
    bool idle = conn->tunnel_count == 0 && now - conn->idle_since >= milliseconds(limits->idle_timeout_ms);
    if (head_late || idle) {
        mq_conn_begin_close(conn, head_late ? MASQUE_ERR_TIMEOUT : 0);
    }
}

static void on_timer(mq_timer *timer, masque_time now) {
    mq_conn *conn = MQ_MEMBER(timer, mq_conn, timer);
    if (conn->quic) {
        if (conn->session) {
            conn->session->now = now;
        }
        mq_quic_tick(conn->quic, now);
    }
    masque_time stall = milliseconds(limits_of(conn)->write_stall_timeout_ms);
    if (conn->check_at <= now) {
        check_tunnels(conn, now);
    }
    if (conn->state == MQ_CONN_ENDED) {
        mq_conn_settle(conn);
        return;
    }
    /* One that is told to go may have stopped reading long before. */
    masque_time waiting_since =
        conn->state == MQ_CONN_CLOSING ? earlier(conn->since, conn->output_since) : conn->output_since;
    bool stalled = waiting_since != MASQUE_NEVER && now - waiting_since >= stall;
    bool handshake_late = conn->state == MQ_CONN_HANDSHAKE && !conn->over_quic && conn_due(conn) <= now;
    bool lingered = conn->state == MQ_CONN_LINGER && conn_due(conn) <= now;
    if (stalled || handshake_late || lingered) {
        conn_end(conn, lingered ? 0 : MASQUE_ERR_TIMEOUT, stalled, lingered);
        end_if_over(conn);
        return;
    }
    if (conn->state == MQ_CONN_OPEN) {
        time_out_open(conn, now);
    }
    mq_conn_settle(conn);
}

/* --- settling ----------------------------------------------------------------------------------- */

static void settle_input(mq_conn *conn) {
    if (conn->kept_length > 0 && conn->state == MQ_CONN_OPEN && conn->session->ops->wants_input(conn->session)) {
        uint8_t *kept = conn->kept;
        size_t length = conn->kept_length;
        conn->kept = NULL;
        conn->kept_length = 0;
        mq_conn_input(conn, kept, length);
        mq_pool_resize(&conn->engine->pool, kept, length, 0);
    }
    bool cut = conn->input_ended && conn->kept_length == 0 && conn->tls.state == MQ_TLS_OPEN;
    if (cut && conn->state == MQ_CONN_OPEN) {
        conn_end(conn, MASQUE_ERR_TRUNCATED, false, false);
        return;
    }
    if (conn->input_blocked && mq_conn_accepts_input(conn)) {
        conn->input_blocked = false;
        mq_ready_set(conn->engine, &conn->ready, MASQUE_EVENT_CONN_INPUT);
    }
}

static void settle_failed_tunnels(mq_conn *conn) {
    for (mq_link *link = conn->tunnels.next; link != &conn->tunnels;) {
        mq_tunnel *tunnel = MQ_MEMBER(link, mq_tunnel, in_conn);
        link = link->next;
        mq_tunnel_end_failed(tunnel);
    }
}

static void settle_closing(mq_conn *conn) {
    if (conn->state == MQ_CONN_CLOSING && !has_output(conn)) {
        produce(conn); /* close_notify, once */
    }
    if (conn->state != MQ_CONN_CLOSING || has_output(conn)) {
        return;
    }
    mq_conn_enter(conn, MQ_CONN_LINGER);
    mq_ready_set(conn->engine, &conn->ready, MASQUE_EVENT_CONN_FINISH);
}

static void settle_output(mq_conn *conn) {
    if (!has_output(conn)) {
        conn->output_since = MASQUE_NEVER;
        return;
    }
    if (!conn->output_told) {
        conn->output_told = true;
        mq_ready_set(conn->engine, &conn->ready, MASQUE_EVENT_CONN_OUTPUT);
    }
    if (conn->output_since == MASQUE_NEVER) {
        conn->output_since = conn->engine->now;
    }
}

void mq_conn_end_taken(mq_conn *conn) {
    conn->end_taken = true;
    mq_conn_settle(conn);
}

/* Reasons to close that a connection itself knows of. */
static void close_if_due(mq_conn *conn) {
    bool too_many_failures = conn->auth_failures >= limits_of(conn)->auth_failures_max;
    /* Its last answer goes out first. */
    too_many_failures = too_many_failures && !has_output(conn);
    if (conn->state == MQ_CONN_OPEN && conn->flooded) {
        mq_conn_begin_close(conn, MASQUE_ERR_FLOOD);
    }
    if (conn->state == MQ_CONN_OPEN && (too_many_failures || conn->session->ops->is_done(conn->session))) {
        mq_conn_begin_close(conn, too_many_failures ? MASQUE_ERR_AUTH_FAILURES : conn->session->error);
    }
}

void mq_conn_after_output(mq_conn *conn) {
    close_if_due(conn);
    arm(conn);
}

/* What is the same for every transport. False: the connection has ended. */
static bool settle_tunnels(mq_conn *conn) {
    mq_dialing_next(conn);
    if (conn->failing > 0) {
        settle_failed_tunnels(conn);
    }
    if (conn->session && conn->session->must_abort) {
        conn_end(conn, 0, true, false);
        return false;
    }
    return true;
}

void mq_conn_settle(mq_conn *conn) {
    if (conn->state == MQ_CONN_ENDED) {
        end_if_over(conn);
        return;
    }
    if (conn->over_quic) {
        settle_tunnels(conn);
        mq_quic_conn_settle(conn);
        mq_conn_after_output(conn);
        return;
    }
    settle_input(conn);
    if (conn->state == MQ_CONN_ENDED || !settle_tunnels(conn)) {
        return;
    }
    if (conn->state == MQ_CONN_OPEN && conn->session->must_cut) {
        mq_tls_stream_forgo_close(&conn->tls);
        mq_conn_begin_close(conn, 0);
    }
    close_if_due(conn);
    settle_closing(conn);
    if (conn->state == MQ_CONN_LINGER && conn->input_ended) {
        conn_end(conn, 0, false, true);
        return;
    }
    settle_output(conn);
    arm(conn);
}

/* --- life ------------------------------------------------------------------------------------------ */

mq_conn *mq_conn_new(masque_engine *engine, const masque_address *client) {
    mq_conn *conn = mq_zalloc(mq_engine_allocator(engine), sizeof *conn);
    if (!conn) {
        return NULL;
    }
    conn->engine = engine;
    conn->setup = mq_setup_retain(engine->setup);
    conn->client = mq_address_canonical(client);
    conn->since = engine->now;
    conn->head_since = conn->output_since = conn->check_at = conn->drain_final_at = MASQUE_NEVER;
    mq_ready_init(&conn->ready, MQ_READY_CONN);
    mq_link_init(&conn->tunnels);
    mq_link_init(&conn->dial_queue);
    mq_link_init(&conn->in_writers);
    if (!mq_timer_init(&engine->timers, &conn->timer, on_timer)) {
        conn->id = mq_slots_add(&engine->conns, conn);
    }
    if (!conn->id) {
        mq_conn_del(conn);
        return NULL;
    }
    return conn;
}

mq_tls_context *mq_conn_tls(const mq_conn *conn) {
    const mq_setup *setup = conn->setup;
    return mq_config_listener(setup->config, conn->listener) ? setup->listener_tls[conn->listener] : setup->tls;
}

bool mq_conn_asks_certificates(const mq_conn *conn) {
    return mq_config_asks_certificates(conn->setup->config, conn->listener);
}

masque_conn_id masque_accept(masque_engine *engine, const masque_address *client, void *user, masque_time now,
                             int *error) {
    const masque_limits *limits = &engine->setup->config->limits;
    engine->now = now;
    *error = engine->draining ? MASQUE_ERR_DRAINED : 0;
    if (!engine->setup->config->credentials.key_pem) {
        *error = MASQUE_ERR_NO_CREDENTIALS;
    }
    if (engine->conns.live >= limits->connections_max || mq_engine_is_past(engine, 95)) {
        *error = MASQUE_ERR_OVERLOAD;
    }
    mq_conn *conn = *error ? NULL : mq_conn_new(engine, client);
    if (!conn) {
        *error = *error ? *error : MASQUE_ERR_NO_MEMORY;
        return 0;
    }
    conn->user = user;
    *error = mq_tls_stream_init(&conn->tls, conn->setup->tls, &engine->pool);
    if (!*error) {
        conn->source = mq_sources_enter(&engine->sources, &conn->client, limits, error);
    }
    if (*error) {
        mq_conn_del(conn);
        return 0;
    }
    engine->stats.connections_total++;
    arm(conn);
    return conn->id;
}

void mq_conn_drain(mq_conn *conn) {
    if (conn->state == MQ_CONN_HANDSHAKE) {
        mq_conn_begin_close(conn, MASQUE_ERR_DRAINED);
    } else if (conn->state == MQ_CONN_OPEN) {
        conn->session->now = conn->engine->now;
        conn->session->ops->drain(conn->session, false);
        conn->drain_final_at = conn->engine->now + DRAIN_NOTICE;
    }
    if (conn->state != MQ_CONN_ENDED) {
        mq_conn_settle(conn);
    }
}

void mq_conn_del(mq_conn *conn) {
    masque_engine *engine = conn->engine;
    /* The session first: it still knows the streams inside the tunnels. */
    free_transport(conn);
    for (mq_link *link = conn->tunnels.next; link != &conn->tunnels;) {
        mq_tunnel *tunnel = MQ_MEMBER(link, mq_tunnel, in_conn);
        link = link->next;
        tunnel->stream.session = NULL;
        mq_tunnel_del(tunnel);
    }
    if (conn->outbound) {
        mq_link_remove(&conn->outbound->link);
        mq_free(mq_engine_allocator(engine), conn->outbound);
    }
    mq_peer_del(conn->peer, mq_engine_allocator(engine));
    mq_timer_free(&engine->timers, &conn->timer);
    mq_link_remove(&conn->ready.link);
    if (conn->source) {
        mq_source_leave(&engine->sources, conn->source);
    }
    if (conn->id) {
        mq_slots_remove(&engine->conns, conn->id);
    }
    mq_setup_release(engine, conn->setup);
    mq_free(mq_engine_allocator(engine), conn);
}
