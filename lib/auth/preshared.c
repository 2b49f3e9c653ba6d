#include "auth/preshared.h"

#include <string.h>

#include "crypto/digest.h"

void mq_preshared_init(mq_preshared *preshared, const masque_allocator *allocator,
                       const uint8_t hmac_key[MQ_SECRET_DIGEST_LENGTH]) {
    *preshared = (mq_preshared){.allocator = allocator};
    memcpy(preshared->hmac_key, hmac_key, MQ_SECRET_DIGEST_LENGTH);
}

void mq_preshared_free(mq_preshared *preshared) {
    const masque_allocator *allocator = preshared->allocator;
    if (preshared->keys) {
        mq_wipe(preshared->keys, preshared->count * sizeof *preshared->keys);
    }
    mq_free(allocator, preshared->keys);
    mq_wipe(preshared, sizeof *preshared);
    preshared->allocator = allocator;
}

static bool is_valid_key(const char *key, size_t length) {
    if (length < MASQUE_PRESHARED_KEY_MIN || length > MASQUE_PRESHARED_KEY_MAX) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (key[i] <= ' ' || key[i] > '~') {
            return false;
        }
    }
    return true;
}

static bool has_name(const mq_preshared *preshared, const char *name) {
    for (size_t i = 0; i < preshared->count; i++) {
        if (strcmp(preshared->keys[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Whose would it be? */
static bool has_digest(const mq_preshared *preshared, const uint8_t digest[MQ_SECRET_DIGEST_LENGTH]) {
    for (size_t i = 0; i < preshared->count; i++) {
        if (mq_secret_same(preshared->keys[i].digest, digest, MQ_SECRET_DIGEST_LENGTH)) {
            return true;
        }
    }
    return false;
}

/* The same in every configuration that has the key by this name. */
static int mark_of(mq_preshared_key *slot, const char *key, size_t length) {
    uint8_t digest[MQ_SHA256_LENGTH];
    const mq_piece pieces[] = {{slot->name, strlen(slot->name) + 1}, {key, length}};
    int error = mq_sha256(digest, pieces, 2);
    memcpy(slot->mark, digest, sizeof slot->mark);
    mq_wipe(digest, sizeof digest);
    return error;
}

int mq_preshared_add(mq_preshared *preshared, const char *name, const char *key, size_t length) {
    size_t name_length = strlen(name);
    if (name_length == 0 || name_length > MASQUE_PRESHARED_NAME_MAX || has_name(preshared, name) ||
        !is_valid_key(key, length)) {
        return MASQUE_ERR_INVALID;
    }
    mq_preshared_key *keys =
        mq_grow(preshared->allocator, preshared->keys, &preshared->capacity, preshared->count + 1, sizeof *keys);
    if (!keys) {
        return MASQUE_ERR_NO_MEMORY;
    }
    preshared->keys = keys;
    mq_preshared_key *slot = &keys[preshared->count];
    int error = mq_secret_digest(slot->digest, preshared->hmac_key, key, length);
    if (error || has_digest(preshared, slot->digest)) {
        mq_wipe(slot->digest, sizeof slot->digest);
        return error ? error : MASQUE_ERR_INVALID;
    }
    memcpy(slot->name, name, name_length + 1);
    error = mark_of(slot, key, length);
    preshared->count += error ? 0 : 1;
    return error;
}

masque_verdict mq_preshared_check(void *context, const masque_auth_request *request) {
    const mq_preshared *preshared = context;
    uint8_t digest[MQ_SECRET_DIGEST_LENGTH];
    if (!masque_auth_is_scheme(request, "preshared")) {
        return MASQUE_AUTH_NEXT;
    }
    if (request->credential_length > MASQUE_PRESHARED_KEY_MAX) {
        return MASQUE_AUTH_DENY;
    }
    if (mq_secret_digest(digest, preshared->hmac_key, request->credential, request->credential_length)) {
        return MASQUE_AUTH_UNAVAILABLE;
    }
    size_t fitting = 0; /* a place, from 1 */
    for (size_t i = 0; i < preshared->count; i++) {
        size_t same = mq_secret_same(digest, preshared->keys[i].digest, sizeof digest);
        fitting |= (i + 1) & (0 - same); /* no two have one key */
    }
    if (fitting == 0) {
        return MASQUE_AUTH_DENY;
    }
    const mq_preshared_key *key = &preshared->keys[fitting - 1];
    masque_auth_identify(request, key->name, key->mark);
    return MASQUE_AUTH_ALLOW;
}

bool mq_preshared_still(void *context, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]) {
    const mq_preshared *preshared = context;
    for (size_t i = 0; i < preshared->count; i++) {
        if (memcmp(preshared->keys[i].mark, mark, MASQUE_IDENTITY_MARK_LENGTH) == 0) {
            return true;
        }
    }
    return false;
}
