#include "crypto/lock.h"

#include "crypto/wolfssl.h"

struct mq_lock {
    wolfSSL_Mutex mutex;
};

mq_lock *mq_lock_new(const masque_allocator *allocator) {
    mq_lock *lock = mq_zalloc(allocator, sizeof *lock);
    if (lock && wc_InitMutex(&lock->mutex) != 0) {
        mq_free(allocator, lock);
        return NULL;
    }
    return lock;
}

void mq_lock_del(mq_lock *lock, const masque_allocator *allocator) {
    if (lock) {
        wc_FreeMutex(&lock->mutex);
        mq_free(allocator, lock);
    }
}

/* Neither can fail on a mutex that was made. */
void mq_lock_take(mq_lock *lock) {
    (void)wc_LockMutex(&lock->mutex);
}

void mq_lock_give(mq_lock *lock) {
    (void)wc_UnLockMutex(&lock->mutex);
}
