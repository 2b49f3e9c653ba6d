/*
 * transport/quic_token.c: a token is
 *
 *     kind (1)  salt (16)  sealed: time (8) [length (1) connection ID (20)]  tag (16)
 *
 * under AES-128-GCM with key and nonce of its own, HMAC-SHA-256(token key, kind salt): no number of
 * tokens, of however many servers that share the key, uses a nonce twice.
 */
#include "transport/quic_token.h"

#include <string.h>

#include "crypto/wolfssl.h"

#define SALT 16u
#define HEAD (1u + SALT)
#define TAG 16u
#define KEY 16u
#define NONCE 12u
#define TIME 8u
#define RETRY_PLAIN (TIME + 1 + MQ_CID_MAX)
#define AAD_MAX (1 + 16 + 2 + 4 + 1 + MQ_CID_MAX)

/* What a token is bound to, without being in it. */
typedef struct binding {
    uint8_t bytes[AAD_MAX];
    size_t length;
} binding;

static void bind_bytes(binding *to, const void *bytes, size_t length) {
    memcpy(to->bytes + to->length, bytes, length);
    to->length += length;
}

static binding binding_of_address(const masque_address *address) {
    const uint8_t family = (uint8_t)address->family;
    binding to = {.length = 0};
    bind_bytes(&to, &family, 1);
    bind_bytes(&to, address->ip, sizeof address->ip);
    return to;
}

static binding binding_of_bearer(const mq_token_bearer *bearer) {
    const uint8_t rest[] = {(uint8_t)(bearer->address.port >> 8),
                            (uint8_t)bearer->address.port,
                            (uint8_t)(bearer->version >> 24),
                            (uint8_t)(bearer->version >> 16),
                            (uint8_t)(bearer->version >> 8),
                            (uint8_t)bearer->version,
                            bearer->scid.length};
    binding to = binding_of_address(&bearer->address);
    bind_bytes(&to, rest, sizeof rest);
    bind_bytes(&to, bearer->scid.bytes, bearer->scid.length);
    return to;
}

/* The cipher of the token that begins with HEAD. To be freed when 0 is returned. */
static int cipher_of(Aes *aes, uint8_t nonce[NONCE], const mq_quic_key *key, const uint8_t head[HEAD]) {
    _Static_assert(KEY + NONCE <= MQ_SECRET_DIGEST_LENGTH, "one digest gives key and nonce");
    uint8_t digest[MQ_SECRET_DIGEST_LENGTH];
    int error = mq_secret_digest(digest, key->token, head, HEAD);
    if (!error && wc_AesInit(aes, NULL, INVALID_DEVID) != 0) {
        error = MASQUE_ERR_CRYPTO;
    } else if (!error && wc_AesGcmSetKey(aes, digest, KEY) != 0) {
        wc_AesFree(aes);
        error = MASQUE_ERR_CRYPTO;
    }
    memcpy(nonce, digest + KEY, NONCE);
    mq_wipe(digest, sizeof digest);
    return error;
}

static size_t seal(uint8_t *token, mq_token_kind kind, const mq_quic_key *key, const masque_runtime *runtime,
                   const uint8_t *plain, size_t length, const binding *to) {
    Aes aes;
    uint8_t nonce[NONCE];
    token[0] = (uint8_t)kind;
    runtime->random(runtime->context, token + 1, SALT);
    if (cipher_of(&aes, nonce, key, token)) {
        return 0;
    }
    int error = wc_AesGcmEncrypt(&aes, token + HEAD, plain, (word32)length, nonce, NONCE, token + HEAD + length, TAG,
                                 to->bytes, (word32)to->length);
    wc_AesFree(&aes);
    return error ? 0 : HEAD + length + TAG;
}

/* LENGTH is PLAIN's. */
static bool open_sealed(uint8_t *plain, size_t length, mq_token_kind kind, const mq_quic_key *key, const uint8_t *token,
                        size_t token_length, const binding *to) {
    Aes aes;
    uint8_t nonce[NONCE];
    if (token_length != HEAD + length + TAG || !mq_token_is(token[0], kind) || cipher_of(&aes, nonce, key, token)) {
        return false;
    }
    int error = wc_AesGcmDecrypt(&aes, plain, token + HEAD, (word32)length, nonce, NONCE, token + HEAD + length, TAG,
                                 to->bytes, (word32)to->length);
    wc_AesFree(&aes);
    return error == 0;
}

static void put_time(uint8_t to[TIME], masque_time time) {
    for (size_t i = 0; i < TIME; i++) {
        to[i] = (uint8_t)(time >> (8 * (TIME - 1 - i)));
    }
}

static bool is_young(const uint8_t from[TIME], masque_time lifetime, masque_time now) {
    masque_time made = 0;
    for (size_t i = 0; i < TIME; i++) {
        made = made << 8 | from[i];
    }
    return made <= now && now - made <= lifetime;
}

size_t mq_retry_token_seal(uint8_t *token, const mq_quic_key *key, const masque_runtime *runtime,
                           const mq_token_bearer *bearer, const mq_cid *original, masque_time now) {
    _Static_assert(HEAD + RETRY_PLAIN + TAG <= MQ_TOKEN_MAX, "a Retry's token fits");
    uint8_t plain[RETRY_PLAIN] = {0};
    const binding to = binding_of_bearer(bearer);
    put_time(plain, now);
    plain[TIME] = original->length;
    memcpy(plain + TIME + 1, original->bytes, original->length);
    return seal(token, MQ_TOKEN_OF_RETRY, key, runtime, plain, sizeof plain, &to);
}

size_t mq_address_token_seal(uint8_t *token, const mq_quic_key *key, const masque_runtime *runtime,
                             const masque_address *address, masque_time now) {
    uint8_t plain[TIME];
    const binding to = binding_of_address(address);
    put_time(plain, now);
    return seal(token, MQ_TOKEN_OF_ADDRESS, key, runtime, plain, sizeof plain, &to);
}

bool mq_retry_token_open(mq_cid *original, const mq_quic_key *key, const uint8_t *token, size_t length,
                         const mq_token_bearer *bearer, masque_time lifetime, masque_time now) {
    uint8_t plain[RETRY_PLAIN];
    const binding to = binding_of_bearer(bearer);
    if (!open_sealed(plain, sizeof plain, MQ_TOKEN_OF_RETRY, key, token, length, &to) ||
        !is_young(plain, lifetime, now) || plain[TIME] > MQ_CID_MAX) {
        return false;
    }
    *original = (mq_cid){.length = plain[TIME]};
    memcpy(original->bytes, plain + TIME + 1, original->length);
    return true;
}

bool mq_address_token_open(const mq_quic_key *key, const uint8_t *token, size_t length, const masque_address *address,
                           masque_time lifetime, masque_time now) {
    uint8_t plain[TIME];
    const binding to = binding_of_address(address);
    return open_sealed(plain, sizeof plain, MQ_TOKEN_OF_ADDRESS, key, token, length, &to) &&
           is_young(plain, lifetime, now);
}
