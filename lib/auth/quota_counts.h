/*
 * auth/quota_counts.h: what identities use of their quotas. One table for all engines of a configuration and those that
 * follow it, behind a lock; all memory is taken when it is made. Any thread.
 */
#ifndef MQ_AUTH_QUOTA_COUNTS_H
#define MQ_AUTH_QUOTA_COUNTS_H

#include "auth/quotas.h"

typedef struct mq_quota_counts mq_quota_counts;

/* For MOST identities at a time; one without a tunnel makes room, the longest unused. NULL without memory. */
mq_quota_counts *mq_quota_counts_new(const masque_allocator *allocator, size_t most);
mq_quota_counts *mq_quota_counts_retain(mq_quota_counts *counts);
/* COUNTS may be NULL. */
void mq_quota_counts_release(mq_quota_counts *counts);

/* One tunnel more of KEY: its place in the table, which stays so until mq_quota_leave(); or -1: it is beyond QUOTA, or
   the table is full of others with tunnels. */
int64_t mq_quota_enter(mq_quota_counts *counts, const uint8_t key[MQ_QUOTA_KEY_LENGTH], const masque_quota *quota,
                       masque_time now);
/* BYTES were carried; false: those of the hour are used up. */
bool mq_quota_use(mq_quota_counts *counts, int64_t place, uint64_t bytes, masque_time now);
void mq_quota_leave(mq_quota_counts *counts, int64_t place);

#endif
