/* geo/geofeed.c: reading geofeeds (RFC 8805) and tables of cities into pools (masqueproxy/geo.h). */
#include <string.h>

#include "base/ascii.h"
#include "geo/pools.h"
#include "policy/address_class.h"

#define FIELDS_MAX 8u
/* Of a region or a city: what is longer is cut. */
#define NAME_MAX_LENGTH 128u

typedef struct field {
    const char *text;
    size_t length;
} field;

/* A line's fields; what is missing is empty. */
typedef struct line {
    field fields[FIELDS_MAX];
    size_t count;
} line;

/* --- CSV (RFC 4180, as far as RFC 8805 2.1 uses it) ----------------------------------------- */

static void trim(field *one) {
    while (one->length > 0 && (one->text[0] == ' ' || one->text[0] == '\t')) {
        one->text++;
        one->length--;
    }
    while (one->length > 0 && strchr(" \t\r", one->text[one->length - 1])) {
        one->length--;
    }
    if (one->length >= 2 && one->text[0] == '"' && one->text[one->length - 1] == '"') {
        one->text++;
        one->length -= 2;
    }
}

/* False: a comment, or nothing. A comma inside of quotes is none. */
static bool split(line *parts, const char *text, size_t length) {
    bool quoted = false;
    *parts = (line){.count = 1, .fields[0].text = text};
    for (size_t i = 0; i < length; i++) {
        field *one = &parts->fields[parts->count - 1];
        quoted = quoted != (text[i] == '"');
        if (text[i] == ',' && !quoted && parts->count < FIELDS_MAX) {
            parts->fields[parts->count++].text = text + i + 1;
        } else if (text[i] == '#' && !quoted) {
            break; /* the rest is a comment */
        } else {
            one->length++;
        }
    }
    for (size_t i = 0; i < FIELDS_MAX; i++) {
        parts->fields[i].text = parts->fields[i].text ? parts->fields[i].text : "";
        trim(&parts->fields[i]);
    }
    return parts->count > 1 || parts->fields[0].length > 0;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* A number of three digits at most, and nothing else. */
static bool read_number(const char *text, size_t length, unsigned *number) {
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        *number = *number * 10 + (unsigned)(text[i] - '0');
    }
    return length > 0 && length <= 3;
}

/* NULL, or what is wrong. */
static const char *read_prefix(mq_prefix *prefix, const field *text) {
    const char *slash = memchr(text->text, '/', text->length);
    size_t length = slash ? (size_t)(slash - text->text) : text->length;
    masque_address address;
    if (masque_address_parse(&address, text->text, length) != 0) {
        return "no IP prefix; expected 192.0.2.0/24 or 2001:db8::/64";
    }
    unsigned most = address.family == MASQUE_IPV4 ? 32 : 128, bits = most;
    if (slash && (!read_number(slash + 1, text->length - length - 1, &bits) || bits > most)) {
        return "no length of a prefix; expected /0 to /32, or /128 of IPv6";
    }
    prefix->family = address.family == MASQUE_IPV6;
    prefix->length = (uint8_t)bits;
    memcpy(prefix->ip, address.ip, address.family == MASQUE_IPV4 ? 4 : 16);
    return mq_prefix_has_host_bits(&address, bits) ? "the prefix has bits behind its length" : NULL;
}

/* UINT32_MAX without memory. */
static uint32_t take_text(masque_pools *pools, const field *text) {
    size_t length = text->length < NAME_MAX_LENGTH ? text->length : NAME_MAX_LENGTH;
    const char *zero = length > 0 ? memchr(text->text, 0, length) : NULL;
    return mq_pools_text(pools, text->text, zero ? (size_t)(zero - text->text) : length);
}

static const char *take_geohash(char geohash[MASQUE_GEOHASH_MAX + 1], const field *text) {
    for (size_t i = 0; i < text->length && i < MASQUE_GEOHASH_MAX; i++) {
        geohash[i] = mq_lower(text->text[i]);
    }
    return text->length <= MASQUE_GEOHASH_MAX && mq_geohash_is_valid(geohash, text->length)
               ? NULL
               : "no geohash in the sixth column; expected 1 to 12 of its characters";
}

/* "35.68" or "-139.7". */
static bool read_degrees(const field *text, double *degrees) {
    bool negative = text->length > 0 && text->text[0] == '-';
    double value = 0, unit = 1;
    bool point = false;
    for (size_t i = negative; i < text->length; i++) {
        char c = text->text[i];
        if (c == '.' && !point) {
            point = true;
        } else if (c >= '0' && c <= '9' && i < 30) {
            value = value * 10 + (c - '0');
            unit = point ? unit * 10 : unit;
        } else {
            return false;
        }
    }
    *degrees = negative ? -value / unit : value / unit;
    return text->length > negative;
}

/* --- lines ---------------------------------------------------------------------------------------- */

typedef struct reading {
    masque_pools *pools;
    const masque_geo_reader *reader;
    unsigned line;
    bool no_memory;
} reading;

/* NULL, or what is wrong with it. */
typedef const char *line_function(reading *r, const line *parts);

static const char *take_prefix(reading *r, const line *parts) {
    const field *country = &parts->fields[1], *region = &parts->fields[2], *city = &parts->fields[3];
    char geohash[MASQUE_GEOHASH_MAX + 1] = "";
    mq_prefix prefix = {.line = r->line, .file = (uint16_t)(r->reader ? r->reader->file : 0)};
    const char *wrong = read_prefix(&prefix, &parts->fields[0]);
    unsigned code = mq_country_of(country->text, country->length);
    if (!wrong && country->length > 0 && code == 0) {
        wrong = "no country; expected two letters (ISO 3166-1)";
    }
    if (!wrong && parts->fields[5].length > 0) {
        wrong = take_geohash(geohash, &parts->fields[5]);
    }
    if (wrong) {
        return wrong;
    }
    uint32_t region_text = take_text(r->pools, region), city_text = take_text(r->pools, city);
    if (region_text != UINT32_MAX && city_text != UINT32_MAX && !geohash[0] && city->length > 0) {
        const char *known = mq_pools_city_geohash(r->pools, code, region_text, city_text);
        memcpy(geohash, known ? known : "", known ? strlen(known) + 1 : 1);
    }
    prefix.place = region_text == UINT32_MAX || city_text == UINT32_MAX
                       ? UINT32_MAX
                       : mq_pools_place(r->pools, code, region_text, city_text, geohash);
    r->no_memory = prefix.place == UINT32_MAX || !mq_pools_prefix(r->pools, &prefix);
    return NULL;
}

static const char *take_city(reading *r, const line *parts) {
    const field *fields = parts->fields;
    mq_city city = {.country = (uint16_t)mq_country_of(fields[0].text, fields[0].length)};
    double latitude, longitude;
    if (city.country == 0) {
        return "no country; expected two letters (ISO 3166-1)";
    }
    if (fields[2].length == 0) {
        return "no city in the third column";
    }
    if (fields[4].length == 0) {
        const char *wrong = take_geohash(city.geohash, &fields[3]);
        if (wrong) {
            return "no geohash in the fourth column, nor latitude and longitude in the fourth and fifth";
        }
    } else if (!read_degrees(&fields[3], &latitude) || !read_degrees(&fields[4], &longitude) ||
               masque_geohash_encode(latitude, longitude, MASQUE_GEOHASH_MAX, city.geohash) == 0) {
        return "no latitude and longitude in degrees in the fourth and fifth column";
    }
    city.region = take_text(r->pools, &fields[1]);
    city.city = take_text(r->pools, &fields[2]);
    r->no_memory = city.region == UINT32_MAX || city.city == UINT32_MAX || !mq_pools_city(r->pools, &city);
    return NULL;
}

static void report(const reading *r, const char *why) {
    const masque_geo_problem problem = {.file = r->reader ? r->reader->file : 0, .line = r->line, .why = why};
    if (r->reader && r->reader->report) {
        r->reader->report(r->reader->context, &problem);
    }
}

static int read_lines(masque_pools *pools, const char *text, size_t length, const masque_geo_reader *reader,
                      line_function *take) {
    static const char mark[] = "\xef\xbb\xbf"; /* UTF-8's, of some editors */
    reading r = {.pools = pools, .reader = reader};
    int error = 0;
    if (pools->sealed) {
        return MASQUE_ERR_STATE;
    }
    size_t at = length >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    while (at < length && !r.no_memory) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t line_length = end ? (size_t)(end - text) - at : length - at;
        line parts;
        r.line++;
        const char *wrong = split(&parts, text + at, line_length) ? take(&r, &parts) : NULL;
        if (wrong) {
            report(&r, wrong);
            error = reader && reader->lenient ? error : MASQUE_ERR_INVALID;
        }
        at += line_length + 1;
    }
    return r.no_memory ? MASQUE_ERR_NO_MEMORY : error;
}

int masque_pools_add_geofeed(masque_pools *pools, const char *text, size_t length, const masque_geo_reader *reader) {
    return read_lines(pools, text, length, reader, take_prefix);
}

int masque_pools_add_cities(masque_pools *pools, const char *text, size_t length, const masque_geo_reader *reader) {
    return read_lines(pools, text, length, reader, take_city);
}
