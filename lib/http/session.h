/*
 * http/session.h: one connection's HTTP, whatever its version.
 *
 * The engine hands a session decrypted bytes and asks it for bytes to encrypt;
 * the session reports requests and what happens on their streams. Behind it is
 * h1.c (one request, then a tunnel), h2.c (nghttp2) or h3.c (nghttp3). Tunnels know
 * streams, never a version.
 *
 * h1.c and h2.c live on a TLS stream: the engine calls their input and output. h3.c lives
 * on QUIC, which has streams of its own: h3.h says what else the engine calls there.
 *
 * Each can be either side. "The client" below is the peer's side of a stream; where we are the
 * client ourselves read "the proxy".
 */
#ifndef MQ_HTTP_SESSION_H
#define MQ_HTTP_SESSION_H

#include "base/block.h"
#include "http/answer.h"
#include "http/call.h"
#include "http/request.h"
#include "http/response.h"
#include "transport/tls_stream.h"

typedef struct mq_session mq_session;

/* The client's side of one request; lives inside the tunnel that the engine made
   for it. The session keeps a pointer to it from `open` to `closed` or `reset`. */
typedef struct mq_stream {
    mq_session *session;   /* NULL: the session has let go of it */
    int64_t id;            /* HTTP/2 or QUIC stream identifier; 1 on HTTP/1.1 */
    uint32_t window;       /* HTTP/2 and 3: the receive window granted, bytes */
    uint32_t window_taken; /* taken by the target since window_since */
    size_t untaken;        /* HTTP/2 and 3: bytes delivered, not yet credited */
    size_t unacked;        /* HTTP/3: bytes sent that the client has not acknowledged */
    masque_time window_since;
    mq_queue outgoing; /* bytes for the client */
    bool outgoing_end; /* nothing follows them */
    bool datagrams;    /* outgoing holds DATAGRAM capsules as wire/capsule.h writes them, each in one piece */
    size_t partial;    /* HTTP/2: bytes left of a capsule whose beginning was sent */
    bool malformed;    /* a reset says so (RFC 9297 3.3) */
    bool answered;     /* HTTP/2, as a client: the answer's head came */
    bool end_sent;     /* the end was handed to TLS, or to QUIC */
} mq_stream;

/* What a session tells its owner. STREAM is one the owner gave to `request`. */
typedef struct mq_session_events {
    /* A request head is complete (or can't be: REFUSAL says why, REQUEST may be
       partial). REQUEST is the session's, valid during the call. The owner opens
       a stream for it, which it answers by `respond`, now or later; false without
       memory: the session resets it. */
    bool (*request)(void *owner, int64_t id, const mq_request *request, mq_refusal refusal);
    /* Tunnel bytes. False without memory: the session resets the stream. */
    bool (*data)(void *owner, mq_stream *stream, mq_block *block, uint32_t start, uint32_t end);
    /* The same from a session whose bytes are in no block: LENGTH <= MQ_COPY_MAX, copied all or not at all. */
    bool (*bytes)(void *owner, mq_stream *stream, const uint8_t *bytes, size_t length);
    /* An HTTP datagram (RFC 9297 2) for STREAM came, context ID and all. */
    void (*datagram)(void *owner, mq_stream *stream, const uint8_t *bytes, size_t length);
    /* One for the client was dropped, for it didn't fit into a packet. */
    void (*too_big)(void *owner);
    /* The client ended its direction. */
    void (*finished)(void *owner, mq_stream *stream);
    /* The session forgot the stream: both directions ended, or RESET. Bytes of
       the client that were not taken yet may still be delivered unless RESET. */
    void (*closed)(void *owner, mq_stream *stream, bool reset);
    /* LENGTH bytes of stream->outgoing went to TLS, or to QUIC (then they may be in `unacked`). */
    void (*sent)(void *owner, mq_stream *stream, size_t length);
    /* The oldest head that isn't complete began at SINCE; MASQUE_NEVER: there is none. */
    void (*head_since)(void *owner, masque_time since);
    /* --- of a client's session */
    /* The proxy said what it can (SETTINGS): requests may be made. */
    void (*opened)(void *owner);
    /* The head of the answer to STREAM's request; the owner may take what is in it. OPENED: a
       tunnel follows, else the session has let go of STREAM. */
    void (*answered)(void *owner, mq_stream *stream, mq_answer *answer, bool opened);
} mq_session_events;

/* input, input_end, wants_input, output and wants_output are of sessions on a TLS stream only. */
typedef struct mq_session_ops {
    void (*free)(mq_session *session);
    /* Takes block->bytes START..END. A masque_error ends the connection: call
       nothing but output and free after it. */
    int (*input)(mq_session *session, mq_block *block, uint32_t start, uint32_t end);
    /* The client said close_notify. */
    void (*input_end)(mq_session *session);
    /* False: don't call input, a tunnel is full. */
    bool (*wants_input)(const mq_session *session);
    /* Writes to TLS until there is nothing or no room. */
    int (*output)(mq_session *session, mq_tls_stream *tls);
    bool (*wants_output)(const mq_session *session);
    /* Ties STREAM, all zero, to the request ID that is just being reported. */
    void (*open)(mq_session *session, mq_stream *stream, int64_t id);
    /* With REFUSAL NONE the stream becomes a tunnel, else the session forgets it.
       After an error too. */
    int (*respond)(mq_session *session, mq_stream *stream, const mq_response *response);
    /* A client's, in place of `open` and `respond`: asks for a tunnel and ties STREAM, all zero but
       `datagrams`, to it. MASQUE_ERR_NO_MEMORY, _OVERLOAD (no more streams now), _DRAINED (GOAWAY),
       _PROTOCOL (the proxy can't do CONNECT-UDP), _INVALID (fields); STREAM is not tied then. */
    int (*request)(mq_session *session, mq_stream *stream, const mq_call *call);
    /* outgoing or outgoing_end changed. */
    void (*resume)(mq_session *session, mq_stream *stream);
    /* The target took, or nobody ever will take, LENGTH bytes of the client. Also for
       a stream that the session has let go of. */
    void (*credit)(mq_session *session, mq_stream *stream, size_t length);
    /* Ends the stream with a reset; no `closed` follows. */
    void (*reset)(mq_session *session, mq_stream *stream);
    /* The same behind what was written, which must arrive: a reset of HTTP/1.1's transport would
       destroy it, so that ends without a close_notify instead. */
    void (*cut)(mq_session *session, mq_stream *stream);
    /* Is something for the client on its way that a reset would destroy? */
    bool (*owes)(const mq_session *session, const mq_stream *stream);
    /* Announces the end: FINAL false says that no new requests are wanted, true
       that none is taken any more. */
    void (*drain)(mq_session *session, bool final);
    /* Says goodbye because of ERROR (0: in order); only output and free follow. */
    void (*terminate)(mq_session *session, int error);
    /* The oldest head took too long: its stream ends. NULL: nothing can come before it is complete. */
    void (*give_up_head)(mq_session *session);
    /* True when nothing will ever come: no stream, and said goodbye. */
    bool (*is_done)(const mq_session *session);
} mq_session_ops;

/* What both kinds begin with. */
struct mq_session {
    const mq_session_ops *ops;
    const mq_session_events *events;
    void *owner;
    const masque_allocator *allocator;
    const masque_limits *limits;
    mq_pool *pool;
    masque_time now;  /* set by the owner before each call */
    bool may_grow;    /* set by the owner: memory allows larger windows */
    bool has_streams; /* a stream ends without the transport: HTTP/2 and 3 */
    size_t unacked;   /* sum of all streams', those that were let go of with them */
    int error;        /* set by the session: why it is done, 0 for an orderly end */
    bool must_abort;  /* set by the session: end the transport with a reset, at once */
    bool must_cut;    /* set by the session: end it behind what was written, without close_notify */
};

/* What a session is made with. */
typedef struct mq_session_setup {
    const mq_session_events *events;
    void *owner;
    const masque_allocator *allocator;
    const masque_limits *limits; /* lives as long as the session */
    mq_pool *pool;
} mq_session_setup;

/* What every kind's own part is put behind. */
static inline mq_session mq_session_base(const mq_session_ops *ops, const mq_session_setup *setup, bool has_streams) {
    return (mq_session){.ops = ops,
                        .events = setup->events,
                        .owner = setup->owner,
                        .allocator = setup->allocator,
                        .limits = setup->limits,
                        .pool = setup->pool,
                        .has_streams = has_streams};
}

/* NULL without memory. */
mq_session *mq_h1_new(const mq_session_setup *setup);
mq_session *mq_h2_new(const mq_session_setup *setup);
/* The same as the client of a proxy. */
mq_session *mq_h1_client_new(const mq_session_setup *setup);
mq_session *mq_h2_client_new(const mq_session_setup *setup);

#endif
