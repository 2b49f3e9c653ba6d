/*
 * masqueproxy/geo.h: where clients are, and from which address they leave. A client, or the hop before us, says
 * `sec-ch-geohash: xn76c-JP`; the pools say which of our addresses are registered where, as the geofeed (RFC 8805) that
 * we publish says, too. So a target finds the client where it is, though not its address.
 *
 *   pools = masque_pools_new(&runtime);
 *   masque_pools_add_geofeed(pools, text, length, &reader);    // one or more files
 *   masque_pools_seal(pools, &reader);
 *   masque_config_set_geo(config, &geo, pools, NULL);          // then MASQUE_EVENT_DIAL has a source
 *
 * A geohash names a cell of the earth: five bits a character, longitude first; each character more is a part of the
 * cell that those before it name.
 */
#ifndef MASQUE_GEO_H
#define MASQUE_GEO_H

#include <masqueproxy/config.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- places ------------------------------------------------------------------------------- */

#define MASQUE_GEOHASH_MAX 12

/* Where somebody is, as far as it is known. */
typedef struct masque_place {
    char geohash[MASQUE_GEOHASH_MAX + 1]; /* "": anywhere in the country */
    char country[3];                      /* ISO 3166-1 alpha-2, in capitals; "": unknown */
} masque_place;

/* Reads "xn76c-JP": 1 to 12 characters in small letters, and a country in capitals. False: malformed. Any thread. */
MASQUE_EXTERN bool masque_place_parse(masque_place *place, const char *text, size_t length);

/* In degrees. */
typedef struct masque_geo_cell {
    double south, north; /* latitude */
    double west, east;   /* longitude */
} masque_geo_cell;

/* False: no geohash. Any thread, as all of these. */
MASQUE_EXTERN bool masque_geohash_decode(const char *text, size_t length, masque_geo_cell *cell);
/* The cell of LENGTH characters that holds the point. Returns LENGTH; 0: out of range. */
MASQUE_EXTERN size_t masque_geohash_encode(double latitude, double longitude, size_t length,
                                           char text[MASQUE_GEOHASH_MAX + 1]);
/* The cells around, from the north clockwise: eight, or five at a pole; 0: no geohash. */
MASQUE_EXTERN size_t masque_geohash_neighbours(const char *text, size_t length,
                                               char neighbours[8][MASQUE_GEOHASH_MAX + 1]);
/* Kilometres on the ground between two points, in degrees. */
MASQUE_EXTERN double masque_geo_distance(double latitude, double longitude, double other_latitude,
                                         double other_longitude);

/* --- pools -------------------------------------------------------------------------------- */

/* Addresses and prefixes of ours, and where each is registered. Counted; built by one thread, and read-only once it is
   sealed: any threads. */
typedef struct masque_pools masque_pools;

/* NULL without memory. */
MASQUE_EXTERN masque_pools *masque_pools_new(const masque_runtime *runtime);
MASQUE_EXTERN masque_pools *masque_pools_retain(masque_pools *pools);
/* POOLS may be NULL. */
MASQUE_EXTERN void masque_pools_release(masque_pools *pools);

/* A line of a file that can't be used, and why. */
typedef struct masque_geo_problem {
    unsigned file; /* as the reader says */
    unsigned line; /* from 1 */
    const char *why;
    unsigned other_file; /* of overlaps: where the other prefix is; line 0: there is none */
    unsigned other_line;
} masque_geo_problem;

typedef struct masque_geo_reader {
    unsigned file; /* the host's number for the file; comes back in problems */
    bool lenient;  /* lines that can't be used are passed over, after `report`; else they are an error */
    void (*report)(void *context, const masque_geo_problem *problem); /* may be NULL */
    void *context;
} masque_geo_reader;

/* Where cities are, for lines of a geofeed without a geohash: CSV of country,region,city,geohash, or
   country,region,city,latitude,longitude in degrees. Letters in any case; an empty region fits any. Before the
   geofeeds. 0, MASQUE_ERR_INVALID: a line is wrong, see `report`; MASQUE_ERR_NO_MEMORY; MASQUE_ERR_STATE: sealed. */
MASQUE_EXTERN int masque_pools_add_cities(masque_pools *pools, const char *text, size_t length,
                                          const masque_geo_reader *reader);
/* A geofeed (RFC 8805): prefix,country,region,city,postal, of which all but the prefix may be missing or empty; and a
   sixth column of ours, the geohash. Without one the city table's counts, and without that the whole country. A prefix
   without country is for clients of unknown places alone. The same errors. */
MASQUE_EXTERN int masque_pools_add_geofeed(masque_pools *pools, const char *text, size_t length,
                                           const masque_geo_reader *reader);
/* Closes POOLS for changes. MASQUE_ERR_INVALID: prefixes overlap without being equal, see `report`; of equal ones the
   first counts. */
MASQUE_EXTERN int masque_pools_seal(masque_pools *pools, const masque_geo_reader *reader);

/* Of sealed ones: how many pools, that is places, and prefixes there are. */
MASQUE_EXTERN size_t masque_pools_count(const masque_pools *pools);
MASQUE_EXTERN size_t masque_pools_prefixes(const masque_pools *pools);

/* A prefix of sealed ones, and where it is. Texts are valid as long as POOLS. */
typedef struct masque_pool_prefix {
    masque_address prefix; /* port 0 */
    unsigned length;       /* bits */
    char country[3];
    const char *region, *city, *geohash; /* "": not known */
    unsigned file, line;
} masque_pool_prefix;

/* The prefix at INDEX, by family, place and number. False: there are not so many. */
MASQUE_EXTERN bool masque_pools_at(const masque_pools *pools, size_t index, masque_pool_prefix *prefix);
/* The prefix that holds ADDRESS; false: none of ours does. */
MASQUE_EXTERN bool masque_pools_find(const masque_pools *pools, const masque_address *address,
                                     masque_pool_prefix *prefix);

/* --- which address ---------------------------------------------------------------------------- */

#define MASQUE_GEO_PRECISION 5
#define MASQUE_GEO_CITY_PRECISION 4

typedef struct masque_geo {
    unsigned precision; /* characters of a client's geohash that are kept: 1 to 12; 0: MASQUE_GEO_PRECISION */
    /* How many it must have in common with a pool's to be in its city: 3 to 10; 0: MASQUE_GEO_CITY_PRECISION. */
    unsigned city_precision;
    /* At most so many characters count: 1, the country alone; 2, country and, roughly, timezone. 0: all. */
    unsigned coarse;
    char default_country[3]; /* where clients of unknown places leave; "": anywhere */
} masque_geo;

/* How near the address is to the client. */
typedef enum masque_geo_level {
    MASQUE_GEO_NONE,    /* there is no address of that family */
    MASQUE_GEO_DEFAULT, /* for clients of unknown places, or of countries without a pool */
    MASQUE_GEO_COUNTRY, /* the nearest pool in its country */
    MASQUE_GEO_CITY
} masque_geo_level;

typedef struct masque_geo_choice {
    masque_geo_level level;
    masque_address source; /* port 0 */
    size_t prefix;         /* whose it is, for masque_pools_at() */
    size_t candidates;     /* prefixes that it was chosen among */
} masque_geo_choice;

/* Chooses: the pools whose geohash has the most characters in common with PLACE's, at least city_precision of them, in
   the same country; else the nearest of the country; else those of the default country, or any if there is none set.
   Among their prefixes, and in a prefix, KEY decides: the same for the same key, evenly over keys; when a prefix goes,
   of up to 64 only those move that had it. ATTEMPT 0 is the choice, 1 and so on are for addresses that can't be used
   now: the next ones in the pools, then wider. Returns choice->level. Any thread; nothing is allocated. POOLS is
   sealed. */
MASQUE_EXTERN masque_geo_level masque_pools_choose(const masque_pools *pools, const masque_geo *geo,
                                                   const masque_place *place, masque_family family, uint64_t key,
                                                   unsigned attempt, masque_geo_choice *choice);
/* Attempts beyond which there are no further addresses worth a try. */
#define MASQUE_GEO_ATTEMPTS 24

/* Who knows where clients are that don't say it themselves: as a method's table is, used in any engine's thread. */
typedef struct masque_locator {
    /* Fills PLACE; false: not known. Asked once for each such request that is allowed. */
    bool (*locate)(void *context, const masque_address *client, masque_place *place);
    void (*release)(void *context); /* once, when the configuration's last user is gone; may be NULL */
    void *context;
} masque_locator;

/* Clients leave from POOLS, which is sealed and counted once more; from nowhere else: where they have no address of a
   target's family it is not dialed. LOCATOR may be NULL. MASQUE_ERR_INVALID: a number of GEO is out of range, its
   country is none, or POOLS isn't sealed. MASQUE_ERR_STATE: sealed, or called before. After an error LOCATOR is not
   released. */
MASQUE_EXTERN int masque_config_set_geo(masque_config *config, const masque_geo *geo, masque_pools *pools,
                                        const masque_locator *locator);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_GEO_H */
