/*
 * http/h3.h: HTTP/3 (RFC 9114) behind session.h, on nghttp3 and a QUIC connection.
 *
 * Unlike the others it isn't fed by the engine: QUIC's streams report to it, and ask it for
 * what is to be sent. The engine only lets the connection write whenever something happened.
 * What a stream has sent stays in memory until the client acknowledged it.
 */
#ifndef MQ_HTTP_H3_H
#define MQ_HTTP_H3_H

#include "http/session.h"
#include "transport/quic.h"

/* RFC 9114 8.1: the code of an end in order. */
#define MQ_H3_NO_ERROR 0x100u
#define MQ_H3_DATAGRAM_ERROR 0x33u /* RFC 9297 5.2 */

/* RFC 9114 8: a code that nobody knows is as good as H3_NO_ERROR. */
bool mq_h3_is_error(uint64_t code);

/* Takes over QUIC's streams, whose 1-RTT keys must be there. NULL without memory. QUIC
   must outlive it. */
mq_session *mq_h3_new(const mq_session_setup *setup, mq_quic *quic);
/* The same as the client of a proxy. */
mq_session *mq_h3_client_new(const mq_session_setup *setup, mq_quic *quic);

#endif
