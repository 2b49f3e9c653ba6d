/* The origin of Privacy Pass: one token in all its spellings once, any other bit never, and what else must fit. */
#include <masqueproxy/privacy_pass.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/secret.h"
#include "support/issuer.h"
#include "vectors.h"
#include <masqueproxy/base64.h>

#define NOW 1800000000

/* The host: its clock, and a store of one token. */
typedef struct host {
    masque_unix_time now;
    masque_verdict verdict; /* of a new one */
    unsigned asked;
    masque_spent_token last;
    bool has_last;
} host;

typedef struct world {
    host host;
    unit_memory memory;
    unit_random random;
    masque_runtime runtime;
    support_issuer issuer;
    masque_token_origin_options options;
    masque_token_key key; /* what tests change before open_origin() */
    masque_token_origin *origin;
} world;

static masque_unix_time clock_of(void *context) {
    const host *h = context;
    return h->now;
}

static masque_verdict spend(void *context, const masque_spent_token *token) {
    host *h = context;
    bool again = h->has_last && memcmp(h->last.id, token->id, sizeof token->id) == 0;
    h->asked++;
    h->last = *token;
    h->has_last = true;
    return again ? MASQUE_AUTH_DENY : h->verdict;
}

static void open_world(world *w, const char *origin_info) {
    *w = (world){.host = {.now = NOW, .verdict = MASQUE_AUTH_ALLOW}, .random = {.state = 5}};
    unit_memory_init(&w->memory);
    w->runtime =
        (masque_runtime){.allocator = w->memory.allocator, .random = unit_random_source, .context = &w->random};
    support_issuer_init(&w->issuer, &w->runtime);
    w->options = (masque_token_origin_options){.clock = clock_of, .spend = spend, .context = &w->host};
    w->key = (masque_token_key){.issuer = "issuer.example",
                                .origin_info = origin_info,
                                .type = MASQUE_TOKEN_BLIND_RSA,
                                .bytes = w->issuer.spki,
                                .length = w->issuer.spki_length};
}

static void open_origin(world *w) {
    assert_int_equal(masque_token_origin_new(&w->origin, &w->options, &w->runtime), 0);
    assert_int_equal(masque_token_origin_add_key(w->origin, &w->key), 0);
}

static void close_world(world *w) {
    masque_token_origin_free(w->origin);
    support_issuer_free(&w->issuer);
    assert_int_equal(w->memory.pieces, 0);
}

static masque_verdict show_text(const world *w, const char *credential) {
    const masque_auth_method method = masque_token_origin_method(w->origin);
    const masque_auth_request request = {.tunnel = 77,
                                         .scheme = "PrivateToken",
                                         .scheme_length = 12,
                                         .credential = credential,
                                         .credential_length = strlen(credential)};
    return method.check(method.context, &request);
}

static masque_verdict show(const world *w, const uint8_t *token, size_t length) {
    char text[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 16] = "token=";
    masque_base64_encode(text + 6, token, length);
    return show_text(w, text);
}

static void test_once(void **state) {
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    char base64[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 1], text[sizeof base64 + 64];
    (void)state;
    open_world(&w, "a.example,b.example");
    open_origin(&w);
    support_token(&w.issuer, "issuer.example", "a.example,b.example", NULL, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_ALLOW);
    assert_int_equal(w.host.last.tunnel, 77);
    assert_int_equal(w.host.last.key, 0);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    /* The same in other clothes is the same. */
    masque_base64_encode(base64, token, sizeof token);
    snprintf(text, sizeof text, "x=1, TOKEN = \"%s\",y=2", base64);
    assert_int_equal(show_text(&w, text), MASQUE_AUTH_DENY);
    assert_int_equal(w.host.asked, 3);
    support_token(&w.issuer, "issuer.example", "a.example,b.example", NULL, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_ALLOW);
    close_world(&w);
}

static void test_every_bit(void **state) {
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "");
    open_origin(&w);
    support_token(&w.issuer, "issuer.example", "", NULL, token);
    for (size_t bit = 0; bit < sizeof token * 8; bit++) {
        token[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (show(&w, token, sizeof token) != MASQUE_AUTH_DENY) {
            fail_msg("bit %u may be another", (unsigned)bit);
        }
        token[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(show(&w, token, sizeof token - 1), MASQUE_AUTH_DENY);
    assert_int_equal(show_text(&w, ""), MASQUE_AUTH_DENY);
    /* What is not good never comes to the store, which it would fill. */
    assert_int_equal(w.host.asked, 0);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_ALLOW);
    close_world(&w);
}

static void test_another_scheme(void **state) {
    world w;
    (void)state;
    open_world(&w, "");
    open_origin(&w);
    const masque_auth_method method = masque_token_origin_method(w.origin);
    const masque_auth_request request = {.scheme = "Preshared", .scheme_length = 9, .credential = ""};
    assert_int_equal(method.check(method.context, &request), MASQUE_AUTH_NEXT);
    close_world(&w);
}

static void test_challenges(void **state) {
    static const uint8_t context[MQ_REDEMPTION_CONTEXT] = {1};
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "a.example");
    open_origin(&w);
    support_token(&w.issuer, "issuer.example", "b.example", NULL, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    support_token(&w.issuer, "issuer.example", "", NULL, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    support_token(&w.issuer, "other.example", "a.example", NULL, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    support_token(&w.issuer, "issuer.example", "a.example", context, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    close_world(&w);
}

static void test_fixed_context(void **state) {
    static const uint8_t context[MQ_REDEMPTION_CONTEXT] = {1}, other[MQ_REDEMPTION_CONTEXT] = {2};
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "");
    w.key.redemption = MASQUE_REDEMPTION_FIXED;
    w.key.redemption_bytes = context;
    open_origin(&w);
    support_token(&w.issuer, "issuer.example", "", context, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_ALLOW);
    support_token(&w.issuer, "issuer.example", "", other, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    support_token(&w.issuer, "issuer.example", "", NULL, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    close_world(&w);
}

/* The context of this minute and of the one before: HMAC-SHA-256 of the minute's number. */
static void test_rotating_context(void **state) {
    static const uint8_t secret[MQ_REDEMPTION_CONTEXT] = {9};
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "");
    w.key.redemption = MASQUE_REDEMPTION_ROTATING;
    w.key.redemption_bytes = secret;
    w.key.redemption_period = 60;
    open_origin(&w);
    for (int minute = -3; minute <= 2; minute++) {
        uint8_t number[8] = {0}, context[MQ_REDEMPTION_CONTEXT];
        uint64_t value = (uint64_t)(NOW / 60 + minute);
        for (size_t i = 0; i < 8; i++) {
            number[i] = (uint8_t)(value >> (56 - 8 * i));
        }
        assert_int_equal(mq_secret_digest(context, secret, number, sizeof number), 0);
        support_token(&w.issuer, "issuer.example", "", context, token);
        assert_int_equal(show(&w, token, sizeof token),
                         minute == 0 || minute == -1 ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY);
    }
    close_world(&w);
}

static void test_time_of_a_key(void **state) {
    static const struct {
        masque_unix_time now;
        masque_verdict verdict;
    } rows[] = {{NOW - 101, MASQUE_AUTH_DENY},
                {NOW - 100, MASQUE_AUTH_ALLOW},
                {NOW + 100, MASQUE_AUTH_ALLOW},
                {NOW + 101, MASQUE_AUTH_DENY}};
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "");
    w.key.not_before = NOW - 100;
    w.key.not_after = NOW + 100;
    open_origin(&w);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        w.host.now = rows[i].now;
        support_token(&w.issuer, "issuer.example", "", NULL, token);
        assert_int_equal(show(&w, token, sizeof token), rows[i].verdict);
    }
    assert_int_equal(w.host.last.not_after, NOW + 100);
    close_world(&w);
}

/* One issuer's key signs no tokens of another's; with the same key both are themselves. */
static void test_two_issuers(void **state) {
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "");
    masque_token_key second = w.key;
    second.issuer = "other.example";
    open_origin(&w);
    support_token(&w.issuer, "other.example", "", NULL, token);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_DENY);
    masque_token_origin_free(w.origin);
    open_origin(&w);
    assert_int_equal(masque_token_origin_add_key(w.origin, &second), 0);
    assert_int_equal(show(&w, token, sizeof token), MASQUE_AUTH_ALLOW);
    assert_int_equal(w.host.last.key, 1);
    close_world(&w);
}

static void test_verdicts_of_the_store(void **state) {
    static const masque_verdict verdicts[] = {MASQUE_AUTH_PENDING, MASQUE_AUTH_UNAVAILABLE, MASQUE_AUTH_DENY};
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "");
    open_origin(&w);
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++) {
        w.host.verdict = verdicts[i];
        support_token(&w.issuer, "issuer.example", "", NULL, token);
        assert_int_equal(show(&w, token, sizeof token), verdicts[i]);
    }
    close_world(&w);
}

/* One key, two challenges: a token is for the one that it was made for. */
static void test_two_challenges(void **state) {
    world w;
    uint8_t token[MQ_PRIVATE_TOKEN_MAX];
    (void)state;
    open_world(&w, "a.example");
    masque_token_key second = w.key;
    second.origin_info = "b.example";
    open_origin(&w);
    assert_int_equal(masque_token_origin_add_key(w.origin, &second), 0);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const infos[] = {"a.example", "b.example", "a.example,b.example"};
        support_token(&w.issuer, "issuer.example", infos[i], NULL, token);
        assert_int_equal(show(&w, token, sizeof token), i < 2 ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY);
        assert_int_equal(w.host.last.key, i < 2 ? i : 1);
    }
    close_world(&w);
}

static void test_refused_options(void **state) {
    world w;
    (void)state;
    open_world(&w, "");
    masque_token_origin_options no_clock = w.options, no_store = w.options;
    no_clock.clock = NULL;
    no_store.spend = NULL;
    assert_int_equal(masque_token_origin_new(&w.origin, &no_clock, &w.runtime), MASQUE_ERR_INVALID);
    assert_int_equal(masque_token_origin_new(&w.origin, &no_store, &w.runtime), MASQUE_ERR_INVALID);
    assert_null(w.origin);
    w.memory.left = 0;
    assert_int_equal(masque_token_origin_new(&w.origin, &w.options, &w.runtime), MASQUE_ERR_NO_MEMORY);
    close_world(&w);
}

static void test_refused_keys(void **state) {
    static const uint8_t context[MQ_REDEMPTION_CONTEXT] = {1};
    static char long_text[65537];
    enum { ROWS = 9 };
    world w;
    masque_token_key keys[ROWS];
    (void)state;
    open_world(&w, "");
    open_origin(&w);
    memset(long_text, 'a', sizeof long_text - 1);
    for (size_t i = 0; i < ROWS; i++) {
        keys[i] = w.key; /* the first is there already */
        keys[i].issuer = i == 0 ? keys[i].issuer : "another.example";
    }
    keys[1].issuer = "";
    keys[2].issuer = long_text;
    keys[3].origin_info = long_text;
    keys[4].length--;
    keys[5].type = (masque_token_type)3;
    keys[6].redemption = MASQUE_REDEMPTION_FIXED;
    keys[7].redemption = MASQUE_REDEMPTION_ROTATING;
    keys[7].redemption_bytes = context;
    keys[8].redemption = MASQUE_REDEMPTION_ROTATING;
    keys[8].redemption_period = 60;
    for (size_t i = 0; i < ROWS; i++) {
        if (masque_token_origin_add_key(w.origin, &keys[i]) != MASQUE_ERR_INVALID) {
            fail_msg("row %u is taken", (unsigned)i);
        }
    }
    close_world(&w);
}

static void test_no_memory(void **state) {
    world w;
    int error = MASQUE_ERR_NO_MEMORY;
    (void)state;
    open_world(&w, "");
    open_origin(&w);
    w.key.issuer = "another.example";
    for (size_t left = 0; error; left++) {
        assert_true(left < 10);
        w.memory.left = left;
        error = masque_token_origin_add_key(w.origin, &w.key);
        assert_true(error == 0 || error == MASQUE_ERR_NO_MEMORY);
    }
    w.memory.left = SIZE_MAX;
    (void)masque_token_origin_method(w.origin);
    w.key.issuer = "third.example";
    assert_int_equal(masque_token_origin_add_key(w.origin, &w.key), MASQUE_ERR_STATE);
    close_world(&w);
}

/* Tokens that another implementation issued. */
static void test_vectors(void **state) {
    json_t *all = unit_vectors("privacypass/pub_verif_rfc9578.go.json");
    json_t *one;
    size_t index;
    (void)state;
    json_array_foreach(all, index, one) {
        world w;
        mq_token_challenge challenge;
        size_t key_length, challenge_length, token_length;
        uint8_t *bytes = unit_vector(one, "pkS", &key_length);
        uint8_t *asked = unit_vector(one, "token_challenge", &challenge_length);
        uint8_t *token = unit_vector(one, "token", &token_length);
        assert_true(mq_token_challenge_read(&challenge, asked, challenge_length));
        char *issuer = strndup(challenge.issuer, challenge.issuer_length);
        char *info = strndup(challenge.origin_info, challenge.origin_info_length);
        open_world(&w, info);
        w.key.issuer = issuer;
        w.key.bytes = bytes;
        w.key.length = key_length;
        w.key.redemption = challenge.redemption_context_length ? MASQUE_REDEMPTION_FIXED : MASQUE_REDEMPTION_NONE;
        w.key.redemption_bytes = challenge.redemption_context;
        open_origin(&w);
        assert_int_equal(show(&w, token, token_length), MASQUE_AUTH_ALLOW);
        assert_int_equal(show(&w, token, token_length), MASQUE_AUTH_DENY);
        close_world(&w);
        free(issuer);
        free(info);
        free(bytes);
        free(asked);
        free(token);
    }
    assert_true(index > 0);
    json_decref(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_another_scheme),
        cmocka_unit_test(test_challenges),
        cmocka_unit_test(test_fixed_context),
        cmocka_unit_test(test_rotating_context),
        cmocka_unit_test(test_time_of_a_key),
        cmocka_unit_test(test_two_issuers),
        cmocka_unit_test(test_verdicts_of_the_store),
        cmocka_unit_test(test_refused_options),
        cmocka_unit_test(test_refused_keys),
        cmocka_unit_test(test_two_challenges),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
