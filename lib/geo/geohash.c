#include "geo/geohash.h"

#include <math.h>
#include <string.h>

#define EARTH_KM 6371.0088 /* mean radius, IUGG */
#define RADIANS (3.14159265358979323846 / 180)

static const char ALPHABET[] = "0123456789bcdefghjkmnpqrstuvwxyz";

/* Of '0' to 'z': 0 to 31, or -1. */
static const int8_t DIGITS['z' - '0' + 1] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
    10, 11, 12, 13, 14, 15, 16, -1, 17, 18, -1, 19, 20, -1, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
};

static int digit_of(char c) {
    return c >= '0' && c <= 'z' ? DIGITS[c - '0'] : -1;
}

bool mq_geohash_is_valid(const char *text, size_t length) {
    if (length < 1 || length > MASQUE_GEOHASH_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (digit_of(text[i]) < 0) {
            return false;
        }
    }
    return true;
}

/* --- numbers -------------------------------------------------------------------------------- */

mq_geokey mq_geokey_of(const char *text, size_t length) {
    mq_geokey key = 0;
    for (size_t i = 0; i < MQ_GEOKEY_CHARACTERS; i++) {
        key = key << 6 | (i < length ? (mq_geokey)digit_of(text[i]) + 1 : 0);
    }
    return key;
}

unsigned mq_geokey_common(mq_geokey a, mq_geokey b) {
    unsigned same = 0;
    for (unsigned shift = 6 * MQ_GEOKEY_CHARACTERS; shift > 0 && same < MQ_GEOKEY_CHARACTERS; same++) {
        shift -= 6;
        unsigned first = a >> shift & 63, second = b >> shift & 63;
        if (first != second || first == 0) {
            break;
        }
    }
    return same;
}

/* --- cells ------------------------------------------------------------------------------------ */

bool masque_geohash_decode(const char *text, size_t length, masque_geo_cell *cell) {
    double low[2] = {-180, -90}, high[2] = {180, 90}; /* longitude, latitude */
    unsigned axis = 0;
    if (!mq_geohash_is_valid(text, length)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned digit = (unsigned)digit_of(text[i]);
        for (unsigned bit = 16; bit > 0; bit >>= 1) {
            double middle = (low[axis] + high[axis]) / 2;
            *(digit & bit ? &low[axis] : &high[axis]) = middle;
            axis ^= 1;
        }
    }
    *cell = (masque_geo_cell){.west = low[0], .east = high[0], .south = low[1], .north = high[1]};
    return true;
}

size_t masque_geohash_encode(double latitude, double longitude, size_t length, char text[MASQUE_GEOHASH_MAX + 1]) {
    double low[2] = {-180, -90}, high[2] = {180, 90};
    const double point[2] = {longitude, latitude};
    unsigned axis = 0;
    bool valid = length >= 1 && length <= MASQUE_GEOHASH_MAX && latitude >= -90 && latitude <= 90 &&
                 longitude >= -180 && longitude <= 180;
    length = valid ? length : 0;
    for (size_t i = 0; i < length; i++) {
        unsigned digit = 0;
        for (unsigned bit = 0; bit < 5; bit++) {
            double middle = (low[axis] + high[axis]) / 2;
            bool upper = point[axis] >= middle;
            digit = digit << 1 | upper;
            *(upper ? &low[axis] : &high[axis]) = middle;
            axis ^= 1;
        }
        text[i] = ALPHABET[digit];
    }
    text[length] = 0;
    return length;
}

size_t masque_geohash_neighbours(const char *text, size_t length, char neighbours[8][MASQUE_GEOHASH_MAX + 1]) {
    static const int steps[8][2] = {{1, 0}, {1, 1}, {0, 1}, {-1, 1}, {-1, 0}, {-1, -1}, {0, -1}, {1, -1}};
    masque_geo_cell cell;
    size_t count = 0;
    if (!masque_geohash_decode(text, length, &cell)) {
        return 0;
    }
    double height = cell.north - cell.south, width = cell.east - cell.west;
    for (size_t i = 0; i < 8; i++) {
        double latitude = (cell.south + cell.north) / 2 + steps[i][0] * height;
        double longitude = (cell.west + cell.east) / 2 + steps[i][1] * width;
        longitude += longitude > 180 ? -360 : longitude < -180 ? 360 : 0;
        if (latitude > -90 && latitude < 90) { /* behind a pole there is none */
            masque_geohash_encode(latitude, longitude, length, neighbours[count++]);
        }
    }
    return count;
}

/* --- the sphere --------------------------------------------------------------------------------- */

static mq_point point_at(double latitude, double longitude) {
    double ring = cos(latitude * RADIANS);
    return (mq_point){.x = (float)(ring * cos(longitude * RADIANS)),
                      .y = (float)(ring * sin(longitude * RADIANS)),
                      .z = (float)sin(latitude * RADIANS)};
}

mq_point mq_point_of(const char *geohash, size_t length) {
    masque_geo_cell cell;
    if (!masque_geohash_decode(geohash, length, &cell)) {
        return (mq_point){.x = 0};
    }
    return point_at((cell.south + cell.north) / 2, (cell.west + cell.east) / 2);
}

double masque_geo_distance(double latitude, double longitude, double other_latitude, double other_longitude) {
    double north = sin((other_latitude - latitude) * RADIANS / 2);
    double east = sin((other_longitude - longitude) * RADIANS / 2);
    double square =
        north * north + cos(latitude * RADIANS) * cos(other_latitude * RADIANS) * east * east; /* haversine */
    return 2 * EARTH_KM * asin(sqrt(square < 1 ? square : 1));
}
