#include "auth/privacypass/challenge.h"

#include <string.h>

#include "crypto/digest.h"

/* Four fields, three of them behind their lengths. */
#define FRAME (2 + 2 + 1 + 2)

typedef struct reader {
    const uint8_t *at;
    size_t left;
} reader;

/* A value behind its length of WIDTH bytes; NULL: it is cut. */
static const uint8_t *take(reader *in, size_t width, size_t *length) {
    if (in->left < width) {
        return NULL;
    }
    *length = width == 1 ? in->at[0] : (size_t)in->at[0] << 8 | in->at[1];
    const uint8_t *value = in->at + width;
    if (in->left - width < *length) {
        return NULL;
    }
    in->at = value + *length;
    in->left -= width + *length;
    return value;
}

bool mq_token_challenge_read(mq_token_challenge *challenge, const uint8_t *bytes, size_t length) {
    if (length < 2) {
        return false;
    }
    reader in = {.at = bytes + 2, .left = length - 2};
    *challenge = (mq_token_challenge){.type = (uint16_t)(bytes[0] << 8 | bytes[1])};
    const uint8_t *issuer = take(&in, 2, &challenge->issuer_length);
    challenge->redemption_context = issuer ? take(&in, 1, &challenge->redemption_context_length) : NULL;
    const uint8_t *origin_info = challenge->redemption_context ? take(&in, 2, &challenge->origin_info_length) : NULL;
    challenge->issuer = (const char *)issuer;
    challenge->origin_info = (const char *)origin_info;
    return origin_info && in.left == 0 && challenge->issuer_length > 0 &&
           (challenge->redemption_context_length == 0 || challenge->redemption_context_length == MQ_REDEMPTION_CONTEXT);
}

size_t mq_token_challenge_length(const mq_token_challenge *challenge) {
    return FRAME + challenge->issuer_length + challenge->redemption_context_length + challenge->origin_info_length;
}

static uint8_t *put_number(uint8_t *at, size_t number) {
    *at++ = (uint8_t)(number >> 8);
    *at++ = (uint8_t)number;
    return at;
}

static uint8_t *put(uint8_t *at, const void *bytes, size_t length) {
    if (length > 0) {
        memcpy(at, bytes, length);
    }
    return at + length;
}

void mq_token_challenge_write(const mq_token_challenge *challenge, uint8_t *bytes) {
    bytes = put_number(bytes, challenge->type);
    bytes = put_number(bytes, challenge->issuer_length);
    bytes = put(bytes, challenge->issuer, challenge->issuer_length);
    *bytes++ = (uint8_t)challenge->redemption_context_length;
    bytes = put(bytes, challenge->redemption_context, challenge->redemption_context_length);
    bytes = put_number(bytes, challenge->origin_info_length);
    put(bytes, challenge->origin_info, challenge->origin_info_length);
}

int mq_token_challenge_digest(const mq_token_challenge *challenge, uint8_t digest[MQ_TOKEN_DIGEST]) {
    uint8_t head[4], context[1 + MQ_REDEMPTION_CONTEXT], info[2];
    put_number(put_number(head, challenge->type), challenge->issuer_length);
    context[0] = (uint8_t)challenge->redemption_context_length;
    put(context + 1, challenge->redemption_context, challenge->redemption_context_length);
    put_number(info, challenge->origin_info_length);
    const mq_piece pieces[] = {
        {.bytes = head, .length = sizeof head},
        {.bytes = challenge->issuer, .length = challenge->issuer_length},
        {.bytes = context, .length = 1 + challenge->redemption_context_length},
        {.bytes = info, .length = sizeof info},
        {.bytes = challenge->origin_info, .length = challenge->origin_info_length},
    };
    return mq_sha256(digest, pieces, sizeof pieces / sizeof pieces[0]);
}
