/*
 * geo/atlas.h: does a point lie in a country? As far as the system's time zones say, which have a city for each
 * (tzdata's zone.tab): enough to find what was mixed up.
 */
#ifndef GEO_ATLAS_H
#define GEO_ATLAS_H

#include "settings.h"

#define ATLAS_MAX 1024

typedef struct atlas_city {
    char country[3];
    char name[40]; /* "Asia/Tokyo" */
    double latitude, longitude;
} atlas_city;

typedef struct geo_atlas {
    atlas_city cities[ATLAS_MAX];
    size_t count; /* 0: there is no tzdata */
} geo_atlas;

void atlas_read(geo_atlas *atlas);
/* True with MESSAGE set when GEOHASH can hardly lie in COUNTRY. */
bool atlas_doubts(const geo_atlas *atlas, const char *geohash, const char *country, mqd_message *message);

#endif
