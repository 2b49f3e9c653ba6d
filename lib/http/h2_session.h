/*
 * http/h2_session.h: the inside of an HTTP/2 session, for h2.c (session.h and what
 * nghttp2 reports), h2_client.c (a client's heads) and h2_output.c (frames that nghttp2 wants
 * written).
 */
#ifndef MQ_HTTP_H2_SESSION_H
#define MQ_HTTP_H2_SESSION_H

#include "base/bucket.h"
#include "http/h2_nghttp2.h"
#include "http/head.h"
#include "http/window.h"

typedef struct mq_h2_session {
    mq_session base;
    nghttp2_session *ng;
    bool is_client;
    mq_head head;       /* as a server */
    mq_answer answer;   /* as a client: the head that is being read */
    bool dead;          /* nghttp2 failed: it is never called again */
    int fatal;          /* a masque_error raised inside a callback */
    mq_bucket resets;   /* streams that ended so, theirs and ours */
    bool settings_seen; /* the peer's first, which is none of these: */
    mq_bucket glitches; /* frames that are legal but of no use */
    mq_windows windows;
    mq_block *block;    /* during input */
    mq_tls_stream *tls; /* during output, with the two below */
    uint8_t *gathered;
    size_t gathered_length;
} mq_h2_session;

/* NULL: unknown, or refused. */
static inline mq_stream *mq_h2_find_stream(nghttp2_session *ng, int32_t id) {
    return nghttp2_session_get_stream_user_data(ng, id);
}

/* nghttp2's callbacks for output. */
nghttp2_ssize mq_h2_on_send(nghttp2_session *ng, const uint8_t *bytes, size_t length, int flags, void *user);
nghttp2_ssize mq_h2_on_read_length(nghttp2_session *ng, uint8_t type, int32_t id, int32_t connection_window,
                                   int32_t stream_window, uint32_t frame_max, void *user);
nghttp2_ssize mq_h2_on_read(nghttp2_session *ng, int32_t id, uint8_t *buffer, size_t length, uint32_t *flags,
                            nghttp2_data_source *source, void *user);
int mq_h2_on_send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *header, size_t length,
                       nghttp2_data_source *source, void *user);

/* Writes the frames that were gathered as one record. 0 or a masque_error. */
int mq_h2_flush_gathered(mq_h2_session *h2);

/* nghttp2 ran out of memory: the connection can't go on. */
void mq_h2_note(mq_h2_session *h2, int code);
/* The stream is over for us; the owner hears of it, or is not told. */
void mq_h2_lose_stream(mq_h2_session *h2, mq_stream *stream, bool reset);
void mq_h2_forget_stream(mq_h2_session *h2, mq_stream *stream);
/* STREAM is the owner's from now on, as nghttp2's stream ID. */
void mq_h2_tie(mq_h2_session *h2, mq_stream *stream, int32_t id);
nghttp2_nv mq_h2_field(const char *name, const char *value);

/* --- h2_client.c */
int mq_h2_request(mq_session *session, mq_stream *stream, const mq_call *call);
/* A field of an answer, and its end. 0 or one of nghttp2's errors. */
int mq_h2_answer_field(mq_h2_session *h2, int32_t id, const uint8_t *name, size_t name_length, const uint8_t *value,
                       size_t value_length);
int mq_h2_answer_end(mq_h2_session *h2, int32_t id);

#endif
