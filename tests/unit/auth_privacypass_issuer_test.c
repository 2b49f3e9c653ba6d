/* Issuer and client of Privacy Pass: tokens of both types, alone and in batches, the published vectors, and what is
   refused with which status. */
#include <masqueproxy/base64.h>
#include <masqueproxy/token_client.h>

#include <stdlib.h>
#include <string.h>

#include "auth/privacypass/request.h"
#include "support/issuer.h"
#include "vectors.h"

#define NOW 1800000000

typedef struct world {
    unit_memory memory;
    unit_random random;
    masque_runtime runtime;
    masque_token_issuer *issuer;
    uint8_t private_voprf[MASQUE_VOPRF_PRIVATE_LENGTH];
    uint8_t keys[2][MASQUE_TOKEN_PUBLIC_KEY_MAX]; /* RSA, VOPRF */
    size_t lengths[2];
} world;

static void open_world(world *w) {
    *w = (world){.random = {.state = 3}};
    unit_memory_init(&w->memory);
    w->runtime =
        (masque_runtime){.allocator = w->memory.allocator, .random = unit_random_source, .context = &w->random};
    size_t length, der_length;
    char *pem = unit_read_data("unit-rsa-key.pem", &length);
    uint8_t der[4096];
    der_length = support_pem(der, sizeof der, pem, length);
    free(pem);
    assert_int_equal(masque_token_issuer_new(&w->issuer, &w->runtime), 0);
    const masque_issuer_key rsa = {MASQUE_TOKEN_BLIND_RSA, der, der_length};
    assert_int_equal(masque_token_issuer_add_key(w->issuer, &rsa), 0);
    assert_int_equal(masque_voprf_generate_key(&w->runtime, w->private_voprf), 0);
    const masque_issuer_key voprf = {MASQUE_TOKEN_VOPRF, w->private_voprf, sizeof w->private_voprf};
    assert_int_equal(masque_token_issuer_add_key(w->issuer, &voprf), 0);
    for (size_t i = 0; i < 2; i++) {
        w->lengths[i] = masque_token_issuer_public_key(w->issuer, i, w->keys[i]);
        assert_true(w->lengths[i] > 0);
    }
    assert_int_equal(masque_token_issuer_public_key(w->issuer, 2, der), 0);
}

static void close_world(world *w) {
    masque_token_issuer_free(w->issuer);
    assert_int_equal(w->memory.pieces, 0);
}

static masque_token_order *order_of(const world *w, masque_token_type type, size_t count, bool batch) {
    size_t number = type == MASQUE_TOKEN_VOPRF;
    const masque_token_order_options options = {
        .challenge = {.type = type, .issuer = "issuer.example", .origin_info = "a.example"},
        .key = w->keys[number],
        .key_length = w->lengths[number],
        .count = count,
        .batch = batch};
    masque_token_order *order;
    assert_int_equal(masque_token_order_new(&order, &options, &w->runtime), 0);
    return order;
}

/* --- the origin, which is to take them ------------------------------------------------------------------------- */

static masque_unix_time clock_of(void *context) {
    (void)context;
    return NOW;
}

static masque_verdict spend(void *context, const masque_spent_token *token) {
    unsigned *spent = context;
    (void)token;
    ++*spent;
    return MASQUE_AUTH_ALLOW;
}

static masque_token_origin *origin_of(const world *w, unsigned *spent) {
    const masque_token_origin_options options = {.clock = clock_of, .spend = spend, .context = spent};
    masque_token_origin *origin;
    assert_int_equal(masque_token_origin_new(&origin, &options, &w->runtime), 0);
    for (size_t i = 0; i < 2; i++) {
        const masque_token_key key = {.issuer = "issuer.example",
                                      .origin_info = "a.example",
                                      .type = i == 0 ? MASQUE_TOKEN_BLIND_RSA : MASQUE_TOKEN_VOPRF,
                                      .bytes = w->keys[i],
                                      .length = w->lengths[i],
                                      .private_bytes = w->private_voprf};
        assert_int_equal(masque_token_origin_add_key(origin, &key), 0);
    }
    return origin;
}

static masque_verdict show(masque_token_origin *origin, const masque_token *token) {
    char text[MASQUE_BASE64_LENGTH(MASQUE_TOKEN_MAX) + 16] = "token=";
    const masque_auth_method method = masque_token_origin_method(origin);
    masque_base64_encode(text + 6, token->bytes, token->length);
    const masque_auth_request request = {
        .scheme = "PrivateToken", .scheme_length = 12, .credential = text, .credential_length = strlen(text)};
    return method.check(method.context, &request);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void test_tokens(void **state) {
    static const struct {
        masque_token_type type;
        size_t count;
        bool batch;
    } rows[] = {{MASQUE_TOKEN_BLIND_RSA, 1, false}, {MASQUE_TOKEN_VOPRF, 1, false},
                {MASQUE_TOKEN_BLIND_RSA, 1, true},  {MASQUE_TOKEN_VOPRF, 1, true},
                {MASQUE_TOKEN_BLIND_RSA, 7, true},  {MASQUE_TOKEN_VOPRF, 7, true}};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        world w;
        masque_token_answer answer;
        masque_token_post post;
        masque_token token;
        unsigned spent = 0;
        open_world(&w);
        masque_token_order *order = order_of(&w, rows[i].type, rows[i].count, rows[i].batch);
        masque_token_origin *origin = origin_of(&w, &spent);
        masque_token_order_request(order, &post);
        assert_int_equal(masque_token_request_count(post.media_type, post.body, post.length), rows[i].count);
        masque_token_issuer_answer(w.issuer, post.media_type, post.body, post.length, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(answer.media_type, post.accept);
        assert_false(masque_token_order_token(order, 0, &token));
        assert_int_equal(masque_token_order_finish(order, answer.bytes, answer.length), (int)rows[i].count);
        assert_int_equal(masque_token_order_finish(order, answer.bytes, answer.length), MASQUE_ERR_STATE);
        for (size_t k = 0; k < rows[i].count; k++) {
            assert_true(masque_token_order_token(order, k, &token));
            assert_int_equal(show(origin, &token), MASQUE_AUTH_ALLOW);
        }
        assert_false(masque_token_order_token(order, rows[i].count, &token));
        assert_int_equal(spent, rows[i].count);
        masque_token_origin_free(origin);
        masque_token_order_free(order);
        close_world(&w);
    }
}

/* Every bit of a type 1 token counts, for its origin. */
static void test_voprf_token_bits(void **state) {
    world w;
    masque_token_answer answer;
    masque_token_post post;
    masque_token token;
    unsigned spent = 0;
    (void)state;
    open_world(&w);
    masque_token_order *order = order_of(&w, MASQUE_TOKEN_VOPRF, 1, false);
    masque_token_origin *origin = origin_of(&w, &spent);
    masque_token_order_request(order, &post);
    masque_token_issuer_answer(w.issuer, post.media_type, post.body, post.length, &answer);
    assert_int_equal(masque_token_order_finish(order, answer.bytes, answer.length), 1);
    assert_true(masque_token_order_token(order, 0, &token));
    for (size_t bit = 0; bit < token.length * 8; bit++) {
        token.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (show(origin, &token) != MASQUE_AUTH_DENY) {
            fail_msg("bit %u may be another", (unsigned)bit);
        }
        token.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(spent, 0);
    masque_token_origin_free(origin);
    masque_token_order_free(order);
    close_world(&w);
}

static void test_refusals(void **state) {
    static const char one[] = MASQUE_TOKEN_REQUEST_TYPE, batch[] = MASQUE_TOKEN_BATCH_REQUEST_TYPE;
    world w;
    masque_token_answer answer;
    masque_token_post post, posts;
    (void)state;
    open_world(&w);
    masque_token_order *order = order_of(&w, MASQUE_TOKEN_VOPRF, 1, false);
    masque_token_order *orders = order_of(&w, MASQUE_TOKEN_VOPRF, 3, false);
    masque_token_order_request(order, &post);
    masque_token_order_request(orders, &posts);
    uint8_t other_type[MQ_VOPRF_REQUEST], other_key[MQ_VOPRF_REQUEST], no_point[MQ_VOPRF_REQUEST];
    memcpy(other_type, post.body, post.length);
    memcpy(other_key, post.body, post.length);
    memcpy(no_point, post.body, post.length);
    other_type[1] = 9;
    other_key[2] ^= 1;
    no_point[3] = 4;
    uint8_t flood[8 + 101 * MQ_VOPRF_REQUEST];
    for (size_t i = 0; i < 101; i++) {
        memcpy(flood + 8 + i * MQ_VOPRF_REQUEST, post.body, MQ_VOPRF_REQUEST);
    }
    size_t flood_length = mq_token_batch_close(flood, (size_t)101 * MQ_VOPRF_REQUEST);
    const struct {
        const char *name, *type;
        const uint8_t *body;
        size_t length;
        unsigned status;
    } rows[] = {{"good", one, post.body, post.length, 200},
                {"with a parameter", MASQUE_TOKEN_REQUEST_TYPE " ; q=1", post.body, post.length, 200},
                {"upper case", "Application/Private-Token-Request", post.body, post.length, 200},
                {"another media type", "application/json", post.body, post.length, 415},
                {"a longer media type", MASQUE_TOKEN_REQUEST_TYPE "s", post.body, post.length, 415},
                {"no media type", "", post.body, post.length, 415},
                {"empty", one, post.body, 0, 400},
                {"cut", one, post.body, post.length - 1, 400},
                {"a batch as one", one, posts.body, posts.length, 422},
                {"another type", one, other_type, sizeof other_type, 422},
                {"another key", one, other_key, sizeof other_key, 422},
                {"no point", one, no_point, sizeof no_point, 422},
                {"a batch", batch, posts.body, posts.length, 200},
                {"a cut batch", batch, posts.body, posts.length - 1, 400},
                {"a batch of nothing", batch, (const uint8_t *)"", 1, 400},
                {"no batch", batch, post.body, post.length, 400},
                {"a batch of 101", batch, flood, flood_length, 400}};
    for (size_t i = 0; i < COUNT(rows); i++) {
        masque_token_issuer_answer(w.issuer, rows[i].type, rows[i].body, rows[i].length, &answer);
        CHECK(rows[i].name, answer.status == rows[i].status);
        CHECK(rows[i].name, (answer.length > 0) == (answer.status == 200));
        size_t count = masque_token_request_count(rows[i].type, rows[i].body, rows[i].length);
        CHECK(rows[i].name, answer.status != 200 || count > 0);
    }
    masque_token_order_free(order);
    masque_token_order_free(orders);
    close_world(&w);
}

/* In a batch each has its own fate. */
static void test_one_of_a_batch(void **state) {
    world w;
    masque_token_answer answer;
    masque_token_post post;
    masque_token token;
    uint8_t body[512];
    (void)state;
    open_world(&w);
    masque_token_order *order = order_of(&w, MASQUE_TOKEN_VOPRF, 3, false);
    masque_token_order_request(order, &post);
    memcpy(body, post.body, post.length);
    body[2 + MQ_VOPRF_REQUEST + 2] ^= 1; /* the second one's key */
    masque_token_issuer_answer(w.issuer, post.media_type, body, post.length, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(masque_token_order_finish(order, answer.bytes, answer.length), 2);
    assert_true(masque_token_order_token(order, 1, &token));
    assert_false(masque_token_order_token(order, 2, &token));
    masque_token_order_free(order);
    close_world(&w);
}

/* An answer that is cut, or has any other byte, makes no token. */
static void test_bad_answers(void **state) {
    (void)state;
    for (size_t count = 1; count < 3; count++) {
        world w;
        masque_token_answer answer;
        masque_token_post post;
        open_world(&w);
        masque_token_order *first = order_of(&w, MASQUE_TOKEN_VOPRF, count, false);
        masque_token_order_request(first, &post);
        masque_token_issuer_answer(w.issuer, post.media_type, post.body, post.length, &answer);
        for (size_t i = 0; i < answer.length; i += 13) {
            uint8_t bytes[1024];
            masque_token_order *order = order_of(&w, MASQUE_TOKEN_VOPRF, count, false);
            memcpy(bytes, answer.bytes, answer.length); /* of another order: blinded otherwise */
            assert_int_equal(masque_token_order_finish(order, bytes, i), MASQUE_ERR_INVALID);
            masque_token_order_free(order);
        }
        masque_token_order_free(first);
        close_world(&w);
    }
}

static void test_bad_keys(void **state) {
    world w;
    uint8_t bytes[64] = {1};
    masque_token_order *order;
    (void)state;
    open_world(&w);
    const masque_issuer_key again = {MASQUE_TOKEN_VOPRF, w.private_voprf, sizeof w.private_voprf};
    assert_int_equal(masque_token_issuer_add_key(w.issuer, &again), MASQUE_ERR_INVALID);
    const masque_issuer_key none = {MASQUE_TOKEN_BLIND_RSA, bytes, sizeof bytes};
    assert_int_equal(masque_token_issuer_add_key(w.issuer, &none), MASQUE_ERR_INVALID);
    const masque_issuer_key cut = {MASQUE_TOKEN_VOPRF, bytes, 47};
    assert_int_equal(masque_token_issuer_add_key(w.issuer, &cut), MASQUE_ERR_INVALID);
    masque_token_order_options options = {.challenge = {.type = MASQUE_TOKEN_VOPRF, .issuer = "i"},
                                          .key = w.keys[0],
                                          .key_length = w.lengths[0],
                                          .count = 1};
    assert_int_equal(masque_token_order_new(&order, &options, &w.runtime), MASQUE_ERR_INVALID);
    options.key = w.keys[1];
    options.key_length = w.lengths[1];
    options.count = MASQUE_TOKEN_BATCH_MAX + 1;
    assert_int_equal(masque_token_order_new(&order, &options, &w.runtime), MASQUE_ERR_INVALID);
    options.count = 1;
    options.challenge.issuer = NULL;
    assert_int_equal(masque_token_order_new(&order, &options, &w.runtime), MASQUE_ERR_INVALID);
    assert_null(order);
    close_world(&w);
}

/* Without memory nothing leaks. */
static void test_no_memory(void **state) {
    world w;
    (void)state;
    open_world(&w);
    int error = MASQUE_ERR_NO_MEMORY;
    for (size_t left = 0; error == MASQUE_ERR_NO_MEMORY; left++) {
        const masque_token_order_options options = {.challenge = {.type = MASQUE_TOKEN_BLIND_RSA, .issuer = "i"},
                                                    .key = w.keys[0],
                                                    .key_length = w.lengths[0],
                                                    .count = 2};
        masque_token_order *order;
        w.memory.calls = 0;
        w.memory.left = left;
        error = masque_token_order_new(&order, &options, &w.runtime);
        masque_token_order_free(order);
        assert_true(left < 50);
    }
    assert_int_equal(error, 0);
    w.memory.left = (size_t)-1;
    close_world(&w);
}

static void test_challenge_texts(void **state) {
    static const uint8_t context[MASQUE_REDEMPTION_LENGTH] = {7};
    uint8_t bytes[MASQUE_TOKEN_CHALLENGE_MAX];
    char texts[MASQUE_TOKEN_CHALLENGE_MAX];
    const masque_token_challenge made = {MASQUE_TOKEN_VOPRF, "issuer.example", "a.example,b.example", context};
    masque_token_challenge read;
    (void)state;
    size_t length = masque_token_challenge_write(&made, bytes);
    assert_int_equal(masque_token_challenge_read(&read, texts, bytes, length), 0);
    assert_int_equal(read.type, made.type);
    assert_string_equal(read.issuer, made.issuer);
    assert_string_equal(read.origin_info, made.origin_info);
    assert_memory_equal(read.redemption_context, context, sizeof context);
    assert_int_equal(masque_token_challenge_read(&read, texts, bytes, length - 1), MASQUE_ERR_INVALID);
    bytes[1] = 9;
    assert_int_equal(masque_token_challenge_read(&read, texts, bytes, length), MASQUE_ERR_INVALID);
}

/* --- published vectors -------------------------------------------------------------------------------------------- */

/* An issuer with the vector's key. */
static masque_token_issuer *issuer_of(const world *w, const json_t *vector, masque_token_type type) {
    size_t length, wanted_length;
    uint8_t der[4096], public[MASQUE_TOKEN_PUBLIC_KEY_MAX];
    uint8_t *private = unit_vector(vector, "skS", &length);
    uint8_t *wanted = unit_vector(vector, "pkS", &wanted_length);
    masque_token_issuer *issuer;
    bool rsa = type == MASQUE_TOKEN_BLIND_RSA;
    const masque_issuer_key key = {type, rsa ? der : private,
                                   rsa ? support_pem(der, sizeof der, (const char *)private, length) : length};
    assert_int_equal(masque_token_issuer_new(&issuer, &w->runtime), 0);
    assert_int_equal(masque_token_issuer_add_key(issuer, &key), 0);
    assert_int_equal(masque_token_issuer_public_key(issuer, 0, public), wanted_length);
    assert_memory_equal(public, wanted, wanted_length);
    free(private);
    free(wanted);
    return issuer;
}

/* Type 2 is the same each time; the proof of type 1 has a random part. */
static void check_answer(const masque_token_answer *answer, masque_token_type type, const json_t *vector) {
    size_t length;
    uint8_t *wanted = unit_vector(vector, "token_response", &length);
    assert_int_equal(answer->status, 200);
    assert_int_equal(answer->length, length);
    assert_memory_equal(answer->bytes, wanted, type == MASQUE_TOKEN_BLIND_RSA ? length : MQ_P384_POINT);
    free(wanted);
}

static void check_issuance(const char *file, masque_token_type type) {
    json_t *vectors = unit_vectors(file);
    json_t *vector;
    size_t i;
    world w;
    open_world(&w);
    json_array_foreach(vectors, i, vector) {
        masque_token_answer answer;
        size_t length;
        masque_token_issuer *issuer = issuer_of(&w, vector, type);
        uint8_t *request = unit_vector(vector, "token_request", &length);
        masque_token_issuer_answer(issuer, MASQUE_TOKEN_REQUEST_TYPE, request, length, &answer);
        check_answer(&answer, type, vector);
        free(request);
        masque_token_issuer_free(issuer);
    }
    assert_true(i > 0);
    json_decref(vectors);
    close_world(&w);
}

static void test_rfc9578_blind_rsa(void **state) {
    (void)state;
    check_issuance("privacypass/pub_verif_rfc9578.go.json", MASQUE_TOKEN_BLIND_RSA);
}

static void test_rfc9578_voprf(void **state) {
    (void)state;
    check_issuance("privacypass/priv_verif_rfc9578.go.json", MASQUE_TOKEN_VOPRF);
}

/* The client's side of type 1: the published answer makes the published token. */
static void test_rfc9578_voprf_tokens(void **state) {
    json_t *vectors = unit_vectors("privacypass/priv_verif_rfc9578.go.json");
    json_t *vector;
    size_t i;
    (void)state;
    json_array_foreach(vectors, i, vector) {
        size_t length;
        mq_voprf_public key;
        mq_voprf_state kept;
        uint8_t output[MQ_VOPRF_OUTPUT];
        uint8_t *public = unit_vector(vector, "pkS", &length), *token = unit_vector(vector, "token", &length);
        uint8_t *blind = unit_vector(vector, "blind", &length),
                *request = unit_vector(vector, "token_request", &length);
        uint8_t *response = unit_vector(vector, "token_response", &length);
        assert_int_equal(length, MQ_VOPRF_RESPONSE);
        assert_int_equal(mq_voprf_public_init(&key, public), 0);
        assert_int_equal(mq_voprf_blind_with(&kept, blind, token, MQ_TOKEN_INPUT), 0);
        assert_memory_equal(kept.blinded, request + MQ_TOKEN_REQUEST_HEAD, MQ_P384_POINT);
        assert_int_equal(
            mq_voprf_finalize(&key, &kept, response, response + MQ_P384_POINT, token, MQ_TOKEN_INPUT, output), 0);
        assert_memory_equal(output, token + MQ_TOKEN_INPUT, sizeof output);
        free(public);
        free(token);
        free(blind);
        free(request);
        free(response);
    }
    json_decref(vectors);
}

/* A batch of the vectors: all keys are one issuer's. */
static void check_batch(const world *w, const json_t *batch) {
    const json_t *issuance = json_object_get(batch, "issuance");
    masque_token_issuer *issuer;
    masque_token_answer answer;
    size_t i, length, wanted_length;
    json_t *one;
    bool exact = true;
    assert_int_equal(masque_token_issuer_new(&issuer, &w->runtime), 0);
    json_array_foreach(issuance, i, one) {
        uint8_t der[4096];
        uint8_t *private = unit_vector(one, "skS", &length);
        bool rsa = strcmp(json_string_value(json_object_get(one, "type")), "0002") == 0;
        const masque_issuer_key key = {rsa ? MASQUE_TOKEN_BLIND_RSA : MASQUE_TOKEN_VOPRF, rsa ? der : private,
                                       rsa ? support_pem(der, sizeof der, (const char *)private, length) : length};
        int error = masque_token_issuer_add_key(issuer, &key); /* some share one */
        assert_true(error == 0 || (error == MASQUE_ERR_INVALID && i > 0));
        exact = exact && rsa;
        free(private);
    }
    uint8_t *request = unit_vector(batch, "token_request", &length);
    uint8_t *wanted = unit_vector(batch, "token_response", &wanted_length);
    masque_token_issuer_answer(issuer, MASQUE_TOKEN_BATCH_REQUEST_TYPE, request, length, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.length, wanted_length);
    if (exact) {
        assert_memory_equal(answer.bytes, wanted, wanted_length);
    }
    assert_int_equal(masque_token_request_count(MASQUE_TOKEN_BATCH_REQUEST_TYPE, request, length), i);
    free(request);
    free(wanted);
    masque_token_issuer_free(issuer);
}

static void test_batched_vectors(void **state) {
    json_t *vectors = unit_vectors("privacypass/generic_batched_tokens_v6_go.json");
    json_t *batch;
    size_t i;
    world w;
    (void)state;
    open_world(&w);
    json_array_foreach(vectors, i, batch) {
        check_batch(&w, batch);
    }
    assert_true(i > 0);
    json_decref(vectors);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_voprf_token_bits),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_of_a_batch),
        cmocka_unit_test(test_bad_answers),
        cmocka_unit_test(test_bad_keys),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_challenge_texts),
        cmocka_unit_test(test_rfc9578_blind_rsa),
        cmocka_unit_test(test_rfc9578_voprf),
        cmocka_unit_test(test_rfc9578_voprf_tokens),
        cmocka_unit_test(test_batched_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
