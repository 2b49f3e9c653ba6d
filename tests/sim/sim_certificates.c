/*
 * sim_certificates.c: clients that are known by their certificates, over every version of HTTP and for TCP and UDP: who
 * is let in, alone and beside another method, and what a reload changes for connections that live on.
 */
#include "harness/suite.h"
#include "harness/versions.h"
#include "harness/wolf.h"

/* What the proxy asks for. */
typedef struct wanted {
    const char *rule; /* NULL: whoever the CA signed */
    bool needed;
    bool nothing;   /* no certificate at all */
    const char *ca; /* NULL: sim_client_ca.pem */
    bool crl;       /* sim_client_crl.pem, which names nobody */
    bool raw_keys;
} wanted;

static void set_certificates(masque_config *config, const wanted *want) {
    size_t length, wrong;
    char *ca = sim_read_file(want->ca ? want->ca : SIM_DATA "/sim_client_ca.pem", &length);
    size_t crl_length = 0;
    char *crl = want->crl ? sim_read_file(SIM_DATA "/sim_client_crl.pem", &crl_length) : NULL;
    const masque_client_certificates certificates = {.ca_pem = ca,
                                                     .ca_length = length,
                                                     .crl = crl,
                                                     .crl_length = crl_length,
                                                     .allow = &want->rule,
                                                     .allow_count = want->rule != NULL,
                                                     .raw_keys = want->raw_keys,
                                                     .needed = want->needed};
    assert_int_equal(masque_config_set_client_certificates(config, &certificates, &wrong), 0);
    free(ca);
    free(crl);
}

static void configure(sim_world *w, masque_config *config) {
    static const uint8_t key[MASQUE_TICKET_KEY_LENGTH] = {7};
    const wanted *want = w->setup.user;
    assert_int_equal(masque_config_add_ticket_key(config, key), 0); /* one, as a reload keeps it */
    if (!want->nothing) {
        set_certificates(config, want);
    }
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
        {{.rule = NULL, .needed = false}, "", 200, 403},
        {{.rule = "dns:client.test", .needed = false}, "", 200, 403},
        {{.rule = "dns:other.test", .needed = false}, "", 403, 403},
        {{.rule = "subject:CN=client.test", .needed = false}, "", 200, 403},
        /* Either of both. */
        {{.rule = "dns:other.test", .needed = false}, NULL, 200, 200},
        {{.rule = "dns:client.test", .needed = false}, "wrong-wrong", 200, 403},
        /* Both. Without a certificate the handshake fails. */
        {{.rule = "dns:client.test", .needed = true}, NULL, 200, 0},
        {{.rule = "dns:client.test", .needed = true}, "", 403, 0},
        {{.rule = "dns:client.test", .needed = true}, "wrong-wrong", 403, 0},
        {{.rule = "dns:other.test", .needed = true}, NULL, 403, 0},
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
        wanted want = {.needed = needed};
        sim_world *w = open_world(&want, true);
        for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
            assert_int_equal(ask(connect_as(w, &ROWS[k], true, false), &ROWS[k], "", true), 200);
            assert_int_equal(ask(connect_as(w, &ROWS[k], false, false), &ROWS[k], "", false), needed ? 0 : 403);
        }
        sim_world_close(w);
    }
}

/* --- sessions ----------------------------------------------------------------------------------------------------- */

/* Has wolfSSL room for a client in its tickets? */
#ifdef WOLFSSL_TICKET_EXTRA_PADDING_SZ
#define ROOM true
#else
#define ROOM false
#endif

/* What a visit by TCP ended with: the answer's status, 0: none; and was its session resumed? SESSION, if any, is taken,
   and *NEXT, if asked for, is the one of this visit. */
typedef struct visit {
    unsigned status;
    bool resumed;
    unsigned ticket; /* how long the one is that it got */
} visit;

static visit visit_with(sim_world *w, sim_client client, void *session, void **next) {
    uint64_t before = sim_stats(w).handshakes_resumed;
    client.session = session;
    sim_conn *c = sim_connect(w, &client);
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":900", .key = "", .may_dial = true});
    sim_settle(w);
    uint8_t ticket[4096];
    word32 length = sizeof ticket;
    wolfSSL_get_SessionTicket(c->ssl, ticket, &length);
    visit seen = {sim_tun_is_open(t) ? 200 : t->status, sim_stats(w).handshakes_resumed > before, length};
    if (next) {
        *next = seen.status ? sim_session_of(c) : NULL;
    }
    sim_session_free(session);
    return seen;
}

/* Who resumes is who they were, again and again, though no certificate is shown any more; nobody stays nobody. How long
   a ticket is, which everybody on the path sees, doesn't tell who has it. */
static void test_resumed(void **state) {
    unsigned length = 0;
    (void)state;
    for (int i = 0; i < 8; i++) {
        const sim_client client = {.tls = i & 1 ? 12 : 13, .identified = i & 2};
        wanted want = {.rule = i & 4 ? "dns:other.test" : "dns:client.test"};
        unsigned status = client.identified && !(i & 4) ? 200 : 403;
        sim_world *w = open_world(&want, false);
        void *session = NULL;
        for (int k = 0; k < 4; k++) {
            visit seen = visit_with(w, client, session, &session);
            length = length ? length : seen.ticket;
            SIM_CHECK(w, seen.ticket == length, "row %d, visit %d: a ticket of %u bytes", i, k, seen.ticket);
            SIM_CHECK(w, seen.status == status && seen.resumed == (k > 0 && (ROOM || !client.identified)),
                      "row %d, visit %d: %u, resumed %d", i, k, seen.status, seen.resumed);
        }
        sim_session_free(session);
        sim_world_close(w);
    }
}

/* What a session is worth when the proxy has changed. */
static void test_resumed_elsewhere(void **state) {
    static const struct {
        const char *name;
        wanted before, after;
        visit identified, nobody;
    } rows[] = {
        {"the same", {.rule = NULL}, {.rule = NULL}, {200, true, 0}, {403, true, 0}},
        {"a rule that lets in",
         {.rule = "dns:other.test"},
         {.rule = "dns:client.test"},
         {200, true, 0},
         {403, true, 0}},
        {"a rule that doesn't", {.rule = NULL}, {.rule = "dns:other.test"}, {403, true, 0}, {403, true, 0}},
        {"needed now, beside a key", {.rule = NULL}, {.needed = true}, {403, false, 0}, {0, false, 0}},
        {"needed no more", {.needed = true}, {.rule = NULL}, {200, false, 0}, {403, false, 0}},
        {"raw keys, too",
         {.rule = NULL},
         {.rule = "dns:client.test", .raw_keys = true},
         {200, false, 0},
         {403, false, 0}},
        {"a CRL", {.rule = NULL}, {.crl = true}, {200, false, 0}, {403, false, 0}},
        {"the same CRL", {.crl = true}, {.crl = true}, {200, true, 0}, {403, true, 0}},
        {"another CA", {.rule = NULL}, {.ca = SIM_DATA "/sim_ca.pem"}, {0, false, 0}, {403, false, 0}},
        {"nothing asked for any more", {.rule = NULL}, {.nothing = true}, {403, false, 0}, {403, false, 0}},
        {"nothing asked for before", {.nothing = true}, {.rule = NULL}, {200, false, 0}, {403, false, 0}},
    };
    (void)state;
    for (size_t i = 0; i < 4 * SIM_COUNT(rows); i++) {
        const sim_client client = {.tls = i & 1 ? 12 : 13, .identified = i & 2};
        wanted want = rows[i / 4].before;
        visit expected = client.identified ? rows[i / 4].identified : rows[i / 4].nobody;
        sim_world *w = open_world(&want, false);
        void *session = NULL;
        visit_with(w, client, NULL, &session);
        want = rows[i / 4].after;
        masque_config *config = sim_config_new(w, NULL, true);
        configure(w, config);
        sim_use_config(w, config);
        visit seen = visit_with(w, client, session, NULL);
        SIM_CHECK(w,
                  seen.status == expected.status && seen.resumed == (expected.resumed && (ROOM || !client.identified)),
                  "%s, TLS %d, identified %d: %u, resumed %d", rows[i / 4].name, client.tls, client.identified,
                  seen.status, seen.resumed);
        sim_world_close(w);
    }
}

static time_t now;

static time_t tell_now(time_t *out) {
    if (out) {
        *out = now;
    }
    return now;
}

/* Neither a day after it was shown, however often the session was resumed, nor behind its end does a certificate count.
   sim_client.pem and its CA end at END, and sim_client_crl.pem is too old at CRL_END. */
static void test_resumed_late(void **state) {
    enum { DAY = 86400 };
    const time_t end = 4949476679;     /* as openssl x509 -enddate says */
    const time_t crl_end = 4906276679; /* openssl crl -nextupdate */
    const struct {
        time_t first, second, third;
        unsigned status[2];
        bool resumed[2];
        bool crl;
    } rows[] = {
        {end - 3 * DAY, end - 2 * DAY - 1, end - 2 * DAY, {200, 200}, {true, true}, false},
        {end - 3 * DAY, end - 2 * DAY - 1, end - 2 * DAY + 1, {200, 200}, {true, false}, false},
        {end - 3 * DAY, end - 2 * DAY + 1, end - 2 * DAY + 2, {200, 200}, {false, true}, false},
        {end - 100, end - 50, end - 1, {200, 200}, {true, true}, false},
        {end - 100, end - 50, end + 1, {200, 0}, {true, false}, false},
        {crl_end - 100, crl_end - 50, crl_end - 1, {200, 200}, {true, true}, true},
        {crl_end - 100, crl_end - 50, crl_end + 1, {200, 0}, {true, false}, true},
    };
    (void)state;
    for (size_t i = 0; i < 2 * SIM_COUNT(rows); i++) {
        const sim_client client = {.tls = i & 1 ? 12 : 13, .identified = true, .careless = true};
        wanted want = {.crl = rows[i / 2].crl};
        sim_world *w = open_world(&want, false);
        void *session = NULL;
        /* Behind the start, for the authority of the simulator's proxy has ended by then. */
        assert_int_equal(wc_SetTimeCb(tell_now), 0);
        now = rows[i / 2].first;
        visit_with(w, client, NULL, &session);
        for (size_t k = 0; k < 2; k++) {
            now = k == 0 ? rows[i / 2].second : rows[i / 2].third;
            visit seen = visit_with(w, client, session, &session);
            /* Where it refuses a ticket of TLS 1.2, wolfSSL gives no new one. */
            bool resumed = ROOM && rows[i / 2].resumed[k] && (client.tls == 13 || k == 0 || rows[i / 2].resumed[0]);
            SIM_CHECK(w, seen.status == rows[i / 2].status[k] && seen.resumed == resumed,
                      "row %zu, visit %zu: %u, resumed %d", i, k, seen.status, seen.resumed);
        }
        sim_session_free(session);
        sim_world_close(w);
        assert_int_equal(wc_SetTimeCb(NULL), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who), cmocka_unit_test(test_alone),
                                       cmocka_unit_test(test_resumed), cmocka_unit_test(test_resumed_elsewhere),
                                       cmocka_unit_test(test_resumed_late)};
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
