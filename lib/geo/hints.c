#include "geo/hints.h"

#include <string.h>

#define LIFETIME_USUAL 600
/* A clock that is behind its signer's. */
#define SKEW 60

void mq_hints_clear(mq_hints *hints, const masque_allocator *allocator) {
    mq_free(allocator, hints->keys);
    *hints = (mq_hints){.keys = NULL};
}

int mq_hints_set(mq_hints *hints, const masque_hints *options) {
    size_t length = options->audience ? strlen(options->audience) : 0;
    if (length == 0 || length > MASQUE_HINT_AUDIENCE_MAX || !options->clock || options->need > MASQUE_HINTS_ENFORCED ||
        options->lifetime_max_s > 86400) {
        return MASQUE_ERR_INVALID;
    }
    hints->options = *options;
    memcpy(hints->audience, options->audience, length + 1);
    hints->options.audience = NULL; /* the copy counts */
    return 0;
}

int mq_hints_add_key(mq_hints *hints, const char *kid, const char *pem, size_t length,
                     const masque_allocator *allocator) {
    mq_hint_key key = {.kid = ""};
    size_t kid_length = strlen(kid);
    if (kid_length == 0 || kid_length > MASQUE_HINT_KID_MAX) {
        return MASQUE_ERR_INVALID;
    }
    for (size_t i = 0; i < hints->count; i++) {
        if (strcmp(hints->keys[i].kid, kid) == 0) {
            return MASQUE_ERR_INVALID;
        }
    }
    memcpy(key.kid, kid, kid_length);
    int error = mq_p256_read_public(&key.key, pem, length, allocator);
    if (error) {
        return error;
    }
    mq_hint_key *keys = mq_grow(allocator, hints->keys, &hints->capacity, hints->count + 1, sizeof *keys);
    if (!keys) {
        return MASQUE_ERR_NO_MEMORY;
    }
    hints->keys = keys;
    keys[hints->count++] = key;
    return 0;
}

static bool is_in_time(const mq_hints *hints, const masque_hint *hint) {
    masque_unix_time now = hints->options.clock(hints->options.context);
    uint64_t most = hints->options.lifetime_max_s ? hints->options.lifetime_max_s : LIFETIME_USUAL;
    return now < hint->expires && hint->expires - now <= (int64_t)most + SKEW;
}

bool mq_hints_believe(const mq_hints *hints, const char *text, size_t length, masque_hint *hint) {
    mq_hint_signature signature;
    if (!hints->audience[0] || !mq_hint_read(hint, &signature, text, length) || !hint->is_signed ||
        strcmp(hint->audience, hints->audience) != 0 || !is_in_time(hints, hint)) {
        return false;
    }
    for (size_t i = 0; i < hints->count; i++) {
        if (strcmp(hints->keys[i].kid, hint->kid) == 0) {
            return mq_hint_is_signed_by(text, &signature, &hints->keys[i].key);
        }
    }
    return false;
}
