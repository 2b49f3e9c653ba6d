/*
 * http/h1.c: HTTP/1.1 behind session.h. A connection is one request; after a 200
 * it is the tunnel, after anything else it closes (RFC 9931: bytes that follow a
 * refused CONNECT are never a request).
 *
 *     HEAD --request--> WAITING --200--> TUNNEL --both ends--> DONE
 *       |                  `--refusal--> DONE
 *       `--malformed--> (a refusal through the owner, as any)
 *
 * As a client it goes the same way, see h1_client.c.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "http/h1_session.h"

/* Our longest answer head: status line, five fields, Connection and length or Upgrade. */
#define ANSWER_MAX 640
/* "proxy-authenticate: " and a line's end. */
#define CHALLENGE_NAME_MAX 24u
/* What most heads fit into. */
#define HEAD_FIRST 1024u

static mq_h1_session *h1_of(mq_session *session) {
    return (mq_h1_session *)session;
}

static const mq_h1_session *h1_of_const(const mq_session *session) {
    return (const mq_h1_session *)session;
}

void mq_h1_drop_head(mq_h1_session *h1) {
    if (h1->head) {
        mq_wipe(h1->head, h1->head_length);
        mq_free(h1->base.allocator, h1->head);
    }
    h1->head = NULL;
    h1->head_length = h1->head_capacity = h1->head_scanned = 0;
}

/* It may hold a credential. */
static void drop_said(mq_h1_session *h1) {
    if (h1->said) {
        mq_wipe(h1->said, h1->said_length);
        mq_free(h1->base.allocator, h1->said);
        h1->said = NULL;
    }
}

static void h1_free(mq_session *session) {
    mq_h1_session *h1 = h1_of(session);
    const masque_allocator *allocator = session->allocator;
    if (h1->stream) {
        h1->stream->session = NULL;
    }
    mq_h1_drop_head(h1);
    drop_said(h1);
    mq_free(allocator, h1);
}

/* Both directions ended: the owner may forget the stream. */
void mq_h1_let_go(mq_h1_session *h1, bool reset) {
    mq_stream *stream = h1->stream;
    h1->state = MQ_H1_DONE;
    h1->stream = NULL;
    if (stream) {
        stream->session = NULL;
        h1->base.events->closed(h1->base.owner, stream, reset);
    }
}

static void report_request(mq_h1_session *h1, const mq_request *request, mq_refusal refusal) {
    h1->state = MQ_H1_WAITING;
    h1->base.events->head_since(h1->base.owner, MASQUE_NEVER);
    if (!h1->base.events->request(h1->base.owner, 1, request, refusal)) {
        h1->state = MQ_H1_DONE;
        h1->base.must_abort = true;
    }
}

static void h1_open(mq_session *session, mq_stream *stream, int64_t id) {
    stream->session = session;
    stream->id = id;
    h1_of(session)->stream = stream;
}

static void parse_head(mq_h1_session *h1, size_t length) {
    mq_request request;
    mq_request_init(&request, h1->base.allocator);
    mq_refusal refusal = mq_h1_parse(&request, h1->base.limits, h1->head, length);
    request.complete_at = h1->base.now;
    report_request(h1, &request, refusal);
    mq_request_free(&request);
    mq_h1_drop_head(h1);
}

static void refuse_head(mq_h1_session *h1, mq_refusal refusal) {
    mq_request request;
    mq_request_init(&request, h1->base.allocator);
    request.complete_at = h1->base.now;
    report_request(h1, &request, refusal);
}

int mq_h1_deliver(mq_h1_session *h1, mq_block *block, uint32_t start, uint32_t end) {
    if (start == end || h1->state == MQ_H1_DONE) {
        return 0;
    }
    h1->untaken += end - start;
    if (!h1->base.events->data(h1->base.owner, h1->stream, block, start, end)) {
        h1->base.must_abort = true;
    }
    return 0;
}

/* As realloc(), but a credential is not left behind. */
static bool grow_head(mq_h1_session *h1, size_t needed) {
    const masque_allocator *allocator = h1->base.allocator;
    if (needed <= h1->head_capacity) {
        return true;
    }
    size_t capacity = needed < HEAD_FIRST ? HEAD_FIRST : needed * 2;
    char *head = mq_alloc(allocator, capacity);
    if (!head) {
        return false;
    }
    if (h1->head) {
        memcpy(head, h1->head, h1->head_length);
        mq_wipe(h1->head, h1->head_length);
        mq_free(allocator, h1->head);
    }
    h1->head = head;
    h1->head_capacity = capacity;
    return true;
}

/* RFC 9112 2.2: one empty line before the request line is forgiven. Returns its length. */
static size_t skip_empty_line(mq_h1_session *h1) {
    if (h1->empty_line_skipped || h1->head_length < 2) {
        return 0;
    }
    h1->empty_line_skipped = true;
    if (memcmp(h1->head, "\r\n", 2) != 0) {
        return 0;
    }
    h1->head_length -= 2;
    memmove(h1->head, h1->head + 2, h1->head_length);
    h1->head_scanned = 0;
    return 2;
}

int mq_h1_gather(mq_h1_session *h1, const mq_block *block, uint32_t start, uint32_t end) {
    size_t limit = h1->base.limits->header_bytes_max;
    size_t take = end - start < limit - h1->head_length ? end - start : limit - h1->head_length;
    if (!grow_head(h1, h1->head_length + take)) {
        return MASQUE_ERR_NO_MEMORY;
    }
    memcpy(h1->head + h1->head_length, block->bytes + start, take);
    h1->head_length += take;
    return 0;
}

/* Gathers the head; bytes behind it are the tunnel's (RFC 9112 3.2.3). */
static int take_head(mq_h1_session *h1, mq_block *block, uint32_t start, uint32_t end) {
    size_t before = h1->head_length;
    size_t limit = h1->base.limits->header_bytes_max;
    if (before == 0 && !h1->empty_line_skipped) {
        h1->base.events->head_since(h1->base.owner, h1->base.now);
    }
    int error = mq_h1_gather(h1, block, start, end);
    if (error) {
        return error;
    }
    size_t skipped = skip_empty_line(h1);
    size_t length = mq_h1_head_end(h1->head, h1->head_length, &h1->head_scanned);
    if (length == 0) {
        if (h1->head_length >= limit) {
            refuse_head(h1, MQ_REFUSAL_TOO_LARGE);
        }
        return 0;
    }
    uint32_t used = (uint32_t)(length + skipped - before);
    parse_head(h1, length);
    return mq_h1_deliver(h1, block, start + used, end);
}

static int h1_input(mq_session *session, mq_block *block, uint32_t start, uint32_t end) {
    mq_h1_session *h1 = h1_of(session);
    switch (h1->state) {
    case MQ_H1_HEAD:
        return h1->is_client ? MASQUE_ERR_PROTOCOL : take_head(h1, block, start, end);
    case MQ_H1_WAITING:
        if (h1->is_client) {
            return mq_h1_take_answer(h1, block, start, end);
        }
        return mq_h1_deliver(h1, block, start, end);
    case MQ_H1_TUNNEL:
        return mq_h1_deliver(h1, block, start, end);
    case MQ_H1_DONE:
        return 0; /* after a refusal everything is discarded */
    }
    return 0;
}

static void h1_input_end(mq_session *session) {
    mq_h1_session *h1 = h1_of(session);
    if (h1->client_finished) {
        return;
    }
    h1->client_finished = true;
    bool unanswered = h1->state == MQ_H1_WAITING && h1->is_client;
    if (h1->state == MQ_H1_HEAD || unanswered) {
        mq_h1_let_go(h1, unanswered);
        return;
    }
    if (h1->stream) {
        session->events->finished(session->owner, h1->stream);
    }
    if (h1->stream && h1->stream->end_sent) {
        mq_h1_let_go(h1, false);
    }
}

static bool h1_wants_input(const mq_session *session) {
    const mq_h1_session *h1 = h1_of_const(session);
    return h1->state == MQ_H1_HEAD || h1->state == MQ_H1_DONE || h1->untaken < session->limits->tunnel_buffer_max;
}

static int write_tunnel(mq_h1_session *h1, mq_tls_stream *tls) {
    mq_stream *stream = h1->stream;
    while (stream->outgoing.bytes > 0 && mq_tls_stream_has_room(tls)) {
        const mq_slice *slice = mq_queue_first(&stream->outgoing);
        size_t length = slice->end - slice->start;
        int error = mq_tls_stream_write(tls, slice->block->bytes + slice->start, length);
        if (error) {
            return error;
        }
        mq_queue_drop(&stream->outgoing, h1->base.pool, length);
        h1->base.events->sent(h1->base.owner, stream, length);
    }
    if (stream->outgoing.bytes == 0 && stream->outgoing_end && !stream->end_sent) {
        stream->end_sent = true;
        mq_tls_stream_close(tls);
        if (h1->client_finished) {
            mq_h1_let_go(h1, false);
        }
    }
    return 0;
}

static int h1_output(mq_session *session, mq_tls_stream *tls) {
    mq_h1_session *h1 = h1_of(session);
    if (h1->said) {
        /* Alone in its record and write: some clients refuse bytes behind the head. */
        int error = mq_tls_stream_write(tls, h1->said, h1->said_length);
        drop_said(h1);
        return error;
    }
    if (h1->state == MQ_H1_TUNNEL) {
        return write_tunnel(h1, tls);
    }
    return 0;
}

static bool h1_wants_output(const mq_session *session) {
    const mq_h1_session *h1 = h1_of_const(session);
    if (h1->said) {
        return true;
    }
    const mq_stream *stream = h1->stream;
    return h1->state == MQ_H1_TUNNEL && stream &&
           (stream->outgoing.bytes > 0 || (stream->outgoing_end && !stream->end_sent));
}

static size_t write_head(char *text, size_t size, const mq_response *response) {
    unsigned status = mq_response_status(response);
    bool upgrades = status == 200 && response->udp;
    mq_response_text values;
    masque_field fields[MQ_RESPONSE_FIELDS_MAX];
    size_t count = mq_response_fields(response, &values, fields);
    int at = upgrades ? snprintf(text, size, "HTTP/1.1 101 Switching Protocols\r\n")
                      : snprintf(text, size, "HTTP/1.1 %u %s\r\n", status, mq_status_reason(status));
    for (size_t i = 0; i < count; i++) {
        at += snprintf(text + at, size - (size_t)at, "%s: %s\r\n", fields[i].name, fields[i].value);
    }
    /* RFC 9298 3.3; a tunnel of CONNECT has neither (RFC 9110 9.3.6). */
    const char *end = upgrades        ? "connection: Upgrade\r\nupgrade: connect-udp\r\n\r\n"
                      : status == 200 ? "\r\n"
                                      : "content-length: 0\r\nconnection: close\r\n\r\n";
    at += snprintf(text + at, size - (size_t)at, "%s", end);
    assert((size_t)at < size);
    return (size_t)at;
}

static int h1_respond(mq_session *session, mq_stream *stream, const mq_response *response) {
    mq_h1_session *h1 = h1_of(session);
    assert(h1->state == MQ_H1_WAITING);
    size_t size = ANSWER_MAX;
    for (size_t i = 0; i < response->challenge_count; i++) {
        size += strlen(response->challenges[i]) + CHALLENGE_NAME_MAX;
    }
    h1->said = mq_alloc(session->allocator, size);
    if (h1->said && response->refusal == MQ_REFUSAL_NONE) {
        h1->said_length = write_head(h1->said, size, response);
        h1->state = MQ_H1_TUNNEL;
        return 0;
    }
    h1->state = MQ_H1_DONE;
    h1->stream = NULL;
    stream->session = NULL;
    if (!h1->said) {
        session->must_abort = true;
        return MASQUE_ERR_NO_MEMORY;
    }
    h1->said_length = write_head(h1->said, size, response);
    return 0;
}

static void h1_resume(mq_session *session, mq_stream *stream) {
    (void)session;
    (void)stream;
}

static void h1_credit(mq_session *session, mq_stream *stream, size_t length) {
    mq_h1_session *h1 = h1_of(session);
    (void)stream;
    assert(length <= h1->untaken);
    h1->untaken -= length;
}

static void h1_reset(mq_session *session, mq_stream *stream) {
    mq_h1_session *h1 = h1_of(session);
    stream->session = NULL;
    h1->stream = NULL;
    h1->state = MQ_H1_DONE;
    session->must_abort = true;
}

static void h1_cut(mq_session *session, mq_stream *stream) {
    mq_h1_session *h1 = h1_of(session);
    stream->session = NULL;
    h1->stream = NULL;
    h1->state = MQ_H1_DONE;
    session->must_cut = true;
}

static bool h1_owes(const mq_session *session, const mq_stream *stream) {
    (void)stream;
    return h1_wants_output(session);
}

static void h1_drain(mq_session *session, bool final) {
    mq_h1_session *h1 = h1_of(session);
    if (final && h1->state == MQ_H1_HEAD) {
        h1->state = MQ_H1_DONE;
    }
}

static void h1_terminate(mq_session *session, int error) {
    mq_h1_session *h1 = h1_of(session);
    (void)error;
    assert(!h1->stream);
    h1->state = MQ_H1_DONE;
}

static bool h1_is_done(const mq_session *session) {
    const mq_h1_session *h1 = h1_of_const(session);
    return h1->state == MQ_H1_DONE && !h1->said;
}

static const mq_session_ops H1_OPS = {
    .free = h1_free,
    .input = h1_input,
    .input_end = h1_input_end,
    .wants_input = h1_wants_input,
    .output = h1_output,
    .wants_output = h1_wants_output,
    .open = h1_open,
    .respond = h1_respond,
    .request = mq_h1_request,
    .resume = h1_resume,
    .credit = h1_credit,
    .reset = h1_reset,
    .cut = h1_cut,
    .owes = h1_owes,
    .drain = h1_drain,
    .terminate = h1_terminate,
    .is_done = h1_is_done,
};

static mq_session *h1_new(const mq_session_setup *setup, bool is_client) {
    mq_h1_session *h1 = mq_zalloc(setup->allocator, sizeof *h1);
    if (!h1) {
        return NULL;
    }
    h1->base = mq_session_base(&H1_OPS, setup, false);
    h1->is_client = is_client;
    return &h1->base;
}

mq_session *mq_h1_new(const mq_session_setup *setup) {
    return h1_new(setup, false);
}

mq_session *mq_h1_client_new(const mq_session_setup *setup) {
    return h1_new(setup, true);
}
