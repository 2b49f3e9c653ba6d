#include "spent_tokens.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Each key's tokens are in so many tables, so that growing one is short; a lock is for 64 of them. */
#define TABLES 4096u
#define LOCKS 64u
#define ID_LENGTH 16u
#define CAPACITY_MIN 8u
/* A key's tokens are kept so many seconds longer: a request that was checked in time may come late, and clocks are set
   back at times. */
#define GRACE 3600

static const uint8_t EMPTY[ID_LENGTH];

/* Open addressing; EMPTY is a place without a token. */
typedef struct table {
    uint8_t *ids;
    uint32_t count;
    uint32_t capacity;
} table;

/* Tokens of keys that end at one time. */
typedef struct epoch {
    struct epoch *next;
    masque_unix_time not_after;
    atomic_uint_fast64_t count;
    table tables[TABLES];
} epoch;

struct spent_tokens {
    uint64_t most;
    uint64_t seed; /* odd; nobody outside can choose tokens that fall into one place */
    atomic_uint_fast64_t count;
    atomic_uint_fast64_t bytes;
    pthread_rwlock_t list_lock; /* of `epochs`; to read is enough for what is in them */
    epoch *epochs;
    pthread_mutex_t locks[LOCKS];
};

spent_tokens *spent_tokens_new(uint64_t most, uint64_t seed) {
    spent_tokens *store = calloc(1, sizeof *store);
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

static void free_epoch(spent_tokens *store, epoch *gone) {
    for (size_t i = 0; i < TABLES; i++) {
        atomic_fetch_sub(&store->bytes, (uint64_t)gone->tables[i].capacity * ID_LENGTH);
        free(gone->tables[i].ids);
    }
    atomic_fetch_sub(&store->count, atomic_load(&gone->count));
    free(gone);
}

void spent_tokens_free(spent_tokens *store) {
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

static uint64_t hash_of(const spent_tokens *store, const uint8_t id[ID_LENGTH]) {
    uint64_t halves[2];
    memcpy(halves, id, sizeof halves);
    uint64_t mixed = (halves[0] ^ (halves[1] >> 32)) * store->seed;
    return mixed ^ (mixed >> 29);
}

/* Where ID is, or where it belongs. There is an empty place always. */
static uint8_t *place_of(const table *t, const uint8_t id[ID_LENGTH], uint64_t hash) {
    size_t at = (size_t)((uint64_t)(uint32_t)hash * t->capacity >> 32);
    for (;;) {
        uint8_t *place = t->ids + at * ID_LENGTH;
        if (memcmp(place, id, ID_LENGTH) == 0 || memcmp(place, EMPTY, ID_LENGTH) == 0) {
            return place;
        }
        at = at + 1 == t->capacity ? 0 : at + 1;
    }
}

static bool grow(spent_tokens *store, table *t) {
    table larger = {.count = t->count, .capacity = t->capacity ? t->capacity + t->capacity / 2 : CAPACITY_MIN};
    larger.ids = calloc(larger.capacity, ID_LENGTH);
    if (!larger.ids) {
        return false;
    }
    for (size_t i = 0; i < t->capacity; i++) {
        const uint8_t *id = t->ids + i * ID_LENGTH;
        if (memcmp(id, EMPTY, ID_LENGTH) != 0) {
            memcpy(place_of(&larger, id, hash_of(store, id)), id, ID_LENGTH);
        }
    }
    atomic_fetch_add(&store->bytes, (uint64_t)(larger.capacity - t->capacity) * ID_LENGTH);
    free(t->ids);
    *t = larger;
    return true;
}

static masque_verdict insert(spent_tokens *store, epoch *in, const uint8_t id[ID_LENGTH]) {
    uint64_t hash = hash_of(store, id);
    size_t number = (size_t)(hash >> 52) % TABLES;
    table *t = &in->tables[number];
    masque_verdict verdict = MASQUE_AUTH_UNAVAILABLE;
    pthread_mutex_lock(&store->locks[number % LOCKS]);
    uint8_t *place = t->capacity > 0 ? place_of(t, id, hash) : NULL;
    if (place && memcmp(place, id, ID_LENGTH) == 0) {
        verdict = MASQUE_AUTH_DENY;
    } else if (atomic_fetch_add(&store->count, 1) >= store->most) {
        atomic_fetch_sub(&store->count, 1);
    } else if ((t->count + 1) * 5 <= t->capacity * 4 || grow(store, t)) {
        memcpy(place_of(t, id, hash), id, ID_LENGTH);
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

static epoch *find(const spent_tokens *store, masque_unix_time not_after) {
    epoch *at = store->epochs;
    while (at && at->not_after != not_after) {
        at = at->next;
    }
    return at;
}

/* Whoever comes to a key for the first time takes away what is over, and whoever finds the store full. */
static void prepare(spent_tokens *store, masque_unix_time not_after, masque_unix_time now) {
    pthread_rwlock_wrlock(&store->list_lock);
    for (epoch **at = &store->epochs; *at;) {
        epoch *one = *at;
        if (one->not_after != 0 && one->not_after < now - GRACE) {
            *at = one->next;
            free_epoch(store, one);
        } else {
            at = &one->next;
        }
    }
    if (!find(store, not_after)) {
        epoch *fresh = calloc(1, sizeof *fresh);
        if (fresh) {
            fresh->not_after = not_after;
            fresh->next = store->epochs;
            store->epochs = fresh;
        }
    }
    pthread_rwlock_unlock(&store->list_lock);
}

masque_verdict spent_tokens_spend(spent_tokens *store, const masque_spent_token *token, masque_unix_time now) {
    masque_verdict verdict = MASQUE_AUTH_UNAVAILABLE;
    uint8_t id[ID_LENGTH];
    memcpy(id, token->id, sizeof id);
    id[0] |= memcmp(id, EMPTY, sizeof id) == 0;
    for (int again = 0; again < 2 && verdict == MASQUE_AUTH_UNAVAILABLE; again++) {
        if (again) {
            prepare(store, token->not_after, now);
        }
        pthread_rwlock_rdlock(&store->list_lock);
        epoch *in = find(store, token->not_after);
        verdict = in ? insert(store, in, id) : MASQUE_AUTH_UNAVAILABLE;
        pthread_rwlock_unlock(&store->list_lock);
    }
    return verdict;
}

spent_tokens_size spent_tokens_size_of(spent_tokens *store) {
    return (spent_tokens_size){.tokens = atomic_load(&store->count), .bytes = atomic_load(&store->bytes)};
}
