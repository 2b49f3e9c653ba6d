#include "handover.h"

#include <stdlib.h>
#include <string.h>

bool handover_init(mqd_handover *handover) {
    memset(handover, 0, sizeof *handover);
    return uv_mutex_init(&handover->lock) == 0;
}

void handover_free(mqd_handover *handover) {
    free(handover->batches[0].bytes);
    free(handover->batches[1].bytes);
    uv_mutex_destroy(&handover->lock);
}

void handover_attach(mqd_handover *handover, uv_async_t *wake) {
    uv_mutex_lock(&handover->lock);
    handover->wake = wake;
    uv_mutex_unlock(&handover->lock);
}

static void add(handover_batch *batch, const masque_packets *packets) {
    if (!batch->bytes) {
        batch->bytes = malloc(HANDOVER_BYTES_MAX);
    }
    bool fits =
        batch->bytes && batch->count < HANDOVER_PACKETS_MAX && batch->used + packets->length <= HANDOVER_BYTES_MAX;
    if (!fits) {
        return;
    }
    masque_packets *copy = &batch->packets[batch->count++];
    *copy = *packets;
    copy->bytes = batch->bytes + batch->used;
    memcpy(copy->bytes, packets->bytes, packets->length);
    batch->used += packets->length;
}

void handover_give(mqd_handover *handover, const masque_packets *packets) {
    uv_mutex_lock(&handover->lock);
    if (handover->wake) {
        handover_batch *batch = &handover->batches[handover->filling];
        add(batch, packets);
        /* Under the lock, or the worker might have gone. */
        if (batch->count == 1) {
            uv_async_send(handover->wake);
        }
    }
    uv_mutex_unlock(&handover->lock);
}

const handover_batch *handover_take(mqd_handover *handover) {
    uv_mutex_lock(&handover->lock);
    handover_batch *taken = &handover->batches[handover->filling];
    handover->filling = !handover->filling;
    handover_batch *next = &handover->batches[handover->filling];
    next->count = next->used = 0;
    uv_mutex_unlock(&handover->lock);
    return taken;
}
