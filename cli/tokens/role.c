#include "tokens/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"
#include "socket.h"

bool token_role_bind(token_role *role, const char *name, const role_settings *settings, mqd_message *message) {
    role->name = name;
    for (size_t i = 0; i < settings->listener_count; i++) {
        int fd = socket_listen(&settings->listeners[i], false, message);
        if (fd < 0) {
            return false;
        }
        role->fds[role->count++] = fd;
    }
    return true;
}

/* NULL with MESSAGE set, which names the place. */
static char *read_named(const mqd_file *file, bool secret, size_t *length, mqd_message *message) {
    mqd_message why;
    char *text = secret ? read_secret_file(file->path, length, &why) : read_whole_file(file->path, length, &why);
    if (!text) {
        say(message, "%.200s: %.300s", file->place, why.text);
    }
    return text;
}

static bool read_files(token_role_next *next, const role_settings *settings, mqd_message *message) {
    size_t length;
    mqd_message why;
    next->certificate = read_named(&settings->certificate, false, &length, message);
    next->private_key =
        next->certificate ? read_named(&settings->private_key, true, &next->private_key_length, message) : NULL;
    if (!next->private_key) {
        return false;
    }
    if (!http_server_fits(next->certificate, next->private_key, &why)) {
        say(message, "%.200s: %.300s", settings->private_key.place, why.text);
        return false;
    }
    if (!settings->client_ca.path) {
        return true;
    }
    next->client_ca = read_named(&settings->client_ca, false, &length, message);
    if (next->client_ca && !http_trust_is_good(next->client_ca)) {
        say(message, "%.200s: %.200s: there is no certificate in it; expected PEM", settings->client_ca.place,
            settings->client_ca.path);
        return false;
    }
    return next->client_ca != NULL;
}

bool token_role_prepare(token_role_next *next, const role_settings *settings, http_handler *handler, void *context,
                        void (*context_free)(void *context), mqd_message *message) {
    *next = (token_role_next){.prepared = true, .handler = handler, .context = context, .context_free = context_free};
    if (!read_files(next, settings, message)) {
        token_role_discard(next);
        return false;
    }
    return true;
}

static void stop_all(http_server **servers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        http_server_stop(servers[i]);
        servers[i] = NULL;
    }
}

static void forget_files(token_role_next *next) {
    free(next->certificate);
    forget_secret(next->private_key, next->private_key_length);
    free(next->client_ca);
}

void token_role_discard(token_role_next *next) {
    if (next->prepared) {
        stop_all(next->servers, ROLE_LISTENERS_MAX);
        next->context_free(next->context);
        forget_files(next);
    }
    *next = (token_role_next){.prepared = false};
}

bool token_role_start(const token_role *role, token_role_next *next, mqd_message *message) {
    mqd_message why;
    http_server_options options = {.certificate = next->certificate,
                                   .private_key = next->private_key,
                                   .client_ca = next->client_ca,
                                   .body_max = MASQUE_TOKEN_BODY_MAX,
                                   .handler = next->handler,
                                   .context = next->context};
    for (size_t i = 0; i < role->count; i++) {
        options.fd = role->fds[i];
        next->servers[i] = http_server_start(&options, &why);
        if (!next->servers[i]) {
            say(message, "%s: %.300s", role->name, why.text);
            return false;
        }
    }
    return true;
}

void token_role_swap(token_role *role, token_role_next *next) {
    if (!next->prepared) {
        return;
    }
    stop_all(role->servers, role->count);
    if (role->context) {
        role->context_free(role->context);
    }
    memcpy(role->servers, next->servers, sizeof role->servers);
    role->context = next->context;
    role->context_free = next->context_free;
    forget_files(next);
    *next = (token_role_next){.prepared = false};
}

void token_role_stop(token_role *role) {
    stop_all(role->servers, role->count);
    for (size_t i = 0; i < role->count; i++) {
        close(role->fds[i]);
    }
    if (role->context) {
        role->context_free(role->context);
    }
    *role = (token_role){.count = 0};
}

void token_role_print(const token_role *role) {
    for (size_t i = 0; i < role->count; i++) {
        struct sockaddr_storage storage;
        socklen_t length = sizeof storage;
        masque_address address;
        char text[MASQUE_ADDRESS_TEXT_MAX];
        if (getsockname(role->fds[i], (struct sockaddr *)&storage, &length) == 0 &&
            address_from_sockaddr(&address, (struct sockaddr *)&storage)) {
            masque_address_format(&address, text, sizeof text);
            printf(" %s (%s)", text, role->name);
        }
    }
}

bool token_role_refuse(const http_request *request, http_answer *answer) {
    bool directory = strcmp(request->path, MASQUE_TOKEN_DIRECTORY_PATH) == 0;
    if (!directory && strcmp(request->path, TOKEN_REQUEST_PATH) != 0) {
        answer->status = 404;
        return true;
    }
    if (strcmp(request->method, directory ? "GET" : "POST") != 0) {
        answer->status = 405;
        answer->field = "Allow";
        answer->value = directory ? "GET" : "POST";
        return true;
    }
    return false;
}
