#include "tokens/issuer_role.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "random.h"
#include "tokens/directory.h"

/* Signing takes a processor; more at a time would only wait for one. */
#define SIGNERS 8u
#define DIRECTORY_FIELD "Cache-Control"
#define DIRECTORY_AGE "max-age=600"

typedef struct issuer_context {
    bool needs_certificate;
    char *directory;
    /* Issuers with the same keys, as each is one thread's at a time. */
    pthread_mutex_t lock;
    pthread_cond_t given_back;
    masque_token_issuer *issuers[SIGNERS];
    size_t idle;
} issuer_context;

/* --- keys --------------------------------------------------------------------------------------------------------- */

/* DER in place of the PEM in TEXT; 0: there is none. */
static size_t decode_pem(char *text, size_t length) {
    static const char *const kinds[] = {"PRIVATE KEY", "RSA PRIVATE KEY"};
    for (size_t k = 0; k < 2; k++) {
        char begin[64], end[64];
        snprintf(begin, sizeof begin, "-----BEGIN %s-----", kinds[k]);
        snprintf(end, sizeof end, "-----END %s-----", kinds[k]);
        char *from = strstr(text, begin);
        char *to = from ? strstr(from, end) : NULL;
        if (!to) {
            continue;
        }
        size_t count = 0;
        for (char *at = from + strlen(begin); at < to; at++) {
            if (*at != '\n' && *at != '\r') {
                text[count++] = *at;
            }
        }
        size_t der_length;
        uint8_t *der = malloc(length);
        bool good = der && masque_base64_decode(der, length, &der_length, text, count);
        if (good) {
            memcpy(text, der, der_length);
        }
        forget_secret((char *)der, der ? length : 0);
        return good ? der_length : 0;
    }
    return 0;
}

static size_t decode_line(char *text) {
    uint8_t bytes[MASQUE_VOPRF_PRIVATE_LENGTH];
    size_t length;
    bool good = masque_base64_decode(bytes, sizeof bytes, &length, text, strcspn(text, "\r\n"));
    memcpy(text, bytes, good ? length : 0);
    explicit_bzero(bytes, sizeof bytes);
    return good ? length : 0;
}

char *issuer_key_read(const char *path, masque_token_type type, size_t *length, mqd_message *message) {
    size_t text_length;
    char *text = read_secret_file(path, &text_length, message);
    if (!text) {
        return NULL;
    }
    bool rsa = type == MASQUE_TOKEN_BLIND_RSA;
    *length = rsa ? decode_pem(text, text_length) : decode_line(text);
    explicit_bzero(text + *length, text_length - *length); /* the caller knows of *LENGTH bytes */
    if (*length == 0) {
        say(message, "no %s in %.200s; `masqueproxy token keygen --token-type %d` makes one",
            rsa ? "PEM of an RSA private key" : "line of Base64", path, (int)type);
        forget_secret(text, text_length);
        return NULL;
    }
    return text;
}

/* Private keys as files have them, read once for all signers. */
typedef struct key_bytes {
    char *bytes;
    size_t length;
} key_bytes;

static void forget_keys(key_bytes *keys, size_t count) {
    for (size_t i = 0; i < count; i++) {
        forget_secret(keys[i].bytes, keys[i].length);
    }
}

static bool read_keys(key_bytes *keys, const issuer_settings *settings, mqd_message *message) {
    mqd_message why;
    for (size_t i = 0; i < settings->key_count; i++) {
        const issuer_key_settings *key = &settings->keys[i];
        keys[i].bytes = issuer_key_read(key->file.path, key->type, &keys[i].length, &why);
        if (!keys[i].bytes) {
            say(message, "%.200s: %.300s", key->file.place, why.text);
            forget_keys(keys, i);
            return false;
        }
    }
    return true;
}

static bool add_key(masque_token_issuer *issuer, const issuer_key_settings *key, const key_bytes *bytes,
                    mqd_message *message) {
    const masque_issuer_key given = {key->type, (const uint8_t *)bytes->bytes, bytes->length};
    int error = masque_token_issuer_add_key(issuer, &given);
    if (error) {
        say(message,
            "%.200s: the key in %.150s can't be used: it is of another kind or length (RSA: 2048 bits), or its ID ends "
            "with the same byte as another's: then make a new one",
            key->file.place, key->file.path);
    }
    return error == 0;
}

static masque_token_issuer *new_issuer(const issuer_settings *settings, const key_bytes *keys, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random};
    masque_token_issuer *issuer;
    if (masque_token_issuer_new(&issuer, &runtime) != 0) {
        say(message, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < settings->key_count; i++) {
        if (!add_key(issuer, &settings->keys[i], &keys[i], message)) {
            masque_token_issuer_free(issuer);
            return NULL;
        }
    }
    return issuer;
}

/* False with MESSAGE set. */
static bool make_signers(issuer_context *context, const issuer_settings *settings, mqd_message *message) {
    key_bytes keys[ISSUER_KEYS_MAX];
    masque_token_issuer *issuer = NULL;
    if (!read_keys(keys, settings, message)) {
        return false;
    }
    while (context->idle < SIGNERS && (issuer = new_issuer(settings, keys, message))) {
        context->issuers[context->idle++] = issuer;
    }
    forget_keys(keys, settings->key_count);
    return context->idle == SIGNERS;
}

static char *new_directory(const issuer_settings *settings, const masque_token_issuer *issuer) {
    token_directory directory = {.request_uri = TOKEN_REQUEST_PATH, .count = settings->key_count};
    for (size_t i = 0; i < settings->key_count; i++) {
        directory_key *key = &directory.keys[i];
        key->type = settings->keys[i].type;
        key->not_before = settings->keys[i].not_before;
        key->length = masque_token_issuer_public_key(issuer, i, key->bytes);
    }
    return directory_write(&directory);
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static void context_free(void *context) {
    issuer_context *issuer = context;
    for (size_t i = 0; i < issuer->idle; i++) {
        masque_token_issuer_free(issuer->issuers[i]);
    }
    pthread_mutex_destroy(&issuer->lock);
    pthread_cond_destroy(&issuer->given_back);
    free(issuer->directory);
    free(issuer);
}

static issuer_context *context_new(const issuer_settings *settings, mqd_message *message) {
    issuer_context *context = calloc(1, sizeof *context);
    if (!context) {
        say(message, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&context->lock, NULL);
    pthread_cond_init(&context->given_back, NULL);
    context->needs_certificate = settings->role.client_ca.path != NULL;
    if (!make_signers(context, settings, message)) {
        context_free(context);
        return NULL;
    }
    context->directory = new_directory(settings, context->issuers[0]);
    if (!context->directory) {
        say(message, "out of memory");
        context_free(context);
        return NULL;
    }
    return context;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static masque_token_issuer *borrow(issuer_context *context) {
    pthread_mutex_lock(&context->lock);
    while (context->idle == 0) {
        pthread_cond_wait(&context->given_back, &context->lock);
    }
    masque_token_issuer *issuer = context->issuers[--context->idle];
    pthread_mutex_unlock(&context->lock);
    return issuer;
}

static void give_back(issuer_context *context, masque_token_issuer *issuer) {
    pthread_mutex_lock(&context->lock);
    context->issuers[context->idle++] = issuer;
    pthread_cond_signal(&context->given_back);
    pthread_mutex_unlock(&context->lock);
}

static void answer_tokens(issuer_context *context, const http_request *request, http_answer *answer) {
    masque_token_answer *made = malloc(sizeof *made);
    if (!made) {
        answer->status = 500;
        return;
    }
    masque_token_issuer *issuer = borrow(context);
    masque_token_issuer_answer(issuer, request->content_type, request->body, request->length, made);
    give_back(context, issuer);
    answer->status = made->status;
    answer->content_type = made->media_type;
    answer->length = made->length;
    answer->body = (uint8_t *)made;
    memmove(made, made->bytes, made->length);
}

static void handle(void *context, const http_request *request, http_answer *answer) {
    issuer_context *issuer = context;
    if (token_role_refuse(request, answer)) {
        return;
    }
    if (issuer->needs_certificate && !request->certified) {
        answer->status = 403;
    } else if (strcmp(request->path, TOKEN_REQUEST_PATH) == 0) {
        answer_tokens(issuer, request, answer);
    } else {
        answer->content_type = MASQUE_TOKEN_DIRECTORY_TYPE;
        answer->field = DIRECTORY_FIELD;
        answer->value = DIRECTORY_AGE;
        answer->body = (uint8_t *)strdup(issuer->directory);
        answer->length = answer->body ? strlen(issuer->directory) : 0;
        answer->status = answer->body ? 200 : 500;
    }
}

bool issuer_role_prepare(token_role_next *next, const mqd_settings *settings, mqd_message *message) {
    issuer_context *context = context_new(&settings->issuer, message);
    return context && token_role_prepare(next, &settings->issuer.role, handle, context, context_free, message);
}
