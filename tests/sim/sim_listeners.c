/*
 * sim_listeners.c: listeners with a certificate, a raw public key (RFC 7250) or methods of their own, over every
 * version of HTTP and for TCP and UDP; and clients that show raw public keys.
 */
#include "harness/suite.h"
#include "harness/versions.h"

/* openssl pkey -in FILE -pubout -outform DER | sha256sum */
#define CLIENT_KEY "sha256:f5be3d91ffd72a413d48808f47d91527da77a0a30d8b9b8b09af4e44b5f7cd14"

/* What clients' certificates the proxy asks for, and what it has at which listener. */
typedef struct orders {
    bool ca;
    bool raw_keys;
    const char *rule; /* NULL: none */
    bool needed;
    masque_listener listeners[4]; /* by number, from 1 */
    size_t listener_count;
} orders;

static char *server_key;
static size_t server_key_length;
static uint8_t server_hash[32];

static void configure(sim_world *w, masque_config *config) {
    orders *told = w->setup.user;
    size_t length, wrong;
    char *ca = sim_read_file(SIM_DATA "/sim_client_ca.pem", &length);
    const masque_client_certificates certificates = {.ca_pem = told->ca ? ca : NULL,
                                                     .ca_length = length,
                                                     .raw_keys = told->raw_keys,
                                                     .allow = &told->rule,
                                                     .allow_count = told->rule != NULL,
                                                     .needed = told->needed};
    if (told->ca || told->raw_keys) {
        SIM_CHECK(w, masque_config_set_client_certificates(config, &certificates, &wrong) == 0, "certificates");
    }
    free(ca);
    for (size_t i = 0; i < told->listener_count; i++) {
        SIM_CHECK(w, masque_config_set_listener(config, (unsigned)i + 1, &told->listeners[i]) == 0, "listener %zu", i);
    }
}

static sim_world *open_world(orders *told) {
    return sim_world_new(&(sim_setup){.seed = 11, .configure = configure, .user = told});
}

/* The status of a request by such a client; 0: there is no answer, for the connection failed. */
static unsigned ask(sim_world *w, const row *r, sim_client client, const char *key) {
    static uint16_t port = 1000;
    static unsigned number;
    static char authority[32], address[32];
    snprintf(authority, sizeof authority, SIM_ECHO ":%u", ++port);
    snprintf(address, sizeof address, "198.51.100.%u", 1 + number++ % 250); /* who fails often has to wait */
    client.alpn = r->alpn;
    client.engine = strcmp(r->alpn, "h3") != 0;
    client.address = address;
    sim_conn *c = sim_connect(w, &client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = authority, .key = key, .udp = r->udp, .may_dial = true});
    sim_settle(w);
    return sim_tun_is_open(t) ? 200 : t->answered ? t->status : 0;
}

static int last_error(const sim_world *w) {
    return w->conns[w->conn_count - 1]->engine_error;
}

/* --- the server's raw public key --------------------------------------------------------------------- */

static void test_server_key(void **state) {
    orders told = {.listeners = {{.key_pem = server_key, .key_length = server_key_length}}, .listener_count = 1};
    uint8_t other[32];
    (void)state;
    memcpy(other, server_hash, sizeof other);
    other[31] ^= 1;
    sim_world *w = open_world(&told);
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        const row *r = &ROWS[i];
        unsigned status = ask(w, r, (sim_client){.listener = 1, .trusted_key = server_hash}, NULL);
        SIM_CHECK(w, status == 200, "%s: %u, %s", r->name, status, masque_error_name(last_error(w)));
        SIM_CHECK(w, ask(w, r, (sim_client){.listener = 1, .trusted_key = other}, NULL) == 0, "%s: another", r->name);
        SIM_CHECK(w, last_error(w) == MASQUE_ERR_UNTRUSTED, "%s: %s", r->name, masque_error_name(last_error(w)));
        /* A certificate instead, even of that very key; and a key where a certificate is wanted. */
        SIM_CHECK(w, ask(w, r, (sim_client){.trusted_key = server_hash}, NULL) == 0, "%s: a certificate", r->name);
        SIM_CHECK(w, ask(w, r, (sim_client){.listener = 1}, NULL) == 0, "%s: not expected", r->name);
        SIM_CHECK(w, ask(w, r, (sim_client){.listener = 7}, NULL) == 200, "%s: an unknown listener", r->name);
    }
    sim_world_close(w);
}

/* --- clients' raw public keys -------------------------------------------------------------------------- */

static void test_client_keys(void **state) {
    static const struct {
        const char *name;
        bool ca, raw_keys;
        const char *rule;
        bool needed;
        const char *key; /* "": no other credential */
        /* Of clients with the key, its certificate, another key, nothing. */
        unsigned raw, certificate, other, nobody;
    } rows[] = {
        {"keys alone", false, true, CLIENT_KEY, false, "", 200, 0, 403, 403},
        {"either", true, true, CLIENT_KEY, false, "", 200, 200, 403, 403},
        {"a CA vouches for no key", true, true, NULL, false, "", 403, 200, 403, 403},
        {"nor does a name", true, true, "dns:client.test", false, "", 403, 200, 403, 403},
        {"no keys", true, false, CLIENT_KEY, false, "", 0, 200, 0, 403},
        {"needed", true, true, CLIENT_KEY, true, NULL, 200, 200, 403, 0},
        {"needed, and another credential", true, true, CLIENT_KEY, true, "", 403, 403, 403, 0},
    };
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        orders told = {.ca = rows[i].ca, .raw_keys = rows[i].raw_keys, .rule = rows[i].rule, .needed = rows[i].needed};
        sim_world *w = open_world(&told);
        for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
            const row *r = &ROWS[k];
            unsigned raw = ask(w, r, (sim_client){.identified = true, .raw_key = true}, rows[i].key);
            unsigned certificate = ask(w, r, (sim_client){.identified = true}, rows[i].key);
            unsigned other = ask(w, r, (sim_client){.stranger = true, .raw_key = true}, rows[i].key);
            unsigned nobody = ask(w, r, (sim_client){.alpn = NULL}, rows[i].key);
            SIM_CHECK(w,
                      raw == rows[i].raw && certificate == rows[i].certificate && other == rows[i].other &&
                          nobody == rows[i].nobody,
                      "%s, %s: %u %u %u %u", rows[i].name, r->name, raw, certificate, other, nobody);
        }
        sim_world_close(w);
    }
}

/* In both directions at once, as one proxy speaks to the next. */
static void test_both_keys(void **state) {
    orders told = {.raw_keys = true,
                   .rule = CLIENT_KEY,
                   .needed = true,
                   .listeners = {{.key_pem = server_key, .key_length = server_key_length}},
                   .listener_count = 1};
    (void)state;
    sim_world *w = open_world(&told);
    for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
        const sim_client client = {.listener = 1, .trusted_key = server_hash, .identified = true, .raw_key = true};
        assert_int_equal(ask(w, &ROWS[k], client, NULL), 200);
    }
    sim_world_close(w);
}

/* --- methods ---------------------------------------------------------------------------------------------- */

static void test_methods(void **state) {
    static const char *const certificate[] = {"certificate"};
    static const char *const key[] = {"preshared"};
    static const char *const both[] = {"preshared", "certificate"};
    orders told = {.ca = true,
                   .listeners = {{.methods = certificate, .method_count = 1},
                                 {.methods = key, .method_count = 1},
                                 {.methods = both, .method_count = 2, .needs_certificate = true},
                                 {.methods = certificate, .method_count = 1, .needs_certificate = true}},
                   .listener_count = 4};
    static const struct {
        unsigned listener;
        unsigned neither, certificate, key, both;
    } rows[] = {{0, 403, 200, 200, 200},
                {1, 403, 200, 403, 200},
                {2, 403, 403, 200, 200},
                {3, 0, 403, 0, 200},
                {4, 0, 200, 0, 200}};
    (void)state;
    sim_world *w = open_world(&told);
    for (size_t i = 0; i < SIM_COUNT(rows) * SIM_COUNT(ROWS); i++) {
        const row *r = &ROWS[i % SIM_COUNT(ROWS)];
        unsigned listener = rows[i / SIM_COUNT(ROWS)].listener;
        unsigned neither = ask(w, r, (sim_client){.listener = listener}, "");
        unsigned with_certificate = ask(w, r, (sim_client){.listener = listener, .identified = true}, "");
        unsigned with_key = ask(w, r, (sim_client){.listener = listener}, NULL);
        unsigned with_both = ask(w, r, (sim_client){.listener = listener, .identified = true}, NULL);
        SIM_CHECK(w,
                  neither == rows[listener].neither && with_certificate == rows[listener].certificate &&
                      with_key == rows[listener].key && with_both == rows[listener].both,
                  "listener %u, %s: %u %u %u %u", listener, r->name, neither, with_certificate, with_key, with_both);
    }
    sim_world_close(w);
}

static void test_bad_listeners(void **state) {
    static const char *const unknown[] = {"preshared", "basic"};
    static const char *const certificate[] = {"certificate"};
    static const char *const key[] = {"preshared"};
    orders told = {.ca = false};
    (void)state;
    sim_world *w = open_world(&told);
    masque_config *config = sim_config_new(w, NULL, true);
    const masque_listener rows[] = {
        {.methods = unknown, .method_count = 2}, {.methods = certificate, .method_count = 1},
        {.methods = key, .method_count = 0},     {.methods = key, .method_count = 1, .needs_certificate = true},
        {.chain_pem = "x", .chain_length = 1},
    };
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        assert_int_equal(masque_config_set_listener(config, 1, &rows[i]), MASQUE_ERR_INVALID);
    }
    const masque_listener good = {.methods = key, .method_count = 1};
    const masque_listener bad_key = {.key_pem = "nonsense", .key_length = 8};
    assert_int_equal(masque_config_set_listener(config, 0, &good), MASQUE_ERR_INVALID);
    assert_int_equal(masque_config_set_listener(config, MASQUE_LISTENER_MAX + 1, &good), MASQUE_ERR_INVALID);
    assert_int_equal(masque_config_set_listener(config, 3, &good), 0);
    assert_int_equal(masque_config_set_listener(config, 2, &bad_key), 0);
    sim_alloc_side(SIM_PROXY);
    assert_int_equal(masque_config_seal(config), MASQUE_ERR_PRIVATE_KEY);
    assert_int_equal(masque_config_wrong_listener(config), 2);
    assert_int_equal(masque_config_set_listener(config, 2, &good), 0);
    assert_int_equal(masque_config_seal(config), 0);
    assert_int_equal(masque_config_set_listener(config, 2, &good), MASQUE_ERR_STATE);
    masque_config_release(config);
    sim_alloc_side(SIM_TEST);
    sim_world_close(w);
}

/* A listener that says nothing of methods follows what is said of certificates later, too. */
static void configure_late(sim_world *w, masque_config *config) {
    const orders *told = w->setup.user;
    const masque_listener own = {.key_pem = server_key, .key_length = server_key_length};
    const masque_client_certificates certificates = {
        .raw_keys = true, .allow = &told->rule, .allow_count = 1, .needed = true};
    size_t wrong;
    SIM_CHECK(w, masque_config_set_listener(config, 1, &own) == 0, "listener");
    SIM_CHECK(w, masque_config_set_client_certificates(config, &certificates, &wrong) == 0, "certificates");
}

static void test_order(void **state) {
    orders told = {.rule = CLIENT_KEY};
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = configure_late, .user = &told});
    for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
        const sim_client nobody = {.listener = 1, .trusted_key = server_hash};
        sim_client somebody = nobody;
        somebody.identified = somebody.raw_key = true;
        assert_int_equal(ask(w, &ROWS[k], nobody, NULL), 0);
        assert_int_equal(ask(w, &ROWS[k], somebody, NULL), 200);
    }
    sim_world_close(w);
}

/* A ticket of a listener that asks for nothing is none where a key has to be shown; and serves where it came from. */
static void test_tickets_and_keys(void **state) {
    static const char *const key[] = {"preshared"};
    orders told = {.raw_keys = true,
                   .rule = CLIENT_KEY,
                   .needed = true,
                   .listeners = {{.methods = key, .method_count = 1}},
                   .listener_count = 1};
    (void)state;
    sim_world *w = open_world(&told);
    sim_conn *first = sim_connect(w, &(sim_client){.alpn = "h2", .listener = 1});
    sim_tun *t = sim_request(first, &(sim_ask){.authority = SIM_ECHO ":900", .send = 1});
    sim_settle(w);
    assert_int_equal(t->status, 200);
    void *session = sim_session_of(first);
    for (unsigned listener = 0; listener < 2; listener++) {
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2", .session = session, .listener = listener});
        t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":901", .may_dial = listener == 1});
        sim_settle(w);
        SIM_CHECK(w, listener == 1 ? t->status == 200 : !t->answered, "listener %u: %u", listener, t->status);
        SIM_CHECK(w, sim_stats(w).handshakes_resumed == listener, "listener %u: resumed", listener);
    }
    sim_session_free(session);
    sim_world_close(w);
}

/* A session of one listener's certificate is none of another's. */
static void test_tickets(void **state) {
    size_t length;
    char *chain = sim_read_file(SIM_DATA "/sim_server.pem", &length);
    orders told = {.listeners = {{.chain_pem = chain,
                                  .chain_length = length,
                                  .key_pem = server_key,
                                  .key_length = server_key_length},
                                 {.key_pem = NULL}},
                   .listener_count = 2};
    (void)state;
    sim_world *w = open_world(&told);
    sim_conn *first = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(first, &(sim_ask){.authority = SIM_ECHO ":900", .send = 1});
    sim_settle(w);
    assert_int_equal(t->status, 200);
    void *session = sim_session_of(first);
    for (unsigned listener = 0; listener < 3; listener++) {
        uint64_t before = sim_stats(w).handshakes_resumed;
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2", .session = session, .listener = listener});
        t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":901"});
        sim_settle(w);
        assert_int_equal(t->status, 200);
        SIM_CHECK(w, sim_stats(w).handshakes_resumed - before == (listener != 1), "listener %u", listener);
    }
    sim_session_free(session);
    free(chain);
    sim_world_close(w);
}

static int begin(void **state) {
    static const uint8_t hash[32] = {0xc6, 0x94, 0x06, 0x01, 0x3b, 0xf6, 0xb2, 0xa9, 0xe9, 0xe7, 0xad,
                                     0xa7, 0xa3, 0x1a, 0xdf, 0x97, 0xc3, 0x4f, 0xd5, 0x90, 0xff, 0xa4,
                                     0x5d, 0x18, 0xde, 0xd3, 0x1d, 0xb7, 0x44, 0xd0, 0x6c, 0x8b};
    memcpy(server_hash, hash, sizeof server_hash);
    server_key = sim_read_file(SIM_DATA "/sim_server_key.pem", &server_key_length);
    return suite_begin(state);
}

static int end(void **state) {
    (void)state;
    free(server_key);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_server_key), cmocka_unit_test(test_client_keys),      cmocka_unit_test(test_both_keys),
        cmocka_unit_test(test_methods),    cmocka_unit_test(test_bad_listeners),    cmocka_unit_test(test_tickets),
        cmocka_unit_test(test_order),      cmocka_unit_test(test_tickets_and_keys),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
