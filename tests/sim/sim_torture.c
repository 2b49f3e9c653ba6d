/*
 * sim_torture.c: memory runs out. For each scenario the k-th allocation of the
 * proxy fails, for every k; then all from the k-th on. Nothing crashes or leaks,
 * every socket is closed, what does arrive is right, and a fresh engine works.
 *
 *   sim_torture SCENARIO K [lasting]     repeats one run
 */
#include "harness/suite.h"

/* Scenarios with more allocations than this are sampled. */
#define ROUNDS_MAX 250u
#define EVERYTHING (120 * MASQUE_SECOND)

typedef struct scene {
    const char *name;
    void (*play)(sim_world *w);
    bool client; /* its memory runs out, too */
    void (*configure)(sim_world *w, masque_config *config);
} scene;

/* The library's client is in the same trouble: its allocations are counted, and fail, with the proxy's. */
static bool by_engine;

static sim_conn *connect_to(sim_world *w, const char *alpn) {
    return sim_connect(w, &(sim_client){.alpn = alpn, .engine = by_engine && strcmp(alpn, "h3") != 0});
}

static void echo(sim_world *w, const char *alpn, const char *authority, uint64_t bytes) {
    sim_conn *c = connect_to(w, alpn);
    sim_request(c, &(sim_ask){.authority = authority, .send = bytes, .send_fin = true});
    sim_advance(w, EVERYTHING);
}

static void play_h1_connect(sim_world *w) {
    echo(w, "http/1.1", "echo.test:1001", 1000);
}

static void play_h2_connect(sim_world *w) {
    echo(w, "h2", "echo.test:1001", 1000);
}

static void play_h3_connect(sim_world *w) {
    echo(w, "h3", "echo.test:1001", 1000);
}

static void play_tls12(sim_world *w) {
    sim_conn *c = sim_connect(w, &(sim_client){.tls = 12});
    sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 1000, .send_fin = true});
    sim_advance(w, EVERYTHING);
}

static void play_psk_fail(sim_world *w) {
    static const char *const protocols[] = {"h2", "h3"};
    for (size_t i = 0; i < SIM_COUNT(protocols); i++) {
        sim_conn *c = connect_to(w, protocols[i]);
        for (int k = 0; k < 9; k++) {
            sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .key = "wrong-wrong"});
            sim_settle(w);
        }
    }
    sim_advance(w, EVERYTHING);
}

static void play_refused(sim_world *w) {
    sim_add_site(w, "45.60.0.20", (sim_site){.result = MASQUE_DIAL_REFUSED});
    sim_add_name(w, (sim_name){.text = "refused.test", .ipv4 = {{.addresses = {"45.60.0.20", "45.60.0.21"}}}});
    sim_request(connect_to(w, "h2"), &(sim_ask){.authority = "refused.test:1001"});
    sim_settle(w);
    sim_request(connect_to(w, "http/1.1"), &(sim_ask){.authority = "refused.test:1002"});
    sim_advance(w, EVERYTHING);
}

static void play_big(sim_world *w) {
    echo(w, "h2", SIM_ECHO ":1001", 400000);
    echo(w, "http/1.1", SIM_ECHO ":1002", 400000);
    echo(w, "h3", SIM_ECHO ":1003", 400000);
}

/* A stalled target and a client that doesn't read: queues fill on both sides. */
static void play_stalled(sim_world *w) {
    static const char *const protocols[] = {"h2", "http/1.1", "h3"};
    for (size_t i = 0; i < SIM_COUNT(protocols); i++) {
        sim_conn *c = connect_to(w, protocols[i]);
        sim_tun *t = sim_request(c, &(sim_ask){.authority = i == 2   ? SIM_QUIET ":1003"
                                                            : i == 1 ? SIM_QUIET ":1001"
                                                                     : SIM_QUIET ":1002"});
        sim_settle(w);
        if (!t->target) {
            continue;
        }
        t->target->stalls = true;
        t->reading = false;
        t->send_total = 700000;
        t->target->source = 700000;
        sim_wake(t);
        sim_settle(w);
        t->target->stalls = false;
        t->reading = true;
        sim_wake(t);
        sim_settle(w);
    }
    sim_advance(w, EVERYTHING);
}

static void many_over(sim_world *w, const char *alpn) {
    sim_conn *c = connect_to(w, alpn);
    for (int i = 0; i < 20; i++) {
        char authority[32];
        snprintf(authority, sizeof authority, SIM_ECHO ":%d", 1000 + i);
        sim_request(c, &(sim_ask){.authority = authority, .send = 20000, .send_fin = i % 2 == 0});
    }
    sim_settle(w);
    for (size_t i = 1; i < c->tun_count; i += 4) {
        sim_reset(c->tuns[i]);
    }
    sim_advance(w, EVERYTHING);
}

static void play_many(sim_world *w) {
    many_over(w, "h2");
}

static void play_h3_many(sim_world *w) {
    many_over(w, "h3");
}

/* A path on which much is said again, and a client that takes another port. */
static void play_h3_path(sim_world *w) {
    static const sim_link_model path = {
        .delay = 10 * MASQUE_MILLISECOND, .loss = 500, .reorder = 500, .late = 20000000};
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .up = &path, .down = &path});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 60000});
    sim_advance(w, MASQUE_SECOND);
    sim_rebind(c);
    sim_fin(t);
    sim_advance(w, EVERYTHING);
}

static void play_drain(sim_world *w) {
    sim_conn *c = connect_to(w, "h2");
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 1000});
    sim_request(connect_to(w, "http/1.1"), &(sim_ask){.authority = SIM_ECHO ":1002", .send = 1000});
    sim_request(connect_to(w, "h3"), &(sim_ask){.authority = SIM_ECHO ":1003", .send = 1000});
    sim_settle(w);
    sim_alloc_side(SIM_PROXY);
    masque_engine_drain(w->engine, w->now);
    sim_alloc_side(SIM_TEST);
    sim_advance(w, 3 * MASQUE_SECOND);
    sim_fin(t);
    sim_advance(w, EVERYTHING);
}

static void play_new_config(sim_world *w) {
    sim_conn *c = connect_to(w, "h2");
    sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 1000, .send_fin = true});
    sim_settle(w);
    sim_alloc_side(SIM_PROXY);
    masque_config *config = sim_config_new(w, NULL, true);
    if (config && masque_config_seal(config) == 0) {
        masque_engine_set_config(w->engine, config);
    }
    masque_config_release(config);
    sim_alloc_side(SIM_TEST);
    sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1002", .send = 1000, .send_fin = true});
    sim_advance(w, EVERYTHING);
}

/* Datagrams both ways, with a target and a client that stop for a while. */
static void play_udp(sim_world *w) {
    static const char *const protocols[] = {"h2", "http/1.1", "h3"};
    for (size_t i = 0; i < SIM_COUNT(protocols); i++) {
        sim_conn *c = connect_to(w, protocols[i]);
        sim_tun *t = sim_request(c, &(sim_ask){.authority = "echo.test:1001", .udp = true});
        sim_send_datagrams(t, 1, 100);
        sim_settle(w);
        if (!t->target) {
            continue;
        }
        t->target->stalls = true;
        t->reading = false;
        sim_send_datagrams(t, 150, 1200);
        sim_settle(w);
        t->target->stalls = false;
        sim_settle(w);
        t->reading = true;
        sim_wake(t);
        sim_send_datagrams(t, 3, 15000);
        sim_settle(w);
        sim_fin(t);
        sim_settle(w);
    }
    sim_advance(w, EVERYTHING);
}

/* A client shows a certificate, over TCP and QUIC; and memory for the configuration runs out. */
static void ask_certificates(sim_world *w, masque_config *config) {
    static const char *const rules[] = {"dns:somebody.else", "dns:client.test"};
    size_t length, wrong;
    char *ca = sim_read_file(SIM_DATA "/sim_client_ca.pem", &length);
    const masque_client_certificates certificates = {
        .ca_pem = ca, .ca_length = length, .allow = rules, .allow_count = SIM_COUNT(rules)};
    int error = masque_config_set_client_certificates(config, &certificates, &wrong);
    free(ca);
    SIM_CHECK(w, error == 0 || error == MASQUE_ERR_NO_MEMORY, "%s", masque_error_name(error));
}

static void play_certificate(sim_world *w) {
    static const char *const protocols[] = {"http/1.1", "h2", "h3"};
    for (size_t i = 0; i < SIM_COUNT(protocols); i++) {
        bool h3 = strcmp(protocols[i], "h3") == 0;
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = protocols[i], .engine = !h3, .identified = true});
        sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .key = "", .may_dial = true, .send_fin = true});
        sim_settle(w);
    }
    sim_advance(w, EVERYTHING);
}

/* The client of the second connection is known by what the first one's ticket says. */
static void play_resumed(sim_world *w) {
    void *session = NULL;
    for (int i = 0; i < 4; i++) {
        sim_conn *c = sim_connect(w, &(sim_client){.tls = i < 2 ? 12 : 13, .session = session, .identified = true});
        sim_tun *t =
            sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .key = "", .may_dial = true, .send_fin = true});
        sim_settle(w);
        sim_session_free(session);
        session = i % 2 == 0 && t->answered ? sim_session_of(c) : NULL;
    }
    sim_advance(w, EVERYTHING);
}

static size_t write_challenge(void *context, char *text, size_t size) {
    (void)context;
    return (size_t)snprintf(text, size, "Sim realm=\"%0400d\"", 0);
}

static masque_verdict check_nothing(void *context, const masque_auth_request *request) {
    (void)context;
    (void)request;
    return MASQUE_AUTH_NEXT;
}

static void ask_challenges(sim_world *w, masque_config *config) {
    const masque_auth_method method = {.name = "sim", .check = check_nothing, .challenge = write_challenge};
    int error = masque_config_add_auth_method(config, &method);
    SIM_CHECK(w, error == 0 || error == MASQUE_ERR_NO_MEMORY, "%s", masque_error_name(error));
    masque_config_set_challenge(config, true);
}

static void play_challenge(sim_world *w) {
    static const char *const protocols[] = {"http/1.1", "h2", "h3"};
    for (size_t i = 0; i < SIM_COUNT(protocols); i++) {
        sim_request(connect_to(w, protocols[i]), &(sim_ask){.authority = SIM_ECHO ":1001", .key = ""});
        sim_settle(w);
    }
    sim_advance(w, EVERYTHING);
}

static const scene SCENARIOS[] = {
    {"h1_connect", play_h1_connect, false, NULL},
    {"h2_connect", play_h2_connect, false, NULL},
    {"tls12", play_tls12, false, NULL},
    {"psk_fail", play_psk_fail, false, NULL},
    {"refused", play_refused, false, NULL},
    {"big", play_big, false, NULL},
    {"stalled", play_stalled, false, NULL},
    {"many", play_many, false, NULL},
    {"drain", play_drain, false, NULL},
    {"new_config", play_new_config, false, NULL},
    {"udp", play_udp, false, NULL},
    {"h3_connect", play_h3_connect, false, NULL},
    {"h3_many", play_h3_many, false, NULL},
    {"h3_path", play_h3_path, false, NULL},
    {"client_h1", play_h1_connect, true, NULL},
    {"client_h2", play_h2_connect, true, NULL},
    {"client_h3", play_h3_connect, true, NULL},
    {"client_many", play_many, true, NULL},
    {"client_h3_many", play_h3_many, true, NULL},
    {"client_udp", play_udp, true, NULL},
    {"client_psk_fail", play_psk_fail, true, NULL},
    {"certificate", play_certificate, false, ask_certificates},
    {"client_certificate", play_certificate, true, ask_certificates},
    {"resumed", play_resumed, false, ask_certificates},
    {"challenge", play_challenge, false, ask_challenges},
};

/* Where only part of it arrived is fine; what arrived was checked byte by byte. */
static void finish(sim_world *w) {
    sim_alloc_fail(0, false);
    if (!w->engine) {
        sim_world_free(w);
        return;
    }
    sim_world_close(w);
}

/* Returns how many allocations the scenario made. K 0: none fails. */
static uint64_t play(const scene *scenario, uint64_t k, bool lasting) {
    uint64_t before = sim_alloc_memory(SIM_PROXY)->calls;
    sim_alloc_fail(k, lasting);
    by_engine = scenario->client;
    sim_world *w = sim_world_new(&(sim_setup){
        .seed = k, .may_fail = true, .clients_may_fail = scenario->client, .configure = scenario->configure});
    if (w->engine) {
        scenario->play(w);
    }
    uint64_t calls = sim_alloc_memory(SIM_PROXY)->calls - before;
    finish(w);
    return calls;
}

static void check_healthy(const scene *scenario, uint64_t k) {
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 10, .send_fin = true});
    sim_settle(w);
    SIM_CHECK(w, t->status == 200 && t->received == 10, "after %s, %llu: a fresh engine doesn't work", scenario->name,
              (unsigned long long)k);
    sim_world_close(w);
}

static const char *wanted_scenario;
static const char *wanted_k;
static bool wanted_lasting;

static void torture(const scene *scenario) {
    uint64_t calls = play(scenario, 0, false);
    uint64_t step = 1 + calls / ROUNDS_MAX;
    if (wanted_k) {
        play(scenario, strtoull(wanted_k, NULL, 10), wanted_lasting);
        return;
    }
    for (uint64_t k = 1; k <= calls; k += step) {
        for (int lasting = 0; lasting <= 1; lasting++) {
            if (getenv("SIM_VERBOSE")) {
                print_message("%s %llu%s\n", scenario->name, (unsigned long long)k, lasting ? " lasting" : "");
            }
            play(scenario, k, lasting);
        }
        if (k % 50 == 1) {
            check_healthy(scenario, k);
        }
    }
    check_healthy(scenario, calls);
    print_message("%s: %llu allocations, every %llu failed\n", scenario->name, (unsigned long long)calls,
                  (unsigned long long)step);
}

static void test_torture(void **state) {
    const scene *scenario = *state;
    if (!wanted_scenario || strcmp(wanted_scenario, scenario->name) == 0) {
        torture(scenario);
    }
}

int main(int argc, char **argv) {
    struct CMUnitTest tests[SIM_COUNT(SCENARIOS)];
    wanted_scenario = argc > 1 ? argv[1] : NULL;
    wanted_k = argc > 2 ? argv[2] : NULL;
    wanted_lasting = argc > 3;
    for (size_t i = 0; i < SIM_COUNT(SCENARIOS); i++) {
        tests[i] = (struct CMUnitTest){
            .name = SCENARIOS[i].name, .test_func = test_torture, .initial_state = (void *)(uintptr_t)&SCENARIOS[i]};
    }
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
