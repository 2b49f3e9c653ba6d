#include "policy/sources.h"

#include <assert.h>
#include <string.h>

#define CHAINS 1024u /* 8 KiB; with 65,536 sources a chain has 64 */
/* So that a full table costs a bounded search. */
#define EVICTION_LOOKS 64

int mq_sources_init(mq_sources *sources, const masque_allocator *allocator, uint64_t seed) {
    *sources = (mq_sources){.allocator = allocator, .chain_count = CHAINS, .seed = seed};
    mq_link_init(&sources->gone);
    sources->chains = mq_zalloc(allocator, CHAINS * sizeof(mq_source *));
    return sources->chains ? 0 : MASQUE_ERR_NO_MEMORY;
}

void mq_sources_free(mq_sources *sources) {
    for (size_t i = 0; sources->chains && i < sources->chain_count; i++) {
        while (sources->chains[i]) {
            mq_source *source = sources->chains[i];
            assert(source->connections == 0);
            sources->chains[i] = source->next;
            mq_free(sources->allocator, source);
        }
    }
    mq_free(sources->allocator, sources->chains);
    sources->chains = NULL;
}

static void key_of(const masque_address *client, uint64_t key[2]) {
    key[0] = client->family;
    key[1] = 0;
    /* A host is given a whole /64 (RFC 6177), so one address says nothing. */
    memcpy(&key[1], client->ip, client->family == MASQUE_IPV4 ? 4 : 8);
}

static mq_source **chain_of(mq_sources *sources, const uint64_t key[2]) {
    uint64_t mixed = (key[0] ^ key[1] ^ sources->seed) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 32;
    mixed = (mixed + sources->seed) * UINT64_C(0xd6e8feb86659fd93);
    return &sources->chains[mixed >> 40 & (sources->chain_count - 1)];
}

static mq_source *find(mq_sources *sources, const uint64_t key[2]) {
    mq_source *source = *chain_of(sources, key);
    while (source && (source->key[0] != key[0] || source->key[1] != key[1])) {
        source = source->next;
    }
    return source;
}

mq_source *mq_sources_find(mq_sources *sources, const masque_address *client) {
    uint64_t key[2];
    key_of(client, key);
    return find(sources, key);
}

static void forget(mq_sources *sources, mq_source *source) {
    mq_source **at = chain_of(sources, source->key);
    while (*at != source) {
        at = &(*at)->next;
    }
    *at = source->next;
    mq_link_remove(&source->in_gone);
    sources->count--;
    mq_free(sources->allocator, source);
}

/* Forgets one that is gone, of the longest gone the one whose penalty ends first. */
static bool make_room(mq_sources *sources) {
    mq_source *victim = NULL;
    int looked = 0;
    for (mq_link *link = sources->gone.next; link != &sources->gone && looked < EVICTION_LOOKS; link = link->next) {
        mq_source *source = MQ_MEMBER(link, mq_source, in_gone);
        looked++;
        if (!victim || source->penalty_until < victim->penalty_until) {
            victim = source;
        }
    }
    if (victim) {
        forget(sources, victim);
    }
    return victim != NULL;
}

static mq_source *add(mq_sources *sources, const uint64_t key[2], const masque_limits *limits, int *error) {
    if (sources->count >= limits->sources_max && !make_room(sources)) {
        *error = MASQUE_ERR_OVERLOAD;
        return NULL;
    }
    mq_source *source = mq_zalloc(sources->allocator, sizeof *source);
    if (!source) {
        *error = MASQUE_ERR_NO_MEMORY;
        return NULL;
    }
    source->key[0] = key[0];
    source->key[1] = key[1];
    mq_link_init(&source->in_gone);
    mq_source **chain = chain_of(sources, key);
    source->next = *chain;
    *chain = source;
    sources->count++;
    return source;
}

mq_source *mq_sources_enter(mq_sources *sources, const masque_address *client, const masque_limits *limits,
                            int *error) {
    uint64_t key[2];
    key_of(client, key);
    mq_source *source = find(sources, key);
    if (source && source->connections >= limits->connections_per_source_max) {
        *error = MASQUE_ERR_OVERLOAD;
        return NULL;
    }
    if (!source) {
        source = add(sources, key, limits, error);
        if (!source) {
            return NULL;
        }
    }
    source->connections++;
    mq_link_remove(&source->in_gone);
    return source;
}

void mq_source_leave(mq_sources *sources, mq_source *source) {
    assert(source->connections > 0);
    if (--source->connections > 0) {
        return;
    }
    /* Nothing is known of it but that it was here: no need to remember. The
       request bucket of a fast reconnecting client is what we keep it for. */
    if (source->failures == 0 && source->penalty_next == 0 && source->requests.full_at == 0) {
        forget(sources, source);
        return;
    }
    mq_list_append(&sources->gone, &source->in_gone);
}

bool mq_source_may_request(mq_source *source, const masque_limits *limits, masque_time now) {
    return mq_bucket_take(&source->requests, now, limits->requests_rate, limits->requests_burst);
}

bool mq_source_is_penalised(const mq_source *source, masque_time now) {
    return now < source->penalty_until;
}

bool mq_source_failed(mq_source *source, const masque_limits *limits, masque_time now) {
    masque_time first = limits->penalty_first_ms * MASQUE_MILLISECOND;
    masque_time last = limits->penalty_last_ms * MASQUE_MILLISECOND;
    /* Quiet for as long as the longest penalty: forgiven. */
    if (source->penalty_until && now > source->penalty_until && now - source->penalty_until > last) {
        source->penalty_next = 0;
        source->failures = 0;
        source->penalty_until = 0;
    }
    if (++source->failures < limits->auth_failures_max) {
        return false;
    }
    masque_time length = source->penalty_next ? source->penalty_next : first;
    length = length < last ? length : last;
    source->failures = 0;
    source->penalty_until = now + length;
    source->penalty_next = length * 2;
    return length > 0;
}
