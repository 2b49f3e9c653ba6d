/*
 * base/timers.h: deadlines in order, as a heap of members that carry their own
 * place in it. Arming, moving and disarming cost O(log n); the earliest O(1).
 *
 * Busy objects don't touch the heap: they note when something happened, and
 * when the timer fires they compare and arm it again for the rest.
 */
#ifndef MQ_BASE_TIMERS_H
#define MQ_BASE_TIMERS_H

#include "base/list.h"
#include "base/memory.h"

typedef struct mq_timer {
    masque_time due;
    size_t place;  /* in the heap, from 1; 0: not armed, or about to fire */
    mq_link about; /* in mq_timers_run(): in the list of those that are due */
    void (*fire)(struct mq_timer *timer, masque_time now);
} mq_timer;

typedef struct mq_timers {
    const masque_allocator *allocator;
    mq_timer **heap; /* heap[1..count] */
    size_t capacity;
    size_t count;
    size_t reserved; /* timers that exist, armed or not */
} mq_timers;

void mq_timers_init(mq_timers *timers, const masque_allocator *allocator);
void mq_timers_free(mq_timers *timers);

/* Makes a timer that can always be armed: its room is allocated here. Returns 0
   or MASQUE_ERR_NO_MEMORY. */
int mq_timer_init(mq_timers *timers, mq_timer *timer, void (*fire)(mq_timer *timer, masque_time now));
/* Disarms it and gives its room back. Fine for one that was never initialised but is all zero. */
void mq_timer_free(mq_timers *timers, mq_timer *timer);

/* Arms or moves it; MASQUE_NEVER disarms. */
void mq_timer_set(mq_timers *timers, mq_timer *timer, masque_time due);

/* The earliest deadline or MASQUE_NEVER. */
masque_time mq_timers_next(const mq_timers *timers);

/* Fires, disarmed, every timer due at NOW; one that arms itself again for a time
   not after NOW fires in the next call, so this ends. */
void mq_timers_run(mq_timers *timers, masque_time now);

#endif
