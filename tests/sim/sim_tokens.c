/*
 * sim_tokens.c: Privacy Pass tokens at the proxy, over every version of HTTP and for TCP and UDP: each good for one
 * tunnel, whatever its spelling and its way; and what a store's answers become.
 */
#include "harness/suite.h"
#include "support/issuer.h"
#include <masqueproxy/base64.h>

#define ISSUER "issuer.example"
#define ORIGIN "proxy.test"

typedef struct row {
    const char *name;
    sim_client client;
    bool udp;
} row;

static const row ROWS[] = {
    {"HTTP/1.1, TCP", {.alpn = "http/1.1", .engine = true}, false},
    {"HTTP/1.1, UDP", {.alpn = "http/1.1", .engine = true}, true},
    {"HTTP/2, TCP", {.alpn = "h2", .engine = true}, false},
    {"HTTP/2, UDP", {.alpn = "h2", .engine = true}, true},
    {"HTTP/3, TCP", {.alpn = "h3"}, false},
    {"HTTP/3, UDP", {.alpn = "h3"}, true},
};

/* A store as hosts have it, of a few tokens. */
typedef struct store {
    uint8_t ids[64][32];
    size_t count;
    masque_verdict answer; /* of a new one */
    unsigned asked;
} store;

typedef struct proxy {
    store spent;
    sim_prng chance;
    masque_runtime runtime;
    support_issuer issuer;
    bool challenges;
} proxy;

static masque_unix_time clock_of(void *context) {
    (void)context;
    return 1800000000;
}

static masque_verdict spend(void *context, const masque_spent_token *token) {
    store *spent = context;
    spent->asked++;
    for (size_t i = 0; i < spent->count; i++) {
        if (memcmp(spent->ids[i], token->id, sizeof token->id) == 0) {
            return MASQUE_AUTH_DENY;
        }
    }
    memcpy(spent->ids[spent->count++], token->id, sizeof token->id);
    return spent->answer;
}

static void on_random(void *context, uint8_t *buffer, size_t size) {
    sim_prng *chance = context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(sim_random(chance) >> 32);
    }
}

static void take_tokens(sim_world *w, masque_config *config) {
    proxy *p = w->setup.user;
    const masque_runtime runtime = sim_runtime(w);
    const masque_token_origin_options options = {.clock = clock_of, .spend = spend, .context = &p->spent};
    const masque_token_key key = {.issuer = ISSUER,
                                  .origin_info = ORIGIN,
                                  .type = MASQUE_TOKEN_BLIND_RSA,
                                  .bytes = p->issuer.spki,
                                  .length = p->issuer.spki_length};
    masque_token_origin *origin;
    assert_int_equal(masque_token_origin_new(&origin, &options, &runtime), 0);
    assert_int_equal(masque_token_origin_add_key(origin, &key), 0);
    const masque_auth_method method = masque_token_origin_method(origin);
    assert_int_equal(masque_config_add_auth_method(config, &method), 0);
    assert_int_equal(masque_config_set_challenge(config, p->challenges), 0);
}

static sim_world *open_world(proxy *p, bool challenges) {
    *p = (proxy){.spent = {.answer = MASQUE_AUTH_ALLOW}, .challenges = challenges};
    sim_alloc_init(); /* before the issuer has anything of wolfSSL's */
    sim_prng_seed(&p->chance, 7);
    p->runtime = (masque_runtime){.random = on_random, .context = &p->chance};
    mq_allocator_init(&p->runtime.allocator, &(masque_allocator){.context = NULL});
    support_issuer_init(&p->issuer, &p->runtime);
    return sim_world_new(&(sim_setup){.seed = 3, .configure = take_tokens, .user = p});
}

static void close_world(sim_world *w, proxy *p) {
    sim_world_close(w);
    support_issuer_free(&p->issuer);
}

static void new_token(const proxy *p, char text[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 1]) {
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    support_token(&p->issuer, ISSUER, ORIGIN, NULL, token);
    masque_base64_encode(text, token, sizeof token);
}

/* A request with TEXT of the PrivateToken scheme; its answer's status, and what 200 is called there. */
static unsigned ask(sim_world *w, const row *r, const char *field, const char *credential, bool may) {
    static uint16_t port = 1000;
    static char address[32];
    char authority[32];
    const sim_field fields[] = {{field, credential}};
    sim_client client = r->client;
    snprintf(authority, sizeof authority, SIM_ECHO ":%u", ++port);
    snprintf(address, sizeof address, "198.51.100.%u", 1 + port % 250); /* who fails often has to wait */
    client.address = address;
    sim_conn *c = sim_connect(w, &client);
    sim_tun *t = sim_request(
        c, &(sim_ask){
               .authority = authority, .key = "", .fields = fields, .field_count = 1, .udp = r->udp, .may_dial = may});
    sim_settle(w);
    bool open = sim_tun_is_open(t);
    SIM_CHECK(w, open == may, "%s: status %u for '%.40s'", r->name, t->status, credential);
    sim_leave(c, false);
    sim_settle(w);
    return open ? 200 : t->status;
}

static void test_once(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        proxy p;
        char text[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 1], credential[700];
        sim_world *w = open_world(&p, false);
        new_token(&p, text);
        snprintf(credential, sizeof credential, "PrivateToken token=\"%s\"", text);
        assert_int_equal(ask(w, &ROWS[i], "proxy-authorization", credential, true), 200);
        /* Again: on every way, in other spellings, and in the other field. */
        for (size_t k = 0; k < SIM_COUNT(ROWS); k++) {
            assert_int_equal(ask(w, &ROWS[k], "proxy-authorization", credential, false), 403);
        }
        snprintf(credential, sizeof credential, "privatetoken x=1,token=%s", text);
        assert_int_equal(ask(w, &ROWS[i], "proxy-authorization", credential, false), 403);
        assert_int_equal(ask(w, &ROWS[i], "authorization", credential, false), 403);
        /* Of another bit. */
        text[400] = text[400] == 'A' ? 'B' : 'A';
        snprintf(credential, sizeof credential, "PrivateToken token=%s", text);
        unsigned asked = p.spent.asked;
        assert_int_equal(ask(w, &ROWS[i], "proxy-authorization", credential, false), 403);
        assert_int_equal(p.spent.asked, asked);
        new_token(&p, text);
        snprintf(credential, sizeof credential, "PrivateToken token=%s", text);
        assert_int_equal(ask(w, &ROWS[i], "authorization", credential, true), 200);
        close_world(w, &p);
    }
}

/* A store that can't answer allows nothing. */
static void test_store_is_gone(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        proxy p;
        char text[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 1], credential[700];
        sim_world *w = open_world(&p, false);
        p.spent.answer = MASQUE_AUTH_UNAVAILABLE;
        new_token(&p, text);
        snprintf(credential, sizeof credential, "PrivateToken token=%s", text);
        assert_int_equal(ask(w, &ROWS[i], "proxy-authorization", credential, false), 503);
        close_world(w, &p);
    }
}

/* --- what is asked for ------------------------------------------------------------------------------------------ */

/* The value of PARAMETER="..." in TEXT, decoded; returns its length. */
static size_t value_of(const char *text, const char *parameter, uint8_t *bytes, size_t capacity) {
    size_t length;
    const char *at = strstr(text, parameter);
    assert_non_null(at);
    at += strlen(parameter);
    assert_true(masque_base64_decode(bytes, capacity, &length, at, strcspn(at, "\"")));
    return length;
}

static void check_challenge(const proxy *p, const char *text) {
    uint8_t bytes[1024];
    char texts[MASQUE_TOKEN_CHALLENGE_MAX];
    masque_token_challenge challenge;
    assert_int_equal(strncmp(text, "PrivateToken challenge=\"", 24), 0);
    size_t length = value_of(text, "challenge=\"", bytes, sizeof bytes);
    assert_int_equal(masque_token_challenge_read(&challenge, texts, bytes, length), 0);
    assert_int_equal(challenge.type, MASQUE_TOKEN_BLIND_RSA);
    assert_string_equal(challenge.issuer, ISSUER);
    assert_string_equal(challenge.origin_info, ORIGIN);
    assert_null(challenge.redemption_context);
    length = value_of(text, ", token-key=\"", bytes, sizeof bytes);
    assert_int_equal(length, p->issuer.spki_length);
    assert_memory_equal(bytes, p->issuer.spki, length);
}

/* Without credentials 407 and the challenge, where that is wanted; with wrong ones 403 as ever. */
static void test_challenge(void **state) {
    static const char *const protocols[] = {"http/1.1", "h2"};
    (void)state;
    for (size_t on = 0; on < 2; on++) {
        proxy p;
        sim_world *w = open_world(&p, on);
        for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
            unsigned asked = ask(w, &ROWS[i], "x", "y", false);
            SIM_CHECK(w, asked == (on ? 407 : 403), "%s: %u", ROWS[i].name, asked);
            assert_int_equal(ask(w, &ROWS[i], "proxy-authorization", "PrivateToken token=AAAA", false), 403);
        }
        for (size_t i = 0; i < SIM_COUNT(protocols); i++) {
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = protocols[i], .address = "198.51.100.251"});
            sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1", .key = ""});
            sim_settle(w);
            assert_int_equal(t->status, on ? 407 : 403);
            if (on) {
                check_challenge(&p, t->proxy_authenticate);
            } else {
                assert_string_equal(t->proxy_authenticate, "");
            }
        }
        /* Asking is no guess. */
        assert_int_equal(sim_stats(w).auth_failures, SIM_COUNT(ROWS));
        close_world(w, &p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_once), cmocka_unit_test(test_store_is_gone),
                                       cmocka_unit_test(test_challenge)};
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
