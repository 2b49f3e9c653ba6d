/* The client connection: connect, handshake, read, produce, flush; see connection.h. */
#include "connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    READ_BYTES = 64 * 1024,
};

const struct protocol *protocol_find(const char *name) {
    static const struct protocol *const protocols[] = {&protocol_h2, &protocol_h1, &protocol_direct};
    for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
        if (strcmp(protocols[i]->name, name) == 0) {
            return protocols[i];
        }
    }
    return NULL;
}

static void connection_close(struct connection *connection, const char *failure) {
    if (connection->state == CONNECTION_CLOSED) {
        return;
    }
    connection->state = CONNECTION_CLOSED;
    connection->settings->protocol->stop(connection, failure == NULL ? "connection closed" : failure);
    watcher_close(&connection->watcher);
    channel_free(&connection->channel);
    connection->handler->on_close(connection, failure);
    loop_release(connection->settings->loop, connection);
}

/* Lets the protocol write, then the socket. False when the connection broke. */
static bool connection_send(struct connection *connection) {
    bool produces = connection->state == CONNECTION_READY && !connection->shut;
    if (produces && !connection->settings->protocol->produce(connection)) {
        connection->failure = "protocol refused to produce";
        return false;
    }
    /* A full queue means that the protocol has more to say once the socket took this. */
    bool more = channel_queued(&connection->channel) >= CHANNEL_QUEUE_BYTES;
    if (!channel_flush(&connection->channel)) {
        connection->failure = "send failed";
        return false;
    }
    uint32_t writes = more || channel_queued(&connection->channel) > 0 ? EPOLLOUT : 0;
    watcher_set_interest(connection->settings->loop, &connection->watcher, EPOLLIN | writes);
    return true;
}

static bool connection_handshake(struct connection *connection) {
    switch (channel_handshake(&connection->channel)) {
    case CHANNEL_PENDING:
        return true;
    case CHANNEL_OK:
        break;
    case CHANNEL_ENDED:
    case CHANNEL_FAILED:
        connection->failure = "TLS handshake failed";
        return false;
    }
    if (!connection->settings->protocol->start(connection)) {
        connection->failure = "protocol didn't start";
        return false;
    }
    connection->state = CONNECTION_READY;
    connection->handler->on_ready(connection);
    return true;
}

/* Hands on all plain bytes in memory. False when the connection is over, orderly when no failure is set. */
static bool connection_read(struct connection *connection) {
    uint8_t bytes[READ_BYTES];
    size_t length = 0;
    for (;;) {
        switch (channel_read(&connection->channel, bytes, sizeof(bytes), &length)) {
        case CHANNEL_OK:
            if (!connection->settings->protocol->on_bytes(connection, bytes, length)) {
                return false;
            }
            break;
        case CHANNEL_PENDING:
            return true;
        case CHANNEL_ENDED:
            connection->settings->protocol->on_end(connection);
            return false;
        case CHANNEL_FAILED:
            connection->failure = "TLS failed";
            return false;
        }
    }
}

static bool connection_work(struct connection *connection, uint32_t events) {
    if (connection->state == CONNECTION_CONNECTING) {
        if (socket_error(connection->watcher.fd) != 0) {
            connection->failure = "connect failed";
            return false;
        }
        connection->state = CONNECTION_HANDSHAKE;
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && channel_receive(&connection->channel) == CHANNEL_FAILED) {
        connection->failure = "connection reset";
        return false;
    }
    if (connection->state == CONNECTION_HANDSHAKE && !connection_handshake(connection)) {
        return false;
    }
    if (connection->state == CONNECTION_READY && !connection_read(connection)) {
        return false;
    }
    return connection_send(connection);
}

static void connection_on_event(struct watcher *watcher, uint32_t events) {
    struct connection *connection = (struct connection *)watcher;
    connection->busy = true;
    bool alive = connection_work(connection, events);
    connection->busy = false;
    if (!alive) {
        connection_close(connection, connection->failure);
    }
}

struct connection *connection_open(const struct connection_settings *settings, const struct connection_handler *handler,
                                   void *context) {
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection == NULL) {
        return NULL;
    }
    int fd = socket_connect(settings->port);
    if (fd < 0) {
        free(connection);
        return NULL;
    }
    connection->settings = settings;
    connection->handler = handler;
    connection->context = context;
    connection->watcher.on_event = connection_on_event;
    if (!channel_init(&connection->channel, fd, settings->protocol->secure ? settings->tls : NULL,
                      settings->protocol->alpn) ||
        !watcher_start(settings->loop, &connection->watcher, fd, EPOLLOUT)) {
        connection->watcher.fd = fd;
        watcher_close(&connection->watcher);
        channel_free(&connection->channel);
        free(connection);
        return NULL;
    }
    return connection;
}

/* Outside of its own events a connection has to be told to send; a failure shows as an event of the socket. */
static void connection_kick(struct connection *connection) {
    if (!connection->busy && connection->state == CONNECTION_READY) {
        connection->busy = true;
        bool alive = connection_send(connection);
        connection->busy = false;
        if (!alive) {
            connection_close(connection, connection->failure);
        }
    }
}

bool connection_open_tunnel(struct connection *connection, struct tunnel *tunnel, const struct tunnel_handler *handler,
                            uint16_t target_port) {
    *tunnel = (struct tunnel){.handler = handler, .connection = connection};
    if (connection->state != CONNECTION_READY ||
        !connection->settings->protocol->open_tunnel(connection, tunnel, target_port)) {
        return false;
    }
    connection->served = true;
    connection_kick(connection);
    return true;
}

void connection_shutdown(struct connection *connection) {
    connection->shut = true;
    channel_shutdown(&connection->channel);
    connection_kick(connection);
}

void tunnel_resume(struct tunnel *tunnel) {
    struct connection *connection = tunnel->connection;
    connection->settings->protocol->resume(tunnel);
    connection_kick(connection);
}

void tunnel_opened(struct tunnel *tunnel) {
    tunnel->opened = true;
    tunnel->handler->on_open(tunnel);
}

void tunnel_ended(struct tunnel *tunnel) {
    if (!tunnel->ended_there) {
        tunnel->ended_there = true;
        tunnel->handler->on_end(tunnel);
    }
}

void tunnel_closed(struct tunnel *tunnel, const char *failure) {
    if (failure == NULL && !(tunnel->ended_here && tunnel->ended_there)) {
        failure = "tunnel closed early";
    }
    tunnel->handler->on_close(tunnel, failure);
}
