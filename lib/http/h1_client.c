/*
 * http/h1_client.c: HTTP/1.1 as a client: a request for a tunnel (RFC 9110 9.3.6, RFC 9298 3.2), and
 * the head of its answer.
 */
#include <string.h>

#include "http/h1_session.h"

/* --- the request ------------------------------------------------------------------------ */

/* Puts TEXT at *AT, of SIZE bytes; without room only its length counts. */
static void put(char *bytes, size_t size, size_t *at, const char *text) {
    size_t length = strlen(text);
    if (*at + length <= size) {
        memcpy(bytes + *at, text, length);
    }
    *at += length;
}

/* Returns the length it needs. */
static size_t write_call(char *bytes, size_t size, const mq_call *call) {
    size_t at = 0;
    put(bytes, size, &at, call->udp ? "GET " : "CONNECT ");
    put(bytes, size, &at, call->udp ? call->path : call->authority);
    put(bytes, size, &at, " HTTP/1.1\r\nhost: ");
    put(bytes, size, &at, call->authority);
    put(bytes, size, &at, "\r\n");
    if (call->udp) {
        put(bytes, size, &at, "connection: Upgrade\r\nupgrade: connect-udp\r\ncapsule-protocol: ?1\r\n");
    }
    for (size_t i = 0; i < call->field_count; i++) {
        put(bytes, size, &at, call->fields[i].name);
        put(bytes, size, &at, ": ");
        put(bytes, size, &at, call->fields[i].value);
        put(bytes, size, &at, "\r\n");
    }
    put(bytes, size, &at, "\r\n");
    return at;
}

int mq_h1_request(mq_session *session, mq_stream *stream, const mq_call *call) {
    mq_h1_session *h1 = (mq_h1_session *)session;
    if (h1->state != MQ_H1_HEAD) {
        return MASQUE_ERR_STATE;
    }
    size_t length = write_call(NULL, 0, call);
    if (length > MQ_RECORD_MAX) {
        return MASQUE_ERR_INVALID;
    }
    h1->said = mq_alloc(session->allocator, length);
    if (!h1->said) {
        return MASQUE_ERR_NO_MEMORY;
    }
    h1->said_length = write_call(h1->said, length, call);
    h1->wants_udp = call->udp;
    h1->state = MQ_H1_WAITING;
    h1->stream = stream;
    stream->session = session;
    stream->id = 1;
    return 0;
}

/* --- its answer -------------------------------------------------------------------------- */

static void report(mq_h1_session *h1, mq_answer *answer) {
    mq_stream *stream = h1->stream;
    bool opened = h1->wants_udp ? answer->status == 101 : answer->status / 100 == 2;
    h1->state = opened ? MQ_H1_TUNNEL : MQ_H1_DONE;
    if (!opened) {
        h1->stream = NULL;
        stream->session = NULL;
    }
    h1->base.events->answered(h1->base.owner, stream, answer, opened);
}

/* Reads the complete head of LENGTH bytes. */
static int parse(mq_h1_session *h1, size_t length) {
    mq_answer answer = {.allocator = NULL};
    int error = mq_h1_parse_answer(&answer, h1->base.allocator, h1->base.limits, h1->head, length);
    mq_h1_drop_head(h1);
    if (!error && answer.status == 101 && !(h1->wants_udp && mq_answer_opens_capsules(&answer, true))) {
        error = MASQUE_ERR_PROTOCOL; /* RFC 9110 15.2.2: to what nobody asked for */
    }
    if (!error && !mq_answer_is_interim(&answer)) {
        report(h1, &answer);
    }
    mq_answer_free(&answer);
    return error;
}

int mq_h1_take_answer(mq_h1_session *h1, mq_block *block, uint32_t start, uint32_t end) {
    while (h1->state == MQ_H1_WAITING && start < end) {
        size_t before = h1->head_length;
        int error = mq_h1_gather(h1, block, start, end);
        if (error) {
            return error;
        }
        size_t length = mq_h1_head_end(h1->head, h1->head_length, &h1->head_scanned);
        if (length == 0) {
            return h1->head_length >= h1->base.limits->header_bytes_max ? MASQUE_ERR_FLOOD : 0;
        }
        error = parse(h1, length);
        if (error) {
            return error;
        }
        start += (uint32_t)(length - before);
    }
    return h1->state == MQ_H1_TUNNEL ? mq_h1_deliver(h1, block, start, end) : 0;
}
