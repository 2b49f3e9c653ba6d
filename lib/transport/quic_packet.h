/*
 * transport/quic_packet.h: QUIC packets that belong to no connection yet, or no more: the
 * first ones of clients, and the answers that need no state: Version Negotiation (RFC 9000
 * 6), Retry (8.1.2), a refusal, Stateless Reset (10.3). None is ever longer than what it
 * answers, so nothing is amplified.
 */
#ifndef MQ_TRANSPORT_QUIC_PACKET_H
#define MQ_TRANSPORT_QUIC_PACKET_H

#include "transport/quic_token.h"

/* RFC 9000 14.1: a client's first datagrams have at least so many bytes. */
#define MQ_INITIAL_MIN 1200u

typedef enum mq_packet_kind {
    MQ_PACKET_SHORT,       /* of a connection */
    MQ_PACKET_LONG,        /* of a connection, or its first */
    MQ_PACKET_VERSION,     /* of a version that we don't have */
    MQ_PACKET_NEGOTIATION, /* a server's answer to such a one */
    MQ_PACKET_BAD
} mq_packet_kind;

/* What is readable of any packet (RFC 8999). The pointers are into it. */
typedef struct mq_packet_head {
    mq_packet_kind kind;
    uint32_t version;
    const uint8_t *dcid;
    size_t dcid_length;
    const uint8_t *scid;
    size_t scid_length;
} mq_packet_head;

mq_packet_head mq_packet_read(const uint8_t *bytes, size_t length);

typedef enum mq_token_state {
    MQ_TOKEN_NONE,
    MQ_TOKEN_RETRY,   /* made for this address, port and connection ID: validated */
    MQ_TOKEN_ADDRESS, /* a former connection's, for this address: validated */
    MQ_TOKEN_BAD_RETRY,
} mq_token_state;

/* A client's first packet. */
typedef struct mq_quic_initial {
    uint32_t version;
    mq_cid dcid; /* as the client chose, or from our Retry */
    mq_cid scid;
    mq_cid original_dcid; /* before a Retry; else as dcid */
    mq_token_state token_state;
    const uint8_t *token; /* into the packet */
    size_t token_length;
} mq_quic_initial;

/* Does the client receive at its address? */
static inline bool mq_initial_is_validated(const mq_quic_initial *initial) {
    return initial->token_state == MQ_TOKEN_RETRY || initial->token_state == MQ_TOKEN_ADDRESS;
}

/* False: it is no first packet of a client. FROM gives the address that tokens are for. */
bool mq_quic_read_initial(mq_quic_initial *initial, const mq_quic_keys *keys, const masque_address *from,
                          const uint8_t *bytes, size_t length, masque_time now);

/* Each writes one packet into MEMORY, of at least MQ_INITIAL_MIN bytes, and returns its
   length, or 0. */
size_t mq_write_version_negotiation(uint8_t *memory, const mq_packet_head *head, const masque_runtime *runtime);
/* SCID is a new one of ours. */
size_t mq_write_retry(uint8_t *memory, const mq_quic_initial *initial, const mq_cid *scid, const mq_quic_keys *keys,
                      const masque_runtime *runtime, const masque_address *to, masque_time now);
/* CONNECTION_CLOSE with a transport error CODE. */
size_t mq_write_refusal(uint8_t *memory, const mq_quic_initial *initial, const masque_runtime *runtime, uint64_t code);
/* An answer to a packet of LENGTH bytes for DCID; 0: that is too short to be answered. */
size_t mq_write_stateless_reset(uint8_t *memory, const mq_cid *dcid, const mq_quic_keys *keys,
                                const masque_runtime *runtime, size_t length);

/* 16 bytes for the holder of CID. 0 or MASQUE_ERR_CRYPTO. */
#define MQ_RESET_TOKEN_LENGTH 16
int mq_reset_token(uint8_t token[MQ_RESET_TOKEN_LENGTH], const mq_cid *cid, const mq_quic_keys *keys);

#endif
