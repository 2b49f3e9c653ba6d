/* Geohashes: published ones, both ways; cells that hold what was encoded and lie in one another; neighbours that touch;
   distances; and the numbers that geohashes are sorted by. */
#include "geo/geohash.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

#define ALPHABET "0123456789bcdefghjkmnpqrstuvwxyz"

static double random_between(unit_random *random, double low, double high) {
    return low + (high - low) * (double)(unit_random_next(random) >> 11) / (double)(UINT64_C(1) << 53);
}

static size_t random_geohash(unit_random *random, char text[MASQUE_GEOHASH_MAX + 1]) {
    size_t length = 1 + unit_random_below(random, MASQUE_GEOHASH_MAX);
    for (size_t i = 0; i < length; i++) {
        text[i] = ALPHABET[unit_random_below(random, 32)];
    }
    text[length] = 0;
    return length;
}

static void test_published(void **state) {
    static const struct {
        double latitude, longitude;
        const char *geohash;
    } rows[] = {
        {57.64911, 10.40744, "u4pruydqqvj"}, /* geohash.org's own; the documentation's */
        {42.605, -5.603, "ezs42"},           /* Wikipedia */
        {35.6812, 139.7671, "xn76urx"},      /* Tokyo station */
        {37.8324, 112.5584, "ww8p1r4t8"},
        {-25.382708, -49.265506, "6gkzwgjzn820"},
        {0, 0, "s00000000000"},
        {90, 180, "zzzzzzzzzzzz"},
        {-90, -180, "000000000000"},
    };
    char text[MASQUE_GEOHASH_MAX + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t length = strlen(rows[i].geohash);
        masque_geo_cell cell;
        CHECK(rows[i].geohash, masque_geohash_encode(rows[i].latitude, rows[i].longitude, length, text) == length);
        assert_string_equal(text, rows[i].geohash);
        CHECK(text, masque_geohash_decode(text, length, &cell));
        CHECK(text, cell.south <= rows[i].latitude && rows[i].latitude <= cell.north);
        CHECK(text, cell.west <= rows[i].longitude && rows[i].longitude <= cell.east);
    }
}

static void test_cells(void **state) {
    unit_random random = {.state = 1};
    (void)state;
    for (int i = 0; i < 100000; i++) {
        double latitude = random_between(&random, -90, 90), longitude = random_between(&random, -180, 180);
        char text[MASQUE_GEOHASH_MAX + 1], shorter[MASQUE_GEOHASH_MAX + 1];
        size_t length = 1 + unit_random_below(&random, MASQUE_GEOHASH_MAX);
        masque_geo_cell cell, outer;
        assert_int_equal(masque_geohash_encode(latitude, longitude, length, text), length);
        assert_true(masque_geohash_decode(text, length, &cell));
        assert_true(cell.south <= latitude && latitude <= cell.north && cell.west <= longitude &&
                    longitude <= cell.east);
        if (length > 1) {
            masque_geohash_encode(latitude, longitude, length - 1, shorter);
            assert_memory_equal(shorter, text, length - 1);
            assert_true(masque_geohash_decode(shorter, length - 1, &outer));
            assert_true(outer.south <= cell.south && cell.north <= outer.north && outer.west <= cell.west &&
                        cell.east <= outer.east);
        }
    }
}

/* Each touches the cell, around the earth if need be; none is it, and no two are the same. */
static void test_neighbours(void **state) {
    unit_random random = {.state = 2};
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[MASQUE_GEOHASH_MAX + 1], found[8][MASQUE_GEOHASH_MAX + 1];
        size_t length = random_geohash(&random, text);
        masque_geo_cell cell, other;
        assert_true(masque_geohash_decode(text, length, &cell));
        size_t count = masque_geohash_neighbours(text, length, found);
        bool at_pole = cell.north >= 90 || cell.south <= -90;
        assert_int_equal(count, at_pole ? 5 : 8);
        for (size_t k = 0; k < count; k++) {
            assert_int_equal(strlen(found[k]), length);
            assert_string_not_equal(found[k], text);
            assert_true(masque_geohash_decode(found[k], length, &other));
            double height = cell.north - cell.south, width = cell.east - cell.west;
            double north = fabs(other.south - cell.south) / height;
            double east = fabs(other.west - cell.west) / width;
            east = east > 180 / width ? 360 / width - east : east;
            assert_true(north < 1.5 && east < 1.5);
            for (size_t j = 0; j < k && length > 1; j++) {
                assert_string_not_equal(found[j], found[k]);
            }
        }
    }
    char found[8][MASQUE_GEOHASH_MAX + 1];
    assert_int_equal(masque_geohash_neighbours("ezs42", 5, found), 8);
    assert_string_equal(found[0], "ezs48");
    assert_string_equal(found[1], "ezs49");
    assert_string_equal(found[2], "ezs43");
    assert_string_equal(found[4], "ezs40");
    assert_string_equal(found[6], "ezefr");
}

static void test_invalid(void **state) {
    static const char *const rows[] = {"",  "a", "xn7a", "XN76", "xn76c!",  "0123456789bcd",
                                       "i", "l", "o",    " xn",  "xn76c-JP"};
    masque_geo_cell cell;
    char text[MASQUE_GEOHASH_MAX + 1], found[8][MASQUE_GEOHASH_MAX + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        CHECK(rows[i], !masque_geohash_decode(rows[i], strlen(rows[i]), &cell));
        CHECK(rows[i], masque_geohash_neighbours(rows[i], strlen(rows[i]), found) == 0);
    }
    assert_int_equal(masque_geohash_encode(91, 0, 5, text), 0);
    assert_int_equal(masque_geohash_encode(0, -181, 5, text), 0);
    assert_int_equal(masque_geohash_encode(NAN, 0, 5, text), 0);
    assert_int_equal(masque_geohash_encode(0, 0, 0, text), 0);
    assert_int_equal(masque_geohash_encode(0, 0, 13, text), 0);
}

/* A straight line through the earth, squared, in kilometres on the ground. */
static double kilometres(float square) {
    double half = sqrt(square) / 2;
    return 2 * 6371.0088 * asin(half < 1 ? half : 1);
}

static void test_distances(void **state) {
    unit_random random = {.state = 3};
    (void)state;
    /* Paris to London; half around; a degree of a meridian. */
    assert_true(fabs(masque_geo_distance(48.8566, 2.3522, 51.5074, -0.1278) - 343.6) < 0.5);
    assert_true(fabs(masque_geo_distance(0, 0, 0, 180) - 20015.1) < 0.5);
    assert_true(fabs(masque_geo_distance(0, 0, 1, 0) - 111.195) < 0.001);
    assert_true(masque_geo_distance(12, 34, 12, 34) == 0);
    for (int i = 0; i < 20000; i++) {
        char a[MASQUE_GEOHASH_MAX + 1], b[MASQUE_GEOHASH_MAX + 1];
        size_t a_length = random_geohash(&random, a), b_length = random_geohash(&random, b);
        masque_geo_cell from, to;
        assert_true(masque_geohash_decode(a, a_length, &from) && masque_geohash_decode(b, b_length, &to));
        double exact = masque_geo_distance((from.south + from.north) / 2, (from.west + from.east) / 2,
                                           (to.south + to.north) / 2, (to.west + to.east) / 2);
        double by_points = kilometres(mq_point_distance(mq_point_of(a, a_length), mq_point_of(b, b_length)));
        assert_true(fabs(exact - by_points) < 5 + exact / 500);
    }
}

/* As texts sort, and as they begin. */
static void test_numbers(void **state) {
    unit_random random = {.state = 4};
    (void)state;
    for (int i = 0; i < 200000; i++) {
        char a[MASQUE_GEOHASH_MAX + 1], b[MASQUE_GEOHASH_MAX + 1];
        size_t a_length = random_geohash(&random, a), b_length = random_geohash(&random, b);
        size_t shared = unit_random_below(&random, a_length + 1);
        memcpy(b, a, shared < b_length ? shared : b_length);
        a_length = a_length < MQ_GEOKEY_CHARACTERS ? a_length : MQ_GEOKEY_CHARACTERS;
        b_length = b_length < MQ_GEOKEY_CHARACTERS ? b_length : MQ_GEOKEY_CHARACTERS;
        a[a_length] = b[b_length] = 0;
        mq_geokey first = mq_geokey_of(a, a_length), second = mq_geokey_of(b, b_length);
        unsigned common = 0;
        while (a[common] && a[common] == b[common]) {
            common++;
        }
        assert_int_equal(mq_geokey_common(first, second), common);
        int order = strcmp(a, b);
        assert_true(order < 0 ? first < second : order > 0 ? first > second : first == second);
        unsigned length = 1 + (unsigned)unit_random_below(&random, a_length);
        bool begins = strncmp(b, a, length) == 0;
        assert_int_equal(second >= mq_geokey_first(first, length) && second < mq_geokey_behind(first, length), begins);
    }
}

static void test_places(void **state) {
    static const struct {
        const char *text, *geohash, *country; /* NULL: malformed */
    } rows[] = {
        {"xn76c-JP", "xn76c", "JP"},
        {"u4pruydqqvj-GB", "u4pruydqqvj", "GB"},
        {"9-US", "9", "US"},
        {"0123456789bc-ZZ", "0123456789bc", "ZZ"},
        {"", NULL, NULL},
        {"-JP", NULL, NULL},
        {"xn76c", NULL, NULL},
        {"xn76c-", NULL, NULL},
        {"xn76c-J", NULL, NULL},
        {"xn76c-JPN", NULL, NULL},
        {"xn76c-jp", NULL, NULL},
        {"xn76c-J1", NULL, NULL},
        {"Xn76c-JP", NULL, NULL},
        {"xn7ac-JP", NULL, NULL},
        {"xn76c--JP", NULL, NULL},
        {"0123456789bcd-JP", NULL, NULL},
        {" xn76c-JP", NULL, NULL},
        {"xn76c-JP ", NULL, NULL},
        {"xn76c-JP,xn76c-JP", NULL, NULL},
        {"xn76c_JP", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        masque_place place;
        bool good = masque_place_parse(&place, rows[i].text, strlen(rows[i].text));
        CHECK(rows[i].text, good == (rows[i].geohash != NULL));
        if (good) {
            assert_string_equal(place.geohash, rows[i].geohash);
            assert_string_equal(place.country, rows[i].country);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published), cmocka_unit_test(test_cells),     cmocka_unit_test(test_neighbours),
        cmocka_unit_test(test_invalid),   cmocka_unit_test(test_distances), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
