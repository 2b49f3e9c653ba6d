/*
 * sim_hints.c: signed hints of a client's place (masqueproxy/hint.h), over every version of HTTP: what is believed,
 * what counts as absent or gets 403, and that a connection's hint is looked at once.
 */
#include <stdlib.h>

#include "../support/hint_key.h"
#include "harness/suite.h"
#include "harness/versions.h"

#define FIELD "sec-ch-geohash"
#define AUDIENCE "proxy.example"
#define REFUSED "masqueproxy; error=http_request_denied; details=\"sec-ch-geohash without a good signature\""
#define BEGIN ((masque_unix_time)1800000000)

static struct {
    masque_hint_need need;
    bool without_keys;
    bool without_hints;
    bool late; /* verdicts come later */
    masque_unix_time now;
    unsigned last; /* byte of the latest dial's source */
    unsigned dials;
} sim;

static void on_event(sim_world *w, const masque_event *event) {
    (void)w;
    if (event->type == MASQUE_EVENT_DIAL) {
        sim.last = event->source.ip[3];
        sim.dials++;
    }
}

static masque_unix_time read_clock(void *context) {
    (void)context;
    return sim.now;
}

static void trust_clients(masque_config *config) {
    size_t length, wrong;
    char *ca = sim_read_file(SIM_DATA "/sim_client_ca.pem", &length);
    const masque_client_certificates certificates = {.ca_pem = ca, .ca_length = length};
    assert_int_equal(masque_config_set_client_certificates(config, &certificates, &wrong), 0);
    free(ca);
}

static masque_verdict wait(void *context, const masque_auth_request *request) {
    (void)context;
    (void)request;
    return MASQUE_AUTH_PENDING;
}

static void configure(sim_world *w, masque_config *config) {
    static const char feed[] = "198.51.100.1,JP\n198.51.100.2,DE\n198.51.100.9\n";
    const masque_runtime runtime = {.random = NULL};
    const masque_geo geo = {.precision = 5};
    masque_pools *pools = masque_pools_new(&runtime);
    SIM_CHECK(w, masque_pools_add_geofeed(pools, feed, sizeof feed - 1, NULL) == 0, "feed");
    SIM_CHECK(w, masque_pools_seal(pools, NULL) == 0, "seal");
    SIM_CHECK(w, masque_config_set_geo(config, &geo, pools, NULL) == 0, "geo");
    masque_pools_release(pools);
    const masque_auth_method method = {.name = "late", .check = wait};
    SIM_CHECK(w, !sim.late || masque_config_add_auth_method(config, &method) == 0, "method");
    if (sim.without_hints) {
        return;
    }
    masque_hints hints = {.need = sim.need, .clock = read_clock};
    SIM_CHECK(w, masque_config_set_hints(config, &hints) == MASQUE_ERR_INVALID, "no audience");
    hints.audience = AUDIENCE;
    SIM_CHECK(w, masque_config_set_hints(config, &hints) == 0, "hints");
    SIM_CHECK(w,
              masque_config_add_hint_key(config, "a1", HINT_SECRET_PEM, strlen(HINT_SECRET_PEM)) == MASQUE_ERR_INVALID,
              "a secret");
    if (!sim.without_keys) {
        SIM_CHECK(w, masque_config_add_hint_key(config, "a1", HINT_PUBLIC_PEM, strlen(HINT_PUBLIC_PEM)) == 0, "key");
        SIM_CHECK(
            w, masque_config_add_hint_key(config, "a1", HINT_PUBLIC_PEM, strlen(HINT_PUBLIC_PEM)) == MASQUE_ERR_INVALID,
            "again");
    }
    if (w->setup.user) {
        trust_clients(config);
    }
}

static sim_world *open_world(masque_hint_need need) {
    memset(&sim, 0, sizeof sim);
    sim.need = need;
    sim.now = BEGIN;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 10, .configure = configure});
    w->on_event = on_event;
    return w;
}

static sim_conn *connect_by(sim_world *w, const row *r) {
    return sim_connect(w, &(sim_client){.alpn = r->alpn, .engine = r->udp && strcmp(r->alpn, "h3") != 0});
}

static sim_tun *ask(sim_conn *c, const row *r, const char *value) {
    static uint16_t port = 1000;
    static char authority[80];
    const sim_field field = {FIELD, value};
    snprintf(authority, sizeof authority, "%s:%u", SIM_ECHO, ++port);
    sim_tun *t = sim_request(
        c, &(sim_ask){.authority = authority, .udp = r->udp, .fields = &field, .field_count = value ? 1 : 0});
    sim_settle(c->world);
    return t;
}

static const char *sign(const char *audience, const char *kid, masque_unix_time expires) {
    static char text[MASQUE_HINT_MAX];
    const masque_runtime runtime = {.random = NULL};
    masque_hint hint = {.place = {.geohash = "xn76c", .country = "JP"}, .expires = expires};
    snprintf(hint.audience, sizeof hint.audience, "%s", audience);
    snprintf(hint.kid, sizeof hint.kid, "%s", kid);
    assert_int_equal(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text), 0);
    return text;
}

static void test_believed(void **state) {
    static const struct {
        const char *audience, *kid;
        int64_t expires;
        bool good;
    } rows[] = {
        {AUDIENCE, "a1", 300, true},  {AUDIENCE, "a1", 1, true},           {AUDIENCE, "a1", 600, true},
        {AUDIENCE, "a1", 660, true}, /* a clock's minute */
        {AUDIENCE, "a1", 661, false}, {AUDIENCE, "a1", 0, false},          {AUDIENCE, "a1", -5, false},
        {AUDIENCE, "a2", 300, false}, {"other.example", "a1", 300, false},
    };
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS) * SIM_COUNT(rows) * 3; i++) {
        const row *r = &ROWS[i % SIM_COUNT(ROWS)];
        size_t n = i / SIM_COUNT(ROWS) % SIM_COUNT(rows);
        masque_hint_need need = (masque_hint_need)(i / SIM_COUNT(ROWS) / SIM_COUNT(rows));
        sim_world *w = open_world(need);
        sim_tun *t = ask(connect_by(w, r), r, sign(rows[n].audience, rows[n].kid, BEGIN + rows[n].expires));
        if (rows[n].good || need != MASQUE_HINTS_ENFORCED) {
            SIM_CHECK(w, sim_tun_is_open(t) && sim.last == (rows[n].good ? 1 : 9), "%s, row %zu: %u, from .%u", r->name,
                      n, t->status, sim.last);
        } else {
            SIM_CHECK(w, t->status == 403 && strcmp(t->proxy_status, REFUSED) == 0 && sim.dials == 0, "%s, row %zu: %u",
                      r->name, n, t->status);
        }
        masque_stats stats = sim_stats(w);
        SIM_CHECK(w, stats.hints_checked == 1 && stats.hints_refused == !rows[n].good, "counted otherwise");
        sim_world_close(w);
    }
}

/* Unsigned, or none at all; a bit that differs. */
static void test_unsigned(void **state) {
    static const unsigned sources[3][3] = {{1, 9, 9}, {9, 9, 9}, {0, 9, 0}}; /* 0: 403 */
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS) * 3; i++) {
        const row *r = &ROWS[i % SIM_COUNT(ROWS)];
        size_t need = i / SIM_COUNT(ROWS);
        sim_world *w = open_world((masque_hint_need)need);
        char damaged[MASQUE_HINT_MAX];
        snprintf(damaged, sizeof damaged, "%s", sign(AUDIENCE, "a1", BEGIN + 300));
        memcpy(strstr(damaged, "JP"), "DE", 2);
        const char *const values[3] = {"xn76c-JP", NULL, damaged};
        for (size_t k = 0; k < 3; k++) {
            sim.last = 0;
            sim_tun *t = ask(connect_by(w, r), r, values[k]);
            unsigned wanted = sources[need][k];
            SIM_CHECK(w,
                      sim.last == wanted &&
                          t->status == (wanted ? (r->udp && strcmp(r->alpn, "http/1.1") == 0 ? 101u : 200u) : 403u),
                      "%s, need %zu, value %zu: %u, from .%u", r->name, need, k, t->status, sim.last);
        }
        sim_world_close(w);
    }
}

/* A first hop signs nothing, for it is known; what is signed has to be right all the same. */
static void test_of_servers(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        const row *r = &ROWS[i];
        memset(&sim, 0, sizeof sim);
        sim.need = MASQUE_HINTS_ENFORCED;
        sim.now = BEGIN;
        sim_world *w = sim_world_new(&(sim_setup){.seed = 10, .configure = configure, .user = &sim});
        w->on_event = on_event;
        const sim_client server = {.alpn = r->alpn, .engine = strcmp(r->alpn, "h3") != 0, .identified = true};
        sim_tun *t = ask(sim_connect(w, &server), r, "xn76c-JP");
        SIM_CHECK(w, sim_tun_is_open(t) && sim.last == 1, "%s: %u, from .%u", r->name, t->status, sim.last);
        t = ask(sim_connect(w, &server), r, sign("other.example", "a1", BEGIN + 300));
        SIM_CHECK(w, t->status == 403, "%s: a wrong signature: %u", r->name, t->status);
        sim_world_close(w);
    }
}

static void renew(sim_world *w) {
    masque_config *config = sim_config_new(w, NULL, true);
    configure(w, config);
    sim_use_config(w, config);
    sim_settle(w);
}

/* One look for a connection's tunnels, until the hint ends or other keys are in force. */
static void test_looked_at_once(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        const row *r = &ROWS[i];
        if (strcmp(r->alpn, "http/1.1") == 0) {
            continue; /* one tunnel a connection */
        }
        sim_world *w = open_world(MASQUE_HINTS_NEEDED);
        sim_conn *c = connect_by(w, r);
        char hint[MASQUE_HINT_MAX];
        snprintf(hint, sizeof hint, "%s", sign(AUDIENCE, "a1", BEGIN + 300));
        for (int k = 0; k < 20; k++) {
            ask(c, r, hint);
            SIM_CHECK(w, sim.last == 1, "%s: from .%u", r->name, sim.last);
        }
        SIM_CHECK(w, sim_stats(w).hints_checked == 1, "looks: %llu", (unsigned long long)sim_stats(w).hints_checked);
        sim.now = BEGIN + 299;
        ask(c, r, hint);
        SIM_CHECK(w, sim.last == 1, "%s: a second before its end", r->name);
        sim.now = BEGIN + 300;
        ask(c, r, hint);
        SIM_CHECK(w, sim.last == 9, "%s: at its end", r->name);
        sim.now = BEGIN;
        sim.without_keys = true;
        renew(w);
        ask(c, r, hint);
        SIM_CHECK(w, sim.last == 9, "%s: the key is gone", r->name);
        sim_world_close(w);
    }
}

/* While a verdict is awaited the configuration changes: the new one counts. */
static void test_reload_before_verdict(void **state) {
    static const struct {
        bool from, to;  /* hints are asked for */
        bool is_signed; /* by anybody, for nobody */
        unsigned source;
    } rows[] = {{true, false, true, 1}, {false, true, true, 9}, {false, true, false, 9}};
    static const char nobodys[] =
        "\"xn76c-JP\";exp=9999999999;kid=\"a\";sig=:QGhpa/IHK7eTxmwuF5+qEq0akWtAMcAK9bPQshfAlt"
        "Kg1HZvzjymK+QVL6t7pDiZZnJLmfi2uNOU7tEJYZphmA==:";
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS) * SIM_COUNT(rows); i++) {
        const row *r = &ROWS[i % SIM_COUNT(ROWS)];
        size_t n = i / SIM_COUNT(ROWS);
        memset(&sim, 0, sizeof sim);
        sim.need = MASQUE_HINTS_NEEDED;
        sim.now = BEGIN;
        sim.late = true;
        sim.without_hints = !rows[n].from;
        sim_world *w = sim_world_new(&(sim_setup){.seed = 10, .configure = configure, .no_key = true});
        w->on_event = on_event;
        sim_tun *t = ask(connect_by(w, r), r, rows[n].is_signed ? nobodys : "xn76c-JP");
        SIM_CHECK(w, w->authorize_count == 1, "%s: not asked", r->name);
        sim.without_hints = !rows[n].to;
        renew(w);
        assert_int_equal(masque_authorized(w->engine, w->authorize[0], MASQUE_AUTH_ALLOW, w->now), 0);
        sim_settle(w);
        SIM_CHECK(w, sim_tun_is_open(t) && sim.last == rows[n].source, "%s, row %zu: %u, from .%u", r->name, n,
                  t->status, sim.last);
        sim_world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_believed),
        cmocka_unit_test(test_unsigned),
        cmocka_unit_test(test_of_servers),
        cmocka_unit_test(test_looked_at_once),
        cmocka_unit_test(test_reload_before_verdict),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
