/*
 * geo/geohash.h: geohashes inside the library: as numbers that sort, and on the sphere. See masqueproxy/geo.h for what
 * they are.
 */
#ifndef MQ_GEO_GEOHASH_H
#define MQ_GEO_GEOHASH_H

#include <masqueproxy/geo.h>

/* A geohash of at most ten characters in one number: six bits each, 1 to 32, the first ones highest; 0 behind the end.
   So a geohash comes right before those that it is a prefix of. */
typedef uint64_t mq_geokey;

#define MQ_GEOKEY_CHARACTERS 10u

/* TEXT is a geohash; what is behind ten characters is left out. */
mq_geokey mq_geokey_of(const char *text, size_t length);
/* How many characters both begin with. */
unsigned mq_geokey_common(mq_geokey a, mq_geokey b);
/* Of KEY's first LENGTH characters: the least number that begins with them, and the first one behind all those. */
static inline mq_geokey mq_geokey_first(mq_geokey key, unsigned length) {
    unsigned drop = 6 * (MQ_GEOKEY_CHARACTERS - length);
    return drop >= 60 ? 0 : key >> drop << drop;
}
static inline mq_geokey mq_geokey_behind(mq_geokey key, unsigned length) {
    unsigned drop = 6 * (MQ_GEOKEY_CHARACTERS - length);
    return drop >= 60 ? (mq_geokey)1 << 60 : ((key >> drop) + 1) << drop;
}

/* A point on the unit sphere: the shorter the straight line between two, the nearer they are. */
typedef struct mq_point {
    float x, y, z;
} mq_point;

/* The middle of a geohash's cell. */
mq_point mq_point_of(const char *geohash, size_t length);
/* Of the straight line, squared: 0 to 4. */
static inline float mq_point_distance(mq_point a, mq_point b) {
    float x = a.x - b.x, y = a.y - b.y, z = a.z - b.z;
    return x * x + y * y + z * z;
}

/* Is TEXT one: 1 to 12 characters of the alphabet, in small letters? */
bool mq_geohash_is_valid(const char *text, size_t length);

#endif
