#include "http/head.h"

#include <string.h>

/* A head this many times over a limit isn't read to its end. */
#define EXCESS 4u

bool mq_head_begin(mq_head *head, const masque_allocator *allocator, int64_t id) {
    *head = (mq_head){.allocator = allocator, .id = id, .request = mq_alloc(allocator, sizeof *head->request)};
    if (!head->request) {
        return false;
    }
    mq_request_init(head->request, allocator);
    return true;
}

static bool is(const char *name, size_t length, const char *word) {
    return strlen(word) == length && memcmp(name, word, length) == 0;
}

static void take_pseudo(mq_request *request, const masque_limits *limits, const char *name, size_t name_length,
                        const char *value, size_t value_length) {
    mq_request_count(request, limits, name_length + value_length);
    if (request->too_large) {
        return;
    }
    if (is(name, name_length, ":method")) {
        mq_request_set_method(request, value, value_length);
    } else if (is(name, name_length, ":authority")) {
        mq_request_set_authority(request, value, value_length);
    } else if (is(name, name_length, ":protocol")) {
        mq_request_set_protocol(request, value, value_length);
    } else if (is(name, name_length, ":path")) {
        mq_request_set_path(request, value, value_length);
    }
}

bool mq_head_field(mq_head *head, const masque_limits *limits, const char *name, size_t name_length, const char *value,
                   size_t value_length) {
    mq_request *request = head->request;
    if (name_length > 0 && name[0] == ':') {
        take_pseudo(request, limits, name, name_length, value, value_length);
    } else {
        mq_request_field(request, limits, name, name_length, value, value_length);
    }
    return request->field_count <= EXCESS * limits->header_fields_max &&
           request->byte_count <= EXCESS * limits->header_bytes_max;
}

mq_refusal mq_head_refusal(const mq_head *head) {
    if (head->request->no_memory) {
        return MQ_REFUSAL_INTERNAL;
    }
    return head->request->too_large ? MQ_REFUSAL_TOO_LARGE : MQ_REFUSAL_NONE;
}

bool mq_head_drop(mq_head *head) {
    if (!head->request) {
        return false;
    }
    mq_request_free(head->request);
    mq_free(head->allocator, head->request);
    head->request = NULL;
    return true;
}
