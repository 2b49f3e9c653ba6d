#include "verdicts.h"

#include <stdlib.h>

#define CAPACITY_MIN 16u

static _Thread_local mqd_verdicts *own;

bool verdicts_init(mqd_verdicts *verdicts) {
    *verdicts = (mqd_verdicts){.wake = NULL};
    return uv_mutex_init(&verdicts->lock) == 0;
}

void verdicts_free(mqd_verdicts *verdicts) {
    uv_mutex_destroy(&verdicts->lock);
    free(verdicts->waiting);
}

void verdicts_attach(mqd_verdicts *verdicts, uv_async_t *wake) {
    uv_mutex_lock(&verdicts->lock);
    verdicts->wake = wake;
    uv_mutex_unlock(&verdicts->lock);
}

void verdicts_set_own(mqd_verdicts *verdicts) {
    own = verdicts;
}

mqd_verdicts *verdicts_own(void) {
    return own;
}

static bool add(mqd_verdicts *verdicts, masque_tunnel_id tunnel, masque_verdict verdict) {
    if (verdicts->count == verdicts->capacity) {
        size_t capacity = verdicts->capacity ? 2 * verdicts->capacity : CAPACITY_MIN;
        mqd_verdict *larger = realloc(verdicts->waiting, capacity * sizeof *larger);
        if (!larger) {
            return false;
        }
        verdicts->waiting = larger;
        verdicts->capacity = capacity;
    }
    verdicts->waiting[verdicts->count++] = (mqd_verdict){.tunnel = tunnel, .verdict = verdict};
    return true;
}

bool verdicts_give(mqd_verdicts *verdicts, masque_tunnel_id tunnel, masque_verdict verdict) {
    bool given = true;
    uv_mutex_lock(&verdicts->lock);
    if (verdicts->wake) {
        given = add(verdicts, tunnel, verdict);
        uv_async_send(verdicts->wake);
    }
    uv_mutex_unlock(&verdicts->lock);
    return given;
}

mqd_verdict *verdicts_take(mqd_verdicts *verdicts, size_t *count) {
    uv_mutex_lock(&verdicts->lock);
    mqd_verdict *taken = verdicts->waiting;
    *count = verdicts->count;
    verdicts->waiting = NULL;
    verdicts->count = verdicts->capacity = 0;
    uv_mutex_unlock(&verdicts->lock);
    return taken;
}
