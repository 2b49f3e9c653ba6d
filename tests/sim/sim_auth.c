/*
 * sim_auth.c: who may: keys and other methods, verdicts that come later, what
 * guessing costs, and a configuration that changes while tunnels live.
 */
#include "harness/suite.h"

#define AUTHORITY SIM_ECHO ":1001"
#define ENHANCE_YOUR_CALM 11u

static sim_conn *connect_from(sim_world *w, const char *address) {
    return sim_connect(w, &(sim_client){.alpn = "h2", .address = address});
}

static sim_tun *ask(sim_conn *conn, const char *key) {
    sim_tun *tun = sim_request(conn, &(sim_ask){.authority = AUTHORITY, .key = key});
    sim_settle(conn->world);
    return tun;
}

/* --- credentials ---------------------------------------------------------------------------- */

typedef struct credential_row {
    const char *name;
    sim_field fields[3];
    unsigned status;
} credential_row;

#define PROXY "proxy-authorization"
#define ORIGIN "authorization"
#define GOOD "Preshared " SIM_KEY

static const credential_row CREDENTIALS[] = {
    {"good", {{PROXY, GOOD}}, 200},
    {"scheme in lower case", {{PROXY, "preshared " SIM_KEY}}, 200},
    {"scheme in mixed case", {{PROXY, "PreSHARED " SIM_KEY}}, 200},
    {"more spaces", {{PROXY, "Preshared   " SIM_KEY}}, 200},
    {"the fallback", {{ORIGIN, GOOD}}, 200},
    {"both: the proxy's counts", {{PROXY, GOOD}, {ORIGIN, "Bearer x"}}, 200},
    {"both: the proxy's counts, wrong", {{PROXY, "Preshared wrong-wrong"}, {ORIGIN, GOOD}}, 403},
    {"both: the proxy's counts, empty", {{PROXY, ""}, {ORIGIN, GOOD}}, 403},
    {"twice", {{PROXY, GOOD}, {PROXY, GOOD}}, 403},
    {"twice, the second wrong", {{PROXY, GOOD}, {PROXY, "Preshared wrong-wrong"}}, 403},
    {"the fallback twice", {{ORIGIN, GOOD}, {ORIGIN, GOOD}}, 403},
    {"joined by a comma", {{PROXY, GOOD ", " GOOD}}, 403},
    {"key of other case", {{PROXY, "Preshared Correct-horse-battery"}}, 403},
    {"key and more", {{PROXY, GOOD "x"}}, 403},
    {"key cut", {{PROXY, "Preshared correct-horse-batter"}}, 403},
    {"key quoted", {{PROXY, "Preshared \"" SIM_KEY "\""}}, 403},
    {"no key", {{PROXY, "Preshared"}}, 403},
    {"no scheme", {{PROXY, SIM_KEY}}, 403},
    {"another scheme", {{PROXY, "Basic " SIM_KEY}}, 403},
    {"none", {{"x", "y"}}, 403},
};

static void test_credentials(void **state) {
    (void)state;
    for (size_t i = 0; i < 2 * SIM_COUNT(CREDENTIALS); i++) {
        const credential_row *row = &CREDENTIALS[i / 2];
        size_t count = 0;
        while (count < SIM_COUNT(row->fields) && row->fields[count].name) {
            count++;
        }
        sim_world *w = sim_world_new(&(sim_setup){.seed = i});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = i % 2 ? "h2" : "http/1.1"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = AUTHORITY,
                                               .key = "",
                                               .may_dial = row->status == 200,
                                               .fields = row->fields,
                                               .field_count = count});
        sim_settle(w);
        SIM_CHECK(w, t->status == row->status, "%s: status %u", row->name, t->status);
        /* Nothing, or an empty value, is no guess. */
        bool counted = row->status == 403 && strlen(row->fields[0].value) > 1;
        SIM_CHECK(w, sim_stats(w).auth_failures == counted, "%s: %llu failures", row->name,
                  (unsigned long long)sim_stats(w).auth_failures);
        sim_world_close(w);
    }
}

static void add_more_keys(sim_world *w, masque_config *config) {
    SIM_CHECK(w, masque_config_add_preshared(config, "second", "second-key-second", 17) == 0, "second");
    SIM_CHECK(w, masque_config_add_preshared(config, "third", "third-key-third!", 16) == 0, "third");
    SIM_CHECK(w, masque_config_add_preshared(config, "third", "another-one", 11) == MASQUE_ERR_INVALID, "name twice");
}

static void test_several_keys(void **state) {
    static const char *const keys[] = {SIM_KEY, "second-key-second", "third-key-third!", "fourth-key-fourth"};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = add_more_keys});
    sim_conn *c = connect_from(w, NULL);
    for (size_t i = 0; i < SIM_COUNT(keys); i++) {
        sim_tun *t = sim_request(c, &(sim_ask){.authority = AUTHORITY, .key = keys[i], .may_dial = i < 3});
        sim_settle(w);
        SIM_CHECK(w, t->status == (i < 3 ? 200 : 403), "key %zu: status %u", i, t->status);
    }
    sim_world_close(w);
}

/* --- other methods ----------------------------------------------------------------------------- */

/* What the method below answers, and what it saw. */
static struct {
    masque_verdict verdict;
    char scheme[32];
    char credential[64];
    masque_address client;
    unsigned asked;
    unsigned released;
} method;

static masque_verdict check(void *context, const masque_auth_request *request) {
    assert_ptr_equal(context, &method);
    snprintf(method.scheme, sizeof method.scheme, "%.*s", (int)request->scheme_length, request->scheme);
    snprintf(method.credential, sizeof method.credential, "%.*s", (int)request->credential_length, request->credential);
    method.client = *request->client;
    method.asked++;
    return method.verdict;
}

static void release(void *context) {
    assert_ptr_equal(context, &method);
    method.released++;
}

static void add_method(sim_world *w, masque_config *config) {
    masque_auth_method table = {.name = "outside", .check = check, .release = release, .context = &method};
    masque_auth_method nothing = {.name = "nothing"};
    method.asked = method.released = 0;
    SIM_CHECK(w, masque_config_add_auth_method(config, &table) == 0, "method");
    SIM_CHECK(w, masque_config_add_auth_method(config, &nothing) == MASQUE_ERR_INVALID, "no check");
}

static sim_tun *ask_outside(sim_conn *conn, bool allowed, uint64_t send) {
    static const sim_field field = {PROXY, "Outside  a b  c"};
    sim_tun *tun = sim_request(conn, &(sim_ask){.authority = AUTHORITY,
                                                .key = "",
                                                .fields = &field,
                                                .field_count = 1,
                                                .may_dial = allowed,
                                                .early = send > 0,
                                                .send = send});
    sim_settle(conn->world);
    return tun;
}

static void test_verdicts(void **state) {
    static const struct {
        masque_verdict verdict;
        unsigned status;
        const char *proxy_status;
        uint64_t failures;
    } rows[] = {{MASQUE_AUTH_ALLOW, 200, "", 0},
                {MASQUE_AUTH_DENY, 403, "masqueproxy; error=http_request_denied", 1},
                {MASQUE_AUTH_NEXT, 403, "masqueproxy; error=http_request_denied", 1},
                {MASQUE_AUTH_UNAVAILABLE, 503,
                 "masqueproxy; error=proxy_internal_error; details=\"authentication unavailable\"", 0}};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = i, .configure = add_method});
        sim_conn *c = connect_from(w, "2001:4860::77");
        method.verdict = rows[i].verdict;
        sim_tun *t = ask_outside(c, i == 0, 0);
        SIM_CHECK(w, t->status == rows[i].status, "verdict %d: status %u", rows[i].verdict, t->status);
        SIM_CHECK(w, strcmp(t->proxy_status, rows[i].proxy_status) == 0, "verdict %d: %s", rows[i].verdict,
                  t->proxy_status);
        SIM_CHECK(w, sim_stats(w).auth_failures == rows[i].failures, "verdict %d: failures", rows[i].verdict);
        assert_string_equal(method.scheme, "Outside");
        assert_string_equal(method.credential, "a b  c");
        masque_address client = sim_address("2001:4860::77", 0);
        assert_true(masque_address_same_ip(&method.client, &client));
        assert_int_equal(method.asked, 1);
        /* A preshared key never gets to the second method. */
        SIM_CHECK(w, ask(c, NULL)->status == 200 && method.asked == 1, "the order of methods");
        sim_world_close(w);
        assert_int_equal(method.released, 1);
    }
}

/* --- verdicts that come later --------------------------------------------------------------------- */

typedef struct late_row {
    const char *name;
    masque_verdict verdict;
    unsigned status;
    masque_time after;
} late_row;

static const late_row LATE_ROWS[] = {
    {"allow", MASQUE_AUTH_ALLOW, 200, 0},
    {"allow, late", MASQUE_AUTH_ALLOW, 200, 9 * MASQUE_SECOND},
    {"deny", MASQUE_AUTH_DENY, 403, MASQUE_SECOND},
    {"unavailable", MASQUE_AUTH_UNAVAILABLE, 503, MASQUE_SECOND},
};

static void run_late(const late_row *row, int version) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = add_method});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
    method.verdict = MASQUE_AUTH_PENDING;
    sim_tun *t = ask_outside(c, row->status == 200, 5000);
    SIM_CHECK(w, w->authorize_count == 1 && !t->answered, "%s: not asked", row->name);
    assert_string_equal(w->authorize_text, "outside");
    masque_tunnel_id tunnel = w->authorize[0];
    assert_int_equal(masque_authorized(w->engine, tunnel, MASQUE_AUTH_PENDING, w->now), MASQUE_ERR_INVALID);
    assert_int_equal(masque_authorized(w->engine, tunnel, MASQUE_AUTH_NEXT, w->now), MASQUE_ERR_INVALID);
    sim_advance(w, row->after);
    SIM_CHECK(w, !t->answered && w->target_count == 0, "%s: not waiting", row->name);
    assert_int_equal(masque_authorized(w->engine, tunnel, row->verdict, w->now), 0);
    int again = masque_authorized(w->engine, tunnel, MASQUE_AUTH_ALLOW, w->now);
    SIM_CHECK(w, again == (row->status == 200 ? MASQUE_ERR_STATE : MASQUE_ERR_STALE), "%s: a second verdict gave %s",
              row->name, masque_error_name(again));
    sim_settle(w);
    SIM_CHECK(w, t->status == row->status, "%s: status %u", row->name, t->status);
    SIM_CHECK(w, row->status != 200 || t->received == 5000, "%s: early bytes", row->name);
    char waited[32];
    snprintf(waited, sizeof waited, "auth;dur=%llu.0", (unsigned long long)(row->after / MASQUE_MILLISECOND));
    SIM_CHECK(w, strstr(t->server_timing, waited), "%s: '%s' lacks '%s'", row->name, t->server_timing, waited);
    SIM_CHECK(w, strncmp(t->server_timing, "proxy;dur=0.0", 13) == 0, "%s: '%s'", row->name, t->server_timing);
    sim_world_close(w);
}

static void test_late_verdicts(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(LATE_ROWS); i++) {
        run_late(&LATE_ROWS[i], 1);
        run_late(&LATE_ROWS[i], 2);
    }
}

static void test_verdict_after_the_end(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) { /* too late, the client reset, the client left */
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = add_method});
        sim_conn *c = connect_from(w, NULL);
        method.verdict = MASQUE_AUTH_PENDING;
        sim_tun *t = ask_outside(c, false, 0);
        if (how == 0) {
            sim_advance(w, 11 * MASQUE_SECOND);
            SIM_CHECK(w, t->status == 503, "status %u", t->status);
        } else if (how == 1) {
            sim_reset(t);
            sim_settle(w);
        } else {
            sim_leave(c, true);
            sim_settle(w);
        }
        int error = masque_authorized(w->engine, w->authorize[0], MASQUE_AUTH_ALLOW, w->now);
        SIM_CHECK(w, error == MASQUE_ERR_STALE, "way %d: %s", how, masque_error_name(error));
        sim_settle(w);
        SIM_CHECK(w, w->target_count == 0, "way %d: a dial", how);
        /* Who does not wait could guess for nothing else; whom we let wait too long did nothing wrong. */
        assert_int_equal(sim_stats(w).auth_failures, how != 0);
        sim_world_close(w);
    }
}

/* --- guessing ------------------------------------------------------------------------------------------ */

static void test_guessing_ends_the_connection(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = connect_from(w, NULL);
    for (int i = 0; i < 30; i++) { /* no credential is no guess */
        SIM_CHECK(w, ask(c, "")->status == 403, "no 403");
    }
    SIM_CHECK(w, !c->finished && sim_stats(w).auth_failures == 0, "it counts");
    for (int i = 0; i < 7; i++) {
        SIM_CHECK(w, ask(c, "wrong-wrong")->status == 403, "no 403");
    }
    SIM_CHECK(w, !c->finished, "closed after seven");
    ask(c, "wrong-wrong");
    SIM_CHECK(w, c->goaways > 0 && c->goaway_code == ENHANCE_YOUR_CALM, "GOAWAY %u", c->goaway_code);
    SIM_CHECK(w, c->ended && c->end_error == MASQUE_ERR_AUTH_FAILURES, "%s", masque_error_name(c->end_error));
    SIM_CHECK(w, w->log_count > 0, "nothing was logged");
    sim_world_close(w);
}

static void guess(sim_world *w, const char *address) {
    sim_conn *c = connect_from(w, address);
    for (int i = 0; i < 8; i++) {
        ask(c, "wrong-wrong");
    }
    sim_leave(c, false);
    sim_settle(w);
}

static unsigned status_from(sim_world *w, const char *address) {
    sim_conn *c = connect_from(w, address);
    unsigned status = ask(c, NULL)->status;
    sim_leave(c, true);
    sim_settle(w);
    return status;
}

/* 5 s, doubling, at most 900 s; of the source alone; forgotten after 900 quiet seconds. */
static void test_penalty_schedule(void **state) {
    static const uint64_t seconds[] = {5, 10, 20, 40, 80, 160, 320, 640, 900, 900};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    for (size_t i = 0; i < SIM_COUNT(seconds); i++) {
        guess(w, "203.0.114.9");
        SIM_CHECK(w, status_from(w, "203.0.114.9") == 403, "penalty %zu does nothing", i);
        SIM_CHECK(w, status_from(w, "203.0.114.10") == 200, "a neighbour suffers");
        sim_advance(w, seconds[i] * MASQUE_SECOND - 1);
        SIM_CHECK(w, status_from(w, "203.0.114.9") == 403, "penalty %zu is too short", i);
        sim_advance(w, 1);
        SIM_CHECK(w, status_from(w, "203.0.114.9") == 200, "penalty %zu is too long", i);
    }
    sim_advance(w, 901 * MASQUE_SECOND);
    guess(w, "203.0.114.9");
    sim_advance(w, 5 * MASQUE_SECOND);
    SIM_CHECK(w, status_from(w, "203.0.114.9") == 200, "nothing is forgiven");
    sim_world_close(w);
}

static void test_penalty_of_a_prefix(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    guess(w, "2001:4860:1:2::1");
    SIM_CHECK(w, status_from(w, "2001:4860:1:2:ffff::9") == 403, "the same /64");
    SIM_CHECK(w, status_from(w, "2001:4860:1:3::1") == 200, "another /64");
    guess(w, "::ffff:203.0.114.9");
    SIM_CHECK(w, status_from(w, "203.0.114.9") == 403, "a mapped address is another source");
    sim_world_close(w);
}

/* Slow guessing over many connections counts as well. */
static void test_guesses_add_up(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    for (int i = 0; i < 8; i++) {
        SIM_CHECK(w, status_from(w, "203.0.114.9") == 200, "guess %d", i);
        sim_conn *c = connect_from(w, "203.0.114.9");
        ask(c, "wrong-wrong");
        sim_leave(c, true);
        sim_advance(w, 30 * MASQUE_SECOND);
    }
    sim_conn *c = connect_from(w, "203.0.114.9");
    (void)c;
    guess(w, "203.0.114.9");
    SIM_CHECK(w, status_from(w, "203.0.114.9") == 403, "no penalty");
    sim_world_close(w);
}

/* --- another configuration --------------------------------------------------------------------------------- */

static void use_config(sim_world *w, const char *name, const char *key) {
    masque_config *config = sim_config_new(w, NULL, false);
    SIM_CHECK(w, masque_config_add_preshared(config, name, key, strlen(key)) == 0, "key");
    SIM_CHECK(w, masque_engine_set_config(w->engine, config) == MASQUE_ERR_STATE, "not sealed, but taken");
    sim_alloc_side(SIM_PROXY);
    SIM_CHECK(w, masque_config_seal(config) == 0, "seal");
    SIM_CHECK(w, masque_engine_set_config(w->engine, config) == 0, "set");
    masque_config_release(config);
    sim_alloc_side(SIM_TEST);
}

static void test_removed_key(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = connect_from(w, NULL);
    sim_tun *live = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1002", .send = 1000});
    sim_settle(w);
    use_config(w, "other", "another-key-another");
    SIM_CHECK(w, ask(c, NULL)->status == 403, "the removed key is still good");
    sim_tun *t = sim_request(c, &(sim_ask){.authority = AUTHORITY, .key = "another-key-another", .may_dial = true});
    sim_settle(w);
    SIM_CHECK(w, t->status == 200, "the new key isn't: %u", t->status);
    live->send_total += 1000;
    sim_wake(live);
    sim_settle(w);
    SIM_CHECK(w, live->received == 2000 && !live->target->ended, "the live tunnel suffers");
    for (int i = 0; i < 100; i++) {
        use_config(w, "other", i % 2 ? "another-key-another" : "yet-another-key-yet");
        live->send_total += 100;
        sim_wake(live);
        sim_settle(w);
    }
    SIM_CHECK(w, live->received == 12000, "the live tunnel suffers from reloads");
    SIM_CHECK(w, ask(connect_from(w, NULL), NULL)->status == 403, "a new connection has the old key");
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_several_keys),
        cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_late_verdicts),
        cmocka_unit_test(test_verdict_after_the_end),
        cmocka_unit_test(test_guessing_ends_the_connection),
        cmocka_unit_test(test_penalty_schedule),
        cmocka_unit_test(test_penalty_of_a_prefix),
        cmocka_unit_test(test_guesses_add_up),
        cmocka_unit_test(test_removed_key),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
