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

/* How long a token takes to come back. RATE > 0. */
static inline masque_time mq_bucket_cost(uint64_t rate) {
    return MASQUE_SECOND / rate ? MASQUE_SECOND / rate : 1;
}

/* Takes one token; false when there is none. RATE > 0, BURST > 0. */
static inline bool mq_bucket_take(mq_bucket *bucket, masque_time now, uint64_t rate, uint64_t burst) {
    masque_time cost = mq_bucket_cost(rate);
    masque_time base = bucket->full_at > now ? bucket->full_at : now;
    /* Taking one more makes it full COST later; a bucket of BURST may lag that many costs. */
    if (base - now + cost > cost * burst) {
        return false;
    }
    bucket->full_at = base + cost;
    return true;
}

/* True while more than PERCENT of its tokens are out. */
static inline bool mq_bucket_is_past(const mq_bucket *bucket, masque_time now, uint64_t rate, uint64_t burst,
                                     unsigned percent) {
    return bucket->full_at > now && bucket->full_at - now > mq_bucket_cost(rate) * burst / 100 * percent;
}

#endif
