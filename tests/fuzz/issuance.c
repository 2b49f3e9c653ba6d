/*
 * tests/fuzz/issuance.c: what issuer, attester and client of Privacy Pass read of each other: requests alone and in
 * batches, and answers. The first byte says which. What the issuer answers has the form that the client wants.
 */
#include <masqueproxy/token_client.h>
#include <string.h>

#include "auth/privacypass/request.h"
#include "fuzz.h"

static void on_random(void *context, uint8_t *buffer, size_t size) {
    uint8_t *next = context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(*next)++;
    }
}

/* With a key for type 1, whose ID ends with any byte, and none for type 2. */
static void check_request(const char *type, const uint8_t *data, size_t size) {
    static masque_token_answer answer;
    static masque_token_issuer *issuer;
    static uint8_t next = 1;
    const masque_runtime runtime = {.random = on_random, .context = &next};
    const uint8_t scalar[MASQUE_VOPRF_PRIVATE_LENGTH] = {[47] = 9};
    const masque_issuer_key key = {MASQUE_TOKEN_VOPRF, scalar, sizeof scalar};
    if (!issuer) {
        FUZZ_REQUIRE(masque_token_issuer_new(&issuer, &runtime) == 0);
        FUZZ_REQUIRE(masque_token_issuer_add_key(issuer, &key) == 0);
    }
    size_t count = masque_token_request_count(type, data, size);
    masque_token_issuer_answer(issuer, type, data, size, &answer);
    FUZZ_REQUIRE(answer.length <= sizeof answer.bytes && (answer.length > 0) == (answer.status == 200));
    FUZZ_REQUIRE(answer.status != 200 || (count > 0 && count <= MASQUE_TOKEN_BATCH_MAX));
}

static void check_answer(bool batch, const uint8_t *data, size_t size) {
    static const uint8_t generator[MQ_P384_POINT] = {
        3,    0xaa, 0x87, 0xca, 0x22, 0xbe, 0x8b, 0x05, 0x37, 0x8e, 0xb1, 0xc7, 0x1e, 0xf3, 0x20, 0xad, 0x74,
        0x6e, 0x1d, 0x3b, 0x62, 0x8b, 0xa7, 0x9b, 0x98, 0x59, 0xf7, 0x41, 0xe0, 0x82, 0x54, 0x2a, 0x38, 0x55,
        0x02, 0xf2, 0x5d, 0xbf, 0x55, 0x29, 0x6c, 0x3a, 0x54, 0x5e, 0x38, 0x72, 0x76, 0x0a, 0xb7};
    static uint8_t next = 1;
    const masque_runtime runtime = {.random = on_random, .context = &next};
    const masque_token_order_options options = {.challenge = {.type = MASQUE_TOKEN_VOPRF, .issuer = "i"},
                                                .key = generator,
                                                .key_length = sizeof generator,
                                                .count = batch ? 2 : 1};
    masque_token_order *order;
    masque_token token;
    FUZZ_REQUIRE(masque_token_order_new(&order, &options, &runtime) == 0);
    /* Nobody guesses a proof. */
    FUZZ_REQUIRE(masque_token_order_finish(order, data, size) == MASQUE_ERR_INVALID);
    FUZZ_REQUIRE(!masque_token_order_token(order, 0, &token));
    masque_token_order_free(order);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    switch (data[0] & 3) {
    case 0:
        check_request(MASQUE_TOKEN_REQUEST_TYPE, data + 1, size - 1);
        break;
    case 1:
        check_request(MASQUE_TOKEN_BATCH_REQUEST_TYPE, data + 1, size - 1);
        break;
    default:
        check_answer(data[0] & 1, data + 1, size - 1);
        break;
    }
    return 0;
}
