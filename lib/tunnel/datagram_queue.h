/*
 * tunnel/datagram_queue.h: the datagrams of a UDP tunnel that wait, in either direction. An
 * mq_queue of DATAGRAM capsules as wire/capsule.h writes them, each in one piece: to a session
 * it is a stream of bytes like any tunnel's, to QUIC's datagrams and to a target's socket a list
 * of payloads.
 *
 * Blocks and rings come from the pool, so that a burst allocates nothing.
 */
#ifndef MQ_TUNNEL_DATAGRAM_QUEUE_H
#define MQ_TUNNEL_DATAGRAM_QUEUE_H

#include "base/block.h"
#include "wire/capsule.h"

/* A longer one, which only a path of jumbo frames would carry, is dropped. */
#define MQ_DATAGRAM_PAYLOAD_MAX (MQ_BLOCK_PAYLOAD - MQ_CAPSULE_HEAD_MAX)

/* What a datagram of LENGTH bytes takes in a queue. */
static inline size_t mq_datagram_size(size_t length) {
    return mq_capsule_head_length(length) + length;
}

/* Appends a copy of LENGTH <= MQ_DATAGRAM_PAYLOAD_MAX bytes. 0 or MASQUE_ERR_NO_MEMORY. */
int mq_datagrams_add(mq_queue *queue, mq_pool *pool, const uint8_t *payload, size_t length);

/* Drops the first, of a queue that has one; returns what it took. */
size_t mq_datagrams_drop(mq_queue *queue, mq_pool *pool);

/* Fills at most COUNT payloads from the front; returns how many. */
size_t mq_datagrams_list(const mq_queue *queue, masque_iovec *payloads, size_t count);

#endif
