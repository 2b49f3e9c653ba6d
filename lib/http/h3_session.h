/*
 * http/h3_session.h: the inside of an HTTP/3 session, for h3.c (session.h), h3_server.c and
 * h3_client.c (heads), h3_streams.c (bodies), h3_transport.c (QUIC's streams) and h3_datagrams.c
 * (RFC 9297 2).
 */
#ifndef MQ_HTTP_H3_SESSION_H
#define MQ_HTTP_H3_SESSION_H

#include <nghttp3/nghttp3.h>

#include "base/bucket.h"
#include "base/list.h"
#include "http/answer.h"
#include "http/h3.h"
#include "http/head.h"
#include "http/window.h"
#include "wire/varint.h"

/* Datagrams that came before their stream: RFC 9297 2.1 lets us drop any of them. */
#define MQ_EARLY_DATAGRAMS 8
#define MQ_EARLY_BYTES 16384u

/* A request stream, from its first byte until QUIC has forgotten it. */
typedef struct mq_h3_stream {
    mq_link link;         /* in mq_h3_session.streams */
    mq_link in_heads;     /* in .heads while its head is incomplete */
    mq_link in_datagrams; /* in .datagrams while it has some to send */
    int64_t id;
    mq_stream *stream; /* NULL: none yet, or let go */
    mq_head head;      /* as a server */
    mq_answer answer;  /* as a client */
    masque_time since;
    mq_queue unacked; /* sent, and may have to be sent again */
    size_t deficit;   /* bytes of datagrams that it may send before others have their turn */
    bool throttled;   /* waits for acknowledgements */
    bool finished;    /* the peer ended its direction */
} mq_h3_stream;

typedef struct mq_early_datagram {
    int64_t stream;
    masque_time at;
    size_t length;
    uint8_t *bytes; /* allocated; NULL: free */
} mq_early_datagram;

typedef struct mq_h3_session {
    mq_session base;
    nghttp3_mem memory; /* nghttp3 keeps a pointer to it */
    nghttp3_conn *ng;
    mq_quic *quic;
    bool is_client;
    bool dead;       /* nghttp3 failed, or the connection closes: it is never called again */
    bool silent;     /* nghttp3 had nothing to send when last asked */
    bool came_empty; /* a stream that it asked had nothing */
    bool said_final;
    bool settings_seen;
    bool peer_takes_datagrams; /* by SETTINGS_H3_DATAGRAM */
    bool peer_takes_protocols; /* by SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 9220) */
    bool goaway_seen;          /* a client makes no requests any more */
    mq_link streams;
    mq_link heads; /* the oldest first */
    mq_link datagrams;
    int64_t newest; /* the highest stream that was opened, or -1 */
    mq_windows windows;
    size_t throttled; /* streams that wait for acknowledgements */
    mq_bucket resets;
    mq_early_datagram early[MQ_EARLY_DATAGRAMS];
    size_t early_bytes;
    uint8_t quarter[MQ_VARINT_LENGTH_MAX]; /* the Quarter Stream ID of the datagram that is being sent */
} mq_h3_session;

/* The events of QUIC's streams; owner is the session. */
extern const mq_quic_streams MQ_H3_STREAMS;

static inline mq_h3_session *mq_h3_of(mq_session *session) {
    return (mq_h3_session *)session;
}

/* For calls that may give nghttp3 something to send: it is asked again. */
static inline nghttp3_conn *mq_h3_ng(mq_h3_session *h3) {
    h3->silent = false;
    return h3->ng;
}

/* NULL: it isn't a request's, or is forgotten. */
static inline mq_h3_stream *mq_h3_find(mq_h3_session *h3, int64_t id) {
    return mq_quic_stream_owner(h3->quic, id);
}

/* --- h3.c */
/* nghttp3 failed with CODE: closes the connection. Returns -1. */
int mq_h3_fail(mq_h3_session *h3, int code);
/* The same if CODE is a failure. */
void mq_h3_note(mq_h3_session *h3, int code);
/* The same for a reason of ours. */
int mq_h3_close(mq_h3_session *h3, uint64_t code, int error);
/* STREAM is over for its owner, who hears of it; or is not told. */
void mq_h3_lose_stream(mq_h3_session *h3, mq_h3_stream *stream, bool reset);
void mq_h3_forget_stream(mq_h3_session *h3, mq_h3_stream *stream);
/* Ends both directions of what is not, or no more, a tunnel. */
void mq_h3_abort_stream(mq_h3_session *h3, int64_t id, uint64_t code);
/* A stream that ended by a reset; -1 when there are too many. */
int mq_h3_count_reset(mq_h3_session *h3);
/* The same, as a nghttp3 callback's result. */
int mq_h3_count_own_reset(mq_h3_session *h3);
/* The head is complete or given up. */
void mq_h3_end_head(mq_h3_session *h3, mq_h3_stream *stream);
/* STREAM is the owner's from now on. */
void mq_h3_tie(mq_h3_session *h3, mq_h3_stream *owner, mq_stream *stream);
/* Frees it. */
void mq_h3_stream_del(mq_h3_session *h3, mq_h3_stream *stream);

/* --- h3_streams.c */
void mq_h3_stream_callbacks(nghttp3_callbacks *callbacks);
/* nghttp3's read_data: bytes of a tunnel. */
nghttp3_ssize mq_h3_on_read(nghttp3_conn *ng, int64_t id, nghttp3_vec *vector, size_t count, uint32_t *flags,
                            void *user, void *stream_user);
/* Acknowledgements made room: streams that waited for it go on. */
void mq_h3_unthrottle(mq_h3_session *h3);

/* --- h3_server.c */
void mq_h3_server_callbacks(nghttp3_callbacks *callbacks);
int mq_h3_respond(mq_session *session, mq_stream *stream, const mq_response *response);
nghttp3_nv mq_h3_field(const char *name, const char *value);

/* --- h3_client.c */
void mq_h3_client_callbacks(nghttp3_callbacks *callbacks);
int mq_h3_request(mq_session *session, mq_stream *stream, const mq_call *call);

/* --- h3_transport.c */
/* One for request stream ID, which has just begun; NULL without memory. */
mq_h3_stream *mq_h3_stream_new(mq_h3_session *h3, int64_t id);

/* --- h3_datagrams.c */
int mq_h3_datagram(void *owner, const uint8_t *bytes, size_t length);
bool mq_h3_next_datagram(void *owner, masque_iovec pieces[2], size_t limit);
void mq_h3_sent_datagram(void *owner);
/* STREAM may have some to send. */
void mq_h3_offer_datagrams(mq_h3_session *h3, mq_h3_stream *stream);
/* Are datagrams of UDP tunnels carried by QUIC's? False also while it isn't known. */
bool mq_h3_uses_datagrams(const mq_h3_session *h3);
/* What came for STREAM before its request did. */
void mq_h3_replay_early(mq_h3_session *h3, mq_h3_stream *stream);
void mq_h3_free_early(mq_h3_session *h3);

#endif
