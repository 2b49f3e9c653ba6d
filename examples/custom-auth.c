/*
 * examples/custom-auth.c: an authentication method of the host's own, that asks a
 * service and so knows its verdict only later: check() answers PENDING, and the host
 * calls masque_authorized() when the service has answered. There is no socket, and
 * the clock jumps from one thing that is due to the next.
 *
 *     custom-auth CERTIFICATE KEY
 */
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "memory-client.h"

#define SERVICE_DELAY (40 * MASQUE_MILLISECOND)
#define STEPS_MAX 100

/* The service, asked for one token at a time: it knows "good-token", and never
   answers for "lost-token". */
typedef struct token_service {
    masque_tunnel_id tunnel; /* what the question is about; 0: none is open */
    masque_verdict verdict;
    masque_time delay;
} token_service;

static bool is_text(const char *bytes, size_t length, const char *text) {
    return length == strlen(text) && memcmp(bytes, text, length) == 0;
}

static masque_verdict check_token(void *context, const masque_auth_request *request) {
    token_service *service = context;
    if (!masque_auth_is_scheme(request, "Token")) {
        return MASQUE_AUTH_NEXT; /* another method may know it */
    }
    /* The request is gone when we return; a real method copies the credential here. */
    bool good = is_text(request->credential, request->credential_length, "good-token");
    bool lost = is_text(request->credential, request->credential_length, "lost-token");
    *service = (token_service){.tunnel = request->tunnel,
                               .verdict = good ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY,
                               .delay = lost ? MASQUE_NEVER : SERVICE_DELAY};
    return MASQUE_AUTH_PENDING;
}

/* When the service will answer is known only to it; here to us as well. */
static void handle_events(masque_engine *engine, const token_service *service, masque_time now,
                          masque_time *answer_at) {
    masque_event event;
    while (masque_next_event(engine, &event)) {
        if (event.type == MASQUE_EVENT_AUTHORIZE && service->delay != MASQUE_NEVER) {
            *answer_at = now + service->delay;
        } else if (event.type == MASQUE_EVENT_DIAL) {
            masque_dialed(engine, event.attempt, MASQUE_DIAL_OK, now);
        }
    }
}

/* Lets time pass until the client has its answer. */
static void await_answer(masque_engine *engine, memory_client *client, const token_service *service, masque_time *now,
                         char *text, size_t size) {
    masque_time answer_at = MASQUE_NEVER;
    text[0] = 0;
    for (int step = 0; step < STEPS_MAX && text[0] == 0; step++) {
        handle_events(engine, service, *now, &answer_at);
        memory_client_read(client, text, size);
        masque_time due = masque_deadline(engine);
        if (text[0] == 0 && answer_at <= due) {
            *now = answer_at;
            answer_at = MASQUE_NEVER;
            /* Had the client gone meanwhile this would be MASQUE_ERR_STALE, and no harm done. */
            masque_authorized(engine, service->tunnel, service->verdict, *now);
        } else if (text[0] == 0) {
            *now = due > *now ? due : *now;
            masque_tick(engine, *now);
        }
    }
}

static void ask(masque_engine *engine, const token_service *service, const char *credential, masque_time *now,
                const char *ca_path) {
    memory_client client;
    char text[1024];
    masque_time began = *now;
    snprintf(text, sizeof text,
             "CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\nProxy-Authorization: %s\r\n\r\n", credential);
    memory_client_open(&client, engine, now, ca_path);
    memory_client_write(&client, text);
    await_answer(engine, &client, service, now, text, sizeof text);
    printf("%s: %.*s after %u ms\n", credential, (int)strcspn(text, "\r"), text,
           (unsigned)((*now - began) / MASQUE_MILLISECOND));
    memory_client_close(&client);
}

int main(int count, char **arguments) {
    if (count != 3) {
        host_fail("usage", "custom-auth CERTIFICATE KEY");
    }
    const masque_runtime runtime = {.random = host_random};
    token_service service = {.tunnel = 0};
    const masque_auth_method method = {.name = "token", .check = check_token, .context = &service};
    masque_engine *engine;
    masque_config *config = host_config(&runtime, arguments[1], arguments[2], "192.0.2.0/24");
    host_require(masque_config_add_auth_method(config, &method), "method");
    host_require(masque_config_seal(config), "configuration");
    host_require(masque_engine_new(&engine, config, &runtime), "engine");
    masque_config_release(config);

    masque_time now = MASQUE_SECOND;
    ask(engine, &service, "Token good-token", &now, arguments[1]);
    ask(engine, &service, "Token stolen-token", &now, arguments[1]);
    ask(engine, &service, "Token lost-token", &now, arguments[1]);
    ask(engine, &service, "Basic Zm9vOmJhcg==", &now, arguments[1]);
    masque_engine_free(engine);
    return 0;
}
