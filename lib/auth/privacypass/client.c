/* auth/privacypass/client.c: orders tokens of an issuer (masqueproxy/token_client.h). */
#include <masqueproxy/token_client.h>

#include <string.h>

#include "auth/privacypass/request.h"
#include "wire/varint.h"

/* A token while it is made: its authenticator comes with the answer. */
typedef struct order_item {
    masque_token token;
    union {
        mq_blind_rsa_state rsa;
        mq_voprf_state voprf;
    } kept;
} order_item;

struct masque_token_order {
    masque_runtime runtime; /* its allocator is complete */
    masque_token_type type;
    mq_rsa_key *rsa;
    mq_voprf_public voprf;
    bool batch;
    bool answered;
    size_t count; /* of items; behind the answer those that became tokens, which stand first */
    order_item *items;
    uint8_t *body;
    size_t body_length;
};

/* --- challenges --------------------------------------------------------------------------------------------------- */

int masque_token_challenge_read(masque_token_challenge *challenge, char texts[MASQUE_TOKEN_CHALLENGE_MAX],
                                const uint8_t *bytes, size_t length) {
    mq_token_challenge inner;
    if (length > MASQUE_TOKEN_CHALLENGE_MAX || !mq_token_challenge_read(&inner, bytes, length) ||
        mq_token_request_length(inner.type) == 0 || memchr(inner.issuer, 0, inner.issuer_length) ||
        memchr(inner.origin_info, 0, inner.origin_info_length)) {
        return MASQUE_ERR_INVALID;
    }
    /* What is around the two texts in BYTES is longer than their final zeros. */
    char *origin_info = texts + inner.issuer_length + 1;
    memcpy(texts, inner.issuer, inner.issuer_length);
    texts[inner.issuer_length] = 0;
    memcpy(origin_info, inner.origin_info, inner.origin_info_length);
    origin_info[inner.origin_info_length] = 0;
    *challenge = (masque_token_challenge){.type = (masque_token_type)inner.type,
                                          .issuer = texts,
                                          .origin_info = origin_info,
                                          .redemption_context =
                                              inner.redemption_context_length ? inner.redemption_context : NULL};
    return 0;
}

/* False: it is longer than MASQUE_TOKEN_CHALLENGE_MAX, or has no issuer. */
static bool inner_of(const masque_token_challenge *challenge, mq_token_challenge *inner) {
    const char *info = challenge->origin_info ? challenge->origin_info : "";
    *inner = (mq_token_challenge){
        .type = (uint16_t)challenge->type,
        .issuer = challenge->issuer,
        .issuer_length = challenge->issuer ? strnlen(challenge->issuer, MASQUE_TOKEN_CHALLENGE_MAX) : 0,
        .redemption_context = challenge->redemption_context,
        .redemption_context_length = challenge->redemption_context ? MQ_REDEMPTION_CONTEXT : 0,
        .origin_info = info,
        .origin_info_length = strnlen(info, MASQUE_TOKEN_CHALLENGE_MAX)};
    return inner->issuer_length > 0 && mq_token_challenge_length(inner) <= MASQUE_TOKEN_CHALLENGE_MAX;
}

size_t masque_token_challenge_write(const masque_token_challenge *challenge,
                                    uint8_t bytes[MASQUE_TOKEN_CHALLENGE_MAX]) {
    mq_token_challenge inner;
    if (!inner_of(challenge, &inner)) {
        return 0;
    }
    mq_token_challenge_write(&inner, bytes);
    return mq_token_challenge_length(&inner);
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static int read_key(masque_token_order *order, const uint8_t *bytes, size_t length) {
    if (order->type == MASQUE_TOKEN_VOPRF) {
        return length == MQ_P384_POINT ? mq_voprf_public_init(&order->voprf, bytes) : MASQUE_ERR_INVALID;
    }
    int error = mq_rsa_public_new(&order->rsa, &order->runtime.allocator, bytes, length);
    bool fits = !error && mq_rsa_length(order->rsa) == MQ_TOKEN_AUTHENTICATOR_RSA;
    return error || fits ? error : MASQUE_ERR_INVALID;
}

/* The token's input is there but for its nonce; appends its request. */
static int make_item(masque_token_order *order, order_item *item) {
    uint8_t *token = item->token.bytes;
    uint8_t *request = order->body + order->body_length;
    int error;
    order->runtime.random(order->runtime.context, token + 2, MQ_TOKEN_NONCE);
    request[0] = token[0];
    request[1] = token[1];
    request[2] = token[MQ_TOKEN_INPUT - 1]; /* the key ID's last byte */
    if (order->type == MASQUE_TOKEN_VOPRF) {
        error = mq_voprf_blind(&item->kept.voprf, &order->runtime, token, MQ_TOKEN_INPUT);
        memcpy(request + MQ_TOKEN_REQUEST_HEAD, item->kept.voprf.blinded, MQ_P384_POINT);
    } else {
        error = mq_blind_rsa_blind(order->rsa, &order->runtime, token, MQ_TOKEN_INPUT, request + MQ_TOKEN_REQUEST_HEAD,
                                   &item->kept.rsa);
    }
    order->body_length += mq_token_request_length((uint16_t)order->type);
    return error;
}

static int make_items(masque_token_order *order, const masque_token_order_options *options) {
    uint8_t input[MQ_TOKEN_INPUT] = {0, (uint8_t)order->type};
    const mq_piece key = {options->key, options->key_length};
    mq_token_challenge challenge;
    if (!inner_of(&options->challenge, &challenge)) {
        return MASQUE_ERR_INVALID;
    }
    int error = mq_token_challenge_digest(&challenge, input + 2 + MQ_TOKEN_NONCE);
    error = error ? error : mq_sha256(input + 2 + MQ_TOKEN_NONCE + MQ_TOKEN_DIGEST, &key, 1);
    order->body_length = order->batch ? MQ_VARINT_LENGTH_MAX : 0;
    for (size_t i = 0; i < order->count && !error; i++) {
        memcpy(order->items[i].token.bytes, input, sizeof input);
        error = make_item(order, &order->items[i]);
    }
    if (order->batch) {
        order->body_length = mq_token_batch_close(order->body, order->body_length - MQ_VARINT_LENGTH_MAX);
    }
    return error;
}

static int fill(masque_token_order *order, const masque_token_order_options *options) {
    const masque_allocator *allocator = &order->runtime.allocator;
    size_t request = mq_token_request_length((uint16_t)order->type);
    order->items = mq_zalloc(allocator, order->count * sizeof *order->items);
    order->body = mq_alloc(allocator, MQ_VARINT_LENGTH_MAX + order->count * request);
    if (!order->items || !order->body) {
        return MASQUE_ERR_NO_MEMORY;
    }
    int error = read_key(order, options->key, options->key_length);
    return error ? error : make_items(order, options);
}

int masque_token_order_new(masque_token_order **out, const masque_token_order_options *options,
                           const masque_runtime *runtime) {
    masque_allocator allocator;
    *out = NULL;
    if (mq_token_request_length((uint16_t)options->challenge.type) == 0 || options->count == 0 ||
        options->count > MASQUE_TOKEN_BATCH_MAX) {
        return MASQUE_ERR_INVALID;
    }
    mq_allocator_init(&allocator, &runtime->allocator);
    masque_token_order *order = mq_zalloc(&allocator, sizeof *order);
    if (!order) {
        return MASQUE_ERR_NO_MEMORY;
    }
    order->runtime = *runtime;
    order->runtime.allocator = allocator;
    order->type = options->challenge.type;
    order->count = options->count;
    order->batch = options->batch || options->count > 1;
    int error = fill(order, options);
    if (error) {
        masque_token_order_free(order);
        return error;
    }
    *out = order;
    return 0;
}

void masque_token_order_free(masque_token_order *order) {
    if (!order) {
        return;
    }
    const masque_allocator allocator = order->runtime.allocator;
    mq_rsa_del(order->rsa);
    if (order->items) {
        mq_wipe(order->items, order->count * sizeof *order->items);
    }
    mq_free(&allocator, order->items);
    mq_free(&allocator, order->body);
    mq_free(&allocator, order);
}

void masque_token_order_request(const masque_token_order *order, masque_token_post *post) {
    *post =
        (masque_token_post){.media_type = order->batch ? MASQUE_TOKEN_BATCH_REQUEST_TYPE : MASQUE_TOKEN_REQUEST_TYPE,
                            .accept = order->batch ? MASQUE_TOKEN_BATCH_RESPONSE_TYPE : MASQUE_TOKEN_RESPONSE_TYPE,
                            .body = order->body,
                            .length = order->body_length};
}

/* --- answers ------------------------------------------------------------------------------------------------------ */

static bool finish_item(const masque_token_order *order, order_item *item, const uint8_t *response) {
    uint8_t *token = item->token.bytes;
    if (order->type == MASQUE_TOKEN_VOPRF) {
        item->token.length = MQ_TOKEN_INPUT + MQ_TOKEN_AUTHENTICATOR_VOPRF;
        return mq_voprf_finalize(&order->voprf, &item->kept.voprf, response, response + MQ_P384_POINT, token,
                                 MQ_TOKEN_INPUT, token + MQ_TOKEN_INPUT) == 0;
    }
    item->token.length = MQ_TOKEN_INPUT + MQ_TOKEN_AUTHENTICATOR_RSA;
    return mq_blind_rsa_finalize(order->rsa, &item->kept.rsa, response, token, MQ_TOKEN_INPUT,
                                 token + MQ_TOKEN_INPUT) == 0;
}

/* The response to the next item of a batch: *RESPONSE is NULL when the issuer refused it. False: it is malformed. */
static bool next_response(const masque_token_order *order, mq_token_body *body, const uint8_t **response) {
    size_t length = mq_token_response_length((uint16_t)order->type);
    *response = NULL;
    if (body->left < 1 || body->at[0] > 1) {
        return false;
    }
    bool present = body->at[0] == 1;
    size_t taken = present ? MQ_TOKEN_REQUEST_HEAD + length : 1;
    if (body->left < taken || (present && (body->at[1] != 0 || body->at[2] != (uint8_t)order->type))) {
        return false;
    }
    if (present) {
        *response = body->at + MQ_TOKEN_REQUEST_HEAD;
    }
    body->at += taken;
    body->left -= taken;
    return true;
}

/* How many became tokens, or -1: the answer is malformed. */
static int finish_batch(masque_token_order *order, const uint8_t *bytes, size_t length) {
    mq_token_body body;
    int made = 0;
    if (!mq_token_batch_open(&body, bytes, length)) {
        return -1;
    }
    for (size_t i = 0; i < order->count; i++) {
        const uint8_t *response;
        if (!next_response(order, &body, &response)) {
            return -1;
        }
        if (response && finish_item(order, &order->items[i], response)) {
            order->items[made++] = order->items[i];
        }
    }
    return body.left == 0 ? made : -1;
}

int masque_token_order_finish(masque_token_order *order, const uint8_t *body, size_t length) {
    if (order->answered) {
        return MASQUE_ERR_STATE;
    }
    int made = 0;
    if (order->batch) {
        made = finish_batch(order, body, length);
    } else if (length == mq_token_response_length((uint16_t)order->type)) {
        made = finish_item(order, &order->items[0], body);
    }
    order->answered = true;
    for (size_t i = made > 0 ? (size_t)made : 0; i < order->count; i++) {
        mq_wipe(&order->items[i], sizeof order->items[i]);
    }
    order->count = made > 0 ? (size_t)made : 0;
    return made > 0 ? made : MASQUE_ERR_INVALID;
}

bool masque_token_order_token(const masque_token_order *order, size_t number, masque_token *token) {
    if (!order->answered || number >= order->count) {
        return false;
    }
    *token = order->items[number].token;
    return true;
}
