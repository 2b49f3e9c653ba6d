/*
 * engine/reports.c: what a connection's session reports, handed on to whom it concerns.
 */
#include "engine/udp_tunnel.h"

static bool on_request(void *owner, int64_t id, const mq_request *request, mq_refusal refusal) {
    return mq_door_request(owner, id, request, refusal);
}

static bool on_data(void *owner, mq_stream *stream, mq_block *block, uint32_t start, uint32_t end) {
    (void)owner;
    return mq_tunnel_take_data(mq_tunnel_of(stream), block, start, end);
}

static void on_finished(void *owner, mq_stream *stream) {
    (void)owner;
    mq_tunnel_client_finished(mq_tunnel_of(stream));
}

static void on_closed(void *owner, mq_stream *stream, bool reset) {
    (void)owner;
    mq_tunnel_client_gone(mq_tunnel_of(stream), !reset);
}

static bool on_bytes(void *owner, mq_stream *stream, const uint8_t *bytes, size_t length) {
    (void)owner;
    return mq_tunnel_take_bytes(mq_tunnel_of(stream), bytes, length);
}

static void on_datagram(void *owner, mq_stream *stream, const uint8_t *bytes, size_t length) {
    (void)owner;
    mq_udp_take_datagram(mq_tunnel_of(stream), bytes, length);
}

static void on_too_big(void *owner) {
    const mq_conn *conn = owner;
    conn->engine->stats.datagrams_too_big++;
}

static void on_sent(void *owner, mq_stream *stream, size_t length) {
    (void)owner;
    mq_tunnel_sent(mq_tunnel_of(stream), length);
}

static void on_head_since(void *owner, masque_time since) {
    mq_conn *conn = owner;
    conn->head_since = since;
}

static void on_opened(void *owner) {
    mq_client_opened(owner);
}

static void on_answered(void *owner, mq_stream *stream, mq_answer *answer, bool opened) {
    (void)owner;
    mq_client_answered(mq_tunnel_of(stream), answer, opened);
}

static const mq_session_events SESSION_EVENTS = {
    .request = on_request,
    .data = on_data,
    .bytes = on_bytes,
    .datagram = on_datagram,
    .too_big = on_too_big,
    .finished = on_finished,
    .closed = on_closed,
    .sent = on_sent,
    .head_since = on_head_since,
    .opened = on_opened,
    .answered = on_answered,
};

mq_session_setup mq_conn_session_setup(mq_conn *conn) {
    return (mq_session_setup){.events = &SESSION_EVENTS,
                              .owner = conn,
                              .allocator = mq_engine_allocator(conn->engine),
                              .limits = &conn->setup->config->limits,
                              .pool = &conn->engine->pool};
}
