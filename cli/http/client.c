#include "http/client.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct receiver {
    http_result *result;
    size_t most;
    size_t capacity;
    bool too_long;
} receiver;

void http_client_init(void) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context) {
    receiver *to = context;
    http_result *result = to->result;
    size_t length = size * count;
    if (length > to->most - result->length) {
        to->too_long = true;
        return 0;
    }
    if (result->length + length + 1 > to->capacity) {
        size_t capacity = 2 * (result->length + length + 1);
        uint8_t *larger = realloc(result->body, capacity);
        if (!larger) {
            return 0;
        }
        result->body = larger;
        to->capacity = capacity;
    }
    memcpy(result->body + result->length, bytes, length);
    result->length += length;
    result->body[result->length] = 0;
    return length;
}

/* VALUE gets what stands behind NAME and its colon in LINE, if that is its field. */
static void take_field(const char *line, size_t length, const char *name, char *value, size_t size) {
    size_t name_length = strlen(name);
    if (length <= name_length || line[name_length] != ':' || strncasecmp(line, name, name_length) != 0) {
        return;
    }
    const char *at = line + name_length + 1;
    const char *end = line + length;
    while (at < end && (*at == ' ' || *at == '\t')) {
        at++;
    }
    while (end > at && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ')) {
        end--;
    }
    snprintf(value, size, "%.*s", (int)(end - at), at);
}

static size_t on_field(char *line, size_t size, size_t count, void *context) {
    receiver *to = context;
    take_field(line, size * count, "content-type", to->result->content_type, sizeof to->result->content_type);
    take_field(line, size * count, "cache-control", to->result->cache_control, sizeof to->result->cache_control);
    return size * count;
}

static struct curl_slist *fields_of(const http_call *call) {
    char line[512];
    struct curl_slist *fields = NULL;
    if (call->content_type) {
        snprintf(line, sizeof line, "Content-Type: %s", call->content_type);
        fields = curl_slist_append(fields, line);
    }
    if (call->accept) {
        snprintf(line, sizeof line, "Accept: %s", call->accept);
        fields = curl_slist_append(fields, line);
    }
    return curl_slist_append(fields, "Expect:");
}

static void set_up(CURL *curl, const http_call *call, struct curl_slist *fields, receiver *to) {
    curl_easy_setopt(curl, CURLOPT_URL, call->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* the environment's is for others */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)call->timeout_s);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, to);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_field);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, to);
    if (call->ca_file) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, call->ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    if (call->certificate) {
        curl_easy_setopt(curl, CURLOPT_SSLCERT, call->certificate);
        curl_easy_setopt(curl, CURLOPT_SSLKEY, call->private_key);
    }
    if (call->content_type) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)call->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->length);
    }
    if (call->user) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
        curl_easy_setopt(curl, CURLOPT_USERNAME, call->user);
        curl_easy_setopt(curl, CURLOPT_PASSWORD, call->password);
    }
}

bool http_client_call(const http_call *call, http_result *result, mqd_message *message) {
    char why[CURL_ERROR_SIZE] = "";
    receiver to = {.result = result, .most = call->answer_max};
    *result = (http_result){.status = 0};
    CURL *curl = curl_easy_init();
    if (!curl) {
        say(message, "out of memory");
        return false;
    }
    struct curl_slist *fields = fields_of(call);
    set_up(curl, call, fields, &to);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &result->status);
    curl_slist_free_all(fields);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) {
        free(result->body);
        result->body = NULL;
        say(message, "%.200s: %.250s", call->url,
            to.too_long ? "the answer is too long"
            : why[0]    ? why
                        : curl_easy_strerror(code));
    }
    return code == CURLE_OK;
}
