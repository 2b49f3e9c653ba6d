/*
 * constant_time.c: one check of a credential that is wrong in one byte, for constant_time_test.sh, which counts the
 * instructions of measured():
 *
 *   unit_constant_time preshared|token POSITION
 */
#include <masqueproxy/base64.h>
#include <masqueproxy/privacy_pass.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/preshared.h"
#include "auth/privacypass/token.h"
#include "crypto/voprf.h"
#include "unit.h"

#define KEY_LENGTH 32u

masque_verdict measured(const masque_auth_method *method, const masque_auth_request *request);

__attribute__((noinline)) masque_verdict measured(const masque_auth_method *method,
                                                  const masque_auth_request *request) {
    return method->check(method->context, request);
}

static void need(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "constant_time: %s\n", what);
        exit(1);
    }
}

static void check_preshared(const masque_runtime *runtime, size_t position) {
    char key[KEY_LENGTH + 1] = "abcdefghijklmnopqrstuvwxyz012345";
    static const uint8_t hmac_key[MQ_SECRET_DIGEST_LENGTH] = {1};
    mq_preshared preshared;
    mq_preshared_init(&preshared, &runtime->allocator, hmac_key);
    need(mq_preshared_add(&preshared, "one", key, KEY_LENGTH) == 0, "a key");
    const masque_auth_method method = {.name = "preshared", .check = mq_preshared_check, .context = &preshared};
    key[position % KEY_LENGTH] ^= 1;
    const masque_auth_request request = {
        .scheme = "Preshared", .scheme_length = 9, .credential = key, .credential_length = KEY_LENGTH};
    need(measured(&method, &request) == MASQUE_AUTH_DENY, "it was taken");
    mq_preshared_free(&preshared);
}

static masque_unix_time clock_of(void *context) {
    (void)context;
    return 1800000000;
}

static masque_verdict spend(void *context, const masque_spent_token *token) {
    (void)context;
    (void)token;
    return MASQUE_AUTH_ALLOW;
}

/* A token that is right but for one byte of its authenticator. */
static void make_token(const mq_voprf_private *key, uint8_t token[MQ_TOKEN_INPUT + MQ_VOPRF_OUTPUT], size_t position) {
    const mq_token_challenge challenge = {.type = MQ_TOKEN_VOPRF, .issuer = "i", .issuer_length = 1, .origin_info = ""};
    const mq_piece public = {key->public.bytes, sizeof key->public.bytes};
    memset(token, 7, MQ_TOKEN_INPUT);
    token[0] = 0;
    token[1] = MQ_TOKEN_VOPRF;
    need(mq_token_challenge_digest(&challenge, token + 2 + MQ_TOKEN_NONCE) == 0, "a digest");
    need(mq_sha256(token + 2 + MQ_TOKEN_NONCE + MQ_TOKEN_DIGEST, &public, 1) == 0, "a key ID");
    need(mq_voprf_evaluate(key, token, MQ_TOKEN_INPUT, token + MQ_TOKEN_INPUT) == 0, "a token");
    token[MQ_TOKEN_INPUT + position % MQ_VOPRF_OUTPUT] ^= 1;
}

static void check_token(const masque_runtime *runtime, size_t position) {
    uint8_t token[MQ_TOKEN_INPUT + MQ_VOPRF_OUTPUT];
    char text[MASQUE_BASE64_LENGTH(sizeof token) + 7] = "token=";
    const masque_token_origin_options options = {.clock = clock_of, .spend = spend};
    mq_voprf_private key;
    masque_token_origin *origin;
    need(mq_voprf_generate(&key, runtime) == 0, "a key");
    const masque_token_key token_key = {.issuer = "i",
                                        .type = MASQUE_TOKEN_VOPRF,
                                        .bytes = key.public.bytes,
                                        .length = sizeof key.public.bytes,
                                        .private_bytes = key.scalar.bytes};
    need(masque_token_origin_new(&origin, &options, runtime) == 0 &&
             masque_token_origin_add_key(origin, &token_key) == 0,
         "an origin");
    make_token(&key, token, position);
    masque_base64_encode(text + 6, token, sizeof token);
    const masque_auth_method method = masque_token_origin_method(origin);
    const masque_auth_request request = {
        .scheme = "PrivateToken", .scheme_length = 12, .credential = text, .credential_length = strlen(text)};
    need(measured(&method, &request) == MASQUE_AUTH_DENY, "it was taken");
    masque_token_origin_free(origin);
}

int main(int count, char **arguments) {
    unit_random random = {.state = 5};
    masque_runtime runtime = {.random = unit_random_source, .context = &random};
    need(count == 3, "usage: unit_constant_time preshared|token POSITION");
    mq_allocator_init(&runtime.allocator, &(masque_allocator){.allocate = NULL});
    size_t position = strtoul(arguments[2], NULL, 10);
    (strcmp(arguments[1], "token") == 0 ? check_token : check_preshared)(&runtime, position);
    return 0;
}
