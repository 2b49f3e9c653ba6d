#include "geo/atlas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONES "/usr/share/zoneinfo/zone.tab"

/* Kilometres. Across a border there may be a city nearby, but then not so far from the next one of the own country; and
   no country has places that are so far from all of its cities. */
#define CLOSE 50
#define FAR 300
#define OUTSIDE 2500

/* "+3539" or "+353916", of TEXT's first LENGTH bytes */
static double degrees_of(const char *text, size_t length, size_t digits) {
    char part[8];
    double value = 0;
    const size_t lengths[3] = {digits, 2, length > digits + 3 ? 2 : 0};
    const double units[3] = {1, 60, 3600};
    const char *at = text + 1;
    for (size_t i = 0; i < 3; i++) {
        snprintf(part, sizeof part, "%.*s", (int)lengths[i], at);
        value += (double)strtoul(part, NULL, 10) / units[i];
        at += lengths[i];
    }
    return text[0] == '-' ? -value : value;
}

static bool read_city(const char *line, atlas_city *city) {
    char point[24];
    if (sscanf(line, "%2[A-Z]\t%20[-+0-9]\t%39[^\t\n]", city->country, point, city->name) != 3) {
        return false; /* a comment */
    }
    size_t latitude = 1 + strcspn(point + 1, "+-");
    city->latitude = degrees_of(point, latitude, 2);
    city->longitude = degrees_of(point + latitude, strlen(point + latitude), 3);
    return point[latitude] != 0;
}

void atlas_read(geo_atlas *atlas) {
    char line[256];
    FILE *file = fopen(ZONES, "re");
    atlas->count = 0;
    while (file && atlas->count < ATLAS_MAX && fgets(line, sizeof line, file)) {
        atlas->count += read_city(line, &atlas->cities[atlas->count]);
    }
    if (file) {
        fclose(file);
    }
}

typedef struct nearest {
    const atlas_city *city; /* NULL: there is none */
    double distance;
} nearest;

static void bring_nearer(nearest *best, const atlas_city *city, double distance) {
    if (!best->city || distance < best->distance) {
        *best = (nearest){.city = city, .distance = distance};
    }
}

bool atlas_doubts(const geo_atlas *atlas, const char *geohash, const char *country, mqd_message *message) {
    masque_geo_cell cell;
    nearest own = {.city = NULL}, other = {.city = NULL};
    if (atlas->count == 0 || !country[0] || !masque_geohash_decode(geohash, strlen(geohash), &cell)) {
        return false;
    }
    double latitude = (cell.south + cell.north) / 2, longitude = (cell.west + cell.east) / 2;
    double radius = masque_geo_distance(latitude, longitude, cell.south, cell.west);
    for (size_t i = 0; i < atlas->count; i++) {
        const atlas_city *city = &atlas->cities[i];
        bring_nearer(strcmp(city->country, country) == 0 ? &own : &other, city,
                     masque_geo_distance(latitude, longitude, city->latitude, city->longitude));
    }
    if (!own.city) {
        say(message, "there is no country %s", country);
    } else if (other.city && other.distance < CLOSE && own.distance > FAR + radius) {
        say(message, "its geohash %s is at %s (%s), and %.0f km from %s (%s)", geohash, other.city->name,
            other.city->country, own.distance, own.city->name, country);
    } else if (own.distance > OUTSIDE + radius) {
        say(message, "its geohash %s is %.0f km from %s, the nearest known city of %s", geohash, own.distance,
            own.city->name, country);
    } else {
        return false;
    }
    return true;
}
