/*
 * base/slots.h: 64-bit handles with generations.
 *
 * A handle is a slot's number in its low half and the slot's generation, never
 * 0, in its high half. Freeing a slot moves the generation on, so an old handle
 * finds nothing. A slot is used again only after 2^32-1 generations with the
 * same handle. Used for connections, tunnels and attempts; owns only its table.
 */
#ifndef MQ_BASE_SLOTS_H
#define MQ_BASE_SLOTS_H

#include "base/memory.h"

typedef struct mq_slot {
    void *object; /* NULL: free */
    uint32_t generation;
    uint32_t next_free;
} mq_slot;

typedef struct mq_slots {
    const masque_allocator *allocator;
    mq_slot *slots;
    size_t capacity;
    uint32_t used;       /* slots ever handed out, <= capacity */
    uint32_t live;       /* objects in the table, <= used */
    uint32_t first_free; /* MQ_SLOT_NONE: none */
} mq_slots;

#define MQ_SLOT_NONE UINT32_MAX

void mq_slots_init(mq_slots *slots, const masque_allocator *allocator);
void mq_slots_free(mq_slots *slots);

/* Returns OBJECT's new handle, or 0 without memory. */
uint64_t mq_slots_add(mq_slots *slots, void *object);

/* The object, or NULL for a handle that names none. */
void *mq_slots_find(const mq_slots *slots, uint64_t handle);

/* HANDLE must name an object. */
void mq_slots_remove(mq_slots *slots, uint64_t handle);

/* For visiting all: the object in slot INDEX < slots->used, or NULL. */
static inline void *mq_slots_at(const mq_slots *slots, uint32_t index) {
    return slots->slots[index].object;
}

#endif
