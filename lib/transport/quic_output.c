#include "transport/quic_output.h"

#include <assert.h>

uint8_t *mq_quic_packets_room(mq_quic_packets *output) {
    bool full = output->used + MQ_PACKET_MAX > MQ_OUTPUT_BYTES || output->count == MQ_OUTPUT_BURSTS;
    return full ? NULL : output->memory + output->used;
}

static bool same_way(const masque_packets *a, const masque_packets *b) {
    return a->socket == b->socket && a->ecn == b->ecn && a->remote.port == b->remote.port &&
           a->local.port == b->local.port && masque_address_same_ip(&a->remote, &b->remote) &&
           masque_address_same_ip(&a->local, &b->local);
}

/* May LENGTH bytes more be the last segment of BURST? */
static bool joins(const mq_quic_packets *output, const masque_packets *burst, const masque_packets *to, size_t length) {
    return !output->sealed && length <= burst->segment && burst->length + length <= MQ_BURST_BYTES &&
           output->segments < MQ_BURST_SEGMENTS && same_way(burst, to);
}

void mq_quic_packets_add(mq_quic_packets *output, const masque_packets *to, size_t length) {
    masque_packets *last = output->count > output->first ? &output->bursts[output->count - 1] : NULL;
    assert(length > 0 && output->used + length <= MQ_OUTPUT_BYTES);
    if (last && joins(output, last, to, length)) {
        last->length += length;
        output->segments++;
        output->sealed = length < last->segment;
    } else {
        assert(output->count < MQ_OUTPUT_BURSTS);
        masque_packets *burst = &output->bursts[output->count++];
        *burst = *to;
        burst->bytes = output->memory + output->used;
        burst->length = burst->segment = length;
        output->segments = 1;
        output->sealed = false;
    }
    output->used += length;
}

void mq_quic_packets_sent(mq_quic_packets *output, size_t count) {
    assert(count <= mq_quic_packets_waiting(output));
    output->first += count;
    if (output->first == output->count) {
        output->first = output->count = output->used = 0;
        output->sealed = true;
    }
}
