/*
 * transport/quic_ngtcp2.h: between our types and ngtcp2's, for transport/quic*.c only.
 */
#ifndef MQ_TRANSPORT_QUIC_NGTCP2_H
#define MQ_TRANSPORT_QUIC_NGTCP2_H

#include "crypto/wolfssl.h"

#include <ngtcp2/ngtcp2.h>

#include "transport/connection_id.h"

/* An address as ngtcp2 wants it, with room for either family. */
typedef union mq_sockaddr {
    ngtcp2_sockaddr any;
    ngtcp2_sockaddr_in ipv4;
    ngtcp2_sockaddr_in6 ipv6;
} mq_sockaddr;

/* Returns its length. */
ngtcp2_socklen mq_sockaddr_of(mq_sockaddr *to, const masque_address *address);
masque_address mq_address_of(const ngtcp2_addr *from);

/* A path with the memory that it needs. */
typedef struct mq_quic_path {
    mq_sockaddr local;
    mq_sockaddr remote;
    ngtcp2_path path;
} mq_quic_path;

void mq_quic_path_init(mq_quic_path *path, const masque_packets *packets);

static inline ngtcp2_cid mq_ngtcp2_cid(const mq_cid *cid) {
    ngtcp2_cid to;
    ngtcp2_cid_init(&to, cid->bytes, cid->length);
    return to;
}

mq_cid mq_cid_of(const ngtcp2_cid *cid);

/* The versions that we speak, the preferred one first. */
extern const uint32_t MQ_QUIC_VERSIONS[2];

#endif
