/*
 * transport/quic_write.c: a QUIC connection makes its next packets: what streams and datagrams
 * have to say, and what QUIC itself has.
 */
#include <string.h>

#include "transport/quic_conn.h"

/* An answer to each so many packets that come behind CONNECTION_CLOSE; it doubles. */
#define CLOSE_REPEAT_FIRST 1u
/* The first probe of the path's size, and a second when it was lost. */
#define PROBE_ROUND_TRIPS 3u
#define PROBE_ACK_DELAY (100 * MASQUE_MILLISECOND)

/* A stream's turn is over behind so many bytes; its owner is asked and told once a turn, not once a packet. */
#define TURN_BYTES 16384u

/* Where packets are being made, one after the other. */
typedef struct mq_draft {
    ngtcp2_path_storage path;
    ngtcp2_pkt_info info;
    uint8_t *bytes;
    size_t capacity;
    mq_quic_chunk chunk; /* whose turn it is, and what of it is left from piece FIRST on */
    size_t first;
    size_t written; /* of the turn */
} mq_draft;

typedef enum step { STEP_NONE, STEP_MORE, STEP_DONE, STEP_FAILED } step;

/* What an ngtcp2 call that was given something to write says. */
static step outcome(ngtcp2_ssize result, size_t *length) {
    if (result == NGTCP2_ERR_WRITE_MORE) {
        return STEP_MORE;
    }
    *length = result > 0 ? (size_t)result : 0;
    return result < 0 ? STEP_FAILED : STEP_DONE;
}

/* The most a DATAGRAM frame in a packet of its own, of PACKET_MAX bytes, may carry. */
static size_t datagram_limit(const mq_quic *quic, size_t packet_max) {
    /* First byte, packet number, tag; frame type and length. */
    size_t overhead = 1 + 4 + 16 + 3 + ngtcp2_conn_get_dcid2(quic->ng)->datalen;
    uint64_t frame_max = mq_quic_datagram_max(quic);
    size_t limit = packet_max > overhead ? packet_max - overhead : 0;
    return frame_max > 3 && frame_max - 3 < limit ? (size_t)frame_max - 3 : frame_max > 3 ? limit : 0;
}

bool mq_quic_may_widen_datagrams(const mq_quic *quic, size_t length) {
    ngtcp2_conn_info info;
    ngtcp2_conn_get_conn_info2(quic->ng, &info);
    masque_time patience = PROBE_ROUND_TRIPS * info.smoothed_rtt + PROBE_ACK_DELAY;
    return quic->state == MQ_QUIC_OPEN && quic->now - quic->opened_at < patience &&
           length <= datagram_limit(quic, MQ_PACKET_MAX);
}

static step write_datagram(mq_quic *quic, mq_draft *draft, size_t *length) {
    masque_iovec pieces[2];
    ngtcp2_vec vector[2];
    int accepted = 0;
    size_t limit = datagram_limit(quic, ngtcp2_conn_get_path_max_tx_udp_payload_size2(quic->ng));
    if (!quic->streams || !quic->streams->next_datagram(quic->owner, pieces, limit)) {
        return STEP_NONE;
    }
    /* Where hardly another one fits, the packet is finished in the same call. */
    bool alone = quic->streams_silent && 2 * (pieces[0].length + pieces[1].length) > limit;
    for (size_t i = 0; i < 2; i++) {
        vector[i] = (ngtcp2_vec){.base = pieces[i].base, .len = pieces[i].length};
    }
    ngtcp2_ssize result = ngtcp2_conn_writev_datagram(
        quic->ng, &draft->path.path, &draft->info, draft->bytes, draft->capacity, &accepted,
        alone ? NGTCP2_WRITE_DATAGRAM_FLAG_NONE : NGTCP2_WRITE_DATAGRAM_FLAG_MORE, 0, vector, 2, quic->now);
    if (accepted) {
        quic->streams->sent_datagram(quic->owner);
    }
    step next = outcome(result, length);
    if (next == STEP_FAILED) {
        mq_quic_fail(quic, (int)result);
    }
    return next;
}

static step fail_streams(mq_quic *quic) {
    mq_quic_fail(quic, NGTCP2_ERR_CALLBACK_FAILURE);
    return STEP_FAILED;
}

/* --- turns of streams --------------------------------------------------------------------------------------------- */

static int begin_turn(mq_quic *quic, mq_draft *draft) {
    draft->first = draft->written = 0;
    int error = quic->streams->next_data(quic->owner, &draft->chunk);
    quic->streams_silent = draft->chunk.stream < 0;
    return error;
}

static int end_turn(mq_quic *quic, mq_draft *draft) {
    int64_t stream = draft->chunk.stream;
    draft->chunk.stream = -1;
    return quic->streams->wrote(quic->owner, stream, draft->written);
}

/* The turn can't go on: for lack of credit, or since the stream is no more. */
static step cut_turn(mq_quic *quic, mq_draft *draft, int (*tell)(void *owner, int64_t stream)) {
    int64_t stream = draft->chunk.stream;
    int error = draft->written > 0 ? end_turn(quic, draft) : 0;
    draft->chunk.stream = -1;
    error = error ? error : tell(quic->owner, stream);
    return error ? fail_streams(quic) : STEP_MORE;
}

/* LENGTH bytes are in a packet; none, too, is something when all that is left is the end of the stream. */
static int take_turn(mq_quic *quic, mq_draft *draft, size_t length) {
    mq_quic_chunk *chunk = &draft->chunk;
    draft->written += length;
    while (draft->first < chunk->count && length >= chunk->pieces[draft->first].length) {
        length -= chunk->pieces[draft->first++].length;
    }
    if (draft->first == chunk->count || draft->written >= TURN_BYTES) {
        return end_turn(quic, draft);
    }
    masque_iovec *piece = &chunk->pieces[draft->first];
    *piece = (masque_iovec){.base = (uint8_t *)piece->base + length, .length = piece->length - length};
    return 0;
}

static step write_stream(mq_quic *quic, mq_draft *draft, size_t *length) {
    const mq_quic_chunk *chunk = &draft->chunk;
    ngtcp2_vec vector[MQ_QUIC_PIECES_MAX];
    ngtcp2_ssize taken = -1;
    if (!quic->streams) {
        return STEP_NONE;
    }
    if (chunk->stream < 0 && begin_turn(quic, draft)) {
        return fail_streams(quic);
    }
    if (chunk->stream < 0) {
        return STEP_NONE;
    }
    for (size_t i = draft->first; i < chunk->count; i++) {
        vector[i] = (ngtcp2_vec){.base = chunk->pieces[i].base, .len = chunk->pieces[i].length};
    }
    uint32_t flags = NGTCP2_WRITE_STREAM_FLAG_MORE | (chunk->fin ? NGTCP2_WRITE_STREAM_FLAG_FIN : 0);
    ngtcp2_ssize result =
        ngtcp2_conn_writev_stream(quic->ng, &draft->path.path, &draft->info, draft->bytes, draft->capacity, &taken,
                                  flags, chunk->stream, vector + draft->first, chunk->count - draft->first, quic->now);
    if (result == NGTCP2_ERR_STREAM_DATA_BLOCKED) {
        return cut_turn(quic, draft, quic->streams->blocked);
    }
    if (result == NGTCP2_ERR_STREAM_SHUT_WR || result == NGTCP2_ERR_STREAM_NOT_FOUND) {
        return cut_turn(quic, draft, quic->streams->shut);
    }
    int error = taken >= 0 ? take_turn(quic, draft, (size_t)taken) : 0;
    step next = outcome(result, length);
    if (next == STEP_FAILED) {
        mq_quic_fail(quic, (int)result);
    }
    return error ? fail_streams(quic) : next;
}

/* What is left to say beside streams and datagrams, and the end of the draft. */
static step finish_packet(mq_quic *quic, mq_draft *draft, size_t *length) {
    ngtcp2_ssize result =
        ngtcp2_conn_writev_stream(quic->ng, &draft->path.path, &draft->info, draft->bytes, draft->capacity, NULL,
                                  NGTCP2_WRITE_STREAM_FLAG_NONE, -1, NULL, 0, quic->now);
    step next = outcome(result, length);
    if (next == STEP_FAILED) {
        mq_quic_fail(quic, (int)result);
    }
    return next;
}

/* Makes one packet; 0: nothing can be sent now. Datagrams and streams have the first place in
   turns, so that neither starves the other. */
static size_t write_packet(mq_quic *quic, mq_draft *draft) {
    typedef step (*writer)(mq_quic *, struct mq_draft *, size_t *);
    static const writer orders[2][2] = {{write_stream, write_datagram}, {write_datagram, write_stream}};
    const writer *order = orders[quic->datagrams_first];
    size_t length = 0;
    quic->datagrams_first = !quic->datagrams_first;
    for (size_t i = 0; i < 2; i++) {
        step next;
        do {
            next = order[i](quic, draft, &length);
        } while (next == STEP_MORE);
        if (next != STEP_NONE) {
            return next == STEP_DONE ? length : 0;
        }
    }
    return finish_packet(quic, draft, &length) == STEP_DONE ? length : 0;
}

static masque_packets packets_of(const mq_draft *draft) {
    const ngtcp2_path *path = &draft->path.path;
    return (masque_packets){.local = mq_address_of(&path->local),
                            .remote = mq_address_of(&path->remote),
                            .socket = (uint32_t)(uintptr_t)path->user_data,
                            .ecn = draft->info.ecn};
}

/* Where the last packet of an output went, as most of the next do, too. */
typedef struct last_way {
    bool known;
    ngtcp2_path_storage path; /* of known contents when KNOWN only: ngtcp2 compares them unseen */
    masque_packets to;
} last_way;

static const masque_packets *follow(last_way *last, const mq_draft *draft) {
    const ngtcp2_path *path = &draft->path.path;
    if (!last->known || last->path.path.user_data != path->user_data || !ngtcp2_path_eq(&last->path.path, path)) {
        ngtcp2_path_storage_zero(&last->path);
        ngtcp2_path_copy(&last->path.path, path);
        last->to = packets_of(draft);
        last->known = true;
    }
    last->to.ecn = draft->info.ecn;
    return &last->to;
}

static void keep_goodbye(mq_quic *quic, const mq_draft *draft, size_t length) {
    const masque_allocator *allocator = &quic->setup.endpoint->runtime->allocator;
    quic->goodbye_to = packets_of(draft);
    quic->goodbye = mq_alloc(allocator, length);
    if (quic->goodbye) {
        memcpy(quic->goodbye, draft->bytes, length);
        quic->goodbye_length = length;
    }
    quic->closing_answer_at = CLOSE_REPEAT_FIRST;
}

static void write_goodbye(mq_quic *quic, mq_quic_packets *output) {
    mq_draft draft = {.capacity = MQ_PACKET_MAX};
    ngtcp2_path_storage_zero(&draft.path);
    draft.bytes = mq_quic_packets_room(output);
    if (!draft.bytes) {
        return;
    }
    quic->close_due = false;
    if (quic->goodbye) {
        memcpy(draft.bytes, quic->goodbye, quic->goodbye_length);
        mq_quic_packets_add(output, &quic->goodbye_to, quic->goodbye_length);
        return;
    }
    ngtcp2_ssize length = ngtcp2_conn_write_connection_close(quic->ng, &draft.path.path, &draft.info, draft.bytes,
                                                             draft.capacity, &quic->close, quic->now);
    if (length > 0) {
        keep_goodbye(quic, &draft, (size_t)length);
        mq_quic_packets_add(output, &quic->goodbye_to, (size_t)length);
    } else {
        mq_quic_drop(quic, quic->error);
    }
}

/* What one output may have: no more than one burst takes, or each full one would have a second of two packets behind
   it, a system call of its own. */
static size_t send_budget(const mq_quic *quic) {
    size_t quantum = quic->state < MQ_QUIC_CLOSING ? ngtcp2_conn_get_send_quantum2(quic->ng) : 0;
    return quantum < MQ_BURST_BYTES - MQ_PACKET_MAX ? quantum : MQ_BURST_BYTES - MQ_PACKET_MAX;
}

bool mq_quic_output(mq_quic *quic, mq_quic_packets *output, masque_time now) {
    quic->now = now;
    quic->streams_silent = false;
    size_t budget = send_budget(quic);
    size_t total = 0;
    size_t length = 0;
    mq_draft draft = {.capacity = MQ_PACKET_MAX, .chunk = {.stream = -1}};
    ngtcp2_path_storage_zero(&draft.path);
    last_way last;
    last.known = false;
    do {
        draft.bytes = mq_quic_packets_room(output);
        if (!draft.bytes || quic->state >= MQ_QUIC_CLOSING) {
            break;
        }
        length = write_packet(quic, &draft);
        if (length > 0) {
            mq_quic_packets_add(output, follow(&last, &draft), length);
            total += length;
        }
    } while (length > 0 && total < budget);
    if (draft.chunk.stream >= 0 && draft.written > 0 && quic->state < MQ_QUIC_CLOSING && end_turn(quic, &draft)) {
        fail_streams(quic);
    }
    if (total > 0 && quic->state < MQ_QUIC_CLOSING) {
        ngtcp2_conn_update_pkt_tx_time(quic->ng, now);
    }
    if (quic->close_due) {
        write_goodbye(quic, output);
    }
    return (length > 0 && quic->state < MQ_QUIC_CLOSING) || quic->close_due;
}
