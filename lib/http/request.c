#include "http/request.h"

#include <string.h>

#include "base/ascii.h"

/* RFC 9113 6.5.2: what a field costs beside its bytes. */
#define FIELD_OVERHEAD 32
#define CONNECT_UDP "connect-udp"

typedef struct field_rule {
    const char *name;
    void (*take)(mq_request *request, const char *value, size_t length);
} field_rule;

static bool same_word(const char *text, size_t length, const char *word) {
    for (size_t i = 0; i < length; i++) {
        if (word[i] == 0 || mq_lower(text[i]) != word[i]) {
            return false;
        }
    }
    return word[length] == 0;
}

bool mq_list_names(const char *list, size_t length, const char *word) {
    size_t start = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && list[i] != ',') {
            continue;
        }
        size_t end = i;
        while (start < end && (list[start] == ' ' || list[start] == '\t')) {
            start++;
        }
        while (end > start && (list[end - 1] == ' ' || list[end - 1] == '\t')) {
            end--;
        }
        if (same_word(list + start, end - start, word)) {
            return true;
        }
        start = i + 1;
    }
    return false;
}

static void keep(mq_request *request, mq_text *text, const char *value, size_t length) {
    if (text->bytes) {
        return; /* the first stays; who counts decides about the second */
    }
    text->bytes = mq_copy_text(request->allocator, value, length);
    text->length = length;
    if (!text->bytes) {
        text->length = 0;
        request->no_memory = true;
    }
}

static void drop(mq_request *request, mq_text *text) {
    if (text->bytes) {
        mq_wipe(text->bytes, text->length);
        mq_free(request->allocator, text->bytes);
    }
    *text = (mq_text){.bytes = NULL};
}

static void take_proxy_authorization(mq_request *request, const char *value, size_t length) {
    request->credential_count++;
    keep(request, &request->proxy_authorization, value, length);
}

static void take_authorization(mq_request *request, const char *value, size_t length) {
    request->authorization_count++;
    keep(request, &request->authorization, value, length);
}

static void take_geohash(mq_request *request, const char *value, size_t length) {
    request->geohash_count++;
    keep(request, &request->geohash, value, length);
}

static void take_body_header(mq_request *request, const char *value, size_t length) {
    (void)value;
    (void)length;
    request->has_body = true;
}

static void take_content_type(mq_request *request, const char *value, size_t length) {
    (void)value;
    (void)length;
    request->has_content_type = true;
}

/* RFC 9112 3.2: a name or address, perhaps with a port; or nothing. */
static bool is_host(const char *value, size_t length) {
    for (size_t i = 0; i < length; i++) {
        char c = mq_lower(value[i]);
        bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~!$&'()*+,;=%:[]", c));
        if (!good) {
            return false;
        }
    }
    return true;
}

static void take_host(mq_request *request, const char *value, size_t length) {
    request->host_count++;
    request->bad_host = request->bad_host || !is_host(value, length);
}

static void take_upgrade(mq_request *request, const char *value, size_t length) {
    request->has_upgrade = true;
    request->is_for_udp = request->is_for_udp || mq_list_names(value, length, CONNECT_UDP);
}

static void take_connection(mq_request *request, const char *value, size_t length) {
    request->is_upgrade = request->is_upgrade || mq_list_names(value, length, "upgrade");
}

static const field_rule RULES[] = {
    {"proxy-authorization", take_proxy_authorization},
    {"authorization", take_authorization},
    {"sec-ch-geohash", take_geohash},
    {"host", take_host},
    {"content-length", take_body_header},
    {"content-type", take_content_type},
    {"transfer-encoding", take_body_header},
    {"upgrade", take_upgrade},
    {"connection", take_connection},
};

void mq_request_init(mq_request *request, const masque_allocator *allocator) {
    *request = (mq_request){.allocator = allocator};
}

void mq_request_free(mq_request *request) {
    drop(request, &request->authority);
    drop(request, &request->path);
    drop(request, &request->geohash);
    drop(request, &request->proxy_authorization);
    drop(request, &request->authorization);
}

void mq_request_set_method(mq_request *request, const char *name, size_t length) {
    request->method = MQ_METHOD_OTHER;
    if (length == 7 && memcmp(name, "CONNECT", 7) == 0) {
        request->method = MQ_METHOD_CONNECT;
    } else if (length == 3 && memcmp(name, "GET", 3) == 0) {
        request->method = MQ_METHOD_GET;
    }
}

void mq_request_set_authority(mq_request *request, const char *text, size_t length) {
    keep(request, &request->authority, text, length);
}

void mq_request_set_path(mq_request *request, const char *text, size_t length) {
    keep(request, &request->path, text, length);
}

void mq_request_set_protocol(mq_request *request, const char *text, size_t length) {
    request->has_protocol = true;
    request->is_for_udp = same_word(text, length, CONNECT_UDP);
}

void mq_request_count(mq_request *request, const masque_limits *limits, size_t length) {
    request->byte_count += length;
    request->too_large = request->too_large || request->byte_count > limits->header_bytes_max;
}

void mq_request_field(mq_request *request, const masque_limits *limits, const char *name, size_t name_length,
                      const char *value, size_t value_length) {
    mq_request_count(request, limits, name_length + value_length + FIELD_OVERHEAD);
    request->too_large = request->too_large || ++request->field_count > limits->header_fields_max;
    if (request->too_large) {
        return;
    }
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        if (same_word(name, name_length, RULES[i].name)) {
            RULES[i].take(request, value, value_length);
            return;
        }
    }
}

bool mq_request_credential(const mq_request *request, const mq_text **credential) {
    bool proxy = request->credential_count > 0;
    *credential = proxy ? &request->proxy_authorization : &request->authorization;
    return (proxy ? request->credential_count : request->authorization_count) <= 1;
}
