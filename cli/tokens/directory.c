#include "tokens/directory.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AGE_DEFAULT_S 60u
#define AGE_MAX_S 86400u

static bool read_key(token_directory *directory, const json_t *entry, size_t number, mqd_message *message) {
    const json_t *type = json_object_get(entry, "token-type");
    const json_t *key = json_object_get(entry, "token-key");
    const json_t *not_before = json_object_get(entry, "not-before");
    if (!json_is_integer(type) || !json_is_string(key) || (not_before && !json_is_integer(not_before))) {
        say(message, "token-keys[%zu] has no token-type or token-key, or a not-before that is no number", number);
        return false;
    }
    json_int_t value = json_integer_value(type);
    if (value != MASQUE_TOKEN_BLIND_RSA && value != MASQUE_TOKEN_VOPRF) {
        return true;
    }
    if (directory->count == DIRECTORY_KEYS_MAX) {
        say(message, "there are more than %d keys", DIRECTORY_KEYS_MAX);
        return false;
    }
    directory_key *to = &directory->keys[directory->count++];
    to->type = (masque_token_type)value;
    to->not_before = not_before ? (masque_unix_time)json_integer_value(not_before) : 0;
    if (!masque_base64_decode(to->bytes, sizeof to->bytes, &to->length, json_string_value(key),
                              json_string_length(key))) {
        say(message, "token-keys[%zu].token-key is no Base64 of at most %d bytes", number, MASQUE_TOKEN_PUBLIC_KEY_MAX);
        return false;
    }
    return true;
}

static bool read_root(token_directory *directory, const json_t *root, mqd_message *message) {
    const json_t *uri = json_object_get(root, "issuer-request-uri");
    const json_t *keys = json_object_get(root, "token-keys");
    const char *text = json_string_value(uri);
    const json_t *entry;
    size_t i;
    if (!text || !json_is_array(keys)) {
        say(message, "it has no issuer-request-uri or token-keys");
        return false;
    }
    bool good = text[0] == '/' || strncmp(text, "https://", 8) == 0;
    if (!good || strlen(text) >= sizeof directory->request_uri || strpbrk(text, " \r\n\t")) {
        say(message, "its issuer-request-uri begins with neither / nor https://, or is too long");
        return false;
    }
    memcpy(directory->request_uri, text, strlen(text) + 1);
    json_array_foreach(keys, i, entry) {
        if (!read_key(directory, entry, i, message)) {
            return false;
        }
    }
    return true;
}

bool directory_read(token_directory *directory, const char *text, size_t length, mqd_message *message) {
    json_error_t error;
    memset(directory, 0, sizeof *directory);
    json_t *root = length <= DIRECTORY_MAX ? json_loadb(text, length, 0, &error) : NULL;
    if (!root) {
        say(message, "it is no JSON of at most %u bytes", DIRECTORY_MAX);
        return false;
    }
    bool good = read_root(directory, root, message);
    json_decref(root);
    return good;
}

static json_t *write_key(const directory_key *key) {
    char text[MASQUE_BASE64_LENGTH(MASQUE_TOKEN_PUBLIC_KEY_MAX) + 1];
    masque_base64_encode(text, key->bytes, key->length);
    json_t *entry = json_pack("{s:i, s:s}", "token-type", (int)key->type, "token-key", text);
    if (entry && key->not_before) {
        json_object_set_new(entry, "not-before", json_integer(key->not_before));
    }
    return entry;
}

char *directory_write(const token_directory *directory) {
    json_t *keys = json_array();
    for (size_t i = 0; i < directory->count; i++) {
        json_array_append_new(keys, write_key(&directory->keys[i]));
    }
    json_t *root = json_pack("{s:s, s:o}", "issuer-request-uri", directory->request_uri, "token-keys", keys);
    char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

void directory_location(const char *issuer, char *url, size_t size) {
    size_t length = strlen(issuer);
    length -= length > 0 && issuer[length - 1] == '/';
    snprintf(url, size, "%.*s%s", (int)length, issuer, MASQUE_TOKEN_DIRECTORY_PATH);
}

void directory_url(const token_directory *directory, const char *issuer, char *url, size_t size) {
    size_t origin = strlen(issuer);
    const char *authority = strstr(issuer, "://");
    const char *path = authority ? strchr(authority + 3, '/') : NULL;
    if (path) {
        origin = (size_t)(path - issuer);
    }
    bool absolute = directory->request_uri[0] != '/';
    snprintf(url, size, "%.*s%s", absolute ? 0 : (int)origin, issuer, directory->request_uri);
}

unsigned directory_age(const char *cache_control) {
    const char *age = strcasestr(cache_control, "max-age=");
    if (strcasestr(cache_control, "no-store") || strcasestr(cache_control, "no-cache")) {
        return 0;
    }
    unsigned long seconds = age ? strtoul(age + 8, NULL, 10) : AGE_DEFAULT_S;
    return seconds < AGE_MAX_S ? (unsigned)seconds : AGE_MAX_S;
}

const directory_key *directory_choose(const token_directory *directory, masque_token_type type, masque_unix_time now) {
    const directory_key *best = NULL;
    for (size_t i = 0; i < directory->count; i++) {
        const directory_key *key = &directory->keys[i];
        if (key->type == type && key->not_before <= now && (!best || key->not_before > best->not_before)) {
            best = key;
        }
    }
    return best;
}
