#include "geo/hint.h"

#include <stdio.h>
#include <string.h>

#define FIELD "sec-ch-geohash: "

/* --- reading (RFC 9651 4.2) ----------------------------------------------------------------- */

typedef struct cursor {
    const char *at, *end;
} cursor;

static bool take_char(cursor *c, char wanted) {
    bool there = c->at < c->end && *c->at == wanted;
    c->at += there;
    return there;
}

/* Into TEXT of SIZE bytes; what doesn't fit is no error, but leaves it empty. */
static bool take_string(cursor *c, char *text, size_t size) {
    size_t length = 0;
    if (!take_char(c, '"')) {
        return false;
    }
    while (c->at < c->end && *c->at != '"') {
        bool escaped = take_char(c, '\\');
        if (c->at == c->end || *c->at < ' ' || *c->at > '~' || (escaped && *c->at != '"' && *c->at != '\\')) {
            return false;
        }
        if (length < size) {
            text[length] = *c->at;
        }
        length++;
        c->at++;
    }
    text[length < size ? length : 0] = 0;
    return take_char(c, '"');
}

/* An Integer: at most 15 digits. */
static bool take_integer(cursor *c, int64_t *number) {
    bool negative = take_char(c, '-');
    unsigned digits = 0;
    *number = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9' && digits < 16; digits++) {
        *number = *number * 10 + (*c->at++ - '0');
    }
    *number = negative ? -*number : *number;
    return digits > 0 && digits < 16;
}

/* A Byte Sequence; *FITS: it has SIZE bytes. */
static bool take_bytes(cursor *c, uint8_t *bytes, size_t size, bool *fits) {
    size_t length = 0;
    if (!take_char(c, ':')) {
        return false;
    }
    const char *end = memchr(c->at, ':', (size_t)(c->end - c->at));
    if (!end) {
        return false;
    }
    *fits = masque_base64_decode(bytes, size, &length, c->at, (size_t)(end - c->at)) && length == size;
    c->at = end + 1;
    return true;
}

static bool is_key_char(char c, bool first) {
    return (c >= 'a' && c <= 'z') || c == '*' || (!first && ((c >= '0' && c <= '9') || strchr("_-.", c)));
}

static size_t take_key(cursor *c, const char **key) {
    *key = c->at;
    while (c->at < c->end && *c->at && is_key_char(*c->at, c->at == *key)) {
        c->at++;
    }
    return (size_t)(c->at - *key);
}

/* Of a parameter that we don't know: to the next one. Its characters were looked at by who reads the whole. */
static void pass_over(cursor *c) {
    bool quoted = false;
    while (c->at < c->end && (quoted || *c->at != ';')) {
        quoted = quoted != (*c->at == '"');
        c->at += quoted && *c->at == '\\' && c->at + 1 < c->end ? 2 : 1;
    }
}

static bool is_key(const char *key, size_t length, const char *name) {
    return length == strlen(name) && memcmp(key, name, length) == 0;
}

static bool take_parameter(cursor *c, masque_hint *hint, mq_hint_signature *signature, const char *text) {
    const char *begin = c->at, *key;
    if (!take_char(c, ';')) {
        return false;
    }
    while (take_char(c, ' ')) {
    }
    size_t length = take_key(c, &key);
    if (length == 0 || !take_char(c, '=')) {
        return length > 0; /* true, which RFC 9651 doesn't write */
    }
    if (is_key(key, length, "exp")) {
        return take_integer(c, &hint->expires);
    }
    if (is_key(key, length, "aud")) {
        return take_string(c, hint->audience, sizeof hint->audience);
    }
    if (is_key(key, length, "kid")) {
        return take_string(c, hint->kid, sizeof hint->kid);
    }
    if (is_key(key, length, "sig")) {
        bool fits = false;
        signature->signed_length = (size_t)(begin - text);
        hint->is_signed = true;
        /* Nothing stands behind it, for that would not be signed. */
        return take_bytes(c, signature->bytes, sizeof signature->bytes, &fits) && fits && c->at == c->end;
    }
    pass_over(c);
    return true;
}

bool mq_hint_read(masque_hint *hint, mq_hint_signature *signature, const char *text, size_t length) {
    cursor c = {.at = text, .end = text + length};
    char place[MASQUE_GEOHASH_MAX + 4];
    *hint = (masque_hint){.kid = ""};
    *signature = (mq_hint_signature){.signed_length = 0};
    if (length == 0 || text[0] != '"') {
        return masque_place_parse(&hint->place, text, length);
    }
    if (length >= MASQUE_HINT_MAX || !take_string(&c, place, sizeof place) ||
        !masque_place_parse(&hint->place, place, strlen(place))) {
        return false;
    }
    while (c.at < c.end) {
        if (!take_parameter(&c, hint, signature, text)) {
            return false;
        }
    }
    return true;
}

bool masque_hint_read(masque_hint *hint, const char *text, size_t length) {
    mq_hint_signature unused;
    return mq_hint_read(hint, &unused, text, length);
}

/* --- signatures ------------------------------------------------------------------------------- */

static int digest_of(uint8_t digest[MQ_SHA256_LENGTH], const char *text, size_t length) {
    const mq_piece pieces[] = {{FIELD, sizeof FIELD - 1}, {text, length}};
    return mq_sha256(digest, pieces, 2);
}

bool mq_hint_is_signed_by(const char *text, const mq_hint_signature *signature, const mq_p256_key *key) {
    uint8_t digest[MQ_SHA256_LENGTH];
    return digest_of(digest, text, signature->signed_length) == 0 && mq_p256_verify(key, digest, signature->bytes);
}

/* To be written between quotes as it is. */
static bool is_plain(const char *text) {
    size_t length = 0;
    for (; text[length]; length++) {
        if (text[length] <= ' ' || text[length] > '~' || text[length] == '"' || text[length] == '\\') {
            return false;
        }
    }
    return length > 0;
}

int masque_hint_sign(const masque_runtime *runtime, const masque_hint *hint, const char *private_pem, size_t pem_length,
                     char text[MASQUE_HINT_MAX]) {
    masque_allocator allocator;
    uint8_t digest[MQ_SHA256_LENGTH], signature[MQ_P256_SIGNATURE_LENGTH];
    char encoded[MASQUE_BASE64_LENGTH(sizeof signature) + 1];
    mq_p256_key key = {.x = {0}};
    masque_place checked;
    char place[MASQUE_GEOHASH_MAX + 4];
    int place_length = snprintf(place, sizeof place, "%s-%s", hint->place.geohash, hint->place.country);
    if (!masque_place_parse(&checked, place, (size_t)place_length) || hint->expires <= 0 ||
        hint->expires > INT64_C(999999999999999) || !is_plain(hint->audience) || !is_plain(hint->kid)) {
        return MASQUE_ERR_INVALID;
    }
    mq_allocator_init(&allocator, &runtime->allocator);
    int length = snprintf(text, MASQUE_HINT_MAX, "\"%s\";exp=%lld;aud=\"%s\";kid=\"%s\"", place,
                          (long long)hint->expires, hint->audience, hint->kid);
    int error = mq_p256_read_private(&key, private_pem, pem_length, &allocator);
    error = error == MASQUE_ERR_INVALID ? MASQUE_ERR_PRIVATE_KEY : error;
    error = error ? error : digest_of(digest, text, (size_t)length);
    error = error ? error : mq_p256_sign(&key, digest, signature);
    mq_wipe(&key, sizeof key);
    if (error) {
        return error;
    }
    masque_base64_encode(encoded, signature, sizeof signature);
    for (char *c = encoded; *c; c++) { /* RFC 9651 4.1.8 has the other alphabet */
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    }
    snprintf(text + length, MASQUE_HINT_MAX - (size_t)length, ";sig=:%s:", encoded);
    return 0;
}

int masque_hint_verify(const masque_runtime *runtime, const char *text, size_t length, const char *public_pem,
                       size_t pem_length) {
    masque_allocator allocator;
    mq_hint_signature signature;
    masque_hint hint;
    mq_p256_key key;
    mq_allocator_init(&allocator, &runtime->allocator);
    int error = mq_p256_read_public(&key, public_pem, pem_length, &allocator);
    if (error) {
        return error;
    }
    if (!mq_hint_read(&hint, &signature, text, length)) {
        return MASQUE_ERR_INVALID;
    }
    return hint.is_signed && mq_hint_is_signed_by(text, &signature, &key) ? 0 : MASQUE_ERR_DENIED;
}
