#include "http/h1_parser.h"

#include <string.h>

size_t mq_h1_head_end(const char *bytes, size_t length, size_t *scanned) {
    /* The end may begin up to three bytes before what was looked at. */
    size_t at = *scanned > 3 ? *scanned - 3 : 0;
    while (at + 4 <= length) {
        const char *found = memchr(bytes + at, '\r', length - at);
        if (!found || (size_t)(found - bytes) + 4 > length) {
            break;
        }
        at = (size_t)(found - bytes);
        if (memcmp(found, "\r\n\r\n", 4) == 0) {
            return at + 4;
        }
        at++;
    }
    *scanned = length;
    return 0;
}

/* RFC 9110 5.6.2. */
static bool is_token_char(unsigned char c) {
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        return true;
    }
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (!is_token_char((unsigned char)text[i])) {
            return false;
        }
    }
    return length > 0;
}

/* RFC 9110 5.5: visible characters, obs-text, spaces and tabs; no other control. */
static bool is_field_value(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_target(const char *text, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7f) {
            return false;
        }
    }
    return length > 0;
}

/* Cuts the line that begins at *AT off, without its CRLF. */
static bool next_line(const char *head, size_t length, size_t *at, const char **line, size_t *line_length) {
    const char *start = head + *at;
    const char *end = memchr(start, '\r', length - *at);
    if (!end || end + 1 >= head + length || end[1] != '\n' || memchr(start, '\n', (size_t)(end - start))) {
        return false;
    }
    *line = start;
    *line_length = (size_t)(end - start);
    *at += *line_length + 2;
    return true;
}

static bool parse_request_line(mq_request *request, const char *line, size_t length) {
    static const char version[] = " HTTP/1.1";
    const char *space = memchr(line, ' ', length);
    if (!space || length < sizeof version - 1) {
        return false;
    }
    const char *target = space + 1;
    const char *version_at = line + length - (sizeof version - 1);
    if (version_at <= target || memcmp(version_at, version, sizeof version - 1) != 0 ||
        !is_token(line, (size_t)(space - line)) || !is_target(target, (size_t)(version_at - target))) {
        return false;
    }
    mq_request_set_method(request, line, (size_t)(space - line));
    if (request->method == MQ_METHOD_CONNECT) {
        mq_request_set_authority(request, target, (size_t)(version_at - target));
    } else {
        mq_request_set_path(request, target, (size_t)(version_at - target));
    }
    return true;
}

/* The parts of a line, which they point into. */
typedef struct mq_field_line {
    const char *name;
    size_t name_length;
    const char *value;
    size_t value_length;
} mq_field_line;

static bool split_field(mq_field_line *field, const char *line, size_t length) {
    const char *colon = memchr(line, ':', length);
    /* A name that begins with a space would be obsolete folding (RFC 9112 5.2). */
    if (!colon || !is_token(line, (size_t)(colon - line))) {
        return false;
    }
    const char *value = colon + 1;
    const char *end = line + length;
    while (value < end && (*value == ' ' || *value == '\t')) {
        value++;
    }
    while (end > value && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    *field = (mq_field_line){
        .name = line, .name_length = (size_t)(colon - line), .value = value, .value_length = (size_t)(end - value)};
    return is_field_value(value, field->value_length);
}

static bool parse_field(mq_request *request, const masque_limits *limits, const char *line, size_t length) {
    mq_field_line field;
    if (!split_field(&field, line, length)) {
        return false;
    }
    mq_request_field(request, limits, field.name, field.name_length, field.value, field.value_length);
    return true;
}

static mq_refusal parse_lines(mq_request *request, const masque_limits *limits, const char *head, size_t length) {
    const char *line;
    size_t line_length;
    size_t at = 0;
    if (!next_line(head, length, &at, &line, &line_length) || !parse_request_line(request, line, line_length)) {
        return MQ_REFUSAL_MALFORMED;
    }
    mq_request_count(request, limits, line_length);
    for (;;) {
        if (!next_line(head, length, &at, &line, &line_length)) {
            return MQ_REFUSAL_MALFORMED;
        }
        if (line_length == 0) {
            return MQ_REFUSAL_NONE;
        }
        if (!parse_field(request, limits, line, line_length)) {
            return MQ_REFUSAL_MALFORMED;
        }
        if (request->too_large) {
            return MQ_REFUSAL_TOO_LARGE;
        }
    }
}

mq_refusal mq_h1_parse(mq_request *request, const masque_limits *limits, const char *head, size_t length) {
    mq_refusal refusal = parse_lines(request, limits, head, length);
    if (refusal != MQ_REFUSAL_NONE) {
        return refusal;
    }
    if (request->no_memory) {
        return MQ_REFUSAL_INTERNAL;
    }
    /* RFC 9112 3.2: exactly one Host. */
    if (request->host_count != 1) {
        return MQ_REFUSAL_MALFORMED;
    }
    return request->bad_host ? MQ_REFUSAL_BAD_AUTHORITY : MQ_REFUSAL_NONE;
}

/* --- answers ------------------------------------------------------------------------ */

/* "HTTP/1.1 200 OK"; the reason may be empty, or, as some write it, missing with its space. */
static int parse_status_line(mq_answer *answer, const masque_allocator *allocator, const masque_limits *limits,
                             const char *line, size_t length) {
    static const char version[] = "HTTP/1.1 ";
    const size_t start = sizeof version - 1;
    bool good = length >= start + 3 && memcmp(line, version, start) == 0 &&
                (length == start + 3 || line[start + 3] == ' ') && is_field_value(line, length);
    if (!good) {
        return MASQUE_ERR_PROTOCOL;
    }
    return mq_answer_field(answer, allocator, limits, ":status", 7, line + start, 3);
}

int mq_h1_parse_answer(mq_answer *answer, const masque_allocator *allocator, const masque_limits *limits,
                       const char *head, size_t length) {
    const char *line;
    size_t line_length;
    size_t at = 0;
    if (!next_line(head, length, &at, &line, &line_length)) {
        return MASQUE_ERR_PROTOCOL;
    }
    int error = parse_status_line(answer, allocator, limits, line, line_length);
    while (!error) {
        mq_field_line field;
        if (!next_line(head, length, &at, &line, &line_length)) {
            return MASQUE_ERR_PROTOCOL;
        }
        if (line_length == 0) {
            return 0;
        }
        error = split_field(&field, line, line_length)
                    ? mq_answer_field(answer, allocator, limits, field.name, field.name_length, field.value,
                                      field.value_length)
                    : MASQUE_ERR_PROTOCOL;
    }
    return error;
}
