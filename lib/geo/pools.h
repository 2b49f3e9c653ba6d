/*
 * geo/pools.h: our addresses by place, as numbers that can be searched. Filled by geofeed.c, put in order by pools.c,
 * asked by selection.c.
 *
 * Prefixes lie in the order of family, country, geohash: those of a cell, of a pool and of a country are neighbours, so
 * that a set to choose from is two numbers.
 */
#ifndef MQ_GEO_POOLS_H
#define MQ_GEO_POOLS_H

#include <masqueproxy/geo.h>
#include <stdatomic.h>

#include "base/memory.h"
#include "geo/geohash.h"

/* Every bit of X counts for every bit of the result: for tables and draws. */
static inline uint64_t mq_mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* 0: none; AA is 1, AB 2, ... */
#define MQ_COUNTRIES (26u * 26u + 1)
#define MQ_FAMILIES 2u /* IPv4, IPv6 */

typedef struct mq_prefix {
    uint8_t ip[16];
    uint32_t place;
    uint32_t line;
    uint16_t file;
    uint8_t family; /* 0 or 1 */
    uint8_t length;
} mq_prefix;

typedef struct mq_place {
    mq_geokey key; /* 0: no geohash */
    mq_point point;
    uint32_t region, city; /* where they stand in `texts` */
    uint32_t order;        /* in which it came */
    uint16_t country;
    char geohash[MASQUE_GEOHASH_MAX + 1];
} mq_place;

/* The prefixes [FIRST, END) of one family in one place. */
typedef struct mq_pool {
    uint32_t place;
    uint32_t first, end;
} mq_pool;

/* A node of a country's k-d tree: the middle of its range, which is halved by x, y, z in turn. */
typedef struct mq_pool_node {
    mq_point point;
    uint32_t pool;
} mq_pool_node;

#define MQ_SAMPLE 16u

/* One family's pools, by country and geohash. */
typedef struct mq_pool_index {
    mq_pool *pools;
    mq_geokey *keys;     /* of `pools`, close together, for searches */
    mq_geokey *samples;  /* each MQ_SAMPLEth of them */
    mq_pool_node *nodes; /* a tree for each country, of its pools with a geohash: where those are in `pools` */
    size_t count;
    uint32_t country[MQ_COUNTRIES + 1];  /* where its pools begin; the next one's is the end */
    uint32_t with_geohash[MQ_COUNTRIES]; /* where those begin that have one */
} mq_pool_index;

/* A table from texts to numbers, by open addressing. */
typedef struct mq_intern {
    uint32_t *slots; /* a number and one; 0: empty */
    size_t capacity;
    size_t count;
} mq_intern;

typedef struct mq_city {
    uint32_t region, city; /* in `texts` */
    uint16_t country;
    char geohash[MASQUE_GEOHASH_MAX + 1];
} mq_city;

struct masque_pools {
    masque_allocator allocator;
    atomic_uint users;
    bool sealed;
    mq_prefix *prefixes;
    size_t prefix_count, prefix_capacity;
    mq_place *places;
    size_t place_count, place_capacity;
    mq_intern place_table;
    mq_city *cities;
    size_t city_count, city_capacity;
    mq_intern city_table;
    char *texts; /* each ends with a zero; 0 is the empty one */
    size_t text_length, text_capacity;
    mq_intern text_table;
    mq_pool_index index[MQ_FAMILIES];
    uint32_t *by_address; /* prefixes by family and number */
    size_t family_end;    /* how many are IPv4's */
};

/* "JP" in any case; 0: no two letters. */
unsigned mq_country_of(const char *text, size_t length);
void mq_country_name(unsigned country, char name[3]);

/* The number of a text, the same for those that differ in capitals alone: the first one stays. UINT32_MAX without
   memory. */
uint32_t mq_pools_text(masque_pools *pools, const char *text, size_t length);
/* The same of a place. */
uint32_t mq_pools_place(masque_pools *pools, unsigned country, uint32_t region, uint32_t city, const char *geohash);
/* One prefix more, canonical and without host bits; false without memory. */
bool mq_pools_prefix(masque_pools *pools, const mq_prefix *prefix);
/* One city more; the first of equal ones stays. False without memory. */
bool mq_pools_city(masque_pools *pools, const mq_city *city);
/* Its geohash; REGION 0: that of any region. NULL: not known. */
const char *mq_pools_city_geohash(const masque_pools *pools, unsigned country, uint32_t region, uint32_t city);

static inline const char *mq_pools_text_at(const masque_pools *pools, uint32_t at) {
    return pools->texts ? pools->texts + at : "";
}

/* Builds the trees of an index whose pools are in order. */
void mq_pool_trees_build(const masque_pools *pools, mq_pool_index *index);
/* The pool of [FIRST, END), which all have a geohash, that is nearest to POINT; of those equally near the first. */
uint32_t mq_pool_trees_nearest(const mq_pool_index *index, uint32_t first, uint32_t end, mq_point point);

#endif
