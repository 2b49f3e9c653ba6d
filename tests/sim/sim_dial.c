/*
 * sim_dial.c: from a name to a target: Happy Eyeballs (RFC 8305) to the
 * millisecond, the policy on every single address, rebinding, results that come
 * too late, and the queue behind the cap on dials.
 */
#include "harness/suite.h"

#define MS MASQUE_MILLISECOND
#define SIX_A "2600:9000::a"
#define SIX_B "2600:9000::b"
#define FOUR_A "45.60.1.10"
#define FOUR_B "45.60.1.11"

/* --- a timetable --------------------------------------------------------------------------- */

typedef struct stop {
    const char *address; /* NULL ends */
    uint64_t at;         /* milliseconds after the request */
} stop;

typedef struct place {
    const char *address; /* NULL ends */
    masque_dial_result result;
    masque_time delay;
} place;

typedef struct table_row {
    const char *name;
    sim_answer ipv6;
    sim_answer ipv4;
    place places[5];
    stop stops[6];
    unsigned status;
    const char *winner;
} table_row;

#define NEVER SIM_NEVER

static const table_row TIMETABLE[] = {
    {"IPv6 first, families in turn, 250 ms apart",
     {.addresses = {SIX_A, SIX_B}},
     {.addresses = {FOUR_A, FOUR_B}},
     {{SIX_A, 0, NEVER}, {SIX_B, 0, NEVER}, {FOUR_A, 0, NEVER}, {FOUR_B, 0, 10 * MS}},
     {{SIX_A, 0}, {FOUR_A, 250}, {SIX_B, 500}, {FOUR_B, 750}},
     200,
     FOUR_B},
    {"A known, AAAA within 50 ms",
     {.delay = 30 * MS, .addresses = {SIX_A}},
     {.addresses = {FOUR_A}},
     {{SIX_A, 0, 5 * MS}, {FOUR_A, 0, 5 * MS}},
     {{SIX_A, 30}},
     200,
     SIX_A},
    {"A known, AAAA too late",
     {.delay = 80 * MS, .addresses = {SIX_A}},
     {.addresses = {FOUR_A}},
     {{SIX_A, 0, 5 * MS}, {FOUR_A, 0, NEVER}},
     {{FOUR_A, 50}, {SIX_A, 300}},
     200,
     SIX_A},
    {"AAAA known: no wait",
     {.addresses = {SIX_A}},
     {.delay = 2000 * MS, .addresses = {FOUR_A}},
     {{SIX_A, 0, 5 * MS}, {FOUR_A, 0, 0}},
     {{SIX_A, 0}},
     200,
     SIX_A},
    {"AAAA empty: no wait",
     {.result = MASQUE_LOOKUP_OK},
     {.addresses = {FOUR_A}},
     {{FOUR_A, 0, 5 * MS}},
     {{FOUR_A, 0}},
     200,
     FOUR_A},
    {"AAAA fails: no wait",
     {.result = MASQUE_LOOKUP_FAILED},
     {.addresses = {FOUR_A}},
     {{FOUR_A, 0, 5 * MS}},
     {{FOUR_A, 0}},
     200,
     FOUR_A},
    {"a failure starts the next at once",
     {.addresses = {SIX_A}},
     {.addresses = {FOUR_A}},
     {{SIX_A, MASQUE_DIAL_REFUSED, 20 * MS}, {FOUR_A, 0, 5 * MS}},
     {{SIX_A, 0}, {FOUR_A, 20}},
     200,
     FOUR_A},
    {"the slower of two wins nothing",
     {.addresses = {SIX_A}},
     {.addresses = {FOUR_A}},
     {{SIX_A, 0, 300 * MS}, {FOUR_A, 0, 10 * MS}},
     {{SIX_A, 0}, {FOUR_A, 250}},
     200,
     FOUR_A},
    {"the first wins though the second runs",
     {.addresses = {SIX_A}},
     {.addresses = {FOUR_A}},
     {{SIX_A, 0, 300 * MS}, {FOUR_A, 0, 100 * MS}},
     {{SIX_A, 0}, {FOUR_A, 250}},
     200,
     SIX_A},
    {"all fail: the telling one is said",
     {.addresses = {SIX_A}},
     {.addresses = {FOUR_A}},
     {{SIX_A, MASQUE_DIAL_UNREACHABLE, 0}, {FOUR_A, MASQUE_DIAL_REFUSED, 5 * MS}},
     {{SIX_A, 0}, {FOUR_A, 0}},
     502,
     NULL},
    {"our own lack is said",
     {.addresses = {SIX_A}},
     {.addresses = {FOUR_A}},
     {{SIX_A, MASQUE_DIAL_EXHAUSTED, 0}, {FOUR_A, MASQUE_DIAL_REFUSED, 5 * MS}},
     {{SIX_A, 0}, {FOUR_A, 0}},
     503,
     NULL},
    {"only public ones",
     {.addresses = {"::1", SIX_A, "fd00::1"}},
     {.addresses = {"127.0.0.1", "10.0.0.1", FOUR_A, "169.254.169.254"}},
     {{SIX_A, MASQUE_DIAL_REFUSED, 0}, {FOUR_A, 0, 0}},
     {{SIX_A, 0}, {FOUR_A, 0}},
     200,
     FOUR_A},
    {"a mapped address is IPv4's",
     {.addresses = {"::ffff:10.0.0.1", "::ffff:45.60.1.10"}},
     {.result = MASQUE_LOOKUP_OK},
     {{FOUR_A, 0, 0}},
     {{FOUR_A, 0}},
     200,
     FOUR_A},
    {"NAT64 of a private address",
     {.addresses = {"64:ff9b::a00:1", "2002:a00:1::1", "2001::1"}},
     {.result = MASQUE_LOOKUP_OK},
     {{NULL, 0, 0}},
     {{NULL, 0}},
     403,
     NULL},
};

static void add_places(sim_world *w, const table_row *row) {
    for (size_t i = 0; i < SIM_COUNT(row->places) && row->places[i].address; i++) {
        const place *at = &row->places[i];
        sim_add_site(w, at->address, (sim_site){.result = at->result, .delay = at->delay});
    }
    sim_add_name(w, (sim_name){.text = "row.test", .ipv6 = {row->ipv6}, .ipv4 = {row->ipv4}});
}

/* Fields of the last request, for on_event. */
static struct {
    const table_row *row;
    masque_time began;
    size_t seen;
} watch;

static void on_event(sim_world *w, const masque_event *event) {
    if (event->type != MASQUE_EVENT_DIAL) {
        return;
    }
    const stop *next = &watch.row->stops[watch.seen++];
    uint64_t at = (w->now - watch.began) / MS;
    char text[MASQUE_ADDRESS_TEXT_MAX];
    masque_address_format(&event->address, text, sizeof text);
    SIM_CHECK(w, next->address, "%s: dials %s at %llu, too", watch.row->name, text, (unsigned long long)at);
    masque_address expected = sim_address(next->address, 1000);
    SIM_CHECK(w, masque_address_same_ip(&event->address, &expected) && at == next->at,
              "%s: dials %s at %llu, expected %s at %llu", watch.row->name, text, (unsigned long long)at, next->address,
              (unsigned long long)next->at);
    SIM_CHECK(w, event->source.family == MASQUE_FAMILY_NONE, "a source address from nowhere");
}

static void run_table_row(const table_row *row, bool late) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    size_t expected = 0;
    w->late_dials = late;
    add_places(w, row);
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_settle(w);
    watch.row = row;
    watch.seen = 0;
    watch.began = w->now;
    w->on_event = on_event;
    sim_tun *t = sim_request(c, &(sim_ask){.authority = "row.test:1000", .send = 100, .send_fin = true});
    sim_advance(w, 5 * MASQUE_SECOND);
    while (expected < SIM_COUNT(row->stops) && row->stops[expected].address) {
        expected++;
    }
    SIM_CHECK(w, watch.seen == expected, "%s: %zu dials", row->name, watch.seen);
    SIM_CHECK(w, t->status == row->status, "%s: status %u, %s", row->name, t->status, t->proxy_status);
    masque_address winner = row->winner ? sim_address(row->winner, 0) : (masque_address){.family = 0};
    SIM_CHECK(w, !row->winner || masque_address_same_ip(&t->target->address, &winner), "%s: another won", row->name);
    SIM_CHECK(w, !row->winner || t->target->received == 100, "%s: the bytes went elsewhere", row->name);
    sim_world_close(w);
}

static void test_timetable(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(TIMETABLE); i++) {
        run_table_row(&TIMETABLE[i], false);
        run_table_row(&TIMETABLE[i], true);
    }
}

/* --- rebinding and policy -------------------------------------------------------------------- */

static void test_rebinding(void **state) {
    static const char *const second[] = {"169.254.169.254", "127.0.0.1", "10.9.8.7", "0.0.0.0"};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(second); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_add_name(w, (sim_name){.text = "flip.test",
                                   .versions = 2,
                                   .ipv4 = {{.addresses = {SIM_ECHO}}, {.addresses = {second[i]}}}});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
        sim_tun *first = sim_request(c, &(sim_ask){.authority = "flip.test:1001", .send = 5});
        sim_settle(w);
        sim_tun *again = sim_request(c, &(sim_ask){.authority = "flip.test:1002", .send = 5});
        sim_settle(w);
        SIM_CHECK(w, first->status == 200 && first->received == 5, "status %u", first->status);
        SIM_CHECK(w, again->status == 403 && w->target_count == 1, "status %u, %zu dials", again->status,
                  w->target_count);
        sim_world_close(w);
    }
}

static void add_rule(sim_world *w, masque_config *config, bool allow, const char *text) {
    masque_target_rule rule;
    const char *reason;
    SIM_CHECK(w, masque_target_rule_parse(&rule, allow, text, &reason) == 0, "%s: %s", text, reason);
    SIM_CHECK(w, masque_config_add_target_rule(config, &rule) == 0, "%s", text);
}

static void add_rules(sim_world *w, masque_config *config) {
    masque_address listener = sim_address("45.60.0.50", 443);
    masque_address egress = sim_address("45.60.0.51", 0);
    add_rule(w, config, true, "10.0.0.0/8:8000-8010");
    add_rule(w, config, true, "45.60.0.50");
    add_rule(w, config, false, "45.60.0.1:2000");
    add_rule(w, config, false, "10.0.0.9");
    add_rule(w, config, true, "45.60.0.1:25");
    SIM_CHECK(w, masque_config_add_own_address(config, &listener) == 0, "own address");
    SIM_CHECK(w, masque_config_add_own_address(config, &egress) == 0, "own address");
}

static void test_rules(void **state) {
    static const struct {
        const char *authority;
        unsigned status;
    } rows[] = {{"10.0.0.1:8000", 200},  {"10.0.0.1:7999", 403},          {"10.0.0.9:8000", 403},
                {"45.60.0.50:443", 403}, {"45.60.0.50:444", 200},         {"45.60.0.51:1", 403},
                {"45.60.0.1:2000", 403}, {"45.60.0.1:2001", 200},         {"45.60.0.1:25", 200},
                {"45.60.0.2:25", 403},   {"[::ffff:10.0.0.9]:8000", 403}, {"[::ffff:10.0.0.1]:8000", 200}};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = add_rules});
    sim_add_site(w, "10.0.0.1", (sim_site){.may_be_private = true});
    sim_add_site(w, "45.60.0.50", (sim_site){.echo = true});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        sim_tun *t = sim_request(c, &(sim_ask){.authority = rows[i].authority});
        sim_settle(w);
        SIM_CHECK(w, t->status == rows[i].status, "%s: status %u", rows[i].authority, t->status);
        sim_reset(t);
        sim_settle(w);
    }
    sim_world_close(w);
}

/* A refusal by policy needs nobody and says the same for everything. */
static void test_denials_look_alike(void **state) {
    static const char *const targets[] = {"127.0.0.1:80", "[::1]:80", "10.0.0.1:22", "169.254.169.254:80"};
    char first[SIM_TEXT] = "";
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(targets); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = targets[i]});
        sim_settle(w);
        SIM_CHECK(w, t->status == 403 && w->events[MASQUE_EVENT_RESOLVE] == 0, "%s: status %u", targets[i], t->status);
        if (i == 0) {
            memcpy(first, t->proxy_status, sizeof first);
        }
        SIM_CHECK(w, strcmp(first, t->proxy_status) == 0, "%s: '%s'", targets[i], t->proxy_status);
        sim_world_close(w);
    }
}

/* An address that the machine got after the configuration was made: the socket shows it. */
static void test_own_address_that_came_later(void **state) {
    static const struct {
        const char *authority;
        unsigned status;
    } rows[] = {{"45.60.0.50:444", 200}, {"45.60.0.60:444", 403}, {"45.60.0.60:80", 403}};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = add_rules});
    sim_add_site(w, "45.60.0.50", (sim_site){.result = MASQUE_DIAL_OWN, .echo = true});
    sim_add_site(w, "45.60.0.60", (sim_site){.result = MASQUE_DIAL_OWN, .echo = true});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        sim_tun *t = sim_request(c, &(sim_ask){.authority = rows[i].authority, .send = 5});
        sim_settle(w);
        SIM_CHECK(w, t->status == rows[i].status, "%s: status %u", rows[i].authority, t->status);
        bool told = t->status == 200 ? t->received == 5 : strstr(t->proxy_status, "destination_ip_prohibited") != NULL;
        SIM_CHECK(w, told, "%s: %llu bytes, %s", rows[i].authority, (unsigned long long)t->received, t->proxy_status);
    }
    sim_world_close(w);
}

/* --- late answers ------------------------------------------------------------------------------- */

static void test_answers_that_come_twice_or_late(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    masque_address address = sim_address(SIM_ECHO, 0);
    sim_add_name(w, (sim_name){.text = "hand.test", .ipv6 = {{.delay = NEVER}}, .ipv4 = {{.delay = NEVER}}});
    sim_find_site(w, SIM_ECHO)->delay = NEVER;
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    masque_tunnel_id tunnel = 0;
    sim_tun *t = sim_request(c, &(sim_ask){.authority = "hand.test:1001"});
    for (int i = 0; i < 100 && w->events[MASQUE_EVENT_RESOLVE] == 0; i++) {
        sim_step(w);
    }
    /* The harness noted nothing of it: look-ups by hand need the tunnel's name. */
    tunnel = w->last_resolve;
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_FAMILY_NONE, MASQUE_LOOKUP_OK, NULL, 0, w->now),
                     MASQUE_ERR_INVALID);
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV4, MASQUE_LOOKUP_OK, &address, 1, w->now), 0);
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV4, MASQUE_LOOKUP_OK, &address, 1, w->now),
                     MASQUE_ERR_STATE);
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV6, MASQUE_LOOKUP_OK, NULL, 0, w->now), 0);
    sim_settle(w);
    sim_target *target = w->targets[0];
    assert_int_equal(masque_dialed(w->engine, target->attempt, MASQUE_DIAL_OK, w->now), 0);
    target->state = SIM_OPEN;
    t->target = target;
    assert_int_equal(masque_dialed(w->engine, target->attempt, MASQUE_DIAL_OK, w->now), MASQUE_ERR_STALE);
    assert_int_equal(masque_dialed(w->engine, target->attempt, MASQUE_DIAL_FAILED, w->now), MASQUE_ERR_STALE);
    assert_int_equal(masque_attempt_set_user(w->engine, target->attempt, NULL), MASQUE_ERR_STALE);
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV6, MASQUE_LOOKUP_OK, &address, 1, w->now),
                     MASQUE_ERR_STATE);
    sim_settle(w);
    assert_int_equal(t->status, 200);
    sim_reset(t);
    sim_settle(w);
    assert_int_equal(masque_resolved(w->engine, tunnel, MASQUE_IPV6, MASQUE_LOOKUP_OK, &address, 1, w->now),
                     MASQUE_ERR_STALE);
    sim_world_close(w);
}

/* --- the queue ------------------------------------------------------------------------------------- */

static void two_dials(masque_limits *limits) {
    limits->dials_per_connection_max = 2;
    limits->dial_timeout_ms = 20000;
    limits->resolve_timeout_ms = 3000;
}

static void run_queue(const char *host, bool ends) {
    enum { REQUESTS = 8 };
    sim_tun *tuns[REQUESTS];
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = two_dials});
    sim_site *site = sim_add_site(w, "45.60.0.40", (sim_site){.delay = MASQUE_SECOND});
    sim_add_name(w, (sim_name){.text = "slow.test", .ipv4 = {{.addresses = {"45.60.0.40"}}}});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (unsigned i = 0; i < REQUESTS; i++) {
        char authority[64];
        snprintf(authority, sizeof authority, "%s:%u", host, 1000 + i);
        tuns[i] = sim_request(c, &(sim_ask){.authority = authority});
    }
    if (ends) { /* one that dials, one that waits */
        sim_advance(w, 100 * MS);
        sim_reset(tuns[0]);
        sim_reset(tuns[5]);
    }
    sim_advance(w, 15 * MASQUE_SECOND);
    for (unsigned i = 0; i < REQUESTS; i++) {
        bool gone = ends && (i == 0 || i == 5);
        SIM_CHECK(w, gone || tuns[i]->status == 200, "%s, request %u: status %u %s", host, i, tuns[i]->status,
                  tuns[i]->proxy_status);
    }
    for (unsigned i = 2; i < 6 && !ends; i++) { /* two every second, in their order */
        uint64_t apart = (site->dialed_at[i] - site->dialed_at[0]) / MS;
        SIM_CHECK(w, apart == i / 2 * 1000, "%s: dial %u at %llu", host, i, (unsigned long long)apart);
    }
    sim_world_close(w);
}

static void test_queue(void **state) {
    (void)state;
    run_queue("45.60.0.40", false);
    run_queue("45.60.0.40", true);
    run_queue("slow.test", false);
    run_queue("slow.test", true);
}

/* Known addresses, but no place for longer than a look-up may take. */
static void test_waiting_longer_than_a_lookup(void **state) {
    (void)state;
    for (int family = 4; family <= 6; family += 2) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .limits = two_dials});
        sim_add_site(w, "45.60.0.41", (sim_site){.delay = 10 * MASQUE_SECOND});
        sim_add_site(w, SIX_A, (sim_site){.echo = true});
        sim_add_name(w, (sim_name){.text = "six.test", .ipv6 = {{.addresses = {SIX_A}}}});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
        sim_request(c, &(sim_ask){.authority = "45.60.0.41:1000"});
        sim_request(c, &(sim_ask){.authority = "45.60.0.41:1001"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = family == 4 ? "echo.test:1002" : "six.test:1002"});
        sim_advance(w, 15 * MASQUE_SECOND);
        SIM_CHECK(w, t->status == 200, "IPv%d: status %u %s", family, t->status, t->proxy_status);
        sim_world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timetable),
        cmocka_unit_test(test_rebinding),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_own_address_that_came_later),
        cmocka_unit_test(test_denials_look_alike),
        cmocka_unit_test(test_answers_that_come_twice_or_late),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_waiting_longer_than_a_lookup),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
