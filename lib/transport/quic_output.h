/*
 * transport/quic_output.h: packets that wait to be sent, of all connections of an engine:
 * one piece of memory, filled from its beginning, and the bursts in it. A burst is what
 * one sendmsg() with UDP_SEGMENT takes.
 */
#ifndef MQ_TRANSPORT_QUIC_OUTPUT_H
#define MQ_TRANSPORT_QUIC_OUTPUT_H

#include <masqueproxy/quic.h>

/* The most a burst may hold: the largest UDP datagram, and what the kernel takes at once. */
#define MQ_BURST_BYTES 65000u
#define MQ_BURST_SEGMENTS 60u
#define MQ_OUTPUT_BURSTS 64u
#define MQ_OUTPUT_BYTES 262144u
/* A packet is never larger: Ethernet's 1500 bytes without IPv6 and UDP headers. */
#define MQ_PACKET_MAX 1452u

typedef struct mq_quic_packets {
    uint8_t *memory; /* MQ_OUTPUT_BYTES */
    size_t used;
    size_t first; /* the first burst that wasn't sent */
    size_t count;
    masque_packets bursts[MQ_OUTPUT_BURSTS];
    size_t segments; /* in the last burst */
    bool sealed;     /* nothing is added to the last burst */
} mq_quic_packets;

/* Memory for one packet of up to MQ_PACKET_MAX bytes, or NULL: first send some. */
uint8_t *mq_quic_packets_room(mq_quic_packets *output);
/* A packet of LENGTH bytes was written there, for the path and ECN of TO. */
void mq_quic_packets_add(mq_quic_packets *output, const masque_packets *to, size_t length);
/* What follows is another connection's. */
static inline void mq_quic_packets_seal(mq_quic_packets *output) {
    output->sealed = true;
}
/* The first COUNT bursts are gone. */
void mq_quic_packets_sent(mq_quic_packets *output, size_t count);

static inline size_t mq_quic_packets_waiting(const mq_quic_packets *output) {
    return output->count - output->first;
}

#endif
