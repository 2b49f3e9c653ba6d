#include "http/answer.h"

#include <string.h>

#include "base/ascii.h"
#include "http/request.h"

#define FIELD_OVERHEAD 32u

static int take_status(mq_answer *answer, const char *text, size_t length) {
    unsigned status = 0;
    for (size_t i = 0; i < length && i < 3; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return MASQUE_ERR_PROTOCOL;
        }
        status = status * 10 + (unsigned)(text[i] - '0');
    }
    if (length != 3 || status < 100 || answer->status != 0) {
        return MASQUE_ERR_PROTOCOL;
    }
    answer->status = status;
    return 0;
}

int mq_answer_field(mq_answer *answer, const masque_allocator *allocator, const masque_limits *limits, const char *name,
                    size_t name_length, const char *value, size_t value_length) {
    answer->allocator = allocator;
    answer->byte_count += name_length + value_length + FIELD_OVERHEAD;
    if (answer->count >= limits->header_fields_max || answer->byte_count > limits->header_bytes_max) {
        return MASQUE_ERR_FLOOD;
    }
    if (name_length == 7 && memcmp(name, ":status", 7) == 0) {
        return take_status(answer, value, value_length);
    }
    masque_field *fields =
        mq_grow(allocator, answer->fields, &answer->capacity, answer->count + 1, sizeof *answer->fields);
    if (!fields) {
        return MASQUE_ERR_NO_MEMORY;
    }
    answer->fields = fields;
    char *text = mq_alloc(allocator, name_length + value_length + 2);
    if (!text) {
        return MASQUE_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < name_length; i++) {
        text[i] = mq_lower(name[i]);
    }
    text[name_length] = 0;
    memcpy(text + name_length + 1, value, value_length);
    text[name_length + 1 + value_length] = 0;
    fields[answer->count++] = (masque_field){.name = text, .value = text + name_length + 1};
    return 0;
}

bool mq_answer_opens_capsules(const mq_answer *answer, bool upgrade) {
    bool upgrades = false;
    bool names = false;
    for (size_t i = 0; i < answer->count; i++) {
        const char *name = answer->fields[i].name;
        const char *value = answer->fields[i].value;
        if (strcmp(name, "content-length") == 0 || strcmp(name, "content-type") == 0 ||
            strcmp(name, "transfer-encoding") == 0) {
            return false;
        }
        upgrades = upgrades || (strcmp(name, "connection") == 0 && mq_list_names(value, strlen(value), "upgrade"));
        names = names || (strcmp(name, "upgrade") == 0 && mq_list_names(value, strlen(value), "connect-udp"));
    }
    return upgrade ? upgrades && names : answer->status < 204 || answer->status > 206;
}

void mq_answer_free(mq_answer *answer) {
    for (size_t i = 0; i < answer->count; i++) {
        mq_free(answer->allocator, (void *)(uintptr_t)answer->fields[i].name);
    }
    if (answer->fields) {
        mq_free(answer->allocator, answer->fields);
    }
    *answer = (mq_answer){.allocator = NULL};
}
