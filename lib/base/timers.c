#include "base/timers.h"

#include <assert.h>

static void place(mq_timers *timers, mq_timer *timer, size_t at) {
    timers->heap[at] = timer;
    timer->place = at;
}

static void sift_up(mq_timers *timers, mq_timer *timer, size_t at) {
    while (at > 1 && timers->heap[at / 2]->due > timer->due) {
        place(timers, timers->heap[at / 2], at);
        at /= 2;
    }
    place(timers, timer, at);
}

static void sift_down(mq_timers *timers, mq_timer *timer, size_t at) {
    for (;;) {
        size_t child = at * 2;
        if (child > timers->count) {
            break;
        }
        if (child < timers->count && timers->heap[child + 1]->due < timers->heap[child]->due) {
            child++;
        }
        if (timers->heap[child]->due >= timer->due) {
            break;
        }
        place(timers, timers->heap[child], at);
        at = child;
    }
    place(timers, timer, at);
}

static void disarm(mq_timers *timers, mq_timer *timer) {
    mq_link_remove(&timer->about);
    if (!timer->place) {
        return;
    }
    size_t hole = timer->place;
    mq_timer *last = timers->heap[timers->count--];
    timer->place = 0;
    if (last == timer) {
        return;
    }
    if (hole > 1 && timers->heap[hole / 2]->due > last->due) {
        sift_up(timers, last, hole);
    } else {
        sift_down(timers, last, hole);
    }
}

void mq_timers_init(mq_timers *timers, const masque_allocator *allocator) {
    *timers = (mq_timers){.allocator = allocator};
}

void mq_timers_free(mq_timers *timers) {
    assert(timers->reserved == 0 && timers->count == 0);
    mq_free(timers->allocator, timers->heap);
    *timers = (mq_timers){.allocator = timers->allocator};
}

int mq_timer_init(mq_timers *timers, mq_timer *timer, void (*fire)(mq_timer *timer, masque_time now)) {
    mq_timer **heap =
        mq_grow(timers->allocator, timers->heap, &timers->capacity, timers->reserved + 2, sizeof(mq_timer *));
    if (!heap) {
        return MASQUE_ERR_NO_MEMORY;
    }
    timers->heap = heap;
    timers->reserved++;
    *timer = (mq_timer){.due = MASQUE_NEVER, .fire = fire};
    mq_link_init(&timer->about);
    return 0;
}

void mq_timer_free(mq_timers *timers, mq_timer *timer) {
    if (!timer->fire) {
        return;
    }
    disarm(timers, timer);
    timers->reserved--;
    timer->fire = NULL;
}

void mq_timer_set(mq_timers *timers, mq_timer *timer, masque_time due) {
    assert(timer->fire);
    if (timer->place && timer->due == due) {
        return;
    }
    disarm(timers, timer);
    timer->due = due;
    if (due != MASQUE_NEVER) {
        assert(timers->count < timers->reserved);
        sift_up(timers, timer, ++timers->count);
    }
}

masque_time mq_timers_next(const mq_timers *timers) {
    return timers->count ? timers->heap[1]->due : MASQUE_NEVER;
}

void mq_timers_run(mq_timers *timers, masque_time now) {
    mq_link due;
    mq_link_init(&due);
    while (timers->count && timers->heap[1]->due <= now) {
        mq_timer *timer = timers->heap[1];
        disarm(timers, timer);
        mq_list_append(&due, &timer->about);
    }
    /* One that fires may disarm or free another, and what arms itself again waits in the heap. */
    while (!mq_link_alone(&due)) {
        mq_timer *timer = MQ_MEMBER(due.next, mq_timer, about);
        mq_link_remove(&timer->about);
        timer->fire(timer, now);
    }
}
