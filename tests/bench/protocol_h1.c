/*
 * HTTP/1.1 CONNECT and the direct protocol for the load client; see
 * connection.h. Both carry one tunnel that ends with its connection; direct
 * is what is left of HTTP/1.1 without its request and its TLS.
 */
#include "connection.h"

#include <stdio.h>
#include <string.h>

enum {
    PULL_BYTES = 64 * 1024, /* four full TLS records */
};

static bool h1_start(struct connection *connection) {
    connection->answer_length = 0;
    return true;
}

static bool h1_open_tunnel(struct connection *connection, struct tunnel *tunnel, uint16_t target_port) {
    char request[1024];
    const char *authorization = connection->settings->authorization;
    if (connection->tunnel != NULL) {
        return false;
    }
    connection->tunnel = tunnel;
    int length = snprintf(request, sizeof(request), "CONNECT 127.0.0.1:%u HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s%s%s\r\n",
                          target_port, target_port, authorization == NULL ? "" : "Proxy-Authorization: ",
                          authorization == NULL ? "" : authorization, authorization == NULL ? "" : "\r\n");
    return length > 0 && (size_t)length < sizeof(request) &&
           channel_write(&connection->channel, (const uint8_t *)request, (size_t)length);
}

/* Collects the answer's head; consumed is how many of the bytes belong to it. */
static bool read_answer(struct connection *connection, const uint8_t *bytes, size_t length, size_t *consumed) {
    *consumed = 0;
    while (*consumed < length && connection->answer_length < sizeof(connection->answer)) {
        connection->answer[connection->answer_length++] = (char)bytes[(*consumed)++];
        size_t have = connection->answer_length;
        if (have >= 4 && memcmp(connection->answer + have - 4, "\r\n\r\n", 4) == 0) {
            if (memcmp(connection->answer, "HTTP/1.1 2", 10) != 0) {
                connection->failure = "CONNECT was refused";
                return false;
            }
            tunnel_opened(connection->tunnel);
            return true;
        }
    }
    if (connection->answer_length == sizeof(connection->answer)) {
        connection->failure = "answer too long";
        return false;
    }
    return true;
}

static bool h1_on_bytes(struct connection *connection, const uint8_t *bytes, size_t length) {
    size_t consumed = 0;
    if (connection->tunnel == NULL) {
        connection->failure = "bytes before any request";
        return false;
    }
    if (!connection->tunnel->opened && !read_answer(connection, bytes, length, &consumed)) {
        return false;
    }
    if (consumed < length) {
        connection->tunnel->handler->on_data(connection->tunnel, bytes + consumed, length - consumed);
    }
    return true;
}

static void h1_on_end(struct connection *connection) {
    if (connection->tunnel != NULL) {
        tunnel_ended(connection->tunnel);
    }
}

static bool h1_produce(struct connection *connection) {
    uint8_t plain[PULL_BYTES];
    struct tunnel *tunnel = connection->tunnel;
    while (tunnel != NULL && tunnel->opened && !tunnel->ended_here &&
           channel_queued(&connection->channel) < CHANNEL_QUEUE_BYTES) {
        bool end = false;
        size_t length = tunnel->handler->pull(tunnel, plain, sizeof(plain), &end);
        if (length > 0 && !channel_write(&connection->channel, plain, length)) {
            return false;
        }
        if (end) {
            tunnel->ended_here = true;
            channel_shutdown(&connection->channel);
        }
        if (length == 0) {
            break;
        }
    }
    return true;
}

/* Nothing to note: produce asks its one tunnel each time. */
static void h1_resume(struct tunnel *tunnel) {
    (void)tunnel;
}

static void h1_stop(struct connection *connection, const char *failure) {
    struct tunnel *tunnel = connection->tunnel;
    connection->tunnel = NULL;
    if (tunnel != NULL) {
        tunnel_closed(tunnel, tunnel->ended_here && tunnel->ended_there ? NULL : failure);
    }
}

static bool direct_open_tunnel(struct connection *connection, struct tunnel *tunnel, uint16_t target_port) {
    (void)target_port; /* the relay knows its own */
    if (connection->tunnel != NULL) {
        return false;
    }
    connection->tunnel = tunnel;
    tunnel_opened(tunnel);
    return true;
}

const struct protocol protocol_h1 = {
    .name = "h1",
    .alpn = "http/1.1",
    .secure = true,
    .start = h1_start,
    .open_tunnel = h1_open_tunnel,
    .on_bytes = h1_on_bytes,
    .on_end = h1_on_end,
    .produce = h1_produce,
    .resume = h1_resume,
    .stop = h1_stop,
};

const struct protocol protocol_direct = {
    .name = "direct",
    .alpn = "",
    .secure = false,
    .start = h1_start,
    .open_tunnel = direct_open_tunnel,
    .on_bytes = h1_on_bytes,
    .on_end = h1_on_end,
    .produce = h1_produce,
    .resume = h1_resume,
    .stop = h1_stop,
};
