/*
 * tests/bench/tokens.c: what Privacy Pass costs, in CPU time, beside the bare operations of wolfCrypt in it.
 *
 *   bench_tokens [ROUNDS [STORED]]
 *
 * ROUNDS (300) of each; STORED (1,000,000) tokens go into the store in memory. Each line is the median of five.
 */
#include <masqueproxy/base64.h>
#include <masqueproxy/token_client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/voprf.h"
#include "measure.h"
#include "spent/memory.h"
#include "support/issuer.h"

#define ISSUER "issuer.example"
#define ORIGIN "proxy.example"

typedef struct bench {
    size_t rounds;
    uint64_t seed;
    masque_runtime runtime;
    support_issuer rsa;
    masque_token_issuer *issuer;
    uint8_t voprf_private[MASQUE_VOPRF_PRIVATE_LENGTH];
    mq_voprf_private voprf;
    masque_auth_method method;
    masque_auth_request shown[2]; /* type 2, type 1 */
    char credentials[2][600];
    masque_token_post posts[2];
    masque_token_order *orders[2];
    spent_memory *store;
    bool uses_store;
    uint64_t next;
} bench;

static void on_random(void *context, uint8_t *buffer, size_t size) {
    uint64_t *state = context;
    for (size_t i = 0; i < size; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        buffer[i] = (uint8_t)(*state >> 56);
    }
}

static masque_unix_time clock_of(void *context) {
    (void)context;
    return 1800000000;
}

/* The same token is shown again and again: for the store it is a new one each time. */
static masque_verdict spend(void *context, const masque_spent_token *token) {
    bench *b = context;
    masque_spent_token fresh = *token;
    if (!b->uses_store) {
        return MASQUE_AUTH_ALLOW;
    }
    b->next++;
    memcpy(fresh.id, &b->next, sizeof b->next);
    return spent_memory_spend(b->store, &fresh, 1800000000);
}

/* --- what is measured --------------------------------------------------------------------------------------------- */

static void check_type_2(bench *b) {
    need(b->method.check(b->method.context, &b->shown[0]) == MASQUE_AUTH_ALLOW, "a good token");
}

static void check_type_1(bench *b) {
    need(b->method.check(b->method.context, &b->shown[1]) == MASQUE_AUTH_ALLOW, "a good token");
}

static void rsa_public(bench *b) {
    uint8_t out[MQ_RSA_MAX];
    static const uint8_t in[MQ_RSA_MAX] = {0, 1};
    need(mq_rsa_public_op(b->rsa.key, out, in) == 0, "RSA");
}

static void rsa_private(bench *b) {
    uint8_t out[MQ_RSA_MAX];
    static const uint8_t in[MQ_RSA_MAX] = {0, 1};
    need(mq_rsa_private_op(b->rsa.key, out, in) == 0, "RSA");
}

static void multiply(bench *b) {
    mq_p384_point point;
    need(mq_p384_multiply(&point, &b->voprf.scalar, &b->voprf.public.point) == 0, "P-384");
}

static void issue(bench *b, size_t which) {
    static masque_token_answer answer;
    const masque_token_post *post = &b->posts[which];
    masque_token_issuer_answer(b->issuer, post->media_type, post->body, post->length, &answer);
    need(answer.status == 200, "issuing");
}

static void issue_type_2(bench *b) {
    issue(b, 0);
}

static void issue_type_1(bench *b) {
    issue(b, 1);
}

static void store_and_look_up(bench *b) {
    masque_spent_token token = {.not_after = 1900000000};
    b->next++;
    on_random(&b->seed, token.id, sizeof token.id);
    memcpy(token.id, &b->next, sizeof b->next);
    need(spent_memory_spend(b->store, &token, 1800000000) == MASQUE_AUTH_ALLOW, "the store");
}

/* Microseconds of one. */
static double measure(bench *b, void (*what)(bench *b), size_t rounds) {
    double times[REPEATS];
    for (size_t i = 0; i < REPEATS; i++) {
        double began = cpu_us();
        for (size_t k = 0; k < rounds; k++) {
            what(b);
        }
        times[i] = (cpu_us() - began) / (double)rounds;
    }
    return median(times);
}

/* --- preparation -------------------------------------------------------------------------------------------------- */

static void add_keys(bench *b, masque_token_origin *origin) {
    const masque_token_key keys[] = {{.issuer = ISSUER,
                                      .origin_info = ORIGIN,
                                      .type = MASQUE_TOKEN_BLIND_RSA,
                                      .bytes = b->rsa.spki,
                                      .length = b->rsa.spki_length,
                                      .not_after = 1900000000},
                                     {.issuer = ISSUER,
                                      .origin_info = ORIGIN,
                                      .type = MASQUE_TOKEN_VOPRF,
                                      .bytes = b->voprf.public.bytes,
                                      .length = sizeof b->voprf.public.bytes,
                                      .private_bytes = b->voprf_private,
                                      .not_after = 1900000000}};
    for (size_t i = 0; i < 2; i++) {
        need(masque_token_origin_add_key(origin, &keys[i]) == 0, "a key");
    }
}

static void prepare_issuer(bench *b) {
    uint8_t der[4096];
    char pem[4096];
    FILE *file = fopen(BENCH_DATA "/unit-rsa-key.pem", "r");
    need(file != NULL, "no " BENCH_DATA "/unit-rsa-key.pem");
    size_t length = fread(pem, 1, sizeof pem, file);
    fclose(file);
    length = support_pem(der, sizeof der, pem, length);
    const masque_issuer_key rsa = {MASQUE_TOKEN_BLIND_RSA, der, length};
    const masque_issuer_key voprf = {MASQUE_TOKEN_VOPRF, b->voprf_private, sizeof b->voprf_private};
    need(masque_token_issuer_new(&b->issuer, &b->runtime) == 0, "an issuer");
    need(masque_token_issuer_add_key(b->issuer, &rsa) == 0 && masque_token_issuer_add_key(b->issuer, &voprf) == 0,
         "its keys");
}

static void prepare_token(bench *b, size_t which) {
    static masque_token_answer answer;
    masque_token token;
    const masque_token_order_options options = {
        .challenge = {.type = which == 0 ? MASQUE_TOKEN_BLIND_RSA : MASQUE_TOKEN_VOPRF,
                      .issuer = ISSUER,
                      .origin_info = ORIGIN},
        .key = which == 0 ? b->rsa.spki : b->voprf.public.bytes,
        .key_length = which == 0 ? b->rsa.spki_length : sizeof b->voprf.public.bytes,
        .count = 1};
    masque_token_order *order;
    need(masque_token_order_new(&order, &options, &b->runtime) == 0, "an order");
    masque_token_order_request(order, &b->posts[which]);
    masque_token_issuer_answer(b->issuer, b->posts[which].media_type, b->posts[which].body, b->posts[which].length,
                               &answer);
    need(masque_token_order_finish(order, answer.bytes, answer.length) == 1, "a token");
    need(masque_token_order_token(order, 0, &token), "a token");
    b->orders[which] = order; /* its request is measured */
    memcpy(b->credentials[which], "token=", 6);
    masque_base64_encode(b->credentials[which] + 6, token.bytes, token.length);
    b->shown[which] = (masque_auth_request){.scheme = "PrivateToken",
                                            .scheme_length = 12,
                                            .credential = b->credentials[which],
                                            .credential_length = strlen(b->credentials[which])};
}

static void prepare(bench *b, uint64_t stored) {
    const masque_token_origin_options options = {.clock = clock_of, .spend = spend, .context = b};
    masque_token_origin *origin;
    b->runtime = (masque_runtime){.random = on_random, .context = &b->seed};
    mq_allocator_init(&b->runtime.allocator, &(masque_allocator){.allocate = NULL});
    support_issuer_init(&b->rsa, &b->runtime);
    need(masque_voprf_generate_key(&b->runtime, b->voprf_private) == 0 &&
             mq_voprf_private_init(&b->voprf, b->voprf_private) == 0,
         "a key");
    prepare_issuer(b);
    need(masque_token_origin_new(&origin, &options, &b->runtime) == 0, "an origin");
    add_keys(b, origin);
    b->method = masque_token_origin_method(origin);
    b->store = spent_memory_new(stored + 10000000, 99);
    prepare_token(b, 0);
    prepare_token(b, 1);
}

static void clean_up(bench *b) {
    masque_token_order_free(b->orders[0]);
    masque_token_order_free(b->orders[1]);
    b->method.release(b->method.context);
    masque_token_issuer_free(b->issuer);
    support_issuer_free(&b->rsa);
    spent_memory_free(b->store);
}

int main(int count, char **arguments) {
    static bench b = {.seed = 42};
    uint64_t stored = count > 2 ? strtoull(arguments[2], NULL, 10) : 1000000;
    b.rounds = count > 1 ? strtoul(arguments[1], NULL, 10) : 300;
    prepare(&b, stored);
    double public_op = measure(&b, rsa_public, b.rounds);
    double private_op = measure(&b, rsa_private, b.rounds / 10 + 1);
    double multiplication = measure(&b, multiply, b.rounds);
    double type_2 = measure(&b, check_type_2, b.rounds);
    double type_1 = measure(&b, check_type_1, b.rounds);
    double issuing_2 = measure(&b, issue_type_2, b.rounds / 10 + 1);
    double issuing_1 = measure(&b, issue_type_1, b.rounds / 10 + 1);
    double insertion = measure(&b, store_and_look_up, stored / REPEATS);
    spent_memory_size size = spent_memory_size_of(b.store);
    b.uses_store = true;
    double with_store = measure(&b, check_type_2, b.rounds);
    printf("%-34s %9s  %s\n", "", "us", "beside");
    printf("%-34s %9.1f  %.2f of the RSA operation, %.1f\n", "check of type 2", type_2, type_2 / public_op, public_op);
    printf("%-34s %9.1f  %.2f\n", "  with the store in memory", with_store, with_store / public_op);
    printf("%-34s %9.1f  %.2f of a multiplication on P-384, %.1f\n", "check of type 1", type_1, type_1 / multiplication,
           multiplication);
    printf("%-34s %9.1f  %.2f of the private RSA operation's rate, %.1f\n", "issuing type 2", issuing_2,
           private_op / issuing_2, private_op);
    printf("%-34s %9.1f  %.2f multiplications\n", "issuing type 1", issuing_1, issuing_1 / multiplication);
    printf("%-34s %9.2f  %.1f bytes a token, of %llu\n", "noting a token", insertion,
           (double)size.bytes / (double)size.tokens, (unsigned long long)size.tokens);
    clean_up(&b);
    return 0;
}
