#include "spent/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Each key's tokens are in so many tables, so that growing one is short; a lock is for 64 of them. */
#define TABLES 4096u
#define LOCKS 64u
#define CAPACITY_MIN 8u

static const uint8_t EMPTY[SPENT_ID_LENGTH];

/* Open addressing; EMPTY is a place without a token. */
typedef struct table {
    uint8_t *ids;
    uint32_t count;
    uint32_t capacity;
} table;

#define FOREVER INT64_MAX

/* The tokens of one key. */
typedef struct epoch {
    struct epoch *next;
    uint64_t key;                  /* of its ID; two that are alike share an epoch, which harms nobody */
    atomic_int_fast64_t not_after; /* the latest that was told, for a configuration may change it */
    atomic_uint_fast64_t count;
    table tables[TABLES];
} epoch;

struct spent_memory {
    uint64_t most;
    uint64_t seed; /* odd; nobody outside can choose tokens that fall into one place */
    atomic_uint_fast64_t count;
    atomic_uint_fast64_t bytes;
    pthread_rwlock_t list_lock; /* of `epochs`; to read is enough for what is in them */
    epoch *epochs;
    pthread_mutex_t locks[LOCKS];
};

spent_memory *spent_memory_new(uint64_t most, uint64_t seed) {
    spent_memory *store = calloc(1, sizeof *store);
    if (!store) {
        return NULL;
    }
    store->most = most;
    store->seed = seed | 1;
    pthread_rwlock_init(&store->list_lock, NULL);
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_init(&store->locks[i], NULL);
    }
    return store;
}

static void free_epoch(spent_memory *store, epoch *gone) {
    for (size_t i = 0; i < TABLES; i++) {
        atomic_fetch_sub(&store->bytes, (uint64_t)gone->tables[i].capacity * SPENT_ID_LENGTH);
        free(gone->tables[i].ids);
    }
    atomic_fetch_sub(&store->count, atomic_load(&gone->count));
    free(gone);
}

void spent_memory_free(spent_memory *store) {
    if (!store) {
        return;
    }
    while (store->epochs) {
        epoch *gone = store->epochs;
        store->epochs = gone->next;
        free_epoch(store, gone);
    }
    pthread_rwlock_destroy(&store->list_lock);
    for (size_t i = 0; i < LOCKS; i++) {
        pthread_mutex_destroy(&store->locks[i]);
    }
    free(store);
}

/* --- tables -------------------------------------------------------------------------------------- */

static uint64_t hash_of(const spent_memory *store, const uint8_t id[SPENT_ID_LENGTH]) {
    uint64_t halves[2];
    memcpy(halves, id, sizeof halves);
    uint64_t mixed = (halves[0] ^ (halves[1] >> 32)) * store->seed;
    return mixed ^ (mixed >> 29);
}

/* Where ID is, or where it belongs. There is an empty place always. */
static uint8_t *place_of(const table *t, const uint8_t id[SPENT_ID_LENGTH], uint64_t hash) {
    size_t at = (size_t)((uint64_t)(uint32_t)hash * t->capacity >> 32);
    for (;;) {
        uint8_t *place = t->ids + at * SPENT_ID_LENGTH;
        if (memcmp(place, id, SPENT_ID_LENGTH) == 0 || memcmp(place, EMPTY, SPENT_ID_LENGTH) == 0) {
            return place;
        }
        at = at + 1 == t->capacity ? 0 : at + 1;
    }
}

static bool grow(spent_memory *store, table *t) {
    table larger = {.count = t->count, .capacity = t->capacity ? t->capacity + t->capacity / 2 : CAPACITY_MIN};
    larger.ids = calloc(larger.capacity, SPENT_ID_LENGTH);
    if (!larger.ids) {
        return false;
    }
    for (size_t i = 0; i < t->capacity; i++) {
        const uint8_t *id = t->ids + i * SPENT_ID_LENGTH;
        if (memcmp(id, EMPTY, SPENT_ID_LENGTH) != 0) {
            memcpy(place_of(&larger, id, hash_of(store, id)), id, SPENT_ID_LENGTH);
        }
    }
    atomic_fetch_add(&store->bytes, (uint64_t)(larger.capacity - t->capacity) * SPENT_ID_LENGTH);
    free(t->ids);
    *t = larger;
    return true;
}

static masque_verdict insert(spent_memory *store, epoch *in, const uint8_t id[SPENT_ID_LENGTH]) {
    uint64_t hash = hash_of(store, id);
    size_t number = (size_t)(hash >> 52) % TABLES;
    table *t = &in->tables[number];
    masque_verdict verdict = MASQUE_AUTH_UNAVAILABLE;
    pthread_mutex_lock(&store->locks[number % LOCKS]);
    uint8_t *place = t->capacity > 0 ? place_of(t, id, hash) : NULL;
    if (place && memcmp(place, id, SPENT_ID_LENGTH) == 0) {
        verdict = MASQUE_AUTH_DENY;
    } else if (atomic_fetch_add(&store->count, 1) >= store->most) {
        atomic_fetch_sub(&store->count, 1);
    } else if ((t->count + 1) * 5 <= t->capacity * 4 || grow(store, t)) {
        memcpy(place_of(t, id, hash), id, SPENT_ID_LENGTH);
        t->count++;
        atomic_fetch_add(&in->count, 1);
        verdict = MASQUE_AUTH_ALLOW;
    } else {
        atomic_fetch_sub(&store->count, 1);
    }
    pthread_mutex_unlock(&store->locks[number % LOCKS]);
    return verdict;
}

/* --- epochs -------------------------------------------------------------------------------------- */

/* As it stands in a table, where EMPTY means something else. */
static void stored_id(const masque_spent_token *token, uint8_t id[SPENT_ID_LENGTH]) {
    memcpy(id, token->id, SPENT_ID_LENGTH);
    id[0] |= memcmp(id, EMPTY, SPENT_ID_LENGTH) == 0;
}

static uint64_t key_of(const masque_spent_token *token) {
    uint64_t key;
    memcpy(&key, token->key_id, sizeof key);
    return key;
}

static epoch *find(const spent_memory *store, uint64_t key) {
    epoch *at = store->epochs;
    while (at && at->key != key) {
        at = at->next;
    }
    return at;
}

static void drop_old(spent_memory *store, masque_unix_time now) {
    for (epoch **at = &store->epochs; *at;) {
        epoch *one = *at;
        if (one->not_after < now - SPENT_GRACE) {
            *at = one->next;
            free_epoch(store, one);
        } else {
            at = &one->next;
        }
    }
}

/* Whoever comes to a key for the first time takes away what is over, and whoever finds the store full. */
static void prepare(spent_memory *store, uint64_t key, masque_unix_time now) {
    pthread_rwlock_wrlock(&store->list_lock);
    drop_old(store, now);
    if (!find(store, key)) {
        epoch *fresh = calloc(1, sizeof *fresh);
        if (fresh) {
            fresh->key = key;
            atomic_init(&fresh->not_after, now); /* so that it stays until the token that comes tells */
            fresh->next = store->epochs;
            store->epochs = fresh;
        }
    }
    pthread_rwlock_unlock(&store->list_lock);
}

static void prolong(epoch *of, masque_unix_time not_after) {
    int_fast64_t end = not_after ? not_after : FOREVER;
    int_fast64_t known = atomic_load(&of->not_after);
    while (known < end && !atomic_compare_exchange_weak(&of->not_after, &known, end)) {
    }
}

masque_verdict spent_memory_spend(spent_memory *store, const masque_spent_token *token, masque_unix_time now) {
    masque_verdict verdict = MASQUE_AUTH_UNAVAILABLE;
    uint64_t key = key_of(token);
    uint8_t id[SPENT_ID_LENGTH];
    stored_id(token, id);
    for (int again = 0; again < 2 && verdict == MASQUE_AUTH_UNAVAILABLE; again++) {
        if (again) {
            prepare(store, key, now);
        }
        pthread_rwlock_rdlock(&store->list_lock);
        epoch *in = find(store, key);
        if (in) {
            prolong(in, token->not_after);
            verdict = insert(store, in, id);
        }
        pthread_rwlock_unlock(&store->list_lock);
    }
    return verdict;
}

static bool is_in(spent_memory *store, const epoch *in, const uint8_t id[SPENT_ID_LENGTH]) {
    uint64_t hash = hash_of(store, id);
    size_t number = (size_t)(hash >> 52) % TABLES;
    const table *t = &in->tables[number];
    pthread_mutex_lock(&store->locks[number % LOCKS]);
    bool found = t->capacity > 0 && memcmp(place_of(t, id, hash), id, SPENT_ID_LENGTH) == 0;
    pthread_mutex_unlock(&store->locks[number % LOCKS]);
    return found;
}

bool spent_memory_has(spent_memory *store, const masque_spent_token *token) {
    uint8_t id[SPENT_ID_LENGTH];
    stored_id(token, id);
    pthread_rwlock_rdlock(&store->list_lock);
    const epoch *in = find(store, key_of(token));
    bool found = in && is_in(store, in, id);
    pthread_rwlock_unlock(&store->list_lock);
    return found;
}

/* One table, copied while it is locked and visited when it is not: VISIT may take long. */
typedef struct snapshot {
    masque_spent_token token; /* of its key */
    uint8_t *ids;
    size_t count;
    size_t capacity;
} snapshot;

/* False: no memory. Of a key that is gone meanwhile nothing is copied. */
static bool copy_table(spent_memory *store, uint64_t key, size_t number, snapshot *to) {
    bool copied = true;
    to->count = 0;
    pthread_rwlock_rdlock(&store->list_lock);
    const epoch *in = find(store, key);
    if (in) {
        const table *t = &in->tables[number];
        pthread_mutex_lock(&store->locks[number % LOCKS]);
        if (t->capacity > to->capacity) {
            uint8_t *larger = realloc(to->ids, (size_t)t->capacity * SPENT_ID_LENGTH);
            copied = larger != NULL;
            to->ids = larger ? larger : to->ids;
            to->capacity = larger ? t->capacity : to->capacity;
        }
        for (size_t i = 0; i < t->capacity && copied; i++) {
            const uint8_t *id = t->ids + i * SPENT_ID_LENGTH;
            if (memcmp(id, EMPTY, SPENT_ID_LENGTH) != 0) {
                memcpy(to->ids + to->count++ * SPENT_ID_LENGTH, id, SPENT_ID_LENGTH);
            }
        }
        to->token = (masque_spent_token){.not_after = in->not_after == FOREVER ? 0 : (masque_unix_time)in->not_after};
        memcpy(to->token.key_id, &in->key, sizeof in->key);
        pthread_mutex_unlock(&store->locks[number % LOCKS]);
    }
    pthread_rwlock_unlock(&store->list_lock);
    return copied;
}

static bool each_of_key(spent_memory *store, uint64_t key, spent_memory_visit *visit, void *context) {
    snapshot s = {.ids = NULL};
    bool whole = true;
    for (size_t number = 0; number < TABLES && whole; number++) {
        whole = copy_table(store, key, number, &s);
        for (size_t i = 0; i < s.count && whole; i++) {
            memcpy(s.token.id, s.ids + i * SPENT_ID_LENGTH, SPENT_ID_LENGTH);
            whole = visit(context, &s.token);
        }
    }
    free(s.ids);
    return whole;
}

bool spent_memory_each(spent_memory *store, masque_unix_time now, spent_memory_visit *visit, void *context) {
    size_t count = 0;
    pthread_rwlock_wrlock(&store->list_lock);
    drop_old(store, now);
    for (const epoch *in = store->epochs; in; in = in->next) {
        count++;
    }
    uint64_t *keys = malloc((count + 1) * sizeof *keys);
    count = 0;
    for (const epoch *in = store->epochs; in && keys; in = in->next) {
        keys[count++] = in->key;
    }
    pthread_rwlock_unlock(&store->list_lock);
    bool whole = keys != NULL;
    for (size_t i = 0; i < count && whole; i++) {
        whole = each_of_key(store, keys[i], visit, context);
    }
    free(keys);
    return whole;
}

spent_memory_size spent_memory_size_of(spent_memory *store) {
    return (spent_memory_size){.tokens = atomic_load(&store->count), .bytes = atomic_load(&store->bytes)};
}
