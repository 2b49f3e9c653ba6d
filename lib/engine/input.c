/*
 * engine/input.c: ciphertext of a client, through TLS to its session. What a full
 * tunnel can't take now is kept and processed when the connection settles.
 */
#include <string.h>

#include "crypto/ticket_client.h"
#include "engine/engine.h"

static int open_session(mq_conn *conn) {
    masque_engine *engine = conn->engine;
    const mq_session_setup setup = mq_conn_session_setup(conn);
    bool h2 = mq_tls_stream_is_h2(&conn->tls);
    if (!h2 && !(conn->tls.protocols & MASQUE_PROTOCOL_HTTP11)) {
        return MASQUE_ERR_TLS_HANDSHAKE; /* no ALPN means HTTP/1.1 */
    }
    if (conn->outbound) {
        conn->outbound->protocol = h2 ? MASQUE_PROTOCOL_H2 : MASQUE_PROTOCOL_HTTP11;
        conn->session = h2 ? mq_h2_client_new(&setup) : mq_h1_client_new(&setup);
    } else {
        conn->session = h2 ? mq_h2_new(&setup) : mq_h1_new(&setup);
    }
    if (!conn->session) {
        return MASQUE_ERR_NO_MEMORY;
    }
    engine->stats.handshakes_resumed += mq_tls_stream_is_resumed(&conn->tls);
    conn->idle_since = engine->now;
    mq_conn_enter(conn, MQ_CONN_OPEN);
    mq_conn_log(conn, MASQUE_LOG_DEBUG, "connection-open", 0);
    if (conn->outbound && !h2) {
        mq_client_opened(conn); /* HTTP/1.1 has no SETTINGS to wait for */
    }
    return 0;
}

int mq_conn_handshake(mq_conn *conn) {
    int error = mq_tls_stream_handshake(&conn->tls);
    if (error || conn->tls.state != MQ_TLS_OPEN) {
        return error;
    }
    if (conn->outbound) {
        error = mq_tls_check_server_key(conn->setup->tls, conn->tls.ssl);
    } else if (mq_conn_asks_certificates(conn)) {
        error = mq_ticket_client_of(&conn->peer, mq_engine_allocator(conn->engine), conn->tls.ssl);
    }
    mq_ticket_client_forget(conn->tls.ssl);
    return error ? error : open_session(conn);
}

static void take_close_notify(mq_conn *conn) {
    bool has_streams = conn->session->has_streams;
    conn->session->ops->input_end(conn->session);
    if (has_streams) {
        /* No frame will follow, so no stream can end in order but what already did. */
        mq_conn_begin_close(conn, 0);
    }
}

/* Decrypts and hands on one piece; *MORE false when nothing is left to do now. */
static int take_plaintext(mq_conn *conn, bool *more) {
    masque_engine *engine = conn->engine;
    *more = false;
    /* Without ciphertext wolfSSL would only say, at some length, that it has none. */
    if (conn->tls.in_length == 0 || !conn->session->ops->wants_input(conn->session)) {
        return 0;
    }
    if (!engine->read_block) {
        engine->read_block = mq_block_new(&engine->pool);
        if (!engine->read_block) {
            return MASQUE_ERR_NO_MEMORY;
        }
    }
    mq_block *block = engine->read_block;
    size_t length;
    int error = mq_tls_stream_read(&conn->tls, block->bytes, MQ_BLOCK_SIZE, &length);
    if (error) {
        return error;
    }
    if (length == 0) {
        if (conn->tls.state == MQ_TLS_PEER_CLOSED) {
            take_close_notify(conn);
        } else {
            *more = true; /* that record had no plaintext */
        }
        return 0;
    }
    *more = true;
    block->used = (uint32_t)length;
    uint64_t requests = engine->stats.requests_total;
    error = conn->session->ops->input(conn->session, block, 0, block->used);
    if (requests != engine->stats.requests_total && block->references == 1) {
        mq_wipe(block->bytes, length); /* a head, with its credential */
    }
    if (block->references > 1) {
        mq_block_release(&engine->pool, block);
        engine->read_block = NULL;
    }
    return error;
}

static void process(mq_conn *conn) {
    int error = 0;
    if (conn->state == MQ_CONN_HANDSHAKE) {
        error = mq_conn_handshake(conn);
    }
    bool more = conn->state == MQ_CONN_OPEN;
    while (!error && more && conn->state == MQ_CONN_OPEN && !conn->session->must_abort && !conn->flooded) {
        conn->session->now = conn->engine->now;
        conn->session->may_grow = !mq_engine_is_past(conn->engine, 80);
        error = take_plaintext(conn, &more);
    }
    if (error) {
        mq_conn_begin_close(conn, error);
    }
    /* What comes behind the end means nothing. */
    if (conn->state >= MQ_CONN_CLOSING || conn->tls.state == MQ_TLS_PEER_CLOSED || conn->flooded) {
        conn->tls.in_length = 0;
    }
}

int mq_conn_keep(mq_conn *conn, const uint8_t *bytes, size_t length) {
    mq_pool *pool = &conn->engine->pool;
    uint8_t *kept = NULL;
    if (length > 0) {
        kept = mq_pool_resize(pool, NULL, 0, length);
        if (!kept) {
            return MASQUE_ERR_NO_MEMORY;
        }
        memcpy(kept, bytes, length);
    }
    if (conn->kept) {
        mq_pool_resize(pool, conn->kept, conn->kept_length, 0);
    }
    conn->kept = kept;
    conn->kept_length = length;
    return 0;
}

void mq_conn_input(mq_conn *conn, const uint8_t *bytes, size_t length) {
    if (conn->state >= MQ_CONN_CLOSING) {
        return;
    }
    mq_tls_stream_input(&conn->tls, bytes, length);
    process(conn);
    const uint8_t *rest = conn->tls.in;
    size_t rest_length = conn->tls.in_length;
    mq_tls_stream_input(&conn->tls, NULL, 0);
    /* What a full tunnel left of the window. */
    int error = mq_conn_keep(conn, rest, rest_length);
    if (error) {
        mq_conn_begin_close(conn, error);
    }
}

int masque_conn_set_protocols(masque_engine *engine, masque_conn_id id, unsigned protocols) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    if (protocols == 0 || (protocols & ~MASQUE_PROTOCOL_ALL) != 0) {
        return MASQUE_ERR_INVALID;
    }
    if (conn->tls.first_bytes_seen) {
        return MASQUE_ERR_STATE;
    }
    conn->tls.protocols = protocols;
    return 0;
}

int masque_conn_set_listener(masque_engine *engine, masque_conn_id id, unsigned listener) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    if (conn->outbound || conn->over_quic || conn->tls.first_bytes_seen) {
        return MASQUE_ERR_STATE;
    }
    mq_tls_context *before = mq_conn_tls(conn);
    conn->listener = listener;
    if (mq_conn_tls(conn) == before) {
        return 0;
    }
    unsigned protocols = conn->tls.protocols;
    mq_tls_stream_free(&conn->tls);
    int error = mq_tls_stream_init(&conn->tls, mq_conn_tls(conn), &engine->pool);
    conn->tls.protocols = protocols;
    return error;
}

int masque_conn_set_h3_port(masque_engine *engine, masque_conn_id id, uint16_t port) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    conn->h3_port = port;
    return 0;
}

bool mq_conn_accepts_input(const mq_conn *conn) {
    if (conn->state >= MQ_CONN_CLOSING || !conn->session) {
        return true;
    }
    return conn->kept_length == 0 && conn->session->ops->wants_input(conn->session);
}

bool masque_conn_reserve(masque_engine *engine, masque_conn_id id, masque_iovec *piece) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return false;
    }
    if (!mq_conn_accepts_input(conn)) {
        conn->input_blocked = true;
        return false;
    }
    /* Short of memory: no more than targets can take in between. */
    size_t length = mq_engine_is_past(engine, 80) ? MQ_BLOCK_SIZE : MQ_READ_SIZE;
    *piece = (masque_iovec){.base = engine->read_buffer, .length = length};
    engine->read_for = id;
    engine->read_length = length;
    return true;
}

int masque_conn_feed(masque_engine *engine, masque_conn_id id, const void *bytes, size_t length, masque_time now) {
    mq_conn *conn = mq_conn_find(engine, id);
    if (!conn) {
        return MASQUE_ERR_STALE;
    }
    engine->now = now;
    if (!mq_conn_accepts_input(conn)) {
        conn->input_blocked = true;
        return MASQUE_ERR_STATE;
    }
    mq_conn_input(conn, bytes, length);
    mq_conn_settle(conn);
    return 0;
}

int masque_conn_commit(masque_engine *engine, masque_conn_id id, size_t length, masque_time now) {
    if (!mq_conn_find(engine, id)) {
        return MASQUE_ERR_STALE;
    }
    if (engine->read_for != id || length > engine->read_length) {
        return MASQUE_ERR_INVALID;
    }
    engine->read_for = 0;
    return masque_conn_feed(engine, id, engine->read_buffer, length, now);
}
