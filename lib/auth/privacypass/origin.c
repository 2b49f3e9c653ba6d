/* auth/privacypass/origin.c: is a token good? (masqueproxy/privacy_pass.h) */
#include <masqueproxy/privacy_pass.h>

#include <masqueproxy/base64.h>
#include <string.h>

#include "auth/privacypass/token.h"
#include "crypto/blind_rsa.h"
#include "crypto/digest.h"
#include "crypto/secret.h"
#include "crypto/voprf.h"

#define TEXT_MAX 65535u
/* The longest challenge that is asked for; longer ones are only taken. */
#define CHALLENGE_BYTES_MAX 1024u

typedef struct origin_key {
    char *issuer;
    char *origin_info;
    masque_redemption redemption;
    uint8_t redemption_bytes[MASQUE_REDEMPTION_LENGTH];
    uint32_t redemption_period;
    masque_token_type type;
    mq_rsa_key *rsa;                /* Blind RSA's */
    mq_voprf_private voprf;         /* VOPRF's */
    uint8_t bytes[MQ_RSA_SPKI_MAX]; /* as it was given */
    size_t length;
    uint8_t id[MQ_TOKEN_DIGEST];
    masque_unix_time not_before;
    masque_unix_time not_after;
} origin_key;

struct masque_token_origin {
    masque_allocator allocator;
    masque_token_origin_options options;
    bool in_use;
    bool expects_keys;
    origin_key *keys;
    size_t count;
    size_t capacity;
};

/* --- life ------------------------------------------------------------------------------------------------------- */

int masque_token_origin_new(masque_token_origin **out, const masque_token_origin_options *options,
                            const masque_runtime *runtime) {
    masque_allocator allocator;
    *out = NULL;
    if (!options->clock || !options->spend) {
        return MASQUE_ERR_INVALID;
    }
    mq_allocator_init(&allocator, &runtime->allocator);
    masque_token_origin *origin = mq_zalloc(&allocator, sizeof *origin);
    if (!origin) {
        return MASQUE_ERR_NO_MEMORY;
    }
    origin->allocator = allocator;
    origin->options = *options;
    *out = origin;
    return 0;
}

static void free_key(const masque_allocator *allocator, origin_key *key) {
    mq_rsa_del(key->rsa);
    mq_free(allocator, key->issuer);
    mq_free(allocator, key->origin_info);
    mq_wipe(key, sizeof *key);
}

void masque_token_origin_free(masque_token_origin *origin) {
    if (!origin) {
        return;
    }
    const masque_allocator allocator = origin->allocator;
    for (size_t i = 0; i < origin->count; i++) {
        free_key(&allocator, &origin->keys[i]);
    }
    mq_free(&allocator, origin->keys);
    mq_free(&allocator, origin);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static bool is_same(const origin_key *a, const origin_key *b) {
    return strcmp(a->issuer, b->issuer) == 0 && strcmp(a->origin_info, b->origin_info) == 0 &&
           a->redemption == b->redemption && a->redemption_period == b->redemption_period &&
           memcmp(a->redemption_bytes, b->redemption_bytes, sizeof a->redemption_bytes) == 0 &&
           memcmp(a->id, b->id, sizeof a->id) == 0;
}

static bool has_key(const masque_token_origin *origin, const origin_key *key) {
    for (size_t i = 0; i < origin->count; i++) {
        if (is_same(&origin->keys[i], key)) {
            return true;
        }
    }
    return false;
}

static bool is_well_formed(const masque_token_key *given, const char *info) {
    size_t issuer = given->issuer ? strnlen(given->issuer, TEXT_MAX + 1) : 0;
    bool rotates = given->redemption == MASQUE_REDEMPTION_ROTATING;
    return (given->type == MASQUE_TOKEN_BLIND_RSA || given->type == MASQUE_TOKEN_VOPRF) && issuer > 0 &&
           issuer <= TEXT_MAX && strnlen(info, TEXT_MAX + 1) <= TEXT_MAX &&
           (!rotates || given->redemption_period > 0) &&
           (given->redemption == MASQUE_REDEMPTION_NONE || given->redemption_bytes);
}

static int take_rsa(origin_key *key, const masque_allocator *allocator, const masque_token_key *given) {
    int error = mq_rsa_public_new(&key->rsa, allocator, given->bytes, given->length);
    bool fits = !error && mq_rsa_length(key->rsa) == MQ_TOKEN_AUTHENTICATOR_RSA;
    return error || fits ? error : MASQUE_ERR_INVALID;
}

static int take_voprf(origin_key *key, const masque_token_key *given) {
    if (given->length != MQ_P384_POINT || !given->private_bytes) {
        return MASQUE_ERR_INVALID;
    }
    int error = mq_voprf_private_init(&key->voprf, given->private_bytes);
    bool fits = !error && memcmp(key->voprf.public.bytes, given->bytes, MQ_P384_POINT) == 0;
    return error || fits ? error : MASQUE_ERR_INVALID;
}

/* KEY is to be freed also after an error. */
static int copy_key(const masque_allocator *allocator, origin_key *key, const masque_token_key *given,
                    const char *info) {
    const mq_piece piece = {.bytes = given->bytes, .length = given->length};
    *key = (origin_key){.type = given->type,
                        .redemption = given->redemption,
                        .not_before = given->not_before,
                        .not_after = given->not_after};
    if (given->redemption != MASQUE_REDEMPTION_NONE) {
        memcpy(key->redemption_bytes, given->redemption_bytes, sizeof key->redemption_bytes);
    }
    if (given->redemption == MASQUE_REDEMPTION_ROTATING) {
        key->redemption_period = given->redemption_period;
    }
    key->issuer = mq_copy_text(allocator, given->issuer, strlen(given->issuer));
    key->origin_info = mq_copy_text(allocator, info, strlen(info));
    if (!key->issuer || !key->origin_info) {
        return MASQUE_ERR_NO_MEMORY;
    }
    int error = given->length <= sizeof key->bytes ? mq_sha256(key->id, &piece, 1) : MASQUE_ERR_INVALID;
    if (error) {
        return error;
    }
    memcpy(key->bytes, given->bytes, given->length);
    key->length = given->length;
    return given->type == MASQUE_TOKEN_VOPRF ? take_voprf(key, given) : take_rsa(key, allocator, given);
}

int masque_token_origin_add_key(masque_token_origin *origin, const masque_token_key *given) {
    const char *info = given->origin_info ? given->origin_info : "";
    origin_key key;
    if (origin->in_use) {
        return MASQUE_ERR_STATE;
    }
    if (!is_well_formed(given, info)) {
        return MASQUE_ERR_INVALID;
    }
    origin_key *keys =
        mq_grow_secret(&origin->allocator, origin->keys, &origin->capacity, origin->count + 1, sizeof *origin->keys);
    if (!keys) {
        return MASQUE_ERR_NO_MEMORY;
    }
    origin->keys = keys;
    int error = copy_key(&origin->allocator, &key, given, info);
    if (!error && has_key(origin, &key)) {
        error = MASQUE_ERR_INVALID;
    }
    if (error) {
        free_key(&origin->allocator, &key);
        return error;
    }
    keys[origin->count++] = key;
    mq_wipe(&key, sizeof key);
    return 0;
}

/* --- challenges --------------------------------------------------------------------------------------------------- */

/* The context of period NUMBER: nobody without the secret knows it before. */
static int rotated(const origin_key *key, int64_t number, uint8_t context[MQ_REDEMPTION_CONTEXT]) {
    uint8_t text[8];
    for (size_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)((uint64_t)number >> (56 - 8 * i));
    }
    return mq_secret_digest(context, key->redemption_bytes, text, sizeof text);
}

static bool in_time(const origin_key *key, masque_unix_time now) {
    return now >= key->not_before && (key->not_after == 0 || now <= key->not_after);
}

/* CONTEXT is where a rotating one will be. */
static mq_token_challenge challenge_of(const origin_key *key, const uint8_t context[MQ_REDEMPTION_CONTEXT]) {
    return (mq_token_challenge){
        .type = (uint16_t)key->type,
        .issuer = key->issuer,
        .issuer_length = strlen(key->issuer),
        .redemption_context = key->redemption == MASQUE_REDEMPTION_ROTATING ? context : key->redemption_bytes,
        .redemption_context_length = key->redemption == MASQUE_REDEMPTION_NONE ? 0 : MQ_REDEMPTION_CONTEXT,
        .origin_info = key->origin_info,
        .origin_info_length = strlen(key->origin_info)};
}

/* 0: TOKEN was made for KEY's challenge. MASQUE_ERR_INVALID: it was not. */
static int check_challenge(const origin_key *key, const mq_token *token, masque_unix_time now) {
    bool rotates = key->redemption == MASQUE_REDEMPTION_ROTATING;
    uint8_t context[MQ_REDEMPTION_CONTEXT] = {0};
    uint8_t digest[MQ_TOKEN_DIGEST];
    const mq_token_challenge challenge = challenge_of(key, context);
    for (int64_t back = 0; back < (rotates ? 2 : 1); back++) {
        int error = rotates ? rotated(key, now / key->redemption_period - back, context) : 0;
        error = error ? error : mq_token_challenge_digest(&challenge, digest);
        if (error) {
            return error;
        }
        if (mq_secret_same(digest, mq_token_challenge_digest_of(token), sizeof digest)) {
            return 0;
        }
    }
    return MASQUE_ERR_INVALID;
}

/* --- tokens -------------------------------------------------------------------------------------- */

static int check_voprf(const origin_key *key, const mq_token *token) {
    uint8_t output[MQ_VOPRF_OUTPUT];
    int error = mq_voprf_evaluate(&key->voprf, token->bytes, MQ_TOKEN_INPUT, output);
    bool good = !error && mq_secret_same(output, mq_token_authenticator(token), sizeof output);
    return error || good ? error : MASQUE_ERR_INVALID;
}

static int check_authenticator(const origin_key *key, const mq_token *token) {
    return key->type == MASQUE_TOKEN_VOPRF
               ? check_voprf(key, token)
               : mq_blind_rsa_verify(key->rsa, token->bytes, MQ_TOKEN_INPUT, mq_token_authenticator(token));
}

static int check_with(const origin_key *key, const mq_token *token, masque_unix_time now) {
    if (token->type != key->type || !in_time(key, now) ||
        memcmp(key->id, mq_token_key_id(token), MQ_TOKEN_DIGEST) != 0) {
        return MASQUE_ERR_INVALID;
    }
    int error = check_challenge(key, token, now);
    return error ? error : check_authenticator(key, token);
}

/* Of a token nothing is known but whose it is. */
static void identify_issuer(const masque_auth_request *request, const origin_key *key) {
    masque_auth_identify(request, key->issuer, key->id);
}

static bool still(void *context, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]) {
    const masque_token_origin *origin = context;
    for (size_t i = 0; i < origin->count; i++) {
        /* One whose time is over is not revoked. */
        if (memcmp(origin->keys[i].id, mark, MASQUE_IDENTITY_MARK_LENGTH) == 0) {
            return true;
        }
    }
    return origin->expects_keys;
}

static masque_verdict spend(const masque_token_origin *origin, size_t index, const mq_token *token,
                            masque_tunnel_id tunnel) {
    masque_spent_token spent = {.tunnel = tunnel, .key = (uint32_t)index, .not_after = origin->keys[index].not_after};
    const mq_piece pieces[] = {{.bytes = mq_token_key_id(token), .length = MQ_TOKEN_DIGEST},
                               {.bytes = mq_token_nonce(token), .length = MQ_TOKEN_NONCE}};
    memcpy(spent.key_id, mq_token_key_id(token), sizeof spent.key_id);
    if (mq_sha256(spent.id, pieces, 2)) {
        return MASQUE_AUTH_UNAVAILABLE;
    }
    return origin->options.spend(origin->options.context, &spent);
}

static bool has_key_id(const masque_token_origin *origin, const mq_token *token) {
    for (size_t i = 0; i < origin->count; i++) {
        if (memcmp(origin->keys[i].id, mq_token_key_id(token), MQ_TOKEN_DIGEST) == 0) {
            return true;
        }
    }
    return false;
}

static masque_verdict check(void *context, const masque_auth_request *request) {
    const masque_token_origin *origin = context;
    mq_token token;
    if (!masque_auth_is_scheme(request, "privatetoken")) {
        return MASQUE_AUTH_NEXT;
    }
    if (!mq_token_read(&token, request->credential, request->credential_length)) {
        return MASQUE_AUTH_DENY;
    }
    masque_unix_time now = origin->options.clock(origin->options.context);
    for (size_t i = 0; i < origin->count; i++) {
        int error = check_with(&origin->keys[i], &token, now);
        if (error == 0) {
            identify_issuer(request, &origin->keys[i]);
            return spend(origin, i, &token, request->tunnel);
        }
        if (error != MASQUE_ERR_INVALID) {
            return MASQUE_AUTH_UNAVAILABLE;
        }
    }
    return origin->expects_keys && !has_key_id(origin, &token) ? MASQUE_AUTH_UNAVAILABLE : MASQUE_AUTH_DENY;
}

void masque_token_origin_expect_keys(masque_token_origin *origin) {
    origin->expects_keys = true;
}

/* --- what is asked for (RFC 9577 2.1) --------------------------------------------------------------------------- */

/* Is there a key for the same challenge that began later? */
static bool is_outdated(const masque_token_origin *origin, const origin_key *key, masque_unix_time now) {
    for (size_t i = 0; i < origin->count; i++) {
        const origin_key *other = &origin->keys[i];
        if (in_time(other, now) && other->not_before > key->not_before && other->type == key->type &&
            other->redemption == key->redemption && strcmp(other->issuer, key->issuer) == 0 &&
            strcmp(other->origin_info, key->origin_info) == 0) {
            return true;
        }
    }
    return false;
}

/* Appends to TEXT, which has AT characters; returns how many then, or 0: it does not fit. */
static size_t append(char *text, size_t size, size_t at, const char *literal, const uint8_t *bytes, size_t length) {
    size_t prefix = strlen(literal);
    if (at + prefix + MASQUE_BASE64_LENGTH(length) + 2 > size) {
        return 0;
    }
    memcpy(text + at, literal, prefix);
    masque_base64_encode(text + at + prefix, bytes, length);
    at += prefix + MASQUE_BASE64_LENGTH(length);
    memcpy(text + at, "\"", 2);
    return at + 1;
}

static size_t append_challenge(const origin_key *key, masque_unix_time now, char *text, size_t size, size_t at) {
    uint8_t context[MQ_REDEMPTION_CONTEXT] = {0}, bytes[CHALLENGE_BYTES_MAX];
    const mq_token_challenge challenge = challenge_of(key, context);
    bool rotates = key->redemption == MASQUE_REDEMPTION_ROTATING;
    size_t length = mq_token_challenge_length(&challenge);
    if (length > sizeof bytes || (rotates && rotated(key, now / key->redemption_period, context) != 0)) {
        return 0;
    }
    mq_token_challenge_write(&challenge, bytes);
    size_t end =
        append(text, size, at, at ? ", PrivateToken challenge=\"" : "PrivateToken challenge=\"", bytes, length);
    return end ? append(text, size, end, ", token-key=\"", key->bytes, key->length) : 0;
}

/* All in one field, the first key's first: some clients look at no other. */
static size_t write_challenges(void *context, char *text, size_t size) {
    const masque_token_origin *origin = context;
    masque_unix_time now = origin->options.clock(origin->options.context);
    size_t at = 0;
    for (size_t i = 0; i < origin->count; i++) {
        const origin_key *key = &origin->keys[i];
        if (in_time(key, now) && !is_outdated(origin, key, now)) {
            size_t end = append_challenge(key, now, text, size, at);
            if (end == 0) {
                break;
            }
            at = end;
        }
    }
    text[at] = 0;
    return at;
}

static void release(void *context) {
    masque_token_origin_free(context);
}

masque_auth_method masque_token_origin_method(masque_token_origin *origin) {
    origin->in_use = true;
    return (masque_auth_method){.name = "privacy-pass",
                                .check = check,
                                .challenge = write_challenges,
                                .still = still,
                                .release = release,
                                .context = origin};
}
