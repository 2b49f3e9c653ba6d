#include "support/issuer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/blind_rsa.h"
#include "crypto/digest.h"
#include <masqueproxy/base64.h>

#define PEM_MAX 4096u

static void need(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "issuer of the tests: %s\n", what);
        abort();
    }
}

size_t support_pem(uint8_t *der, size_t capacity, const char *pem, size_t length) {
    char base64[PEM_MAX];
    size_t count = 0, der_length;
    for (size_t i = 0; i < length; i++) {
        if (pem[i] == '-') { /* a line at both ends */
            while (i + 1 < length && pem[i + 1] != '\n') {
                i++;
            }
        } else if (pem[i] != '\n') {
            need(count < sizeof base64, "the PEM is too long");
            base64[count++] = pem[i];
        }
    }
    need(masque_base64_decode(der, capacity, &der_length, base64, count), "no PEM");
    return der_length;
}

mq_rsa_key *support_rsa_key(const masque_allocator *allocator, const char *pem, size_t length) {
    uint8_t der[PEM_MAX];
    size_t der_length = support_pem(der, sizeof der, pem, length);
    mq_rsa_key *key;
    need(mq_rsa_private_new(&key, allocator, der, der_length) == 0, "no private key");
    return key;
}

void support_issuer_init(support_issuer *issuer, const masque_runtime *runtime) {
    char pem[PEM_MAX];
    FILE *file = fopen(SUPPORT_DATA "/unit-rsa-key.pem", "r");
    need(file != NULL, "no " SUPPORT_DATA "/unit-rsa-key.pem");
    size_t length = fread(pem, 1, sizeof pem, file);
    fclose(file);
    *issuer = (support_issuer){.runtime = runtime};
    issuer->key = support_rsa_key(&runtime->allocator, pem, length);
    issuer->spki_length = mq_rsa_write_spki(issuer->key, issuer->spki);
}

void support_issuer_free(support_issuer *issuer) {
    mq_rsa_del(issuer->key);
}

void support_token(const support_issuer *issuer, const char *name, const char *origin_info, const uint8_t *context,
                   uint8_t token[MQ_PRIVATE_TOKEN_MAX]) {
    const mq_token_challenge challenge = {.type = MQ_TOKEN_BLIND_RSA,
                                          .issuer = name,
                                          .issuer_length = strlen(name),
                                          .redemption_context = context,
                                          .redemption_context_length = context ? MQ_REDEMPTION_CONTEXT : 0,
                                          .origin_info = origin_info,
                                          .origin_info_length = strlen(origin_info)};
    const mq_piece spki = {.bytes = issuer->spki, .length = issuer->spki_length};
    uint8_t blinded[MQ_RSA_MAX], answer[MQ_RSA_MAX];
    mq_blind_rsa_state kept;
    token[0] = 0;
    token[1] = MQ_TOKEN_BLIND_RSA;
    issuer->runtime->random(issuer->runtime->context, token + 2, MQ_TOKEN_NONCE);
    bool done = mq_token_challenge_digest(&challenge, token + 2 + MQ_TOKEN_NONCE) == 0 &&
                mq_sha256(token + 2 + MQ_TOKEN_NONCE + MQ_TOKEN_DIGEST, &spki, 1) == 0 &&
                mq_blind_rsa_blind(issuer->key, issuer->runtime, token, MQ_TOKEN_INPUT, blinded, &kept) == 0 &&
                mq_blind_rsa_sign(issuer->key, blinded, answer) == 0 &&
                mq_blind_rsa_finalize(issuer->key, &kept, answer, token, MQ_TOKEN_INPUT, token + MQ_TOKEN_INPUT) == 0;
    need(done, "no token");
}
