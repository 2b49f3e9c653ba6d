#include "base/slots.h"

#include <assert.h>

static uint64_t handle_of(uint32_t index, uint32_t generation) {
    return (uint64_t)generation << 32 | index;
}

void mq_slots_init(mq_slots *slots, const masque_allocator *allocator) {
    *slots = (mq_slots){.allocator = allocator, .first_free = MQ_SLOT_NONE};
}

void mq_slots_free(mq_slots *slots) {
    assert(slots->live == 0);
    mq_free(slots->allocator, slots->slots);
    *slots = (mq_slots){.allocator = slots->allocator, .first_free = MQ_SLOT_NONE};
}

uint64_t mq_slots_add(mq_slots *slots, void *object) {
    assert(object);
    uint32_t index = slots->first_free;
    if (index != MQ_SLOT_NONE) {
        slots->first_free = slots->slots[index].next_free;
    } else {
        if (slots->used == MQ_SLOT_NONE - 1) {
            return 0;
        }
        mq_slot *grown = mq_grow(slots->allocator, slots->slots, &slots->capacity, slots->used + 1u, sizeof *grown);
        if (!grown) {
            return 0;
        }
        slots->slots = grown;
        index = slots->used++;
        grown[index].generation = 1;
    }
    slots->slots[index].object = object;
    slots->live++;
    return handle_of(index, slots->slots[index].generation);
}

void *mq_slots_find(const mq_slots *slots, uint64_t handle) {
    uint32_t index = (uint32_t)handle;
    if (index >= slots->used || slots->slots[index].generation != (uint32_t)(handle >> 32)) {
        return NULL;
    }
    return slots->slots[index].object;
}

void mq_slots_remove(mq_slots *slots, uint64_t handle) {
    uint32_t index = (uint32_t)handle;
    assert(mq_slots_find(slots, handle));
    mq_slot *slot = &slots->slots[index];
    slot->object = NULL;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = slots->first_free;
    slots->first_free = index;
    slots->live--;
}
