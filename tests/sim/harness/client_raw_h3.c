/*
 * harness/client_raw_h3.c: a client that speaks QUIC well and HTTP/3 as the test likes: bytes on any
 * stream, datagrams, resets. It is made of lib/transport/quic.h. What comes is counted, and
 * credited unless the client is deaf.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"
#include "http/h3.h"
#include "transport/quic.h"
#include "transport/quic_conn.h"

#define PULLS_MAX 8

/* Kept to the end: QUIC refers to it until it is acknowledged. */
typedef struct raw_chunk {
    uint8_t *bytes;
    size_t length;
    size_t sent;
} raw_chunk;

typedef struct raw_stream {
    int64_t id;
    raw_chunk *chunks;
    size_t chunk_count;
    size_t chunk_capacity;
    size_t at; /* the first chunk that isn't sent */
    bool fin;
    bool fin_sent;
    bool blocked;
    bool shut;
    sim_stream_seen seen;
} raw_stream;

typedef struct raw_quic {
    sim_conn *conn;
    masque_runtime runtime;
    masque_limits limits;
    mq_credentials credentials;
    mq_tls_context *tls;
    mq_quic_keys keys;
    mq_quic_endpoint endpoint;
    mq_quic_packets output;
    mq_quic *quic;
    raw_stream *streams;
    size_t count;
    size_t capacity;
    sim_bytes datagrams; /* each behind its length, 4 bytes */
} raw_quic;

static raw_stream *find(raw_quic *raw, int64_t id) {
    for (size_t i = 0; i < raw->count; i++) {
        if (raw->streams[i].id == id) {
            return &raw->streams[i];
        }
    }
    return NULL;
}

static raw_stream *add(raw_quic *raw, int64_t id) {
    raw->streams = sim_grow(raw->streams, &raw->capacity, raw->count + 1, sizeof *raw->streams);
    raw->streams[raw->count] = (raw_stream){.id = id};
    return &raw->streams[raw->count++];
}

/* --- what QUIC tells, and asks ---------------------------------------------------------- */

static int on_opened(void *owner, int64_t id) {
    (void)owner;
    (void)id;
    return 0;
}

static int on_data(void *owner, int64_t id, const uint8_t *bytes, size_t length, bool fin) {
    raw_quic *raw = owner;
    raw_stream *stream = find(raw, id);
    stream = stream ? stream : add(raw, id);
    for (size_t i = 0; i < length && stream->seen.bytes + i < sizeof stream->seen.first; i++) {
        stream->seen.first[stream->seen.bytes + i] = bytes[i];
    }
    stream->seen.bytes += length;
    stream->seen.fin = fin;
    if (!raw->conn->deaf) {
        mq_quic_credit(raw->quic, id, length);
    }
    return 0;
}

static int on_acked(void *owner, int64_t id, uint64_t length) {
    (void)owner;
    (void)id;
    (void)length;
    return 0;
}

static int on_reset(void *owner, int64_t id, uint64_t code) {
    raw_quic *raw = owner;
    raw_stream *stream = find(raw, id);
    stream = stream ? stream : add(raw, id);
    stream->seen.reset = true;
    stream->seen.reset_code = code;
    raw->conn->seen.frames[0]++;
    return 0;
}

static int on_stopped(void *owner, int64_t id, uint64_t code) {
    raw_stream *stream = find(owner, id);
    (void)code;
    if (stream) {
        stream->shut = true;
    }
    return 0;
}

static int on_closed(void *owner, int64_t id, void *stream_owner, uint64_t code) {
    raw_stream *stream = find(owner, id);
    (void)stream_owner;
    (void)code;
    if (stream) {
        stream->shut = true;
    }
    return 0;
}

static int on_may_send(void *owner, int64_t id) {
    raw_stream *stream = find(owner, id);
    if (stream) {
        stream->blocked = false;
    }
    return 0;
}

static int on_datagram(void *owner, const uint8_t *bytes, size_t length) {
    raw_quic *raw = owner;
    (void)bytes;
    raw->conn->seen.bytes += length;
    return 0;
}

static void fill(const raw_stream *stream, mq_quic_chunk *chunk) {
    chunk->stream = stream->id;
    chunk->fin = stream->fin && stream->at + 1 >= stream->chunk_count;
    if (stream->at < stream->chunk_count) {
        const raw_chunk *first = &stream->chunks[stream->at];
        chunk->count = 1;
        chunk->pieces[0] = (masque_iovec){.base = first->bytes + first->sent, .length = first->length - first->sent};
    }
}

static int next_data(void *owner, mq_quic_chunk *chunk) {
    raw_quic *raw = owner;
    for (size_t i = 0; i < raw->count; i++) {
        const raw_stream *stream = &raw->streams[i];
        bool some = stream->at < stream->chunk_count || (stream->fin && !stream->fin_sent);
        if (some && !stream->blocked && !stream->shut) {
            fill(stream, chunk);
            return 0;
        }
    }
    return 0;
}

static int on_wrote(void *owner, int64_t id, size_t length) {
    raw_stream *stream = find(owner, id);
    if (stream->at < stream->chunk_count) {
        stream->chunks[stream->at].sent += length;
        stream->at += stream->chunks[stream->at].sent == stream->chunks[stream->at].length;
    }
    stream->fin_sent = stream->fin && stream->at == stream->chunk_count;
    return 0;
}

static int on_blocked(void *owner, int64_t id) {
    find(owner, id)->blocked = true;
    return 0;
}

static int on_shut(void *owner, int64_t id) {
    find(owner, id)->shut = true;
    return 0;
}

static bool next_datagram(void *owner, masque_iovec pieces[2], size_t limit) {
    raw_quic *raw = owner;
    uint32_t length;
    if (sim_bytes_length(&raw->datagrams) == 0) {
        return false;
    }
    uint8_t *at = raw->datagrams.bytes + raw->datagrams.start;
    memcpy(&length, at, sizeof length);
    SIM_CHECK(raw->conn->world, length <= limit, "a test's datagram of %u bytes", length);
    pieces[0] = (masque_iovec){.base = at + sizeof length, .length = length};
    pieces[1] = (masque_iovec){.length = 0};
    return true;
}

static void sent_datagram(void *owner) {
    raw_quic *raw = owner;
    uint32_t length;
    memcpy(&length, raw->datagrams.bytes + raw->datagrams.start, sizeof length);
    sim_bytes_drop(&raw->datagrams, sizeof length + length);
}

static const mq_quic_streams STREAMS = {.opened = on_opened,
                                        .data = on_data,
                                        .acked = on_acked,
                                        .reset = on_reset,
                                        .stopped = on_stopped,
                                        .closed = on_closed,
                                        .may_send = on_may_send,
                                        .datagram = on_datagram,
                                        .next_data = next_data,
                                        .wrote = on_wrote,
                                        .blocked = on_blocked,
                                        .shut = on_shut,
                                        .next_datagram = next_datagram,
                                        .sent_datagram = sent_datagram};

/* --- life ----------------------------------------------------------------------------------- */

static void on_random(void *context, uint8_t *buffer, size_t size) {
    raw_quic *raw = context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(sim_random(&raw->conn->engine_chance) >> 32);
    }
}

static int on_ready(void *owner) {
    raw_quic *raw = owner;
    mq_quic_attach(raw->quic, &STREAMS, raw);
    return 0;
}

static int on_handshake(void *owner) {
    raw_quic *raw = owner;
    raw->conn->handshaken = true;
    return 0;
}

static int start(raw_quic *raw) {
    static const mq_quic_secret secret = {.id = 0};
    sim_world *w = raw->conn->world;
    const uint64_t seed[2] = {1, 2};
    const masque_packets to = {.local = sim_address("10.0.0.2", 50000), .remote = sim_address("192.0.2.1", 443)};
    raw->credentials = (mq_credentials){.trust_anybody = true};
    raw->endpoint.runtime = &raw->runtime;
    raw->output.memory = malloc(MQ_OUTPUT_BYTES);
    raw->output.sealed = true;
    mq_cid_table_init(&raw->endpoint.table, &raw->runtime.allocator, seed);
    int error = mq_quic_keys_init(&raw->keys, &secret, 1);
    if (!error) {
        error = mq_tls_context_new(&raw->tls, &raw->credentials, &raw->runtime);
    }
    const mq_quic_setup setup = {.endpoint = &raw->endpoint,
                                 .owner = raw,
                                 .ready = on_ready,
                                 .opened = on_handshake,
                                 .tls = raw->tls,
                                 .keys = &raw->keys,
                                 .limits = &raw->limits,
                                 .stream_window = 65536,
                                 .connection_window = 1048576,
                                 .is_error = mq_h3_is_error};
    return error ? error : mq_quic_client_new(&raw->quic, &setup, "proxy.test", &to, w->now);
}

void sim_raw_quic_open(sim_conn *conn) {
    static const sim_link_model perfect = {.delay = 0};
    sim_world *w = conn->world;
    raw_quic *raw = calloc(1, sizeof *raw);
    SIM_CHECK(w, raw, "no memory");
    conn->quic = raw;
    raw->conn = conn;
    raw->runtime = (masque_runtime){.random = on_random, .context = raw};
    mq_allocator_init(&raw->runtime.allocator, &(masque_allocator){.context = NULL});
    masque_limits_init(&raw->limits);
    sim_prng_seed(&conn->engine_chance, w->setup.seed * 7 + conn->index);
    sim_link_init(&conn->to_proxy, conn->options.up ? conn->options.up : &perfect, w->setup.seed * 3 + conn->index);
    sim_link_init(&conn->to_client, conn->options.down ? conn->options.down : &perfect, w->setup.seed + conn->index);
    int error = start(raw);
    SIM_CHECK(w, error == 0, "no raw client: %s", masque_error_name(error));
    w->quic_count++;
    w->engine_count++;
    for (int i = 0; i < 1000 && !conn->handshaken; i++) {
        sim_advance(w, MASQUE_MILLISECOND);
    }
}

void sim_raw_quic_free(sim_conn *conn) {
    raw_quic *raw = conn->quic;
    if (!raw) {
        return;
    }
    mq_quic_del(raw->quic);
    mq_quic_keys_free(&raw->keys);
    mq_tls_context_del(raw->tls);
    mq_cid_table_free(&raw->endpoint.table);
    for (size_t i = 0; i < raw->count; i++) {
        for (size_t k = 0; k < raw->streams[i].chunk_count; k++) {
            free(raw->streams[i].chunks[k].bytes);
        }
        free(raw->streams[i].chunks);
    }
    sim_bytes_free(&raw->datagrams);
    free(raw->streams);
    free(raw->output.memory);
    free(raw);
    sim_link_free(&conn->to_proxy);
    sim_link_free(&conn->to_client);
    conn->quic = NULL;
}

void sim_raw_quic_leave(sim_conn *conn, bool reset) {
    raw_quic *raw = conn->quic;
    mq_quic_close(raw->quic, reset ? 0x102 : 0x100, 0);
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool send_packets(raw_quic *raw) {
    sim_conn *conn = raw->conn;
    size_t before = conn->to_proxy.sent;
    bool more = true;
    while (more) {
        more = mq_quic_output(raw->quic, &raw->output, conn->world->now);
        for (size_t i = raw->output.first; i < raw->output.count; i++) {
            sim_packets_send(&conn->to_proxy, &raw->output.bursts[i], conn->address.port, conn->world->now);
        }
        mq_quic_packets_sent(&raw->output, mq_quic_packets_waiting(&raw->output));
    }
    return conn->to_proxy.sent != before;
}

bool sim_raw_quic_step(sim_conn *conn) {
    raw_quic *raw = conn->quic;
    sim_packet packet;
    bool received = sim_link_take(&conn->to_client, conn->world->now, &packet);
    if (received) {
        const masque_packets from = {
            .local = sim_address("10.0.0.2", 50000), .remote = sim_address("192.0.2.1", 443), .ecn = packet.ecn};
        mq_quic_input(raw->quic, &from, packet.bytes, packet.length, conn->world->now);
        free(packet.bytes);
    }
    conn->closed = conn->closed || mq_quic_state_of(raw->quic) >= MQ_QUIC_CLOSING;
    return send_packets(raw) || received;
}

masque_time sim_raw_quic_due(const sim_conn *conn) {
    const raw_quic *raw = conn->quic;
    return mq_quic_due(raw->quic);
}

void sim_raw_quic_tick(sim_conn *conn) {
    raw_quic *raw = conn->quic;
    mq_quic_tick(raw->quic, conn->world->now);
}

/* --- for tests ---------------------------------------------------------------------------------- */

int64_t sim_stream_open(sim_conn *conn, bool both_ways) {
    raw_quic *raw = conn->quic;
    int64_t id;
    if (mq_quic_state_of(raw->quic) >= MQ_QUIC_CLOSING) {
        return -1;
    }
    int error = (both_ways ? mq_quic_open_request : mq_quic_open_stream)(raw->quic, &id);
    if (error) {
        return -1;
    }
    add(raw, id);
    return id;
}

void sim_stream_send(sim_conn *conn, int64_t id, const void *bytes, size_t length, bool fin) {
    raw_stream *stream = find(conn->quic, id);
    SIM_CHECK(conn->world, stream && !stream->fin, "a test sends on stream %lld", (long long)id);
    if (length > 0) {
        stream->chunks = sim_grow(stream->chunks, &stream->chunk_capacity, stream->chunk_count + 1, sizeof(raw_chunk));
        raw_chunk *chunk = &stream->chunks[stream->chunk_count++];
        *chunk = (raw_chunk){.bytes = malloc(length), .length = length};
        SIM_CHECK(conn->world, chunk->bytes, "no memory");
        memcpy(chunk->bytes, bytes, length);
    }
    stream->fin = fin;
}

void sim_stream_reset(sim_conn *conn, int64_t id, uint64_t code) {
    raw_quic *raw = conn->quic;
    mq_quic_reset(raw->quic, id, code);
}

void sim_stream_stop(sim_conn *conn, int64_t id, uint64_t code) {
    raw_quic *raw = conn->quic;
    mq_quic_stop(raw->quic, id, code);
}

void sim_datagram_send(sim_conn *conn, const void *bytes, size_t length) {
    raw_quic *raw = conn->quic;
    uint32_t head = (uint32_t)length;
    sim_bytes_add(&raw->datagrams, &head, sizeof head);
    sim_bytes_add(&raw->datagrams, bytes, length);
}

sim_stream_seen sim_stream_seen_of(const sim_conn *conn, int64_t id) {
    const raw_stream *stream = find(conn->quic, id);
    return stream ? stream->seen : (sim_stream_seen){.bytes = 0};
}

uint64_t sim_quic_close_code(const sim_conn *conn) {
    const raw_quic *raw = conn->quic;
    const ngtcp2_ccerr *said = ngtcp2_conn_get_ccerr2(raw->quic->ng);
    return said->type == NGTCP2_CCERR_TYPE_APPLICATION ? said->error_code : MASQUE_NEVER;
}

size_t sim_quic_dcid(const sim_conn *conn, uint8_t bytes[20]) {
    const raw_quic *raw = conn->quic;
    const ngtcp2_cid *dcid = ngtcp2_conn_get_dcid2(raw->quic->ng);
    memcpy(bytes, dcid->data, dcid->datalen);
    return dcid->datalen;
}

void sim_quic_update_keys(sim_conn *conn) {
    const raw_quic *raw = conn->quic;
    int code = ngtcp2_conn_initiate_key_update(raw->quic->ng, conn->world->now);
    SIM_CHECK(conn->world, code == 0, "no key update: %s", ngtcp2_strerror(code));
}

bool sim_quic_is_fixed(const sim_conn *conn) {
    const raw_quic *raw = conn->quic;
    return ngtcp2_conn_get_remote_transport_params2(raw->quic->ng)->disable_active_migration;
}
