/*
 * sim_geo.c: which address a client's tunnels leave from, over every version of HTTP and for TCP and UDP: by what it
 * says of its place, or the host; what is malformed; addresses that can't be used; families; and over reloads.
 */
#include "harness/suite.h"
#include "harness/versions.h"

#define FIELD "sec-ch-geohash"
#define REFUSED "masqueproxy; error=http_request_error; details=\"malformed sec-ch-geohash\""
#define NO_EGRESS "masqueproxy; error=connection_limit_reached; details=\"no egress address\""

/* Documentation's addresses, a last byte for each place. */
#define FEED                                                                                                           \
    "198.51.100.1,JP,,,,xn76\n198.51.100.2,JP,,,,xn0m\n198.51.100.3,US,,,,9q8y\n198.51.100.4,US\n"                     \
    "2001:db8::1,JP,,,,xn76\n2001:db8::2,DE,,,,u33d\n"

typedef struct orders {
    const char *feed;
    masque_geo geo;
    bool locates;
} orders;

/* Of all dials. */
static struct {
    masque_address sources[64];
    size_t count;
    unsigned located;
} seen;

static void on_event(sim_world *w, const masque_event *event) {
    (void)w;
    if (event->type == MASQUE_EVENT_DIAL) {
        seen.sources[seen.count++ % SIM_COUNT(seen.sources)] = event->source;
    }
}

static bool locate(void *context, const masque_address *client, masque_place *place) {
    assert_non_null(context);
    seen.located++;
    return client->family == MASQUE_IPV4 && masque_place_parse(place, "xn0m2-JP", 8);
}

static void set_geo(const sim_world *w, masque_config *config, const orders *told) {
    const masque_runtime runtime = {.random = NULL};
    masque_pools *pools = masque_pools_new(&runtime);
    SIM_CHECK(w, masque_config_set_geo(config, &told->geo, pools, NULL) == MASQUE_ERR_INVALID, "not sealed");
    SIM_CHECK(w, masque_pools_add_geofeed(pools, told->feed, strlen(told->feed), NULL) == 0, "feed");
    SIM_CHECK(w, masque_pools_seal(pools, NULL) == 0, "seal");
    const masque_locator locator = {.locate = locate, .context = &seen};
    SIM_CHECK(w, masque_config_set_geo(config, &told->geo, pools, told->locates ? &locator : NULL) == 0, "geo");
    SIM_CHECK(w, masque_config_set_geo(config, &told->geo, pools, NULL) == MASQUE_ERR_STATE, "twice");
    masque_pools_release(pools);
}

static void configure(sim_world *w, masque_config *config) {
    set_geo(w, config, w->setup.user);
}

static sim_world *open_world(orders *told) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 9, .configure = configure, .user = told});
    memset(&seen, 0, sizeof seen);
    w->on_event = on_event;
    return w;
}

static sim_conn *connect_by(sim_world *w, const row *r, const char *address) {
    return sim_connect(
        w, &(sim_client){.alpn = r->alpn, .engine = r->udp && strcmp(r->alpn, "h3") != 0, .address = address});
}

static sim_tun *ask_for(sim_conn *c, const row *r, const char *site, const sim_field *fields, size_t count) {
    static uint16_t port = 1000;
    static char authority[80];
    snprintf(authority, sizeof authority, "%s:%u", site, ++port);
    sim_tun *t =
        sim_request(c, &(sim_ask){.authority = authority, .udp = r->udp, .fields = fields, .field_count = count});
    sim_settle(c->world);
    return t;
}

static sim_tun *ask(sim_conn *c, const row *r, const char *place) {
    const sim_field field = {FIELD, place};
    return ask_for(c, r, SIM_ECHO, &field, place ? 1 : 0);
}

/* The last byte of where the latest dial came from; 0: the system's choice. */
static unsigned last_source(void) {
    const masque_address *source = &seen.sources[(seen.count - 1) % SIM_COUNT(seen.sources)];
    return source->family == MASQUE_FAMILY_NONE ? 0 : source->ip[source->family == MASQUE_IPV4 ? 3 : 15];
}

static void test_places(void **state) {
    static const struct {
        const char *place;
        unsigned last;
        uint64_t city, country, fallback;
    } rows[] = {
        {"xn76c-JP", 1, 1, 0, 0}, {"\"xn76c-JP\"", 1, 1, 0, 0},   {"xn0m2zzzzzzz-JP", 2, 1, 0, 0},
        {"xn0-JP", 2, 0, 1, 0},   {"9q8y-US", 3, 1, 0, 0},        {"9-US", 4, 0, 1, 0},
        {"9q-US", 3, 0, 1, 0},    {"u4pruydqqvj-GB", 4, 0, 0, 1}, {"9q8y-JP", 1, 0, 1, 0}, /* the country decides */
        {NULL, 4, 0, 0, 1},
    };
    orders told = {.feed = FEED, .geo = {.default_country = "US"}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS) * SIM_COUNT(rows); i++) {
        const row *r = &ROWS[i % SIM_COUNT(ROWS)];
        size_t n = i / SIM_COUNT(ROWS);
        sim_world *w = open_world(&told);
        sim_tun *t = ask(connect_by(w, r, NULL), r, rows[n].place);
        SIM_CHECK(w, sim_tun_is_open(t) && last_source() == rows[n].last, "%s, %s: status %u, from .%u", r->name,
                  rows[n].place ? rows[n].place : "nothing", t->status, last_source());
        masque_stats stats = sim_stats(w);
        SIM_CHECK(w,
                  stats.egress_city == rows[n].city && stats.egress_country == rows[n].country &&
                      stats.egress_default == rows[n].fallback && stats.places_unknown == !rows[n].place,
                  "%s: counted otherwise", rows[n].place ? rows[n].place : "nothing");
        sim_world_close(w);
    }
}

static void test_malformed(void **state) {
    static const char *const rows[] = {"xn76c",     "xn76c-jp",   "XN76C-JP",          "xn76c-JPN",        "-JP",
                                       "a-JP",      "\"xn76c-JP", "xn76c-JP,xn76c-JP", "0123456789bcd-JP", "\"\"",
                                       "xn76c-JP;x"};
    const sim_field twice[] = {{FIELD, "xn76c-JP"}, {FIELD, "xn76c-JP"}};
    orders told = {.feed = FEED};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        sim_world *w = open_world(&told);
        for (size_t k = 0; k <= SIM_COUNT(rows); k++) {
            sim_conn *c = connect_by(w, &ROWS[i], NULL);
            sim_tun *t = k < SIM_COUNT(rows) ? ask(c, &ROWS[i], rows[k]) : ask_for(c, &ROWS[i], SIM_ECHO, twice, 2);
            SIM_CHECK(w, t->status == 400 && strcmp(t->proxy_status, REFUSED) == 0, "%s, row %zu: %u, %s", ROWS[i].name,
                      k, t->status, t->proxy_status);
        }
        SIM_CHECK(w, seen.count == 0, "a dial");
        sim_world_close(w);
    }
}

/* All tunnels of a connection for one place leave from one address, others' from others. */
static void test_stable(void **state) {
    char feed[64 * 40] = "";
    unsigned different = 0, last = 0;
    (void)state;
    for (unsigned i = 1; i <= 30; i++) {
        snprintf(feed + strlen(feed), 64, "198.51.100.%u,JP,,,,xn76\n", i);
    }
    orders told = {.feed = feed};
    sim_world *w = open_world(&told);
    for (unsigned i = 0; i < 20; i++) {
        sim_conn *c = connect_by(w, &ROWS[2], NULL);
        ask(c, &ROWS[2], "xn76c-JP");
        unsigned source = last_source();
        for (unsigned k = 0; k < 5; k++) {
            ask(c, &ROWS[2], "xn76c-JP");
            SIM_CHECK(w, last_source() == source, "from .%u, then .%u", source, last_source());
        }
        different += source != last;
        last = source;
    }
    SIM_CHECK(w, different > 10, "all from the same");
    sim_world_close(w);
}

static void test_host_locates(void **state) {
    orders told = {.feed = FEED, .geo = {.default_country = "US"}, .locates = true};
    (void)state;
    sim_world *w = open_world(&told);
    ask(connect_by(w, &ROWS[2], "203.0.114.7"), &ROWS[2], NULL);
    SIM_CHECK(w, last_source() == 2 && seen.located == 1, "from .%u", last_source());
    ask(connect_by(w, &ROWS[2], "2001:4860::7"), &ROWS[2], NULL);
    SIM_CHECK(w, last_source() == 4, "from .%u, though nobody knows", last_source());
    ask(connect_by(w, &ROWS[2], "203.0.114.7"), &ROWS[2], "xn76c-JP");
    SIM_CHECK(w, last_source() == 1 && seen.located == 2, "from .%u, though it said so", last_source());
    /* Who is not known is not looked for. */
    sim_request(connect_by(w, &ROWS[2], "203.0.114.7"), &(sim_ask){.authority = SIM_ECHO ":1", .key = "wrong-wrong"});
    sim_settle(w);
    SIM_CHECK(w, seen.located == 2, "looked for");
    sim_world_close(w);
}

/* --- families ---------------------------------------------------------------------------------------- */

static void test_families(void **state) {
    orders told = {.feed = FEED, .geo = {.default_country = "US"}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        sim_world *w = open_world(&told);
        sim_add_site(w, "2620:fe::77", (sim_site){.echo = true, .fin_for_fin = true});
        sim_add_name(w, (sim_name){.text = "both.test",
                                   .ipv6 = {{.addresses = {"2620:fe::77"}}},
                                   .ipv4 = {{.addresses = {SIM_ECHO}}}});
        /* A city of both: IPv6 first. */
        ask_for(connect_by(w, &ROWS[i], NULL), &ROWS[i], "both.test", &(sim_field){FIELD, "xn76c-JP"}, 1);
        SIM_CHECK(w, seen.sources[0].family == MASQUE_IPV6 && last_source() == 1, "%s: a city of both", ROWS[i].name);
        /* Only IPv4 is in the city, only IPv4 in the country. */
        ask_for(connect_by(w, &ROWS[i], NULL), &ROWS[i], "both.test", &(sim_field){FIELD, "xn0m2-JP"}, 1);
        SIM_CHECK(w, seen.sources[1].family == MASQUE_IPV4 && last_source() == 2, "%s: a city of IPv4", ROWS[i].name);
        ask_for(connect_by(w, &ROWS[i], NULL), &ROWS[i], "both.test", &(sim_field){FIELD, "9q8y-US"}, 1);
        SIM_CHECK(w, seen.sources[2].family == MASQUE_IPV4 && last_source() == 3, "%s: a country of IPv4",
                  ROWS[i].name);
        /* IPv6 has nothing for the default country: it is not dialed, from wherever. */
        sim_tun *t =
            ask_for(connect_by(w, &ROWS[i], NULL), &ROWS[i], "[2620:fe::77]", &(sim_field){FIELD, "9q8y-US"}, 1);
        SIM_CHECK(w, t->status == 503 && strcmp(t->proxy_status, NO_EGRESS) == 0, "%s: %u, %s", ROWS[i].name, t->status,
                  t->proxy_status);
        sim_world_close(w);
    }
}

/* --- addresses that can't be used ------------------------------------------------------------------------ */

static void test_exhausted(void **state) {
    orders told = {.feed = FEED, .geo = {.default_country = "US"}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        sim_world *w = open_world(&told);
        /* No dial to there finds a free port, whatever the source. */
        sim_add_site(w, "45.60.0.9", (sim_site){.result = MASQUE_DIAL_SOURCE});
        sim_tun *t = ask_for(connect_by(w, &ROWS[i], NULL), &ROWS[i], "45.60.0.9", &(sim_field){FIELD, "xn76c-JP"}, 1);
        SIM_CHECK(w, t->status == 503 && strcmp(t->proxy_status, NO_EGRESS) == 0, "%s: %u, %s", ROWS[i].name, t->status,
                  t->proxy_status);
        /* Of the city, the country, the default country. */
        SIM_CHECK(w, seen.count == 4 && seen.sources[0].ip[3] == 1 && seen.sources[1].ip[3] == 2, "%s: %zu dials",
                  ROWS[i].name, seen.count);
        SIM_CHECK(w, sim_stats(w).egress_exhausted == 4, "%s: not counted", ROWS[i].name);
        /* They rest, for others as well; then they are there again. */
        t = ask(connect_by(w, &ROWS[i], "198.51.100.99"), &ROWS[i], "xn76c-JP");
        SIM_CHECK(w, t->status == 503 && seen.count == 4, "%s: %u", ROWS[i].name, t->status);
        sim_advance(w, 61 * MASQUE_SECOND);
        t = ask(connect_by(w, &ROWS[i], NULL), &ROWS[i], "xn76c-JP");
        SIM_CHECK(w, sim_tun_is_open(t) && last_source() == 1, "%s: %u", ROWS[i].name, t->status);
        sim_world_close(w);
    }
}

/* A /64 has addresses without end: a request doesn't try them all. */
static void test_many_exhausted(void **state) {
    orders told = {.feed = "2001:db8:1::/64,JP,,,,xn76\n"};
    (void)state;
    sim_world *w = open_world(&told);
    sim_add_site(w, "2620:fe::99", (sim_site){.result = MASQUE_DIAL_SOURCE});
    sim_tun *t = ask_for(connect_by(w, &ROWS[2], NULL), &ROWS[2], "[2620:fe::99]", &(sim_field){FIELD, "xn76c-JP"}, 1);
    SIM_CHECK(w, t->status == 503 && seen.count == 8, "%u, %zu dials", t->status, seen.count);
    sim_world_close(w);
}

/* --- ours ------------------------------------------------------------------------------------------------- */

static void test_own_addresses(void **state) {
    orders told = {.feed = "45.60.0.0/24,JP,,,,xn76\n"};
    (void)state;
    sim_world *w = open_world(&told);
    sim_tun *t = ask(connect_by(w, &ROWS[2], NULL), &ROWS[2], "xn76c-JP"); /* SIM_ECHO is in it */
    SIM_CHECK(w, t->status == 403 && seen.count == 0, "%u", t->status);
    sim_world_close(w);
}

/* --- reloads -------------------------------------------------------------------------------------------------- */

static void use(sim_world *w, const orders *told) {
    masque_config *config = sim_config_new(w, NULL, true);
    set_geo(w, config, told);
    sim_use_config(w, config);
    sim_settle(w);
}

/* Tunnels stay; a connection keeps its address as long as that is ours. */
static void test_reload(void **state) {
    orders told = {.feed = "198.51.100.1,JP,,,,xn76\n"};
    const orders more = {.feed = "198.51.100.1,JP,,,,xn76\n198.51.100.9,JP,,,,xn76\n198.51.100.10,JP,,,,xn76\n"
                                 "198.51.100.11,JP,,,,xn76\n198.51.100.12,JP,,,,xn76\n198.51.100.13,JP,,,,xn76\n"};
    const orders moved = {.feed = "198.51.100.1,US,,,,9q8y\n198.51.100.6,JP,,,,xn76\n"};
    const orders other = {.feed = "198.51.100.7,JP,,,,xn76\n"};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        if (strcmp(ROWS[i].alpn, "http/1.1") == 0) {
            continue; /* one tunnel a connection */
        }
        sim_world *w = open_world(&told);
        sim_conn *c = connect_by(w, &ROWS[i], NULL);
        sim_tun *live = ask(c, &ROWS[i], "xn76c-JP");
        use(w, &more);
        ask(c, &ROWS[i], "xn76c-JP");
        SIM_CHECK(w, last_source() == 1, "%s: from .%u", ROWS[i].name, last_source());
        use(w, &moved);
        ask(c, &ROWS[i], "xn76c-JP");
        SIM_CHECK(w, last_source() == 6, "%s: from .%u, which is elsewhere", ROWS[i].name, last_source());
        use(w, &other);
        ask(c, &ROWS[i], "xn76c-JP");
        SIM_CHECK(w, last_source() == 7, "%s: from .%u, which is gone", ROWS[i].name, last_source());
        SIM_CHECK(w, !live->target->ended, "%s: the live tunnel", ROWS[i].name);
        sim_world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),         cmocka_unit_test(test_malformed),     cmocka_unit_test(test_stable),
        cmocka_unit_test(test_host_locates),   cmocka_unit_test(test_families),      cmocka_unit_test(test_exhausted),
        cmocka_unit_test(test_many_exhausted), cmocka_unit_test(test_own_addresses), cmocka_unit_test(test_reload),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
