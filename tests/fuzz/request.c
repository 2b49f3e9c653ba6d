/*
 * tests/fuzz/request.c: fields of a request in any order and number. Compared with the
 * plainest model: the first credential stays, all are counted, limits hold.
 *
 * Input: for each field the lengths of name and value, then both.
 */
#include "http/request.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "fuzz.h"

#define FIELDS_MAX 6
#define BYTES_MAX 512

typedef struct model_state {
    size_t fields;
    size_t bytes;
    bool too_large;
    size_t proxy_credentials;
    size_t credentials;
    size_t hosts;
    bool has_body;
    fuzz_input first_proxy; /* value of the first Proxy-Authorization */
    fuzz_input first;       /* of the first Authorization */
} model_state;

static bool is(const char *name, size_t length, const char *word) {
    return length == strlen(word) && strncasecmp(name, word, length) == 0;
}

static void model_field(model_state *model, const char *name, size_t name_length, fuzz_input value) {
    model->bytes += name_length + value.left + 32;
    model->too_large |= model->bytes > BYTES_MAX || ++model->fields > FIELDS_MAX;
    if (model->too_large) {
        return;
    }
    if (is(name, name_length, "proxy-authorization") && model->proxy_credentials++ == 0) {
        model->first_proxy = value;
    }
    if (is(name, name_length, "authorization") && model->credentials++ == 0) {
        model->first = value;
    }
    model->hosts += is(name, name_length, "host");
    model->has_body |= is(name, name_length, "content-length") || is(name, name_length, "transfer-encoding");
}

static void compare(const mq_request *request, const model_state *model) {
    const mq_text *text;
    bool single = mq_request_credential(request, &text);
    const fuzz_input *expected = model->proxy_credentials > 0 ? &model->first_proxy : &model->first;
    size_t count = model->proxy_credentials > 0 ? model->proxy_credentials : model->credentials;
    FUZZ_REQUIRE(request->too_large == model->too_large && !request->no_memory);
    FUZZ_REQUIRE(request->host_count == model->hosts && request->has_body == model->has_body);
    FUZZ_REQUIRE(single == (count <= 1));
    FUZZ_REQUIRE(text->length == expected->left && (text->bytes != NULL) == (count > 0));
    FUZZ_REQUIRE(count == 0 || memcmp(text->bytes, expected->at, text->length) == 0);
    FUZZ_REQUIRE(count == 0 || text->bytes[text->length] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    masque_allocator allocator;
    masque_limits limits;
    mq_request request;
    model_state model = {.fields = 0};
    mq_allocator_init(&allocator, &(masque_allocator){.context = NULL});
    masque_limits_init(&limits);
    limits.header_fields_max = FIELDS_MAX;
    limits.header_bytes_max = BYTES_MAX;
    mq_request_init(&request, &allocator);
    while (input.left > 0) {
        size_t name_length = fuzz_byte(&input);
        size_t value_length = fuzz_byte(&input);
        const char *name = (const char *)fuzz_bytes(&input, &name_length);
        const uint8_t *value = fuzz_bytes(&input, &value_length);
        mq_request_field(&request, &limits, name, name_length, (const char *)value, value_length);
        model_field(&model, name, name_length, (fuzz_input){value, value_length});
        compare(&request, &model);
    }
    mq_request_free(&request);
    return 0;
}
