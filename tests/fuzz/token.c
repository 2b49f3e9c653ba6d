/*
 * tests/fuzz/token.c: what Privacy Pass reads of strangers: the PrivateToken credential, a TokenChallenge, an issuer's
 * key. What is read is written again as it came.
 */
#include <string.h>

#include "auth/privacypass/token.h"
#include "crypto/rsa_key.h"
#include "fuzz.h"
#include <masqueproxy/base64.h>

static void check_credential(const char *text, size_t length) {
    char credential[MASQUE_BASE64_LENGTH(MQ_PRIVATE_TOKEN_MAX) + 7] = "token=";
    mq_token token, again;
    if (mq_token_read(&token, text, length)) {
        FUZZ_REQUIRE(token.length == (token.type == MQ_TOKEN_VOPRF ? 146u : 354u));
        masque_base64_encode(credential + 6, token.bytes, token.length);
        FUZZ_REQUIRE(mq_token_read(&again, credential, strlen(credential)));
        FUZZ_REQUIRE(again.length == token.length && memcmp(again.bytes, token.bytes, token.length) == 0);
    }
}

static void check_challenge(const uint8_t *data, size_t size) {
    static uint8_t written[65536];
    mq_token_challenge challenge;
    uint8_t digest[MQ_TOKEN_DIGEST];
    if (size <= sizeof written && mq_token_challenge_read(&challenge, data, size)) {
        FUZZ_REQUIRE(mq_token_challenge_length(&challenge) == size);
        mq_token_challenge_write(&challenge, written);
        FUZZ_REQUIRE(memcmp(written, data, size) == 0);
        FUZZ_REQUIRE(mq_token_challenge_digest(&challenge, digest) == 0);
    }
}

static void check_key(const uint8_t *data, size_t size) {
    uint8_t spki[MQ_RSA_SPKI_MAX];
    masque_allocator allocator;
    mq_rsa_key *key;
    mq_allocator_init(&allocator, &(masque_allocator){.allocate = NULL});
    if (mq_rsa_public_new(&key, &allocator, data, size) == 0) {
        size_t length = mq_rsa_write_spki(key, spki);
        /* But for NULLs that hash identifiers may have. */
        FUZZ_REQUIRE(length == size ? memcmp(spki, data, size) == 0 : length + 4 == size);
        mq_rsa_del(key);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size > 0) {
        check_credential((const char *)data, size);
        check_challenge(data, size);
        check_key(data, size);
    }
    return 0;
}
