/*
 * engine/udp_tunnel.h: what a tunnel of CONNECT-UDP (RFC 9298) has beyond any tunnel's: its
 * near side brings capsules or QUIC's datagrams, its far side is a connected UDP socket.
 */
#ifndef MQ_ENGINE_UDP_TUNNEL_H
#define MQ_ENGINE_UDP_TUNNEL_H

#include "engine/engine.h"
#include "wire/capsule.h"

typedef struct mq_udp {
    mq_tunnel *tunnel;
    mq_timer idle;
    masque_time moved_at; /* the last datagram, either way */
    mq_capsule_reader reader;
    mq_block *partial; /* a value that is coming in pieces; NULL: none, or it is dropped */
    size_t owed;       /* bytes of the stream to be credited when the target has taken some */
    bool answered;     /* the target sent something */
    mq_bucket unanswered;
} mq_udp;

/* Makes TUNNEL one of CONNECT-UDP. 0 or MASQUE_ERR_NO_MEMORY. */
int mq_udp_new(mq_tunnel *tunnel);
void mq_udp_del(mq_tunnel *tunnel);

/* Bytes of the stream: capsules, at any split. What is malformed ends the tunnel. */
void mq_udp_take_bytes(mq_tunnel *tunnel, const uint8_t *bytes, size_t length);
/* An HTTP datagram (RFC 9297 2). */
void mq_udp_take_datagram(mq_tunnel *tunnel, const uint8_t *bytes, size_t length);
/* The client's direction ended, in TUNNEL's client_finished. */
void mq_udp_client_finished(mq_tunnel *tunnel);
/* Answered, with a target. */
void mq_udp_opened(mq_tunnel *tunnel);
/* What the stream's client is owed, which it is to be credited now. */
size_t mq_udp_take_owed(mq_udp *udp);

#endif
