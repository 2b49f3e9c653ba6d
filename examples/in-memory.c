/*
 * examples/in-memory.c: client, proxy and target in one process, without a socket. The
 * library neither opens nor reads anything, so every test of a host can be like this,
 * on a clock of its own.
 *
 *     in-memory CERTIFICATE KEY
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "memory-client.h"

#define KEY "correct-horse"

/* The target says everything back in capitals. */
static void run_target(masque_engine *engine, masque_tunnel_id tunnel, masque_time now) {
    masque_iovec heard, said;
    while (masque_tunnel_pull(engine, tunnel, &heard, 1) > 0 && masque_tunnel_reserve(engine, tunnel, &said, 1) > 0) {
        size_t length = heard.length < said.length ? heard.length : said.length;
        for (size_t i = 0; i < length; i++) {
            ((char *)said.base)[i] = (char)toupper(((unsigned char *)heard.base)[i]);
        }
        printf("target received: %.*s\n", (int)length, (char *)heard.base);
        masque_tunnel_commit(engine, tunnel, length, now);
        masque_tunnel_pulled(engine, tunnel, length, now);
    }
}

static void handle_event(masque_engine *engine, const masque_event *event, masque_time now) {
    const masque_address address = {.family = MASQUE_IPV4, .ip = {192, 0, 2, 7}};
    char text[MASQUE_ADDRESS_TEXT_MAX];
    switch (event->type) {
    case MASQUE_EVENT_RESOLVE:
        printf("proxy resolves: %s\n", event->text);
        masque_resolved(engine, event->tunnel, MASQUE_IPV6, MASQUE_LOOKUP_OK, NULL, 0, now);
        masque_resolved(engine, event->tunnel, MASQUE_IPV4, MASQUE_LOOKUP_OK, &address, 1, now);
        break;
    case MASQUE_EVENT_DIAL:
        masque_address_format(&event->address, text, sizeof text);
        printf("proxy dials: %s\n", text);
        masque_dialed(engine, event->attempt, MASQUE_DIAL_OK, now);
        break;
    case MASQUE_EVENT_TUNNEL_OUTPUT:
        run_target(engine, event->tunnel, now);
        break;
    case MASQUE_EVENT_TUNNEL_FINISH:
        masque_tunnel_finished(engine, event->tunnel, now); /* the client has said all, so has the target */
        break;
    case MASQUE_EVENT_CONN_END:
        printf("connection ended: %s\n", masque_error_text(event->error));
        break;
    case MASQUE_EVENT_CONN_OUTPUT: /* the client looks by itself */
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_CONN_FINISH:
    case MASQUE_EVENT_AUTHORIZE:
    case MASQUE_EVENT_CANCEL_DIAL: /* there is no socket to close */
    case MASQUE_EVENT_TUNNEL_INPUT:
    case MASQUE_EVENT_TUNNEL_END:
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
        break;
    }
}

static void handle_events(masque_engine *engine, masque_time now) {
    masque_event event;
    while (masque_next_event(engine, &event)) {
        handle_event(engine, &event, now);
    }
}

static void use_tunnel(masque_engine *engine, const char *ca_path) {
    const masque_time clock = MASQUE_SECOND; /* which stands still here */
    memory_client client;
    char text[1024];
    memory_client_open(&client, engine, &clock, ca_path);
    memory_client_write(&client, "CONNECT target.example:7 HTTP/1.1\r\n"
                                 "Host: target.example:7\r\n"
                                 "Proxy-Authorization: Preshared " KEY "\r\n\r\n");
    handle_events(engine, clock);
    memory_client_read(&client, text, sizeof text);
    printf("client received: %.*s\n", (int)strcspn(text, "\r"), text);

    memory_client_write(&client, "hello, target");
    handle_events(engine, clock);
    memory_client_read(&client, text, sizeof text);
    printf("client received: %s\n", text);

    memory_client_finish(&client);
    handle_events(engine, clock);
    memory_client_read(&client, text, sizeof text);
    memory_client_close(&client);
    handle_events(engine, clock);
}

int main(int count, char **arguments) {
    if (count != 3) {
        host_fail("usage", "in-memory CERTIFICATE KEY");
    }
    const masque_runtime runtime = {.random = host_random};
    masque_engine *engine;
    /* The target's address is one for documentation, which isn't public. */
    masque_config *config = host_config(&runtime, arguments[1], arguments[2], "192.0.2.0/24");
    host_require(masque_config_add_preshared(config, "key", KEY, strlen(KEY)), "pre-shared key");
    host_require(masque_config_seal(config), "configuration");
    host_require(masque_engine_new(&engine, config, &runtime), "engine");
    masque_config_release(config);
    use_tunnel(engine, arguments[1]);
    masque_engine_free(engine);
    return 0;
}
