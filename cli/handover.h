/*
 * handover.h: QUIC packets that came to another worker's socket than their connection's: the system
 * chooses a socket by addresses, which a NAT may change. Any worker gives them, the right
 * one takes them. Bounded; what finds no room is lost, as on the way.
 */
#ifndef CLI_HANDOVER_H
#define CLI_HANDOVER_H

#include <masqueproxy/masqueproxy.h>
#include <uv.h>

#define HANDOVER_PACKETS_MAX 256
#define HANDOVER_BYTES_MAX 1048576u

/* What is under way to one worker. */
typedef struct handover_batch {
    masque_packets packets[HANDOVER_PACKETS_MAX]; /* their bytes are in `bytes` */
    size_t count;
    uint8_t *bytes; /* allocated with the first packet */
    size_t used;
} handover_batch;

typedef struct mqd_handover {
    uv_mutex_t lock;
    uv_async_t *wake; /* NULL before the worker runs, and after */
    handover_batch batches[2];
    unsigned filling; /* the batch that is given to; the other one is the worker's */
} mqd_handover;

bool handover_init(mqd_handover *handover);
void handover_free(mqd_handover *handover);

/* Who is woken; NULL: nobody is there any more. */
void handover_attach(mqd_handover *handover, uv_async_t *wake);

/* Copies PACKETS. Any thread. */
void handover_give(mqd_handover *handover, const masque_packets *packets);

/* What was given since the last call; its worker's until the next one. */
const handover_batch *handover_take(mqd_handover *handover);

#endif
