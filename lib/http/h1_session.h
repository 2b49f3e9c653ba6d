/*
 * http/h1_session.h: the inside of an HTTP/1.1 session, for h1.c (session.h, and the server's
 * heads) and h1_client.c (a client's).
 */
#ifndef MQ_HTTP_H1_SESSION_H
#define MQ_HTTP_H1_SESSION_H

#include "http/h1_parser.h"
#include "http/session.h"

typedef enum mq_h1_state {
    MQ_H1_HEAD,    /* the request's head comes; as a client: none was made yet */
    MQ_H1_WAITING, /* for our answer; as a client: for the proxy's */
    MQ_H1_TUNNEL,
    MQ_H1_DONE
} mq_h1_state;

typedef struct mq_h1_session {
    mq_session base;
    bool is_client;
    mq_h1_state state;
    mq_stream *stream; /* from the request to its end */
    bool wants_udp;    /* a client asked for CONNECT-UDP */
    char *head;        /* while it is incomplete */
    size_t head_length;
    size_t head_capacity;
    size_t head_scanned;
    bool empty_line_skipped; /* or was none */
    char *said;              /* our head, to be written, alone */
    size_t said_length;
    size_t untaken; /* tunnel bytes delivered, not yet credited */
    bool client_finished;
} mq_h1_session;

/* --- h1.c */
/* Both directions ended: the owner may forget the stream. */
void mq_h1_let_go(mq_h1_session *h1, bool reset);
/* Bytes of the tunnel for the owner. */
int mq_h1_deliver(mq_h1_session *h1, mq_block *block, uint32_t start, uint32_t end);
/* Adds to the head, up to what limits allow. 0 or MASQUE_ERR_NO_MEMORY. */
int mq_h1_gather(mq_h1_session *h1, const mq_block *block, uint32_t start, uint32_t end);
/* Wipes and frees it. */
void mq_h1_drop_head(mq_h1_session *h1);

/* --- h1_client.c */
int mq_h1_request(mq_session *session, mq_stream *stream, const mq_call *call);
int mq_h1_take_answer(mq_h1_session *h1, mq_block *block, uint32_t start, uint32_t end);

#endif
