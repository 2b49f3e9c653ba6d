#include "auth/privacypass/request.h"

#include <masqueproxy/token_issuer.h>

#include <string.h>

#include "base/ascii.h"
#include "wire/varint.h"

size_t mq_token_request_length(uint16_t type) {
    return type == MQ_TOKEN_VOPRF ? MQ_VOPRF_REQUEST : type == MQ_TOKEN_BLIND_RSA ? MQ_RSA_REQUEST : 0;
}

size_t mq_token_response_length(uint16_t type) {
    return type == MQ_TOKEN_VOPRF ? MQ_VOPRF_RESPONSE : type == MQ_TOKEN_BLIND_RSA ? MQ_RSA_RESPONSE : 0;
}

bool mq_token_batch_open(mq_token_body *body, const uint8_t *bytes, size_t length) {
    uint64_t inside;
    size_t head = mq_varint_read(bytes, length, &inside);
    *body = (mq_token_body){.at = bytes + head, .left = length - head};
    return head > 0 && inside == body->left;
}

size_t mq_token_batch_close(uint8_t *bytes, size_t length) {
    size_t head = mq_varint_write(bytes, length);
    memmove(bytes + head, bytes + MQ_VARINT_LENGTH_MAX, length);
    return head + length;
}

unsigned mq_token_request_next(mq_token_body *body, mq_token_request *request) {
    if (body->left < MQ_TOKEN_REQUEST_HEAD) {
        return 400;
    }
    *request = (mq_token_request){.type = (uint16_t)(body->at[0] << 8 | body->at[1]),
                                  .key = body->at[2],
                                  .blinded = body->at + MQ_TOKEN_REQUEST_HEAD};
    size_t length = mq_token_request_length(request->type);
    if (length == 0) {
        return 422;
    }
    if (body->left < length) {
        return 400;
    }
    body->at += length;
    body->left -= length;
    return 0;
}

bool mq_media_type_is(const char *media_type, const char *type) {
    while (*type && mq_lower(*media_type) == *type) {
        media_type++;
        type++;
    }
    media_type += strspn(media_type, " \t");
    return *type == 0 && (*media_type == 0 || *media_type == ';');
}

size_t masque_token_request_count(const char *media_type, const uint8_t *bytes, size_t length) {
    mq_token_body body = {.at = bytes, .left = length};
    mq_token_request request;
    bool batch = mq_media_type_is(media_type, MASQUE_TOKEN_BATCH_REQUEST_TYPE);
    size_t count = 0;
    if (batch ? !mq_token_batch_open(&body, bytes, length) : !mq_media_type_is(media_type, MASQUE_TOKEN_REQUEST_TYPE)) {
        return 0;
    }
    while (body.left > 0) {
        if (mq_token_request_next(&body, &request) != 0) {
            return 0;
        }
        count++;
    }
    return count <= (batch ? MASQUE_TOKEN_BATCH_MAX : 1u) ? count : 0;
}
