/* auth/privacypass/attester.c: counts tokens by account, and guesses by source (masqueproxy/token_attester.h). */
#include <masqueproxy/token_attester.h>

#include <string.h>

#include "base/memory.h"
#include "crypto/digest.h"
#include "policy/address_class.h"
#include "policy/sources.h"

#define ID_LENGTH 16u
#define CAPACITY_MIN 64u

typedef struct account {
    uint8_t id[ID_LENGTH];
    uint64_t count;
    bool used; /* or an empty place */
} account;

struct masque_token_attester {
    masque_allocator allocator;
    masque_token_attester_options options;
    masque_unix_time period; /* its number */
    account *accounts;       /* open addressing, at most half full */
    size_t count;
    size_t capacity;
    masque_limits limits;
    mq_sources sources; /* a check under way is a connection */
};

int masque_token_attester_new(masque_token_attester **out, const masque_token_attester_options *options,
                              const masque_runtime *runtime) {
    masque_allocator allocator;
    uint64_t seed;
    *out = NULL;
    if (options->period == 0 || !options->clock || options->accounts_max == 0 || !runtime->random) {
        return MASQUE_ERR_INVALID;
    }
    mq_allocator_init(&allocator, &runtime->allocator);
    masque_token_attester *attester = mq_zalloc(&allocator, sizeof *attester);
    if (!attester) {
        return MASQUE_ERR_NO_MEMORY;
    }
    attester->allocator = allocator;
    attester->options = *options;
    attester->options.limits = NULL;
    if (options->limits) {
        attester->limits = *options->limits;
    } else {
        masque_limits_init(&attester->limits);
    }
    attester->limits.connections_per_source_max = MASQUE_CHECKS_PER_SOURCE;
    runtime->random(runtime->context, (uint8_t *)&seed, sizeof seed);
    if (mq_sources_init(&attester->sources, &attester->allocator, seed) != 0) {
        mq_free(&allocator, attester);
        return MASQUE_ERR_NO_MEMORY;
    }
    *out = attester;
    return 0;
}

static void forget_all(masque_token_attester *attester) {
    mq_free(&attester->allocator, attester->accounts);
    attester->accounts = NULL;
    attester->count = attester->capacity = 0;
}

void masque_token_attester_free(masque_token_attester *attester) {
    if (attester) {
        const masque_allocator allocator = attester->allocator;
        forget_all(attester);
        mq_sources_free(&attester->sources);
        mq_free(&allocator, attester);
    }
}

/* IDs are hashes: any part of one is as good as another. Who could choose names to collide has many accounts. */
static account *place_of(account *accounts, size_t capacity, const uint8_t id[ID_LENGTH]) {
    size_t at;
    memcpy(&at, id, sizeof at);
    for (at %= capacity; accounts[at].used && memcmp(accounts[at].id, id, ID_LENGTH) != 0;) {
        at = at + 1 == capacity ? 0 : at + 1;
    }
    return &accounts[at];
}

static bool grow(masque_token_attester *attester) {
    size_t capacity = attester->capacity ? 2 * attester->capacity : CAPACITY_MIN;
    account *larger = mq_zalloc(&attester->allocator, capacity * sizeof *larger);
    if (!larger) {
        return false;
    }
    for (size_t i = 0; i < attester->capacity; i++) {
        const account *one = &attester->accounts[i];
        if (one->used) {
            *place_of(larger, capacity, one->id) = *one;
        }
    }
    mq_free(&attester->allocator, attester->accounts);
    attester->accounts = larger;
    attester->capacity = capacity;
    return true;
}

/* NULL: there is no room, or no hash. The place may be empty. */
static account *find(masque_token_attester *attester, const char *name, size_t length, uint8_t id[ID_LENGTH]) {
    uint8_t digest[MQ_SHA256_LENGTH];
    const mq_piece piece = {name, length};
    masque_unix_time period = attester->options.clock(attester->options.context) / attester->options.period;
    if (period != attester->period) {
        forget_all(attester);
        attester->period = period;
    }
    if (mq_sha256(digest, &piece, 1) != 0 || (2 * attester->count >= attester->capacity && !grow(attester))) {
        return NULL;
    }
    memcpy(id, digest, ID_LENGTH);
    return place_of(attester->accounts, attester->capacity, id);
}

bool masque_token_attester_take(masque_token_attester *attester, const char *name, size_t length, size_t count) {
    uint8_t id[ID_LENGTH];
    account *one = find(attester, name, length, id);
    uint64_t most = attester->options.tokens_per_account;
    bool fresh = one && !one->used;
    if (!one || count == 0 || count > most || one->count > most - count ||
        (fresh && attester->count == attester->options.accounts_max)) {
        return false;
    }
    memcpy(one->id, id, sizeof one->id);
    one->used = true;
    one->count += count;
    attester->count += fresh;
    return true;
}

void masque_token_attester_give_back(masque_token_attester *attester, const char *name, size_t length, size_t count) {
    uint8_t id[ID_LENGTH];
    account *one = find(attester, name, length, id);
    if (one && one->used) {
        one->count -= count < one->count ? count : one->count;
    }
}

static masque_time now_of(const masque_token_attester *attester) {
    return (masque_time)attester->options.clock(attester->options.context) * MASQUE_SECOND;
}

int masque_token_attester_check(masque_token_attester *attester, const masque_address *client) {
    int error = 0;
    const masque_address address = mq_address_canonical(client);
    mq_source *source = mq_sources_enter(&attester->sources, &address, &attester->limits, &error);
    if (!source) {
        return error;
    }
    if (mq_source_is_penalised(source, now_of(attester))) {
        mq_source_leave(&attester->sources, source);
        return MASQUE_ERR_AUTH_FAILURES;
    }
    return 0;
}

bool masque_token_attester_checked(masque_token_attester *attester, const masque_address *client, bool right) {
    const masque_address address = mq_address_canonical(client);
    mq_source *source = mq_sources_find(&attester->sources, &address);
    bool penalty = source && !right && mq_source_failed(source, &attester->limits, now_of(attester));
    if (source && source->connections > 0) {
        mq_source_leave(&attester->sources, source);
    }
    return penalty;
}
