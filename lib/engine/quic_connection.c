/*
 * engine/quic_connection.c: what a client's connection is when its transport is QUIC.
 *
 *     HANDSHAKE --done--> OPEN --goodbye--> CLOSING --CONNECTION_CLOSE sent--> LINGER --> ENDED
 *         `--------- the client's CONNECTION_CLOSE, or its silence ---------------^
 *
 * LINGER is the closing or draining period of RFC 9000 10.2. The host has no socket of it, so
 * no CONN event tells of it.
 */
#include "engine/engine.h"
#include "http/h3.h"
#include "http/window.h"

#define CONNECTION_REFUSED 0x2u
/* PINGs in an idle timeout while there are tunnels: one may be lost. */
#define KEEP_ALIVE_SHARE 3u

static int on_ready(void *owner) {
    mq_conn *conn = owner;
    const mq_session_setup setup = mq_conn_session_setup(conn);
    conn->session = conn->outbound ? mq_h3_client_new(&setup, conn->quic) : mq_h3_new(&setup, conn->quic);
    if (!conn->session) {
        return MASQUE_ERR_NO_MEMORY;
    }
    conn->session->now = conn->engine->now;
    return 0;
}

/* The handshake is done. A source's connections count from here on: before, anybody might
   have used its address. */
static int on_opened(void *owner) {
    mq_conn *conn = owner;
    masque_engine *engine = conn->engine;
    int error = 0;
    engine->stats.handshakes_resumed += mq_quic_is_resumed(conn->quic);
    conn->peer = mq_quic_take_peer(conn->quic);
    conn->idle_since = engine->now;
    mq_conn_enter(conn, MQ_CONN_OPEN);
    if (conn->outbound) {
        mq_conn_log(conn, MASQUE_LOG_DEBUG, "connection-open", 0);
        return 0;
    }
    conn->source = mq_sources_enter(&engine->sources, &conn->client, &conn->setup->config->limits, &error);
    if (!conn->source) {
        mq_conn_begin_close(conn, error);
        return error;
    }
    mq_conn_log(conn, MASQUE_LOG_DEBUG, "connection-open", 0);
    if (engine->draining) {
        mq_conn_begin_close(conn, MASQUE_ERR_DRAINED);
        return MASQUE_ERR_DRAINED;
    }
    return 0;
}

static mq_quic_setup quic_setup_of(mq_conn *conn) {
    masque_engine *engine = conn->engine;
    const masque_config *config = conn->setup->config;
    return (mq_quic_setup){
        .endpoint = &engine->endpoint,
        .owner = conn,
        .ready = on_ready,
        .opened = on_opened,
        .tls = mq_conn_tls(conn),
        .keys = &conn->setup->quic_keys,
        .limits = &config->limits,
        .congestion = config->congestion,
        .may_migrate = config->may_migrate,
        .asks_certificates = mq_conn_asks_certificates(conn),
        .stream_window = mq_window_initial(&config->limits),
        .connection_window = mq_window_connection(&config->limits),
        .is_error = mq_h3_is_error,
    };
}

/* `conn->quic` must be there before ngtcp2 calls back, which it does only on input. */
static int start(mq_conn *conn, const struct mq_quic_initial *initial, const masque_packets *from) {
    const mq_quic_setup setup = quic_setup_of(conn);
    return mq_quic_new(&conn->quic, &setup, initial, from, conn->engine->now);
}

mq_conn *mq_quic_conn_new(masque_engine *engine, const struct mq_quic_initial *initial, const masque_packets *from) {
    mq_conn *conn = mq_conn_new(engine, &from->remote);
    if (!conn) {
        return NULL;
    }
    conn->over_quic = true;
    conn->listener = from->listener;
    conn->end_taken = true; /* nobody hears of it */
    if (start(conn, initial, from)) {
        mq_conn_del(conn);
        return NULL;
    }
    conn->half_open = true;
    engine->half_open++;
    engine->stats.connections_total++;
    return conn;
}

int mq_quic_conn_connect(mq_conn *conn, const char *server) {
    const mq_quic_setup setup = quic_setup_of(conn);
    conn->over_quic = true;
    conn->outbound->protocol = MASQUE_PROTOCOL_H3;
    mq_list_append(&conn->engine->outbound, &conn->outbound->link);
    return mq_quic_client_new(&conn->quic, &setup, server, &conn->outbound->path, conn->engine->now);
}

void mq_quic_conn_input(mq_conn *conn, const masque_packets *from, const uint8_t *bytes, size_t length) {
    masque_engine *engine = conn->engine;
    if (conn->state == MQ_CONN_ENDED) {
        return;
    }
    if (conn->session) {
        conn->session->now = engine->now;
        conn->session->may_grow = !mq_engine_is_past(engine, 80);
    }
    mq_quic_input(conn->quic, from, bytes, length, engine->now);
}

/* What became of the transport. */
static void follow_transport(mq_conn *conn) {
    mq_quic_state state = mq_quic_state_of(conn->quic);
    if (state == MQ_QUIC_CLOSING) {
        mq_conn_begin_close(conn, mq_quic_error(conn->quic));
    }
    if (state == MQ_QUIC_DRAINING && conn->state < MQ_CONN_LINGER) {
        mq_conn_begin_close(conn, mq_quic_error(conn->quic));
        mq_conn_enter(conn, MQ_CONN_LINGER);
    }
}

static void keep_alive(mq_conn *conn) {
    bool wanted = conn->tunnel_count > 0;
    if (conn->state != MQ_CONN_OPEN || wanted == conn->kept_alive) {
        return;
    }
    conn->kept_alive = wanted;
    masque_time idle = conn->setup->config->limits.idle_timeout_ms * MASQUE_MILLISECOND;
    mq_quic_keep_alive(conn->quic, wanted ? idle / KEEP_ALIVE_SHARE : MASQUE_NEVER);
}

/* It may have something to say. */
static void want_output(mq_conn *conn) {
    if (conn->state != MQ_CONN_ENDED && mq_link_alone(&conn->in_writers)) {
        mq_list_append(&conn->engine->writers, &conn->in_writers);
    }
    mq_packets_tell(conn->engine);
}

void mq_quic_conn_settle(mq_conn *conn) {
    follow_transport(conn);
    keep_alive(conn);
    want_output(conn);
}

void mq_quic_conn_close(mq_conn *conn, int error) {
    if (conn->session) {
        conn->session->now = conn->engine->now;
        conn->session->ops->terminate(conn->session, error);
    } else {
        mq_quic_close_transport(conn->quic, CONNECTION_REFUSED, error);
    }
}

void mq_quic_conn_output(mq_conn *conn) {
    masque_engine *engine = conn->engine;
    mq_link_remove(&conn->in_writers);
    if (conn->session) {
        conn->session->now = engine->now;
    }
    bool more = mq_quic_output(conn->quic, &engine->output, engine->now);
    if (more) {
        want_output(conn);
    }
    follow_transport(conn);
    if (conn->state == MQ_CONN_CLOSING && !more) {
        mq_conn_enter(conn, MQ_CONN_LINGER);
    }
    mq_conn_after_output(conn);
    if (conn->state == MQ_CONN_CLOSING) {
        want_output(conn); /* its CONNECTION_CLOSE */
    }
}

void mq_quic_conn_is_known(mq_conn *conn) {
    conn->engine->half_open -= conn->half_open;
    conn->half_open = false;
}

void mq_quic_conn_free(mq_conn *conn) {
    mq_link_remove(&conn->in_writers);
    mq_quic_conn_is_known(conn);
    if (conn->quic) {
        mq_quic_del(conn->quic);
        conn->quic = NULL;
    }
}
