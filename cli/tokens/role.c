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

static bool read_pair(const role_settings *settings, char **certificate, char **key, size_t *key_length,
                      mqd_message *message) {
    mqd_message why;
    size_t length;
    const mqd_file *file = &settings->certificate;
    *key = NULL;
    *certificate = read_whole_file(file->path, &length, &why);
    if (*certificate) {
        file = &settings->private_key;
        *key = read_secret_file(file->path, key_length, &why);
    }
    if (!*key) {
        free(*certificate);
        say(message, "%.200s: %.300s", file->place, why.text);
    }
    return *key != NULL;
}

static char *read_client_ca(const role_settings *settings, mqd_message *message) {
    mqd_message why;
    size_t length;
    char *text = read_whole_file(settings->client_ca.path, &length, &why);
    if (!text) {
        say(message, "%.200s: %.300s", settings->client_ca.place, why.text);
    }
    return text;
}

static void stop_all(http_server **servers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        http_server_stop(servers[i]);
        servers[i] = NULL;
    }
}

static bool start_all(const token_role *role, const http_server_options *options, http_server **servers,
                      mqd_message *message) {
    mqd_message why;
    for (size_t i = 0; i < role->count; i++) {
        http_server_options one = *options;
        one.fd = role->fds[i];
        servers[i] = http_server_start(&one, &why);
        if (!servers[i]) {
            say(message, "%s: %.300s", role->name, why.text);
            stop_all(servers, i);
            return false;
        }
    }
    return true;
}

bool token_role_serve(token_role *role, const role_settings *settings, http_handler *handler, void *context,
                      void (*context_free)(void *context), mqd_message *message) {
    http_server *servers[ROLE_LISTENERS_MAX] = {NULL};
    char *certificate, *key;
    char *client_ca = settings->client_ca.path ? read_client_ca(settings, message) : NULL;
    size_t key_length = 0;
    bool started = false;
    if ((client_ca || !settings->client_ca.path) && read_pair(settings, &certificate, &key, &key_length, message)) {
        const http_server_options options = {.certificate = certificate,
                                             .private_key = key,
                                             .client_ca = client_ca,
                                             .body_max = MASQUE_TOKEN_BODY_MAX,
                                             .handler = handler,
                                             .context = context};
        started = start_all(role, &options, servers, message);
        free(certificate);
        forget_secret(key, key_length);
    }
    free(client_ca);
    if (!started) {
        context_free(context);
        return false;
    }
    stop_all(role->servers, role->count);
    if (role->context) {
        role->context_free(role->context);
    }
    memcpy(role->servers, servers, sizeof servers);
    role->context = context;
    role->context_free = context_free;
    return true;
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
            printf(" %s", text);
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
