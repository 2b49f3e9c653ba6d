/*
 * sim_certificates.c: clients that are known by their certificates, over every version of HTTP and for TCP and UDP: who
 * is let in, alone and beside another method, and what a reload changes for connections that live on.
 */
#include "harness/suite.h"
#include "harness/versions.h"

/* What the proxy asks for. */
typedef struct wanted {
    const char *rule; /* NULL: whoever the CA signed */
    bool needed;
} wanted;

static void set_certificates(masque_config *config, const char *ca_file, const wanted *want) {
    size_t length, wrong;
    char *ca = sim_read_file(ca_file, &length);
    const masque_client_certificates certificates = {.ca_pem = ca,
                                                     .ca_length = length,
                                                     .allow = &want->rule,
                                                     .allow_count = want->rule != NULL,
                                                     .needed = want->needed};
    assert_int_equal(masque_config_set_client_certificates(config, &certificates, &wrong), 0);
    free(ca);
}

static void configure(sim_world *w, masque_config *config) {
    set_certificates(config, SIM_DATA "/sim_client_ca.pem", w->setup.user);
}

static sim_world *open_world(wanted *want, bool no_key) {
    return sim_world_new(&(sim_setup){.seed = 5, .configure = configure, .user = want, .no_key = no_key});
}

static sim_conn *connect_as(sim_world *w, const row *r, bool identified, bool stranger) {
    static unsigned number;
    static char address[32];
    snprintf(address, sizeof address, "198.51.100.%u", 1 + number++ % 250); /* who fails often has to wait */
    return sim_connect(w, &(sim_client){.alpn = r->alpn,
                                        .engine = strcmp(r->alpn, "h3") != 0, /* which always is one */
                                        .address = address,
                                        .identified = identified,
                                        .stranger = stranger});
}

/* The status; 0: no answer, for the connection failed. */
static unsigned ask(sim_conn *c, const row *r, const char *key, bool may) {
    static uint16_t port = 1000;
    char authority[32];
    snprintf(authority, sizeof authority, SIM_ECHO ":%u", ++port);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = authority, .key = key, .udp = r->udp, .may_dial = may});
    sim_settle(c->world);
    bool open = sim_tun_is_open(t);
    SIM_CHECK(c->world, open == may, "%s: status %u", r->name, t->status);
    return open ? 200 : t->status;
}

static void test_who(void **state) {
    static const struct {
        wanted want;
        const char *key; /* NULL: the right one; "": none */
        unsigned identified, nobody;
    } rows[] = {
        {{NULL, false}, "", 200, 403},
        {{"dns:client.test", false}, "", 200, 403},
        {{"dns:other.test", false}, "", 403, 403},
        {{"subject:CN=client.test", false}, "", 200, 403},
        /* Either of both. */
        {{"dns:other.test", false}, NULL, 200, 200},
        {{"dns:client.test", false}, "wrong-wrong", 200, 403},
        /* Both. Without a certificate the handshake fails. */
        {{"dns:client.test", true}, NULL, 200, 0},
        {{"dns:client.test", true}, "", 403, 0},
        {{"dns:client.test", true}, "wrong-wrong", 403, 0},
        {{"dns:other.test", true}, NULL, 403, 0},
    };
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(rows); i++) {
        wanted want = rows[i].want;
        sim_world *w = open_world(&want, false);
        for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
            unsigned known =
                ask(connect_as(w, &ROWS[k], true, false), &ROWS[k], rows[i].key, rows[i].identified == 200);
            SIM_CHECK(w, known == rows[i].identified, "row %zu, %s, with a certificate: %u", i, ROWS[k].name, known);
            unsigned nobody = ask(connect_as(w, &ROWS[k], false, false), &ROWS[k], rows[i].key, rows[i].nobody == 200);
            SIM_CHECK(w, nobody == rows[i].nobody, "row %zu, %s, without one: %u", i, ROWS[k].name, nobody);
            /* Another CA's is worse than none. */
            assert_int_equal(ask(connect_as(w, &ROWS[k], false, true), &ROWS[k], rows[i].key, false), 0);
        }
        sim_world_close(w);
    }
}

/* Certificates alone, with no other method at all. */
static void test_alone(void **state) {
    (void)state;
    for (size_t needed = 0; needed < 2; needed++) {
        wanted want = {NULL, needed};
        sim_world *w = open_world(&want, true);
        for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
            assert_int_equal(ask(connect_as(w, &ROWS[k], true, false), &ROWS[k], "", true), 200);
            assert_int_equal(ask(connect_as(w, &ROWS[k], false, false), &ROWS[k], "", false), needed ? 0 : 403);
        }
        sim_world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who), cmocka_unit_test(test_alone)};
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
