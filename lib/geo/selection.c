/*
 * geo/selection.c: from which address a client leaves (masque_pools_choose() in masqueproxy/geo.h). First which pools,
 * then which of their prefixes, then which address of that. Nothing is allocated; each step is a search in order.
 */
#include <math.h>
#include <string.h>

#include "geo/pools.h"

/* Of so many prefixes each is scored (rendezvous hashing); of more one is drawn. */
#define SCORED_MAX 64u
/* Tries among one set of prefixes, when addresses can't be used. */
#define TRIES_MAX 8u
/* Weight of an IPv6 prefix shorter than /64, at most: which has as many addresses as one likes. */
#define WEIGHT_BITS_MAX 20u

/* Prefixes [FIRST, END) of a family. */
typedef struct set {
    size_t first, end;
    masque_geo_level level;
} set;

/* --- which pools ------------------------------------------------------------------------------ */

/* The first pool of [FIRST, END) whose key is KEY or behind it. */
static size_t lower_bound(const mq_geokey *keys, size_t first, size_t end, mq_geokey key) {
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (keys[middle] < key) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

/* The same by the samples, which a cache holds, and then among a few neighbours. */
static size_t find_pool(const mq_pool_index *index, size_t first, size_t end, mq_geokey key) {
    size_t from = (first + MQ_SAMPLE - 1) / MQ_SAMPLE, to = (end + MQ_SAMPLE - 1) / MQ_SAMPLE;
    size_t sample = lower_bound(index->samples, from, to > from ? to : from, key);
    size_t low = sample > from ? (sample - 1) * MQ_SAMPLE : first, high = sample * MQ_SAMPLE;
    return lower_bound(index->keys, low, high < end ? high : end, key);
}

/* The ends of the run around AT whose keys begin as KEY does, with LENGTH characters: few, as a rule. */
static void find_run(const mq_pool_index *index, size_t first, size_t end, size_t at, mq_geokey key, unsigned length,
                     size_t run[2]) {
    mq_geokey least = mq_geokey_first(key, length), behind = mq_geokey_behind(key, length);
    size_t step = 1, low = at, high = at;
    while (low > first && index->keys[low - 1] >= least) {
        low = low - first > step ? low - step : first;
        step *= 2;
    }
    run[0] = lower_bound(index->keys, low, at, least);
    for (step = 1; high < end && index->keys[high] < behind; step *= 2) {
        high = end - high > step ? high + step : end;
    }
    run[1] = lower_bound(index->keys, at, high, behind);
}

/* A client, as numbers. */
typedef struct client {
    unsigned country;
    unsigned length; /* of its geohash, as far as it counts */
    mq_geokey key;
    const char *geohash;
} client;

static bool take(set *found, const mq_pool_index *index, size_t first, size_t end, masque_geo_level level) {
    if (first >= end) {
        return false;
    }
    *found = (set){.first = index->pools[first].first, .end = index->pools[end - 1].end, .level = level};
    return true;
}

/* Those with the most characters in common, if these are enough: neighbours in order. */
static bool take_city(set *found, const mq_pool_index *index, const client *c, unsigned enough) {
    size_t first = index->with_geohash[c->country], end = index->country[c->country + 1];
    size_t at = find_pool(index, first, end, c->key), run[2];
    unsigned before = at > first ? mq_geokey_common(index->keys[at - 1], c->key) : 0;
    unsigned behind = at < end ? mq_geokey_common(index->keys[at], c->key) : 0;
    unsigned best = before > behind ? before : behind;
    if (c->length < enough || best < enough) {
        return false;
    }
    find_run(index, first, end, at, c->key, best, run);
    return take(found, index, run[0], run[1], MASQUE_GEO_CITY);
}

/* The nearest pool; for who says no more than the country those that are registered for it as a whole. */
static bool take_near(set *found, const mq_pool_index *index, const client *c) {
    size_t first = index->country[c->country], geohash = index->with_geohash[c->country];
    size_t end = index->country[c->country + 1];
    if (c->length <= 1) {
        return take(found, index, first, geohash, MASQUE_GEO_COUNTRY);
    }
    if (geohash == end) {
        return false;
    }
    size_t nearest = mq_pool_trees_nearest(index, (uint32_t)geohash, (uint32_t)end, mq_point_of(c->geohash, c->length));
    return take(found, index, nearest, nearest + 1, MASQUE_GEO_COUNTRY);
}

/* A country as a whole: WIDER, also its pools that have a geohash. */
static bool take_country(set *found, const mq_pool_index *index, unsigned country, bool wider, masque_geo_level level) {
    return take(found, index, index->country[country],
                wider ? index->country[country + 1] : index->with_geohash[country], level);
}

/* Prefixes without a country are for clients of unknown places alone. */
static bool take_anywhere(set *found, const mq_pool_index *index) {
    return take_country(found, index, 0, true, MASQUE_GEO_DEFAULT) ||
           take(found, index, 0, index->count, MASQUE_GEO_DEFAULT);
}

#define STEPS 5u

/* From near to far. False: there are none at this step. */
static bool take_step(set *found, const mq_pool_index *index, const masque_geo *geo, const client *c, unsigned step) {
    unsigned fallback = mq_country_of(geo->default_country, strnlen(geo->default_country, 2));
    switch (step) {
    case 0:
        return c->country &&
               take_city(found, index, c, geo->city_precision ? geo->city_precision : MASQUE_GEO_CITY_PRECISION);
    case 1:
        return c->country && take_near(found, index, c);
    case 2:
        return c->country && take_country(found, index, c->country, true, MASQUE_GEO_COUNTRY);
    case 3:
        return fallback ? take_country(found, index, fallback, false, MASQUE_GEO_DEFAULT) : take_anywhere(found, index);
    case 4:
        return fallback && take_country(found, index, fallback, true, MASQUE_GEO_DEFAULT);
    default:
        return false;
    }
}

static client read_client(const masque_geo *geo, const masque_place *place) {
    size_t length = strnlen(place->geohash, MASQUE_GEOHASH_MAX),
           most = geo->precision ? geo->precision : MASQUE_GEO_PRECISION;
    length = length < most ? length : most;
    length = geo->coarse && length > geo->coarse ? geo->coarse : length;
    return (client){.country = mq_country_of(place->country, strnlen(place->country, sizeof place->country - 1)),
                    .length = (unsigned)length,
                    .key = mq_geokey_of(place->geohash, length),
                    .geohash = place->geohash};
}

/* --- which prefix, and which address ---------------------------------------------------------------- */

/* The same for a prefix wherever it stands in the files. */
static uint64_t hash_prefix(const mq_prefix *prefix, uint64_t key) {
    uint64_t halves[2];
    memcpy(halves, prefix->ip, sizeof halves);
    return mq_mix(mq_mix(mq_mix(key ^ halves[0]) ^ halves[1]) ^ prefix->length);
}

/* Addresses that it has, in bits; a /64 is one place of IPv6. */
static unsigned weight_bits(const mq_prefix *prefix) {
    unsigned most = prefix->family == 0 ? 32 : 64;
    unsigned bits = prefix->length < most ? most - prefix->length : 0;
    return bits < WEIGHT_BITS_MAX || prefix->family == 0 ? bits : WEIGHT_BITS_MAX;
}

/* Weighted rendezvous: the least of exponential times with these rates. */
static double score(const mq_prefix *prefix, uint64_t key, bool weighted) {
    double uniform = ((double)(hash_prefix(prefix, key) >> 11) + 0.5) / (double)(UINT64_C(1) << 53);
    return weighted ? -log(uniform) / (double)(UINT64_C(1) << weight_bits(prefix)) : uniform;
}

/* The RANKth best of a set, from 0. */
static size_t draw_scored(const masque_pools *pools, const set *from, uint64_t key, size_t rank) {
    double scores[SCORED_MAX];
    size_t count = from->end - from->first, best = 0;
    bool weighted = false;
    for (size_t i = 1; i < count; i++) {
        weighted =
            weighted || weight_bits(&pools->prefixes[from->first + i]) != weight_bits(&pools->prefixes[from->first]);
    }
    for (size_t i = 0; i < count; i++) {
        scores[i] = score(&pools->prefixes[from->first + i], key, weighted);
    }
    for (size_t taken = 0; taken <= rank; taken++) {
        best = 0;
        for (size_t i = 1; i < count; i++) {
            best = scores[i] < scores[best] ? i : best;
        }
        scores[best] = taken < rank ? HUGE_VAL : scores[best];
    }
    return from->first + best;
}

/* Of many one, evenly. */
static size_t draw(const set *from, uint64_t key) {
    uint64_t count = from->end - from->first;
    return from->first + (size_t)((mq_mix(key) >> 32) * count >> 32);
}

/* The bits behind the prefix. Of IPv6 they are never all zero, which is every router's address (RFC 4291 2.6.1). */
static void draw_address(masque_address *address, const mq_prefix *prefix, uint64_t hash) {
    unsigned bits = prefix->family == 0 ? 32 : 128;
    const uint64_t random[2] = {mq_mix(hash), mq_mix(hash + 1)};
    uint8_t drawn[16];
    memcpy(drawn, random, sizeof drawn);
    *address = (masque_address){.family = prefix->family == 0 ? MASQUE_IPV4 : MASQUE_IPV6};
    memcpy(address->ip, prefix->ip, sizeof address->ip);
    uint8_t any = 0;
    for (unsigned i = prefix->length; i < bits; i++) {
        uint8_t bit = drawn[i / 8] & (uint8_t)(0x80 >> i % 8);
        address->ip[i / 8] |= bit;
        any |= bit;
    }
    if (bits == 128 && prefix->length < 127 && !any) {
        address->ip[15] |= 1;
    }
}

/* How many different addresses are worth a try. */
static size_t tries_of(const masque_pools *pools, const set *from) {
    size_t tries = 0;
    for (size_t i = from->first; i < from->end && tries < TRIES_MAX; i++) {
        const mq_prefix *prefix = &pools->prefixes[i];
        unsigned bits = (prefix->family == 0 ? 32u : 128u) - prefix->length;
        tries += bits < 3 ? (size_t)1 << bits : TRIES_MAX;
    }
    return tries < TRIES_MAX ? tries : TRIES_MAX;
}

static size_t choose_prefix(const masque_pools *pools, const set *from, uint64_t key, size_t try, uint64_t *hash) {
    size_t count = from->end - from->first;
    if (count > SCORED_MAX) {
        *hash = mq_mix(key + try * 2 + 1);
        return draw(from, mq_mix(key ^ mq_mix(try)));
    }
    /* All prefixes in their turn, then other addresses of them. */
    size_t chosen = draw_scored(pools, from, key, try % count);
    *hash = hash_prefix(&pools->prefixes[chosen], ~key) + 2 * (try / count);
    return chosen;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

masque_geo_level masque_pools_choose(const masque_pools *pools, const masque_geo *geo, const masque_place *place,
                                     masque_family family, uint64_t key, unsigned attempt, masque_geo_choice *choice) {
    const mq_pool_index *index = &pools->index[family == MASQUE_IPV6];
    const client c = read_client(geo, place);
    size_t try = attempt;
    *choice = (masque_geo_choice){.level = MASQUE_GEO_NONE};
    for (unsigned step = 0; step < STEPS && pools->sealed && index->count > 0; step++) {
        set from;
        if (!take_step(&from, index, geo, &c, step)) {
            continue;
        }
        size_t tries = tries_of(pools, &from);
        if (try < tries) {
            uint64_t hash;
            size_t prefix = choose_prefix(pools, &from, key, try, &hash);
            draw_address(&choice->source, &pools->prefixes[prefix], hash);
            choice->level = from.level;
            choice->candidates = from.end - from.first;
            choice->prefix = prefix;
            return choice->level;
        }
        try -= tries;
    }
    return MASQUE_GEO_NONE;
}
