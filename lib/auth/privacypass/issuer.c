/* auth/privacypass/issuer.c: signs what is blinded (masqueproxy/token_issuer.h). */
#include <masqueproxy/token_issuer.h>

#include <string.h>

#include "auth/privacypass/request.h"
#include "wire/varint.h"

typedef struct issuer_key {
    masque_token_type type;
    mq_rsa_key *rsa;
    mq_voprf_private voprf;
    uint8_t public[MASQUE_TOKEN_PUBLIC_KEY_MAX];
    size_t public_length;
    uint8_t id[MQ_TOKEN_DIGEST];
} issuer_key;

struct masque_token_issuer {
    masque_runtime runtime; /* its allocator is complete */
    issuer_key *keys;
    size_t count;
    size_t capacity;
};

/* --- life --------------------------------------------------------------------------------------------------------- */

int masque_token_issuer_new(masque_token_issuer **out, const masque_runtime *runtime) {
    masque_allocator allocator;
    mq_allocator_init(&allocator, &runtime->allocator);
    masque_token_issuer *issuer = mq_zalloc(&allocator, sizeof *issuer);
    *out = issuer;
    if (!issuer) {
        return MASQUE_ERR_NO_MEMORY;
    }
    issuer->runtime = *runtime;
    issuer->runtime.allocator = allocator;
    return 0;
}

void masque_token_issuer_free(masque_token_issuer *issuer) {
    if (!issuer) {
        return;
    }
    const masque_allocator allocator = issuer->runtime.allocator;
    for (size_t i = 0; i < issuer->count; i++) {
        mq_rsa_del(issuer->keys[i].rsa);
        mq_wipe(&issuer->keys[i], sizeof issuer->keys[i]);
    }
    mq_free(&allocator, issuer->keys);
    mq_free(&allocator, issuer);
}

static int read_rsa(masque_token_issuer *issuer, issuer_key *key, const masque_issuer_key *given) {
    int error = mq_rsa_private_new(&key->rsa, &issuer->runtime.allocator, given->private_bytes, given->private_length);
    if (error) {
        return error;
    }
    if (mq_rsa_length(key->rsa) != MQ_TOKEN_AUTHENTICATOR_RSA) {
        return MASQUE_ERR_INVALID;
    }
    uint8_t spki[MQ_RSA_SPKI_MAX];
    key->public_length = mq_rsa_write_spki(key->rsa, spki);
    if (key->public_length == 0 || key->public_length > sizeof key->public) {
        return MASQUE_ERR_CRYPTO;
    }
    memcpy(key->public, spki, key->public_length);
    return 0;
}

static int read_voprf(issuer_key *key, const masque_issuer_key *given) {
    if (given->private_length != MQ_P384_SCALAR) {
        return MASQUE_ERR_INVALID;
    }
    key->public_length = MQ_P384_POINT;
    int error = mq_voprf_private_init(&key->voprf, given->private_bytes);
    memcpy(key->public, key->voprf.public.bytes, MQ_P384_POINT);
    return error;
}

static issuer_key *find(const masque_token_issuer *issuer, unsigned type, uint8_t last) {
    for (size_t i = 0; i < issuer->count; i++) {
        issuer_key *key = &issuer->keys[i];
        if (key->type == type && key->id[MQ_TOKEN_DIGEST - 1] == last) {
            return key;
        }
    }
    return NULL;
}

static int read_key(masque_token_issuer *issuer, issuer_key *key, const masque_issuer_key *given) {
    int error = given->type == MASQUE_TOKEN_BLIND_RSA ? read_rsa(issuer, key, given)
                : given->type == MASQUE_TOKEN_VOPRF   ? read_voprf(key, given)
                                                      : MASQUE_ERR_INVALID;
    if (error) {
        return error;
    }
    const mq_piece piece = {key->public, key->public_length};
    error = mq_sha256(key->id, &piece, 1);
    return error ? error : find(issuer, given->type, key->id[MQ_TOKEN_DIGEST - 1]) ? MASQUE_ERR_INVALID : 0;
}

int masque_token_issuer_add_key(masque_token_issuer *issuer, const masque_issuer_key *given) {
    const masque_allocator *allocator = &issuer->runtime.allocator;
    issuer_key *keys =
        mq_grow_secret(allocator, issuer->keys, &issuer->capacity, issuer->count + 1, sizeof *issuer->keys);
    if (!keys) {
        return MASQUE_ERR_NO_MEMORY;
    }
    issuer->keys = keys;
    issuer_key *key = &keys[issuer->count];
    *key = (issuer_key){.type = given->type};
    int error = read_key(issuer, key, given);
    if (error) {
        mq_rsa_del(key->rsa);
        mq_wipe(key, sizeof *key);
        return error;
    }
    issuer->count++;
    return 0;
}

size_t masque_token_issuer_public_key(const masque_token_issuer *issuer, size_t number,
                                      uint8_t bytes[MASQUE_TOKEN_PUBLIC_KEY_MAX]) {
    if (number >= issuer->count) {
        return 0;
    }
    memcpy(bytes, issuer->keys[number].public, issuer->keys[number].public_length);
    return issuer->keys[number].public_length;
}

int masque_voprf_generate_key(const masque_runtime *runtime, uint8_t key[MASQUE_VOPRF_PRIVATE_LENGTH]) {
    mq_voprf_private made;
    int error = mq_voprf_generate(&made, runtime);
    memcpy(key, made.scalar.bytes, sizeof made.scalar.bytes);
    mq_wipe(&made, sizeof made);
    return error;
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

/* Writes the response to one request; 0, or the status for its failure. */
static unsigned respond(masque_token_issuer *issuer, const mq_token_request *request, uint8_t *response) {
    issuer_key *key = find(issuer, request->type, request->key);
    if (!key) {
        return 422;
    }
    int error = key->type == MASQUE_TOKEN_BLIND_RSA
                    ? mq_blind_rsa_sign(key->rsa, request->blinded, response)
                    : mq_voprf_evaluate_blinded(&key->voprf, &issuer->runtime, request->blinded, 1, response,
                                                response + MQ_P384_POINT);
    return error == 0 ? 0 : error == MASQUE_ERR_INVALID ? 422 : 500;
}

static unsigned answer_one(masque_token_issuer *issuer, mq_token_body *body, masque_token_answer *answer) {
    mq_token_request request;
    unsigned status = mq_token_request_next(body, &request);
    if (status != 0 || body->left > 0) {
        return status ? status : 400;
    }
    answer->length = mq_token_response_length(request.type);
    answer->media_type = MASQUE_TOKEN_RESPONSE_TYPE;
    status = respond(issuer, &request, answer->bytes);
    return status ? status : 200;
}

/* All of it, before any token is made: 0, or the status. */
static unsigned check_batch(mq_token_body body) {
    size_t count = 0;
    while (body.left > 0) {
        mq_token_request request;
        unsigned status = mq_token_request_next(&body, &request);
        if (status != 0 || ++count > MASQUE_TOKEN_BATCH_MAX) {
            return status ? status : 400;
        }
    }
    return count > 0 ? 0 : 400;
}

/* What was checked. A request that can't be answered is said so in its place. */
static unsigned answer_batch(masque_token_issuer *issuer, mq_token_body *body, masque_token_answer *answer) {
    uint8_t *at = answer->bytes + MQ_VARINT_LENGTH_MAX;
    mq_token_request request;
    while (body->left > 0 && mq_token_request_next(body, &request) == 0) {
        bool done = respond(issuer, &request, at + MQ_TOKEN_REQUEST_HEAD) == 0;
        at[0] = done;
        at[1] = (uint8_t)(request.type >> 8);
        at[2] = (uint8_t)request.type;
        at += done ? MQ_TOKEN_REQUEST_HEAD + mq_token_response_length(request.type) : 1;
    }
    answer->length = mq_token_batch_close(answer->bytes, (size_t)(at - answer->bytes) - MQ_VARINT_LENGTH_MAX);
    answer->media_type = MASQUE_TOKEN_BATCH_RESPONSE_TYPE;
    return 200;
}

void masque_token_issuer_answer(masque_token_issuer *issuer, const char *media_type, const uint8_t *bytes,
                                size_t length, masque_token_answer *answer) {
    mq_token_body body = {.at = bytes, .left = length};
    answer->length = 0;
    answer->media_type = NULL;
    if (mq_media_type_is(media_type, MASQUE_TOKEN_REQUEST_TYPE)) {
        answer->status = answer_one(issuer, &body, answer);
    } else if (!mq_media_type_is(media_type, MASQUE_TOKEN_BATCH_REQUEST_TYPE)) {
        answer->status = 415;
    } else if (!mq_token_batch_open(&body, bytes, length)) {
        answer->status = 400;
    } else {
        unsigned wrong = check_batch(body);
        answer->status = wrong ? wrong : answer_batch(issuer, &body, answer);
    }
    if (answer->status != 200) {
        answer->length = 0;
        answer->media_type = NULL;
    }
}
