/*
 * tests/fuzz/h1_parser.c: an HTTP/1.1 head. Its end is the same however it arrives; a
 * head that is taken has no bare CR or LF, one Host and the version we speak.
 *
 * Input: where to cut, then the bytes.
 */
#include "http/h1_parser.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "fuzz.h"

static size_t end_bytewise(const char *bytes, size_t length) {
    size_t scanned = 0;
    size_t end = 0;
    for (size_t i = 1; i <= length && end == 0; i++) {
        end = mq_h1_head_end(bytes, i, &scanned);
    }
    return end;
}

static size_t end_cut(const char *bytes, size_t length, size_t cut) {
    size_t scanned = 0;
    size_t end = mq_h1_head_end(bytes, cut < length ? cut : length, &scanned);
    return end ? end : mq_h1_head_end(bytes, length, &scanned);
}

/* What another reader of the same bytes would have to say. */
static void check_taken(const char *head, size_t length) {
    size_t hosts = 0;
    const char *line_end = memchr(head, '\r', length);
    FUZZ_REQUIRE(line_end && line_end - head > 9 && memcmp(line_end - 9, " HTTP/1.1", 9) == 0);
    for (size_t i = 0; i < length; i++) {
        FUZZ_REQUIRE(head[i] != 0);
        FUZZ_REQUIRE((head[i] == '\r') == (i + 1 < length && head[i + 1] == '\n'));
        FUZZ_REQUIRE(i == 0 || head[i - 1] != '\n' || (head[i] != ' ' && head[i] != '\t'));
        hosts += length - i > 6 && head[i] == '\n' && strncasecmp(head + i + 1, "host:", 5) == 0;
    }
    FUZZ_REQUIRE(hosts == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    size_t cut = fuzz_byte(&input);
    const char *bytes = (const char *)input.at;
    size_t scanned = 0;
    size_t end = mq_h1_head_end(bytes, input.left, &scanned);
    FUZZ_REQUIRE(end <= input.left && end == end_bytewise(bytes, input.left) && end == end_cut(bytes, input.left, cut));
    if (end == 0) {
        return 0;
    }
    /* A copy that ends where the head does shows reads behind it. */
    char *head = malloc(end);
    FUZZ_REQUIRE(head);
    memcpy(head, bytes, end);
    masque_allocator allocator;
    masque_limits limits;
    mq_request request;
    mq_allocator_init(&allocator, &(masque_allocator){.context = NULL});
    masque_limits_init(&limits);
    limits.header_fields_max = 8;
    limits.header_bytes_max = 1024;
    mq_request_init(&request, &allocator);
    mq_refusal refusal = mq_h1_parse(&request, &limits, head, end);
    FUZZ_REQUIRE(refusal == MQ_REFUSAL_NONE || refusal == MQ_REFUSAL_MALFORMED || refusal == MQ_REFUSAL_TOO_LARGE ||
                 refusal == MQ_REFUSAL_BAD_AUTHORITY);
    if (refusal == MQ_REFUSAL_NONE) {
        check_taken(head, end);
        FUZZ_REQUIRE(request.field_count <= limits.header_fields_max && request.byte_count <= limits.header_bytes_max);
    }
    mq_request_free(&request);
    free(head);
    return 0;
}
