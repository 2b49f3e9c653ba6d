/*
 * client.c: a client's socket in a worker's loop. Bytes are read into and written
 * from the engine's memory; nothing is kept here but what is polled for.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"
#include "worker.h"

/* Reads of what a socket with an error still holds. */
#define LAST_READS 64
#define REFUSED_LINE_MS 1000

typedef struct mqd_client {
    mqd_watched socket;
    masque_conn_id conn;
    bool reads;  /* the engine takes input */
    bool writes; /* a write was short */
    bool ended;  /* read() said so */
} mqd_client;

static void on_client(uv_poll_t *poll, int status, int events);

static void poll_client(mqd_client *client) {
    watched_set_peer(&client->socket, client->reads && !client->ended, client->writes, on_client);
}

static void read_client(mqd_client *client) {
    mqd_worker *worker = client->socket.worker;
    masque_iovec piece;
    if (!masque_conn_reserve(worker->engine, client->conn, &piece)) {
        client->reads = false;
        return;
    }
    ssize_t count = read(client->socket.fd, piece.base, piece.length);
    if (count > 0) {
        masque_conn_commit(worker->engine, client->conn, (size_t)count, worker->now);
    } else if (count == 0) {
        client->ended = true;
        masque_conn_finished(worker->engine, client->conn, worker->now);
    } else if (errno != EAGAIN && errno != EINTR) {
        client->ended = true;
        masque_conn_failed(worker->engine, client->conn, worker->now);
    }
}

static void write_client(mqd_client *client) {
    mqd_worker *worker = client->socket.worker;
    masque_iovec piece;
    client->writes = false;
    while (masque_conn_pull(worker->engine, client->conn, &piece, 1, worker->now) > 0) {
        ssize_t count = send(client->socket.fd, piece.base, piece.length, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN && errno != EINTR) {
            masque_conn_failed(worker->engine, client->conn, worker->now);
            return;
        }
        masque_conn_pulled(worker->engine, client->conn, count > 0 ? (size_t)count : 0, worker->now);
        if (count < (ssize_t)piece.length) {
            client->writes = true;
            return;
        }
    }
}

/* The socket has an error: neither direction works any more. */
static void fail_client(mqd_client *client) {
    /* What it had sent before is still there to be read: perhaps its orderly end. */
    for (int i = 0; i < LAST_READS && client->reads && !client->ended; i++) {
        read_client(client);
    }
    client->ended = true;
    client->writes = false;
    masque_conn_failed(client->socket.worker->engine, client->conn, client->socket.worker->now);
}

static void on_client(uv_poll_t *poll, int status, int events) {
    mqd_client *client = poll->data;
    mqd_worker *worker = client->socket.worker;
    if (!watched_take(&client->socket, status, events)) {
        fail_client(client);
    } else if (events & UV_READABLE) {
        read_client(client);
    }
    if (events & UV_WRITABLE) {
        write_client(client);
    }
    poll_client(client);
    worker_run(worker);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

void client_event(const masque_event *event) {
    mqd_client *client = event->user;
    switch (event->type) {
    case MASQUE_EVENT_CONN_OUTPUT:
        write_client(client);
        break;
    case MASQUE_EVENT_CONN_INPUT:
        client->reads = true;
        break;
    case MASQUE_EVENT_CONN_FINISH:
        shutdown(client->socket.fd, SHUT_WR);
        client->reads = true;
        break;
    case MASQUE_EVENT_CONN_END:
        watched_close(&client->socket, event->reset);
        return;
    case MASQUE_EVENT_AUTHORIZE:
    case MASQUE_EVENT_RESOLVE:
    case MASQUE_EVENT_DIAL:
    case MASQUE_EVENT_CANCEL_DIAL:
    case MASQUE_EVENT_TUNNEL_OUTPUT:
    case MASQUE_EVENT_TUNNEL_INPUT:
    case MASQUE_EVENT_TUNNEL_FINISH:
    case MASQUE_EVENT_TUNNEL_END:
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
        return; /* not a client's */
    }
    poll_client(client);
}

static void on_refused_line(uv_timer_t *timer);

/* One line a second at most, however many there are; none goes uncounted. */
static void log_refused(mqd_worker *worker) {
    log_line(&worker->log, MASQUE_LOG_WARNING, "connection-refused", "%s (%u)", worker->refused_why, worker->refused);
    worker->refused = 0;
    uv_timer_start(&worker->refused_line, on_refused_line, REFUSED_LINE_MS, 0);
}

static void on_refused_line(uv_timer_t *timer) {
    mqd_worker *worker = timer->data;
    if (worker->refused > 0) {
        log_refused(worker);
    }
}

void client_refused(mqd_worker *worker, const char *why) {
    worker->refused++;
    worker->refused_why = why;
    if (!uv_is_active((uv_handle_t *)&worker->refused_line)) {
        log_refused(worker);
    }
}

void client_new(mqd_worker *worker, int fd, const masque_address *address, const worker_listener *listener) {
    mqd_client *client = calloc(1, sizeof *client);
    int error;
    if (!client || watched_init(&client->socket, worker, fd, on_closed) != 0) {
        free(client);
        close(fd);
        client_refused(worker, masque_error_text(MASQUE_ERR_NO_MEMORY));
        return;
    }
    socket_tune(fd);
    client->conn = masque_accept(worker->engine, address, client, worker->now, &error);
    if (!client->conn) {
        client_refused(worker, masque_error_text(error));
        watched_close(&client->socket, false);
        return;
    }
    if (masque_conn_set_listener(worker->engine, client->conn, listener->number) != 0) {
        masque_conn_failed(worker->engine, client->conn, worker->now);
        return;
    }
    masque_conn_set_protocols(worker->engine, client->conn, listener->protocols);
    masque_conn_set_h3_port(worker->engine, client->conn, listener->h3_port);
    client->reads = true;
    poll_client(client);
}
