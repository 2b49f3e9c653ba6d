/*
 * sim_quotas.c: what an identity may use, the same over every version of HTTP and for TCP and UDP: tunnels at once and
 * a second, bytes of an hour, over reloads; and whose tunnels end when the configuration allows them no longer.
 */
#include "harness/suite.h"
#include "harness/versions.h"

#define OTHER_KEY "another-key-another"
#define HOUR ((masque_time)3600 * MASQUE_SECOND)
#define REFUSED "masqueproxy; error=connection_limit_reached; details=\"quota\""

/* What the world's proxy is told. */
typedef struct orders {
    masque_quota quotas[3];
    size_t quota_count;
    const masque_auth_method *method;
} orders;

static void configure(sim_world *w, masque_config *config) {
    const orders *told = w->setup.user;
    SIM_CHECK(w, masque_config_add_preshared(config, "other", OTHER_KEY, strlen(OTHER_KEY)) == 0, "key");
    for (size_t i = 0; i < told->quota_count; i++) {
        SIM_CHECK(w, masque_config_add_quota(config, &told->quotas[i]) == 0, "quota %zu", i);
    }
    if (told->method) {
        SIM_CHECK(w, masque_config_add_auth_method(config, told->method) == 0, "method");
    }
}

static sim_world *open_world(orders *told) {
    return sim_world_new(&(sim_setup){.seed = 3, .configure = configure, .user = told});
}

/* On a connection of its own, so that nothing but the identity is shared. */
static sim_tun *ask(sim_world *w, const row *r, const char *key) {
    static uint16_t port = 1000;
    static unsigned source = 1;
    static char authority[32], address[32];
    snprintf(authority, sizeof authority, SIM_ECHO ":%u", ++port);
    snprintf(address, sizeof address, "198.51.100.%u", 1 + source++ % 250);
    sim_conn *c = sim_connect(
        w, &(sim_client){.alpn = r->alpn, .engine = r->udp && strcmp(r->alpn, "h3") != 0, .address = address});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = authority, .key = key, .udp = r->udp, .may_dial = true});
    sim_settle(w);
    return t;
}

static bool lives(const sim_tun *t) {
    return sim_tun_is_open(t) && !t->target->ended;
}

static void leave(sim_tun *t) {
    sim_leave(t->conn, strcmp(t->conn->options.alpn, "h3") != 0); /* QUIC leaves without a word then */
    sim_settle(t->conn->world);
}

static void check_refused(const sim_tun *t, const row *r) {
    SIM_CHECK(t->conn->world, t->status == 503 && strcmp(t->proxy_status, REFUSED) == 0, "%s: %u, %s", r->name,
              t->status, t->proxy_status);
}

static void check_open(const sim_tun *t, const row *r) {
    SIM_CHECK(t->conn->world, lives(t), "%s: %u, %s", r->name, t->status, t->proxy_status);
}

/* Counted over all connections and protocols together. */
static void test_tunnels_at_once(void **state) {
    orders told = {.quotas = {{.method = "preshared", .tunnels_max = SIM_COUNT(ROWS)}}, .quota_count = 1};
    sim_tun *open[SIM_COUNT(ROWS)];
    (void)state;
    sim_world *w = open_world(&told);
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        open[i] = ask(w, &ROWS[i], NULL);
        check_open(open[i], &ROWS[i]);
    }
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        check_refused(ask(w, &ROWS[i], NULL), &ROWS[i]);
        leave(ask(w, &ROWS[i], OTHER_KEY));
        leave(open[i]);
        open[i] = ask(w, &ROWS[i], NULL);
        check_open(open[i], &ROWS[i]);
    }
    SIM_CHECK(w, sim_stats(w).quota_refusals == SIM_COUNT(ROWS), "refusals: %llu",
              (unsigned long long)sim_stats(w).quota_refusals);
    SIM_CHECK(w, sim_stats(w).auth_failures == 0, "a refusal is no guess");
    sim_world_close(w);
}

static void test_tunnels_a_second(void **state) {
    orders told = {.quotas = {{.method = "preshared", .identity = "other", .tunnels_rate = 2}}, .quota_count = 1};
    (void)state;
    sim_world *w = open_world(&told);
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        leave(ask(w, &ROWS[i], OTHER_KEY));
        leave(ask(w, &ROWS[i], OTHER_KEY));
        check_refused(ask(w, &ROWS[i], OTHER_KEY), &ROWS[i]);
        check_open(ask(w, &ROWS[i], NULL), &ROWS[i]);
        sim_advance(w, 2 * MASQUE_SECOND);
    }
    sim_world_close(w);
}

/* 2 MiB go up, and come back. */
static void carry(sim_tun *t) {
    if (t->udp) {
        for (int i = 0; i < 200; i++) {
            sim_send_datagrams(t, 10, 1000);
            sim_settle(t->conn->world);
        }
    } else {
        t->send_total += 2000000;
        sim_wake(t);
        sim_settle(t->conn->world);
    }
}

static void test_bytes(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        orders told = {.quotas = {{.method = "preshared", .identity = "other", .bytes_per_hour = 1000000}},
                       .quota_count = 1};
        sim_world *w = open_world(&told);
        sim_tun *t = ask(w, &ROWS[i], OTHER_KEY);
        sim_tun *free_one = ask(w, &ROWS[i], NULL);
        carry(free_one);
        carry(t);
        uint64_t carried = sim_stats(w).bytes_sent + sim_stats(w).bytes_received;
        SIM_CHECK(w, sim_stats(w).quota_ends == 1 && !lives(t), "%s: it goes on", ROWS[i].name);
        SIM_CHECK(w, t->target->ended && t->target->got_reset, "%s: no reset", ROWS[i].name);
        SIM_CHECK(w, carried <= 4000000 + 1000000 + 300000, "%s: %llu bytes", ROWS[i].name,
                  (unsigned long long)carried);
        check_open(free_one, &ROWS[i]);
        check_refused(ask(w, &ROWS[i], OTHER_KEY), &ROWS[i]);
        sim_advance(w, HOUR);
        check_open(ask(w, &ROWS[i], OTHER_KEY), &ROWS[i]);
        sim_world_close(w);
    }
}

/* --- other configurations -------------------------------------------------------------------------- */

typedef struct change {
    const char *name;
    const char *key; /* of SIM_KEY's name */
    bool without_other;
    bool revokes;
    bool continues;
} change;

static void use(sim_world *w, const change *what) {
    const orders *told = w->setup.user;
    masque_config *config = sim_config_new(w, NULL, false);
    if (what->key) {
        SIM_CHECK(w, masque_config_add_preshared(config, what->name, what->key, strlen(what->key)) == 0, "key");
    }
    if (!what->without_other) {
        SIM_CHECK(w, masque_config_add_preshared(config, "other", OTHER_KEY, strlen(OTHER_KEY)) == 0, "key");
    }
    for (size_t i = 0; i < told->quota_count; i++) {
        SIM_CHECK(w, masque_config_add_quota(config, &told->quotas[i]) == 0, "quota");
    }
    masque_config_set_revocation(config, what->revokes);
    SIM_CHECK(w, masque_config_continue(config, what->continues ? w->config : NULL) == 0, "continue");
    sim_alloc_side(SIM_PROXY);
    SIM_CHECK(w, masque_config_seal(config) == 0, "seal");
    SIM_CHECK(w, masque_config_continue(config, NULL) == MASQUE_ERR_STATE, "sealed");
    SIM_CHECK(w, masque_config_add_quota(config, &told->quotas[0]) == MASQUE_ERR_STATE, "sealed");
    SIM_CHECK(w, masque_config_set_revocation(config, false) == MASQUE_ERR_STATE, "sealed");
    SIM_CHECK(w, masque_engine_set_config(w->engine, config) == 0, "set");
    masque_config_release(config);
    sim_alloc_side(SIM_TEST);
    sim_settle(w);
}

static void test_reload_continues(void **state) {
    orders told = {.quotas = {{.method = "preshared", .tunnels_max = 2}}, .quota_count = 1};
    (void)state;
    for (int continues = 0; continues < 2; continues++) {
        sim_world *w = open_world(&told);
        sim_tun *first = ask(w, &ROWS[2], OTHER_KEY);
        ask(w, &ROWS[4], OTHER_KEY);
        use(w, &(change){.continues = continues});
        SIM_CHECK(w, ask(w, &ROWS[2], OTHER_KEY)->status == (continues ? 503 : 200), "the third");
        leave(first);
        check_open(ask(w, &ROWS[2], OTHER_KEY), &ROWS[2]);
        sim_world_close(w);
    }
}

static void test_revoked_keys(void **state) {
    static const struct {
        const char *what;
        change change;
        bool stays;
    } rows[] = {
        {"nothing is revoked at once unless told", {.key = NULL, .revokes = false}, true},
        {"the key is gone", {.key = NULL, .revokes = true}, false},
        {"the key is the same", {.name = "test", .key = SIM_KEY, .revokes = true}, true},
        {"another key by that name", {.name = "test", .key = "yet-another-key-yet", .revokes = true}, false},
        {"the same key by another name", {.name = "tast", .key = SIM_KEY, .revokes = true}, false},
    };
    orders told = {.quotas = {{.method = "preshared", .tunnels_max = 9}}, .quota_count = 1};
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows) * SIM_COUNT(ROWS); i++) {
        const row *r = &ROWS[i % SIM_COUNT(ROWS)];
        sim_world *w = open_world(&told);
        sim_tun *t = ask(w, r, NULL);
        sim_tun *other = ask(w, r, OTHER_KEY);
        use(w, &rows[i / SIM_COUNT(ROWS)].change);
        bool stays = rows[i / SIM_COUNT(ROWS)].stays;
        SIM_CHECK(w, lives(t) == stays, "%s, %s", r->name, rows[i / SIM_COUNT(ROWS)].what);
        SIM_CHECK(w, sim_stats(w).revoked == !stays, "%s, %s: counted", r->name, rows[i / SIM_COUNT(ROWS)].what);
        SIM_CHECK(w, stays || t->target->got_reset, "%s: no reset", r->name);
        check_open(other, r);
        sim_world_close(w);
    }
}

/* --- methods of the host's --------------------------------------------------------------------------- */

static struct {
    masque_identity said;
    masque_verdict verdict;
    bool still;
} outside;

static masque_verdict check(void *context, const masque_auth_request *request) {
    (void)context;
    if (!masque_auth_is_scheme(request, "outside")) {
        return MASQUE_AUTH_NEXT;
    }
    masque_auth_identify(request, outside.said.name, outside.said.mark);
    return outside.verdict;
}

static bool still(void *context, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]) {
    (void)context;
    assert_memory_equal(mark, outside.said.mark, MASQUE_IDENTITY_MARK_LENGTH);
    return outside.still;
}

static const masque_auth_method METHOD = {.name = "outside", .check = check, .still = still};

static sim_tun *ask_outside(sim_world *w) {
    static uint16_t port = 20000;
    static char authority[32];
    static const sim_field field = {"proxy-authorization", "Outside x"};
    snprintf(authority, sizeof authority, SIM_ECHO ":%u", ++port);
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(
        c, &(sim_ask){.authority = authority, .key = "", .fields = &field, .field_count = 1, .may_dial = true});
    sim_settle(w);
    return t;
}

/* Who it is may be known only with the verdict. */
static void test_late_identities(void **state) {
    orders told = {.quotas = {{.method = "outside", .identity = "alice", .tunnels_max = 1},
                              {.method = "outside", .tunnels_max = 2}},
                   .quota_count = 2,
                   .method = &METHOD};
    static const struct {
        const char *said, *later; /* NULL: nothing is said later */
        unsigned status;
    } rows[] = {{"alice", NULL, 200}, {"alice", NULL, 503}, {"alice", "bob", 200}, {"bob", NULL, 200},
                {"", "bob", 503},     {"", "alice", 503},   {"", NULL, 200},       {"carol", "", 200}};
    (void)state;
    sim_world *w = open_world(&told);
    outside.verdict = MASQUE_AUTH_PENDING;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        masque_identity later = {.name = ""};
        snprintf(outside.said.name, sizeof outside.said.name, "%s", rows[i].said);
        sim_tun *t = ask_outside(w);
        if (rows[i].later) {
            snprintf(later.name, sizeof later.name, "%s", rows[i].later);
        }
        int error =
            masque_authorized_as(w->engine, w->authorize[i], MASQUE_AUTH_ALLOW, rows[i].later ? &later : NULL, w->now);
        SIM_CHECK(w, error == 0, "row %zu: %s", i, masque_error_name(error));
        sim_settle(w);
        SIM_CHECK(w, t->status == rows[i].status, "row %zu: %u", i, t->status);
    }
    sim_world_close(w);
}

static void test_revoked_by_a_method(void **state) {
    orders told = {.quotas = {{.method = "x", .tunnels_max = 1}}, .quota_count = 1, .method = &METHOD};
    (void)state;
    for (int way = 0; way < 3; way++) { /* it still allows, it does not, it is gone */
        sim_world *w = open_world(&told);
        outside.verdict = MASQUE_AUTH_ALLOW;
        outside.still = way == 0;
        memset(outside.said.mark, 0x5a, sizeof outside.said.mark);
        sim_tun *t = ask_outside(w);
        masque_config *config = sim_config_new(w, NULL, true);
        if (way < 2) {
            SIM_CHECK(w, masque_config_add_auth_method(config, &METHOD) == 0, "method");
        }
        masque_config_set_revocation(config, true);
        sim_use_config(w, config);
        sim_settle(w);
        SIM_CHECK(w, lives(t) == (way == 0), "way %d", way);
        sim_world_close(w);
    }
}

/* A verdict of a method that is gone meanwhile, or would say no by now, is late. */
static void test_late_behind_a_reload(void **state) {
    orders told = {.quotas = {{.method = "x", .tunnels_max = 1}}, .quota_count = 1, .method = &METHOD};
    (void)state;
    for (int way = 0; way < 3; way++) { /* it still allows, it does not, it is gone */
        sim_world *w = open_world(&told);
        outside.verdict = MASQUE_AUTH_PENDING;
        outside.still = way == 0;
        memset(outside.said.mark, 0x5a, sizeof outside.said.mark);
        sim_tun *t = ask_outside(w);
        masque_config *config = sim_config_new(w, NULL, true);
        if (way < 2) {
            SIM_CHECK(w, masque_config_add_auth_method(config, &METHOD) == 0, "method");
        }
        sim_use_config(w, config);
        t->may_dial = way == 0;
        SIM_CHECK(w, masque_authorized(w->engine, w->authorize[0], MASQUE_AUTH_ALLOW, w->now) == 0, "verdict");
        sim_settle(w);
        SIM_CHECK(w, t->status == (way == 0 ? 200 : 403), "way %d: %u", way, t->status);
        SIM_CHECK(w, sim_stats(w).auth_failures == 0, "way %d: it is no guess", way);
        sim_world_close(w);
    }
}

/* What a client leaves behind, in order, is carried when it is gone, and counts. */
static void test_bytes_behind_the_client(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i += 2) { /* HTTP/1.1 and HTTP/2 */
        orders told = {.quotas = {{.method = "preshared", .identity = "other", .bytes_per_hour = 1000000}},
                       .quota_count = 1};
        sim_world *w = open_world(&told);
        unsigned refused = 0;
        for (int round = 0; round < 40 && !refused; round++) {
            sim_tun *t = ask(w, &ROWS[i], OTHER_KEY);
            refused = t->status == 503;
            if (!refused) {
                t->target->send_fin = true;
                sim_settle(w);
                t->send_total += 60000;
                t->send_fin = true;
                sim_wake(t);
                sim_settle(w);
                sim_leave(t->conn, false);
                sim_settle(w);
            }
        }
        uint64_t carried = sim_stats(w).bytes_sent;
        SIM_CHECK(w, refused && carried >= 900000 && carried <= 1100000, "%s: %llu bytes", ROWS[i].name,
                  (unsigned long long)carried);
        sim_world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tunnels_at_once),
        cmocka_unit_test(test_tunnels_a_second),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_reload_continues),
        cmocka_unit_test(test_revoked_keys),
        cmocka_unit_test(test_late_identities),
        cmocka_unit_test(test_revoked_by_a_method),
        cmocka_unit_test(test_late_behind_a_reload),
        cmocka_unit_test(test_bytes_behind_the_client),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
