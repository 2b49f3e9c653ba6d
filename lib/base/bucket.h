/*
 * base/bucket.h: a token bucket in the host's time. BURST at once, RATE a second
 * after that. Starts full. Eight bytes of state beside a moment.
 */
#ifndef MQ_BASE_BUCKET_H
#define MQ_BASE_BUCKET_H

#include <masqueproxy/base.h>

typedef struct mq_bucket {
    masque_time full_at; /* when it will be (or was) full */
} mq_bucket;

/* Takes one token; false when there is none. RATE > 0, BURST > 0. */
static inline bool mq_bucket_take(mq_bucket *bucket, masque_time now, uint64_t rate, uint64_t burst) {
    masque_time cost = MASQUE_SECOND / rate ? MASQUE_SECOND / rate : 1;
    masque_time base = bucket->full_at > now ? bucket->full_at : now;
    /* Taking one more makes it full COST later; a bucket of BURST may lag that many costs. */
    if (base - now + cost > cost * burst) {
        return false;
    }
    bucket->full_at = base + cost;
    return true;
}

#endif
