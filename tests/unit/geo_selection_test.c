/* Which address a client leaves from: the same pools as a slow and obvious search finds, over random pools and clients;
   even over addresses; stable when others go; and further ones when some can't be used. */
#include <masqueproxy/geo.h>

#include <stdio.h>
#include <string.h>

#include "geo/geohash.h"
#include "unit.h"

#define LINES 60u
#define WORLDS 1000u
#define CLIENTS 1000u

static const char ALPHABET[] = "0123456789bcdefghjkmnpqrstuvwxyz";
static const char COUNTRIES[][3] = {"JP", "US", "DE"};

/* A pool of one prefix, as the slow search sees it. */
typedef struct row {
    masque_address prefix;
    unsigned length;
    char country[3];
    char geohash[MASQUE_GEOHASH_MAX + 1];
} row;

static unit_memory memory;

static masque_pools *read_feed(const char *text) {
    const masque_runtime runtime = {.allocator = memory.allocator};
    masque_pools *pools = masque_pools_new(&runtime);
    assert_non_null(pools);
    assert_int_equal(masque_pools_add_geofeed(pools, text, strlen(text), NULL), 0);
    assert_int_equal(masque_pools_seal(pools, NULL), 0);
    return pools;
}

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    return memory.pieces == 0 ? 0 : -1;
}

/* Few different characters, so that beginnings are shared. */
static void random_geohash(unit_random *random, char *text, size_t least, size_t most) {
    size_t length = least + unit_random_below(random, most - least + 1);
    for (size_t i = 0; i < length; i++) {
        text[i] = ALPHABET[(i < 2 ? 20 : 0) + unit_random_below(random, i < 2 ? 3 : 4)];
    }
    text[length] = 0;
}

static unsigned common_of(const char *a, const char *b) {
    unsigned count = 0;
    while (a[count] && a[count] == b[count]) {
        count++;
    }
    return count;
}

static float distance_of(const char *a, const char *b) {
    return mq_point_distance(mq_point_of(a, strlen(a)), mq_point_of(b, strlen(b)));
}

/* What the header says, in its words. */
static masque_geo_level search(const row *rows, size_t count, const masque_geo *geo, const masque_place *place,
                               masque_family family, bool fits[LINES]) {
    char geohash[MASQUE_GEOHASH_MAX + 1];
    size_t most = geo->coarse && geo->coarse < geo->precision ? geo->coarse : geo->precision;
    unsigned best = 0;
    float nearest = 9;
    size_t of_country = 0, whole = 0, unplaced = 0;
    snprintf(geohash, sizeof geohash, "%.*s", (int)most, place->geohash);
    const char *country = place->country;
    for (size_t i = 0; i < count; i++) {
        bool family_fits = rows[i].prefix.family == family, fits_country = strcmp(rows[i].country, country) == 0;
        fits[i] = false;
        unplaced += family_fits && !rows[i].country[0];
        if (!family_fits || !fits_country || !country[0]) {
            continue;
        }
        of_country++;
        whole += !rows[i].geohash[0];
        if (rows[i].geohash[0]) {
            unsigned common = common_of(geohash, rows[i].geohash);
            float distance = distance_of(geohash, rows[i].geohash);
            best = common > best ? common : best;
            nearest = distance < nearest ? distance : nearest;
        }
    }
    size_t length = strlen(geohash);
    bool city = length >= geo->city_precision && best >= geo->city_precision;
    const char *wanted = of_country ? country : geo->default_country;
    if (!of_country) { /* the default's, as a whole */
        whole = 0;
        for (size_t i = 0; i < count; i++) {
            bool here = rows[i].prefix.family == family && strcmp(rows[i].country, wanted) == 0;
            whole += here && wanted[0] && !rows[i].geohash[0];
        }
    }
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        bool here = rows[i].prefix.family == family && strcmp(rows[i].country, wanted) == 0;
        if (!of_country && !wanted[0]) {
            fits[i] = rows[i].prefix.family == family && (!unplaced || !rows[i].country[0]);
        } else if (city) {
            fits[i] = here && rows[i].geohash[0] && common_of(geohash, rows[i].geohash) == best;
        } else if (!of_country || length <= 1 || nearest > 8) {
            fits[i] = here && (!whole || !rows[i].geohash[0]);
        } else {
            fits[i] = here && rows[i].geohash[0] && !(nearest < distance_of(geohash, rows[i].geohash));
        }
        any = any || fits[i];
    }
    return !any ? MASQUE_GEO_NONE : city ? MASQUE_GEO_CITY : of_country ? MASQUE_GEO_COUNTRY : MASQUE_GEO_DEFAULT;
}

static size_t write_rows(unit_random *random, row *rows, char *text, size_t size) {
    size_t count = 1 + unit_random_below(random, LINES), at = 0;
    for (size_t i = 0; i < count; i++) {
        bool ipv6 = unit_random_below(random, 2);
        char prefix[40];
        snprintf(prefix, sizeof prefix, ipv6 ? "2001:db8:%zx::" : "198.18.%zu.0", i);
        rows[i] = (row){.prefix = unit_address(prefix, 0), .length = ipv6 ? 64 : 24};
        if (unit_random_below(random, 12) > 0) {
            memcpy(rows[i].country, COUNTRIES[unit_random_below(random, 3)], 3);
        }
        if (unit_random_below(random, 5) > 0) {
            random_geohash(random, rows[i].geohash, 1, 7);
        }
        at += (size_t)snprintf(text + at, size - at, "%s/%u,%s,,,,%s\n", prefix, rows[i].length, rows[i].country,
                               rows[i].geohash);
    }
    return count;
}

static bool holds(const row *one, const masque_address *address) {
    return one->prefix.family == address->family && memcmp(one->prefix.ip, address->ip, one->length / 8) == 0;
}

static void check_client(const masque_pools *pools, const row *rows, size_t count, unit_random *random) {
    masque_geo geo = {.precision = 1 + (unsigned)unit_random_below(random, 8),
                      .city_precision = 3 + (unsigned)unit_random_below(random, 3),
                      .coarse =
                          (unsigned)unit_random_below(random, 6) < 4 ? 0 : 1 + (unsigned)unit_random_below(random, 2)};
    masque_place place = {.country = ""};
    masque_geo_choice choice;
    bool fits[LINES];
    if (unit_random_below(random, 3) == 0) {
        memcpy(geo.default_country, COUNTRIES[unit_random_below(random, 3)], 3);
    }
    if (unit_random_below(random, 10) > 0) {
        memcpy(place.country, unit_random_below(random, 8) ? COUNTRIES[unit_random_below(random, 3)] : "FR", 3);
        random_geohash(random, place.geohash, 1, 7);
    }
    masque_family family = unit_random_below(random, 2) ? MASQUE_IPV6 : MASQUE_IPV4;
    masque_geo_level level = search(rows, count, &geo, &place, family, fits);
    uint64_t key = unit_random_next(random);
    assert_int_equal(masque_pools_choose(pools, &geo, &place, family, key, 0, &choice), level);
    if (level == MASQUE_GEO_NONE) {
        return;
    }
    size_t candidates = 0, chosen = LINES;
    for (size_t i = 0; i < count; i++) {
        candidates += fits[i];
        chosen = holds(&rows[i], &choice.source) ? i : chosen;
    }
    assert_true(chosen < LINES && fits[chosen]);
    /* Pools that are equally near are one each: the first. */
    assert_true(choice.candidates <= candidates);
    assert_true(level == MASQUE_GEO_COUNTRY || choice.candidates == candidates);
    masque_pool_prefix pool;
    assert_true(masque_pools_at(pools, choice.prefix, &pool));
    assert_string_equal(pool.country, rows[chosen].country);
    assert_string_equal(pool.geohash, rows[chosen].geohash);
}

static void test_against_a_search(void **state) {
    static char text[LINES * 80];
    row rows[LINES];
    (void)state;
    for (uint64_t seed = 0; seed < WORLDS; seed++) {
        unit_random random = {.state = seed};
        size_t count = write_rows(&random, rows, text, sizeof text);
        masque_pools *pools = read_feed(text);
        for (unsigned i = 0; i < CLIENTS; i++) {
            check_client(pools, rows, count, &random);
        }
        masque_pools_release(pools);
    }
}

/* --- spread ---------------------------------------------------------------------------------------- */

static const masque_geo USUAL = {.precision = 5, .city_precision = 4};
static const masque_place TOKYO = {.geohash = "xn76c", .country = "JP"};

/* Chi-square of COUNT draws over CELLS that are equally likely: far from its expectation, which is cells - 1. */
static void check_even(const unsigned *drawn, size_t cells, unsigned count) {
    double expected = (double)count / (double)cells, chi = 0;
    for (size_t i = 0; i < cells; i++) {
        chi += ((double)drawn[i] - expected) * ((double)drawn[i] - expected) / expected;
    }
    double freedom = (double)cells - 1;
    /* Its variance is twice that; five times the deviation is one in millions. */
    double excess = chi - freedom;
    assert_true(excess * excess < 25 * 2 * freedom);
}

static void test_spread(void **state) {
    unsigned by_prefix[8] = {0}, by_address[256] = {0};
    (void)state;
    masque_pools *eight = read_feed("192.0.2.1,JP,,,,xn76\n192.0.2.3,JP,,,,xn76\n192.0.2.5,JP,,,,xn76\n"
                                    "192.0.2.7,JP,,,,xn76\n192.0.2.9,JP,,,,xn76\n192.0.2.11,JP,,,,xn76\n"
                                    "192.0.2.13,JP,,,,xn76\n192.0.2.15,JP,,,,xn76\n");
    masque_pools *mixed = read_feed("198.18.0.0/25,JP,,,,xn76\n198.18.0.128/26,JP,,,,xn76\n"
                                    "198.18.0.192/27,JP,,,,xn76\n198.18.0.224/27,JP,,,,xn76\n");
    for (uint64_t key = 0; key < 100000; key++) {
        masque_geo_choice choice, again;
        assert_int_equal(masque_pools_choose(eight, &USUAL, &TOKYO, MASQUE_IPV4, key, 0, &choice), MASQUE_GEO_CITY);
        by_prefix[choice.source.ip[3] / 2]++;
        masque_pools_choose(eight, &USUAL, &TOKYO, MASQUE_IPV4, key, 0, &again);
        assert_memory_equal(&choice.source, &again.source, sizeof choice.source);
        masque_pools_choose(mixed, &USUAL, &TOKYO, MASQUE_IPV4, key, 0, &choice);
        by_address[choice.source.ip[3]]++;
    }
    check_even(by_prefix, 8, 100000);
    check_even(by_address, 256, 100000);
    masque_pools_release(eight);
    masque_pools_release(mixed);
}

/* Of many prefixes, too, though they are not scored; and a /64 gives other addresses each time. */
static void test_spread_over_many(void **state) {
    static char text[64 * 200];
    static unsigned drawn[200];
    size_t at = 0;
    (void)state;
    for (size_t i = 0; i < 200; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "2001:db8:%zx::/64,JP,,,,xn76\n", i);
    }
    masque_pools *pools = read_feed(text);
    masque_address last = {.family = MASQUE_FAMILY_NONE};
    for (uint64_t key = 0; key < 100000; key++) {
        masque_geo_choice choice;
        masque_pools_choose(pools, &USUAL, &TOKYO, MASQUE_IPV6, key, 0, &choice);
        drawn[choice.source.ip[5]]++;
        assert_memory_not_equal(choice.source.ip + 8, last.ip + 8, 8);
        last = choice.source;
    }
    check_even(drawn, 200, 100000);
    masque_pools_release(pools);
}

/* When one prefix goes only those move that had it. */
static void test_one_leaves(void **state) {
    char all[64 * 40] = "", fewer[64 * 40] = "";
    unsigned moved = 0, had_it = 0;
    (void)state;
    for (unsigned i = 0; i < 30; i++) {
        char one[64];
        snprintf(one, sizeof one, "198.18.%u.0/%u,JP,,,,xn76\n", i, 24 + i % 4);
        memcpy(all + strlen(all), one, strlen(one) + 1);
        if (i != 13) {
            memcpy(fewer + strlen(fewer), one, strlen(one) + 1);
        }
    }
    masque_pools *before = read_feed(all), *after = read_feed(fewer);
    for (uint64_t key = 0; key < 20000; key++) {
        masque_geo_choice first, second;
        masque_pools_choose(before, &USUAL, &TOKYO, MASQUE_IPV4, key, 0, &first);
        masque_pools_choose(after, &USUAL, &TOKYO, MASQUE_IPV4, key, 0, &second);
        bool same = masque_address_same_ip(&first.source, &second.source);
        had_it += first.source.ip[2] == 13;
        moved += !same;
        assert_true(same || first.source.ip[2] == 13);
    }
    assert_true(moved == had_it && moved > 0);
    masque_pools_release(before);
    masque_pools_release(after);
}

/* Each attempt is another address, as long as there are some: of the city, of the country, then of anywhere. */
static void test_attempts(void **state) {
    masque_pools *pools = read_feed("192.0.2.1,JP,,,,xn76\n192.0.2.2,JP,,,,xn76\n192.0.2.3,JP,,,,xn0m\n192.0.2.4,US\n");
    masque_geo_choice choice;
    bool seen[5] = {false};
    masque_geo_level last = MASQUE_GEO_CITY;
    (void)state;
    for (unsigned attempt = 0; attempt < MASQUE_GEO_ATTEMPTS; attempt++) {
        masque_geo_level level = masque_pools_choose(pools, &USUAL, &TOKYO, MASQUE_IPV4, 5, attempt, &choice);
        if (level == MASQUE_GEO_NONE) {
            break;
        }
        assert_true(level <= last);
        last = level;
        unsigned number = choice.source.ip[3];
        assert_true(attempt > 1 || (!seen[number] && level == MASQUE_GEO_CITY && number <= 2));
        seen[number] = true;
    }
    assert_true(seen[1] && seen[2] && seen[3] && seen[4] && last == MASQUE_GEO_DEFAULT);
    masque_pools_release(pools);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_against_a_search, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spread, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_spread_over_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_attempts, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
