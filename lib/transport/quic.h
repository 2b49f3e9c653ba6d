/*
 * transport/quic.h: one QUIC connection (RFC 9000, RFC 9001, RFC 9369), on ngtcp2 with wolfSSL;
 * as its server, or its client. Packets in, packets out, in the caller's time. Knows
 * nothing of HTTP: streams and datagrams (RFC 9221) are whoever's mq_quic_attach() names.
 *
 *     HANDSHAKE -> OPEN -> CLOSING (we said CONNECTION_CLOSE) -> GONE
 *         `---------`----> DRAINING (the client did, or nothing is to be said) -> GONE
 */
#ifndef MQ_TRANSPORT_QUIC_H
#define MQ_TRANSPORT_QUIC_H

#include "crypto/peer.h"
#include "crypto/tls_context.h"
#include "transport/cid_table.h"
#include "transport/quic_output.h"

typedef struct mq_quic mq_quic;

typedef enum mq_quic_state {
    MQ_QUIC_HANDSHAKE,
    MQ_QUIC_OPEN,
    MQ_QUIC_CLOSING,  /* CONNECTION_CLOSE is due, or was sent */
    MQ_QUIC_DRAINING, /* nothing is sent any more */
} mq_quic_state;

/* Bytes of a stream for the next packets. */
#define MQ_QUIC_PIECES_MAX 8
typedef struct mq_quic_chunk {
    int64_t stream; /* -1: there are none */
    bool fin;
    size_t count;
    masque_iovec pieces[MQ_QUIC_PIECES_MAX];
} mq_quic_chunk;

/* What a connection tells the owner of its streams, and asks it. Functions that return int
   return 0, or end the connection after they called mq_quic_close() with a reason. */
typedef struct mq_quic_streams {
    int (*opened)(void *owner, int64_t stream);
    int (*data)(void *owner, int64_t stream, const uint8_t *bytes, size_t length, bool fin);
    int (*acked)(void *owner, int64_t stream, uint64_t length);
    int (*reset)(void *owner, int64_t stream, uint64_t code);
    int (*stopped)(void *owner, int64_t stream, uint64_t code);
    /* Both directions are over. CODE as of a reset, or 0; STREAM_OWNER as it was set, or NULL. */
    int (*closed)(void *owner, int64_t stream, void *stream_owner, uint64_t code);
    int (*may_send)(void *owner, int64_t stream); /* the client widened its window */
    int (*datagram)(void *owner, const uint8_t *bytes, size_t length);
    /* Output: what is next, which stays as it is until all that became of it is told, within the same call of
       mq_quic_output(). */
    int (*next_data)(void *owner, mq_quic_chunk *chunk);
    int (*wrote)(void *owner, int64_t stream, size_t length);
    int (*blocked)(void *owner, int64_t stream);
    int (*shut)(void *owner, int64_t stream); /* can't be written to any more */
    /* The next datagram of at most LIMIT bytes in two pieces, false without one; and it went out. */
    bool (*next_datagram)(void *owner, masque_iovec pieces[2], size_t limit);
    void (*sent_datagram)(void *owner);
} mq_quic_streams;

/* What all connections of an engine share. */
typedef struct mq_quic_endpoint {
    const masque_runtime *runtime;
    mq_cid_table table; /* owners are those of mq_quic_setup */
    masque_route self;
} mq_quic_endpoint;

/* What a connection is made with. All pointers but HEADER's outlive it. */
typedef struct mq_quic_setup {
    mq_quic_endpoint *endpoint;
    void *owner;                /* in endpoint->table, and of READY */
    int (*ready)(void *owner);  /* what is sent now is encrypted: mq_quic_attach() is due */
    int (*opened)(void *owner); /* the handshake is done; requests may follow in the same packet */
    mq_tls_context *tls;
    mq_quic_keys *keys;
    const masque_limits *limits;
    masque_congestion congestion;
    bool may_migrate;
    bool asks_certificates;
    uint64_t stream_window;
    uint64_t connection_window;
    bool (*is_error)(uint64_t code); /* of an application's CONNECTION_CLOSE */
} mq_quic_setup;

/* The first packet of a client, read by mq_quic_read_initial() of quic_packet.h. */
struct mq_quic_initial;

/* 0, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_CRYPTO. FROM is the packet's path. */
int mq_quic_new(mq_quic **quic, const mq_quic_setup *setup, const struct mq_quic_initial *initial,
                const masque_packets *from, masque_time now);
/* As the client of TO's remote address, whose certificate must be SERVER's: a host name or an
   address. */
int mq_quic_client_new(mq_quic **quic, const mq_quic_setup *setup, const char *server, const masque_packets *to,
                       masque_time now);
void mq_quic_del(mq_quic *quic);

void mq_quic_attach(mq_quic *quic, const mq_quic_streams *streams, void *owner);

mq_quic_state mq_quic_state_of(const mq_quic *quic);
/* Why it is closing or draining: a masque_error; 0 after an orderly end. */
int mq_quic_error(const mq_quic *quic);
bool mq_quic_is_resumed(const mq_quic *quic);
/* Who the client is by its certificate, once, for the caller to delete; NULL: it showed none. */
mq_peer *mq_quic_take_peer(mq_quic *quic);

/* Takes one UDP payload of FROM's path. */
void mq_quic_input(mq_quic *quic, const masque_packets *from, const uint8_t *bytes, size_t length, masque_time now);

/* Writes packets until there is nothing to say, no room in OUTPUT, or the client's or the
   path's limits are reached. True when it may go on at once, with more room. */
bool mq_quic_output(mq_quic *quic, mq_quic_packets *output, masque_time now);

/* When mq_quic_tick() is due. */
masque_time mq_quic_due(const mq_quic *quic);
void mq_quic_tick(mq_quic *quic, masque_time now);
/* How long the last packets may be on their way: three probe timeouts (RFC 9000 10.2). */
masque_time mq_quic_closing_period(const mq_quic *quic);

/* Says CONNECTION_CLOSE with an application's code, for ERROR. The first call counts. */
void mq_quic_close(mq_quic *quic, uint64_t code, int error);
/* The same as a transport: RFC 9000 20.1 CONNECTION_REFUSED and the like. */
void mq_quic_close_transport(mq_quic *quic, uint64_t code, int error);

/* Sends a PING when nothing came for DURATION; MASQUE_NEVER: never. */
void mq_quic_keep_alive(mq_quic *quic, masque_time duration);

/* --- for the owner of the streams. 0 or a masque_error. */
int mq_quic_open_stream(mq_quic *quic, int64_t *stream); /* ours, one way */
/* Ours, both ways; MASQUE_ERR_OVERLOAD: the peer lets us open no more now. */
int mq_quic_open_request(mq_quic *quic, int64_t *stream);
void mq_quic_credit(mq_quic *quic, int64_t stream, uint64_t length); /* -1: of the connection only */
void mq_quic_widen(mq_quic *quic, int64_t stream, uint64_t length);  /* of the stream only */
/* Ties a pointer to a stream, until it is closed. */
void mq_quic_set_stream_owner(mq_quic *quic, int64_t stream, void *owner);
/* NULL: none, or no such stream. */
void *mq_quic_stream_owner(const mq_quic *quic, int64_t stream);
void mq_quic_admit(mq_quic *quic);                                /* one stream of the client's more */
void mq_quic_stop(mq_quic *quic, int64_t stream, uint64_t code);  /* STOP_SENDING */
void mq_quic_reset(mq_quic *quic, int64_t stream, uint64_t code); /* RESET_STREAM */
/* The client takes datagrams of up to so many bytes, frame and all; 0: none. */
uint64_t mq_quic_datagram_max(const mq_quic *quic);
/* For streams->next_datagram(): may one of LENGTH bytes, too long now, soon fit? A young connection still finds out
   how large a packet its path carries (RFC 9000 14.3), and the first packets of QUIC inside are 1,200 bytes. */
bool mq_quic_may_widen_datagrams(const mq_quic *quic, size_t length);

#endif
