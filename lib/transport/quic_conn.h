/*
 * transport/quic_conn.h: the inside of a QUIC connection, for quic.c (its life), quic_server.c and
 * quic_client.c (its beginning), quic_tls.c (its keys), quic_events.c (what ngtcp2 reports) and quic_write.c (packets).
 */
#ifndef MQ_TRANSPORT_QUIC_CONN_H
#define MQ_TRANSPORT_QUIC_CONN_H

#include "transport/quic.h"
#include "transport/quic_ngtcp2.h"

/* Where in a handshake message of TLS (RFC 8446 4) the bytes of 1-RTT CRYPTO frames are. */
typedef struct mq_message_reader {
    uint8_t head[4]; /* type and length, as far as they came */
    unsigned head_length;
    uint32_t left; /* of the message */
} mq_message_reader;

struct mq_quic {
    ngtcp2_mem memory; /* ngtcp2 keeps a pointer to it */
    ngtcp2_conn *ng;
    WOLFSSL *ssl; /* a server's is gone when the handshake is done */
    mq_quic_setup setup;
    const mq_quic_streams *streams; /* NULL before mq_quic_attach() */
    void *owner;                    /* of them */
    mq_quic_state state;
    int error;
    bool is_client;
    bool resumed;
    mq_peer *peer;      /* a server's, by its certificate, until it is taken */
    ngtcp2_ccerr close; /* what CONNECTION_CLOSE says */
    bool close_chosen;  /* `close` is set */
    bool close_due;
    bool datagrams_first; /* in the next packet: they and streams take turns */
    bool streams_silent;  /* when last asked during this output */
    mq_message_reader messages;
    masque_time opened_at; /* of a handshake that is done */
    size_t cid_count;      /* entries of ours in the table */
    mq_cid client_dcid;    /* as of the first packet; in the table until the handshake is done */
    uint8_t *goodbye;      /* the packet with CONNECTION_CLOSE */
    size_t goodbye_length;
    masque_packets goodbye_to;
    uint64_t closing_packets;
    uint64_t closing_answer_at;
    masque_time now;
};

/* --- quic_events.c: what both sides have */
void mq_quic_callbacks(ngtcp2_callbacks *callbacks);

/* --- quic.c */
/* One without ngtcp2's and wolfSSL's parts, or NULL without memory. */
mq_quic *mq_quic_alloc(const mq_quic_setup *setup, masque_time now);
ngtcp2_settings mq_quic_settings(const mq_quic_setup *setup, masque_time now);
ngtcp2_transport_params mq_quic_params(const mq_quic_setup *setup);
/* Entries of the endpoint's table. 0, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_STATE. */
int mq_quic_add_cid(mq_quic *quic, const mq_cid *cid);
void mq_quic_remove_cid(mq_quic *quic, const mq_cid *cid);
/* It will end with a TLS alert. */
void mq_quic_choose_alert(mq_quic *quic, uint8_t alert);
/* ngtcp2 can't go on, because of CODE: the connection closes or is over. */
void mq_quic_fail(mq_quic *quic, int code);
/* It is over for ERROR, and nothing more is said. */
void mq_quic_drop(mq_quic *quic, int error);

#endif
