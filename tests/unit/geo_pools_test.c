/* Geofeeds: what a line may be, what is said of one that is wrong, doubles and overlaps, cities; and finding an
 * address. */
#include <masqueproxy/geo.h>

#include <stdio.h>
#include <string.h>

#include "unit.h"

typedef struct world {
    unit_memory memory;
    masque_pools *pools;
    masque_geo_reader reader;
    masque_geo_problem problems[16];
    size_t problem_count;
} world;

static void on_problem(void *context, const masque_geo_problem *problem) {
    world *w = context;
    if (w->problem_count < COUNT(w->problems)) {
        w->problems[w->problem_count++] = *problem;
    }
}

static void open_world(world *w) {
    *w = (world){.reader = {.file = 7, .report = on_problem, .context = w}};
    unit_memory_init(&w->memory);
    const masque_runtime runtime = {.allocator = w->memory.allocator};
    w->pools = masque_pools_new(&runtime);
    assert_non_null(w->pools);
}

static void close_world(world *w) {
    masque_pools_release(w->pools);
    assert_int_equal(w->memory.pieces, 0);
}

static int add(world *w, const char *text) {
    return masque_pools_add_geofeed(w->pools, text, strlen(text), &w->reader);
}

static int seal(world *w) {
    return masque_pools_seal(w->pools, &w->reader);
}

static bool find(const world *w, const char *address, masque_pool_prefix *found) {
    const masque_address ip = unit_address(address, 0);
    return masque_pools_find(w->pools, &ip, found);
}

static void test_lines(void **state) {
    world w;
    masque_pool_prefix found;
    (void)state;
    open_world(&w);
    assert_int_equal(add(&w, "\xef\xbb\xbf# a feed\r\n"
                             "192.0.2.0/24,JP,JP-13,Tokyo,,xn76c\r\n"
                             "\n"
                             "198.51.100.7,us,US-CA,san francisco # one address\n"
                             "2001:db8:1::/48,DE\n"
                             " \"2001:db8:2::/64\" , \"fr\" , , \"Paris\", 75001, U09T \n"
                             "203.0.113.0/25\n"
                             "2001:db8:3::1,GB,,,,gcpv,more,columns,than,are,known"),
                     0);
    assert_int_equal(seal(&w), 0);
    assert_int_equal(w.problem_count, 0);
    assert_int_equal(masque_pools_prefixes(w.pools), 6);
    assert_int_equal(masque_pools_count(w.pools), 6);
    assert_true(find(&w, "192.0.2.255", &found));
    assert_string_equal(found.country, "JP");
    assert_string_equal(found.region, "JP-13");
    assert_string_equal(found.city, "Tokyo");
    assert_string_equal(found.geohash, "xn76c");
    assert_int_equal(found.length, 24);
    assert_int_equal(found.file, 7);
    assert_int_equal(found.line, 2);
    assert_true(find(&w, "198.51.100.7", &found));
    assert_string_equal(found.country, "US");
    assert_string_equal(found.geohash, "");
    assert_int_equal(found.line, 4);
    assert_true(find(&w, "2001:db8:2::ffff", &found));
    assert_string_equal(found.country, "FR");
    assert_string_equal(found.geohash, "u09t");
    assert_true(find(&w, "203.0.113.127", &found));
    assert_string_equal(found.country, "");
    assert_false(find(&w, "203.0.113.128", &found));
    assert_false(find(&w, "198.51.100.8", &found));
    assert_false(find(&w, "0.0.0.0", &found));
    assert_false(find(&w, "::", &found));
    assert_false(find(&w, "ffff::", &found));
    assert_int_equal(add(&w, "192.0.2.0/24,JP"), MASQUE_ERR_STATE);
    assert_int_equal(seal(&w), MASQUE_ERR_STATE);
    close_world(&w);
}

static void test_wrong_lines(void **state) {
    static const char *const rows[] = {
        "192.0.2.0/33,JP",
        "192.0.2.1/24,JP",
        "2001:db8::1/64,JP",
        "2001:db8::/129,JP",
        "192.0.2.0/,JP",
        "192.0.2.0/2 4,JP",
        "192.0.2/24,JP",
        "tokyo,JP",
        ",JP",
        "192.0.2.0/24,JPN",
        "192.0.2.0/24,J",
        "192.0.2.0/24,12",
        "192.0.2.0/24,JP,,,,xa",
        "192.0.2.0/24/24,JP",
        "192.0.2.0/24;JP",
        "192.0.2.0/24,JP,,,,0123456789bcd",
        "192.0.2.0/-1,JP",
        "192.0.2.0/0024,JP",
    };
    (void)state;
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        char text[200];
        world w;
        open_world(&w);
        w.reader.lenient = i % 2;
        snprintf(text, sizeof text, "198.51.100.0/24,US\n%s\n203.0.113.0/24,DE\n", rows[i / 2]);
        CHECK(rows[i / 2], add(&w, text) == (w.reader.lenient ? 0 : MASQUE_ERR_INVALID));
        CHECK(rows[i / 2], w.problem_count == 1 && w.problems[0].line == 2 && w.problems[0].file == 7);
        CHECK(rows[i / 2], seal(&w) == 0 && masque_pools_prefixes(w.pools) == 2);
        close_world(&w);
    }
}

static void test_overlaps(void **state) {
    static const struct {
        const char *feed;
        size_t prefixes; /* 0: refused */
        unsigned line, other_line;
    } rows[] = {
        {"192.0.2.0/24,JP\n192.0.2.0/24,US\n", 1, 0, 0}, /* equal: the first counts */
        {"192.0.2.0/24,JP\n192.0.2.128/25,US\n", 0, 2, 1},
        {"192.0.2.7,JP\n198.51.100.0/24,US\n192.0.2.0/28,US\n", 0, 1, 3},
        {"0.0.0.0/0,JP\n192.0.2.7,US\n", 0, 2, 1},
        {"192.0.2.0/25,JP\n192.0.2.128/25,US\n", 2, 0, 0},
        {"2001:db8::/32,JP\n2001:db8:1::/48,US\n", 0, 2, 1},
        {"::/0,JP\n0.0.0.0/0,US\n", 2, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        world w;
        open_world(&w);
        assert_int_equal(add(&w, rows[i].feed), 0);
        CHECK(rows[i].feed, seal(&w) == (rows[i].prefixes ? 0 : MASQUE_ERR_INVALID));
        if (rows[i].prefixes) {
            assert_int_equal(masque_pools_prefixes(w.pools), rows[i].prefixes);
        } else {
            assert_int_equal(w.problem_count, 1);
            assert_int_equal(w.problems[0].line, rows[i].line);
            assert_int_equal(w.problems[0].other_line, rows[i].other_line);
            w.reader.lenient = true;
            assert_int_equal(seal(&w), 0);
        }
        close_world(&w);
    }
}

static void test_cities(void **state) {
    static const char cities[] = "# country,region,city,geohash or latitude,longitude\n"
                                 "JP,JP-13,Tokyo,xn76\n"
                                 "JP,,Osaka,34.69,135.50\n"
                                 "US,US-OR,Portland,c20\n"
                                 "US,US-ME,Portland,drv\n";
    static const char *const wrong[] = {"J,,Tokyo,xn76\n",  "JP,,,xn76\n",     "JP,,Tokyo,a\n",      "JP,,Tokyo\n",
                                        "JP,,Tokyo,91,0\n", "JP,,Tokyo,1,x\n", "JP,,Tokyo,1.2.3,4\n"};
    world w;
    masque_pool_prefix found;
    (void)state;
    open_world(&w);
    assert_int_equal(masque_pools_add_cities(w.pools, cities, strlen(cities), &w.reader), 0);
    assert_int_equal(add(&w, "192.0.2.0/28,JP,jp-13,TOKYO\n"
                             "192.0.2.16/28,JP,JP-27,Osaka\n"
                             "192.0.2.32/28,US,US-ME,Portland\n"
                             "192.0.2.48/28,US,US-OR,portland,,c2\n"
                             "192.0.2.64/28,US,US-TX,Portland\n"
                             "192.0.2.80/28,JP,JP-13\n"),
                     0);
    assert_int_equal(seal(&w), 0);
    static const char *const geohashes[] = {"xn76", "xn0", "drv", "c2", "", ""};
    for (size_t i = 0; i < COUNT(geohashes); i++) {
        char address[20];
        snprintf(address, sizeof address, "192.0.2.%zu", 16 * i + 3);
        assert_true(find(&w, address, &found));
        CHECK(address, strncmp(found.geohash, geohashes[i], i == 1 ? 3 : 13) == 0);
    }
    close_world(&w);
    for (size_t i = 0; i < COUNT(wrong); i++) {
        open_world(&w);
        CHECK(wrong[i], masque_pools_add_cities(w.pools, wrong[i], strlen(wrong[i]), &w.reader) == MASQUE_ERR_INVALID);
        assert_int_equal(w.problem_count, 1);
        close_world(&w);
    }
}

static void test_without_memory(void **state) {
    static const char cities[] = "JP,,Tokyo,xn76\n", feed[] = "192.0.2.0/24,JP,,Tokyo\n2001:db8::/64,DE,,,,u33\n";
    (void)state;
    int error = MASQUE_ERR_NO_MEMORY;
    for (size_t left = 0; error; left++) {
        unit_memory memory;
        unit_memory_init(&memory);
        memory.left = left;
        const masque_runtime runtime = {.allocator = memory.allocator};
        masque_pools *pools = masque_pools_new(&runtime);
        error = pools ? masque_pools_add_cities(pools, cities, sizeof cities - 1, NULL) : MASQUE_ERR_NO_MEMORY;
        error = error ? error : masque_pools_add_geofeed(pools, feed, sizeof feed - 1, NULL);
        error = error ? error : masque_pools_seal(pools, NULL);
        assert_true(error == 0 || error == MASQUE_ERR_NO_MEMORY);
        masque_pools_release(pools);
        assert_int_equal(memory.pieces, 0);
    }
}

static void test_nothing(void **state) {
    world w;
    masque_pool_prefix found;
    masque_geo_choice choice;
    const masque_geo geo = {.precision = 0};
    const masque_place place = {.geohash = "xn76c", .country = "JP"};
    (void)state;
    open_world(&w);
    assert_int_equal(seal(&w), 0);
    assert_false(find(&w, "192.0.2.1", &found));
    assert_int_equal(masque_pools_choose(w.pools, &geo, &place, MASQUE_IPV4, 1, 0, &choice), MASQUE_GEO_NONE);
    assert_false(masque_pools_at(w.pools, 0, &found));
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),  cmocka_unit_test(test_wrong_lines),    cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_cities), cmocka_unit_test(test_without_memory), cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
