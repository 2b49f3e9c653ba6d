/*
 * tests/fuzz/geo.c: what clients send of their places, signed or not, and what operators' files say of ours. The first
 * byte says which: a geofeed, a table of cities before one, or a place; the second, for whom then is chosen.
 */
#include <masqueproxy/hint.h>
#include <string.h>

#include "fuzz.h"

static void fill(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    memset(buffer, 7, size);
}

static void check_place(const char *text, size_t length) {
    masque_hint hint;
    masque_geo_cell cell;
    char again[MASQUE_GEOHASH_MAX + 1];
    if (!masque_hint_read(&hint, text, length)) {
        return;
    }
    const masque_place place = hint.place;
    FUZZ_REQUIRE(memchr(hint.audience, 0, sizeof hint.audience) && memchr(hint.kid, 0, sizeof hint.kid));
    size_t digits = strlen(place.geohash);
    FUZZ_REQUIRE(strlen(place.country) == 2 && digits >= 1 && digits <= MASQUE_GEOHASH_MAX);
    FUZZ_REQUIRE(masque_geohash_decode(place.geohash, digits, &cell));
    FUZZ_REQUIRE(masque_geohash_encode((cell.south + cell.north) / 2, (cell.west + cell.east) / 2, digits, again) ==
                 digits);
    FUZZ_REQUIRE(strcmp(again, place.geohash) == 0);
}

static size_t problems;

static void on_problem(void *context, const masque_geo_problem *problem) {
    (void)context;
    FUZZ_REQUIRE(problem->line > 0 && problem->why[0]);
    problems++;
}

/* Whatever is chosen is of a prefix that can be found again. */
static void check_choices(const masque_pools *pools, uint8_t whom) {
    static const char *const places[] = {"xn76c-JP", "u-DE", "9-US", "gcpv-GB"};
    const masque_geo geo = {.coarse = whom & 3, .default_country = "DE"};
    masque_place place = {.country = ""};
    masque_pool_prefix chosen, found;
    masque_geo_choice choice;
    if (whom & 4) {
        const char *text = places[whom >> 6];
        FUZZ_REQUIRE(masque_place_parse(&place, text, strlen(text)));
    }
    for (unsigned attempt = 0; attempt < 2 * MASQUE_GEO_ATTEMPTS; attempt++) {
        masque_family family = attempt & 1 ? MASQUE_IPV4 : MASQUE_IPV6;
        if (masque_pools_choose(pools, &geo, &place, family, whom, attempt / 2, &choice) == MASQUE_GEO_NONE) {
            continue;
        }
        FUZZ_REQUIRE(choice.candidates > 0 && masque_pools_at(pools, choice.prefix, &chosen));
        FUZZ_REQUIRE(masque_pools_find(pools, &choice.source, &found) && found.line == chosen.line);
        FUZZ_REQUIRE(choice.level != MASQUE_GEO_CITY || strcmp(chosen.country, place.country) == 0);
    }
}

static void check_files(const char *cities, size_t cities_length, const char *feed, size_t length, uint8_t whom) {
    const masque_runtime runtime = {.random = fill};
    const masque_geo_reader reader = {.lenient = whom & 8, .report = on_problem};
    masque_pools *pools = masque_pools_new(&runtime);
    FUZZ_REQUIRE(pools);
    problems = 0;
    int error = masque_pools_add_cities(pools, cities, cities_length, &reader);
    error = error ? error : masque_pools_add_geofeed(pools, feed, length, &reader);
    error = error ? error : masque_pools_seal(pools, &reader);
    FUZZ_REQUIRE(error == 0 || (error == MASQUE_ERR_INVALID && !reader.lenient && problems > 0));
    FUZZ_REQUIRE(error || reader.lenient || problems == 0);
    if (!error) {
        check_choices(pools, whom);
    }
    masque_pools_release(pools);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) {
        return 0;
    }
    const char *text = (const char *)data + 2;
    size -= 2;
    const char *half = memchr(text, 0, size);
    size_t cities = data[0] == 'c' && half ? (size_t)(half - text) : 0;
    if (data[0] == 'p') {
        check_place(text, size);
    } else {
        check_files(text, cities, text + cities, size - cities, data[1]);
    }
    return 0;
}
