/*
 * crypto/lock.h: a mutex, for the little that engines of several threads share. wolfSSL's, as C has none of its own.
 */
#ifndef MQ_CRYPTO_LOCK_H
#define MQ_CRYPTO_LOCK_H

#include "base/memory.h"

typedef struct mq_lock mq_lock;

/* NULL without memory. */
mq_lock *mq_lock_new(const masque_allocator *allocator);
/* LOCK, which nobody holds, may be NULL. */
void mq_lock_del(mq_lock *lock, const masque_allocator *allocator);

void mq_lock_take(mq_lock *lock);
void mq_lock_give(mq_lock *lock);

#endif
