/* geo/place.c: sec-ch-geohash, "xn76c-JP" (masqueproxy/geo.h). */
#include <string.h>

#include "geo/geohash.h"

bool masque_place_parse(masque_place *place, const char *text, size_t length) {
    const char *dash = memchr(text, '-', length);
    size_t characters = dash ? (size_t)(dash - text) : 0;
    *place = (masque_place){.geohash = ""};
    if (!dash || length != characters + 3 || !mq_geohash_is_valid(text, characters)) {
        return false;
    }
    if (dash[1] < 'A' || dash[1] > 'Z' || dash[2] < 'A' || dash[2] > 'Z') {
        return false;
    }
    memcpy(place->geohash, text, characters);
    memcpy(place->country, dash + 1, 2);
    return true;
}
