#include "auth/quota_counts.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bucket.h"
#include "base/list.h"
#include "crypto/lock.h"

#define HOUR ((masque_time)3600 * MASQUE_SECOND)
#define NOWHERE UINT32_MAX

typedef struct usage {
    uint8_t key[MQ_QUOTA_KEY_LENGTH];
    uint32_t next;  /* in its chain */
    mq_link unused; /* in the table's, while it has no tunnel; in none before it is first used */
    bool known;
    uint64_t tunnels;
    mq_bucket rate;
    uint64_t bytes_per_hour; /* as it was told last */
    uint64_t bytes;          /* used, as of: */
    masque_time bytes_at;
} usage;

struct mq_quota_counts {
    masque_allocator allocator;
    atomic_uint users;
    mq_lock *lock;
    uint32_t most;
    uint32_t *chains; /* `most` of them */
    usage *places;
    mq_link unused; /* the longest unused first */
};

/* --- life --------------------------------------------------------------------------------------------------------- */

mq_quota_counts *mq_quota_counts_new(const masque_allocator *allocator, size_t most) {
    mq_quota_counts *counts = mq_zalloc(allocator, sizeof *counts);
    if (!counts) {
        return NULL;
    }
    counts->allocator = *allocator;
    counts->most = (uint32_t)most;
    atomic_init(&counts->users, 1);
    mq_link_init(&counts->unused);
    counts->lock = mq_lock_new(allocator);
    counts->chains = mq_alloc(allocator, most * sizeof *counts->chains);
    counts->places = mq_zalloc(allocator, most * sizeof *counts->places);
    if (!counts->lock || !counts->chains || !counts->places) {
        mq_quota_counts_release(counts);
        return NULL;
    }
    memset(counts->chains, 0xff, most * sizeof *counts->chains);
    for (size_t i = 0; i < most; i++) {
        mq_link_init(&counts->places[i].unused);
        mq_list_append(&counts->unused, &counts->places[i].unused);
    }
    return counts;
}

mq_quota_counts *mq_quota_counts_retain(mq_quota_counts *counts) {
    atomic_fetch_add_explicit(&counts->users, 1, memory_order_relaxed);
    return counts;
}

void mq_quota_counts_release(mq_quota_counts *counts) {
    if (!counts || atomic_fetch_sub_explicit(&counts->users, 1, memory_order_acq_rel) > 1) {
        return;
    }
    const masque_allocator allocator = counts->allocator;
    mq_lock_del(counts->lock, &allocator);
    mq_free(&allocator, counts->chains);
    mq_free(&allocator, counts->places);
    mq_free(&allocator, counts);
}

/* --- places; all under the lock ----------------------------------------------------------------------------------- */

/* Keys are hashes: any part of one is as good as another. */
static uint32_t *chain_of(mq_quota_counts *counts, const uint8_t *key) {
    uint32_t part;
    memcpy(&part, key, sizeof part);
    return &counts->chains[part % counts->most];
}

static uint32_t find(mq_quota_counts *counts, const uint8_t *key) {
    uint32_t at = *chain_of(counts, key);
    while (at != NOWHERE && memcmp(counts->places[at].key, key, MQ_QUOTA_KEY_LENGTH) != 0) {
        at = counts->places[at].next;
    }
    return at;
}

static void unchain(mq_quota_counts *counts, uint32_t place) {
    uint32_t *at = chain_of(counts, counts->places[place].key);
    while (*at != place) {
        at = &counts->places[*at].next;
    }
    *at = counts->places[place].next;
}

/* In the place of the longest unused one. */
static uint32_t add(mq_quota_counts *counts, const uint8_t *key, masque_time now) {
    if (mq_link_alone(&counts->unused)) {
        return NOWHERE;
    }
    usage *one = MQ_MEMBER(counts->unused.next, usage, unused);
    uint32_t place = (uint32_t)(one - counts->places);
    if (one->known) {
        unchain(counts, place);
    }
    uint32_t *chain = chain_of(counts, key);
    mq_link_remove(&one->unused);
    *one = (usage){.next = *chain, .known = true, .bytes_at = now};
    memcpy(one->key, key, sizeof one->key);
    mq_link_init(&one->unused);
    mq_list_append(&counts->unused, &one->unused);
    *chain = place;
    return place;
}

/* --- use ---------------------------------------------------------------------------------------------------------- */

/* What was used comes back evenly in an hour. */
static void recover(usage *one, masque_time now) {
    masque_time passed = now > one->bytes_at ? now - one->bytes_at : 0;
    double rate = (double)one->bytes_per_hour / (double)HOUR;
    double back = (double)passed * rate;
    if (back >= (double)one->bytes) {
        one->bytes = 0;
        one->bytes_at = now;
    } else if (back >= 1) {
        /* The time of whole bytes alone, or many small steps would lose what is between. */
        one->bytes -= (uint64_t)back;
        one->bytes_at += (masque_time)((double)(uint64_t)back / rate);
    }
}

static bool has_bytes(usage *one, masque_time now) {
    recover(one, now);
    return one->bytes_per_hour == 0 || one->bytes < one->bytes_per_hour;
}

static bool may_enter(usage *one, const masque_quota *quota, masque_time now) {
    one->bytes_per_hour = quota->bytes_per_hour;
    if ((quota->tunnels_max && one->tunnels >= quota->tunnels_max) || !has_bytes(one, now)) {
        return false;
    }
    return !quota->tunnels_rate || mq_bucket_take(&one->rate, now, quota->tunnels_rate, quota->tunnels_rate);
}

int64_t mq_quota_enter(mq_quota_counts *counts, const uint8_t key[MQ_QUOTA_KEY_LENGTH], const masque_quota *quota,
                       masque_time now) {
    int64_t entered = -1;
    mq_lock_take(counts->lock);
    uint32_t place = find(counts, key);
    place = place == NOWHERE ? add(counts, key, now) : place;
    if (place != NOWHERE && counts->places[place].tunnels == 0) {
        /* Also who is refused again and again is used lately, or would be forgotten, and free. */
        mq_link_remove(&counts->places[place].unused);
        mq_list_append(&counts->unused, &counts->places[place].unused);
    }
    if (place != NOWHERE && may_enter(&counts->places[place], quota, now)) {
        counts->places[place].tunnels++;
        mq_link_remove(&counts->places[place].unused);
        entered = place;
    }
    mq_lock_give(counts->lock);
    return entered;
}

bool mq_quota_use(mq_quota_counts *counts, int64_t place, uint64_t bytes, masque_time now) {
    usage *one = &counts->places[place];
    mq_lock_take(counts->lock);
    recover(one, now);
    one->bytes += one->bytes_per_hour ? bytes : 0;
    bool left = has_bytes(one, now);
    mq_lock_give(counts->lock);
    return left;
}

void mq_quota_leave(mq_quota_counts *counts, int64_t place) {
    usage *one = &counts->places[place];
    mq_lock_take(counts->lock);
    assert(one->tunnels > 0);
    if (--one->tunnels == 0) {
        mq_list_append(&counts->unused, &one->unused);
    }
    mq_lock_give(counts->lock);
}
