/*
 * target.c: a target's socket in a worker's loop, from DIAL to TUNNEL_END. While it
 * connects it is an attempt; the one that wins becomes the tunnel's.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "socket.h"
#include "worker.h"

/* What one writev() and one readv() move: 256 KiB in blocks of 16 KiB, and a rest. */
#define PIECES_MAX 20
/* Reads of what a socket with an error still holds. */
#define LAST_READS 64

typedef struct mqd_target {
    mqd_watched socket;
    masque_attempt_id attempt;
    masque_tunnel_id tunnel;
    bool udp;
    bool connected;
    bool reads;
    bool writes;
    bool ended;  /* read() said so */
    bool failed; /* the engine knows */
} mqd_target;

static void on_target(uv_poll_t *poll, int status, int events);

static void poll_target(mqd_target *target) {
    watched_set_peer(&target->socket, target->reads && !target->ended, target->writes, on_target);
}

/* masque_iovec is laid out as struct iovec, by design. */
_Static_assert(sizeof(masque_iovec) == sizeof(struct iovec) &&
                   offsetof(masque_iovec, length) == offsetof(struct iovec, iov_len),
               "masque_iovec must match struct iovec");

static struct iovec *as_iovec(masque_iovec *pieces) {
    return (struct iovec *)(void *)pieces;
}

static void read_target(mqd_target *target) {
    const mqd_worker *worker = target->socket.worker;
    masque_engine *engine = worker->engine;
    masque_iovec pieces[PIECES_MAX];
    size_t count = masque_tunnel_reserve(engine, target->tunnel, pieces, PIECES_MAX);
    if (count == 0) {
        target->reads = false;
        return;
    }
    ssize_t length = readv(target->socket.fd, as_iovec(pieces), (int)count);
    if (length > 0) {
        masque_tunnel_commit(engine, target->tunnel, (size_t)length, worker->now);
    } else if (length == 0) {
        target->ended = true;
        masque_tunnel_finished(engine, target->tunnel, worker->now);
    } else if (errno != EAGAIN && errno != EINTR) {
        target->ended = target->failed = true;
        masque_tunnel_failed(engine, target->tunnel, worker->now);
    }
}

/* The socket has an error. What it had sent before is still there to be read. */
static void fail_target(mqd_target *target) {
    for (int i = 0; i < LAST_READS && target->reads && !target->ended; i++) {
        read_target(target);
    }
    if (!target->failed) {
        target->failed = target->ended = true;
        target->writes = false;
        masque_tunnel_failed(target->socket.worker->engine, target->tunnel, target->socket.worker->now);
    }
}

static size_t total(const masque_iovec *pieces, size_t count) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        length += pieces[i].length;
    }
    return length;
}

static void write_target(mqd_target *target) {
    const mqd_worker *worker = target->socket.worker;
    masque_engine *engine = worker->engine;
    masque_iovec pieces[PIECES_MAX];
    size_t count;
    target->writes = false;
    while ((count = masque_tunnel_pull(engine, target->tunnel, pieces, PIECES_MAX)) > 0) {
        struct msghdr message = {.msg_iov = as_iovec(pieces), .msg_iovlen = count};
        ssize_t length = sendmsg(target->socket.fd, &message, MSG_NOSIGNAL);
        if (length < 0 && errno != EAGAIN && errno != EINTR) {
            fail_target(target);
            return;
        }
        masque_tunnel_pulled(engine, target->tunnel, length > 0 ? (size_t)length : 0, worker->now);
        if (length < (ssize_t)total(pieces, count)) {
            target->writes = true;
            return;
        }
    }
}

/* An error of a UDP socket is ICMP's, and read like a datagram. */
static void move_datagrams(mqd_target *target, bool readable) {
    if (readable) {
        datagrams_read(&target->socket, target->tunnel);
    }
    target->writes = datagrams_write(&target->socket, target->tunnel);
}

static void on_closed(uv_handle_t *handle) {
    free(handle->data);
}

/* The attempt has an outcome. */
static void finish_dial(mqd_target *target) {
    mqd_worker *worker = target->socket.worker;
    masque_dial_result result = socket_connect_result(target->socket.fd);
    target->connected = result == MASQUE_DIAL_OK || result == MASQUE_DIAL_OWN;
    target->reads = target->connected;
    target->writes = false;
    int error = masque_dialed(worker->engine, target->attempt, result, worker_now(worker));
    if (error == MASQUE_ERR_STALE) {
        watched_set(&target->socket, 0, on_target); /* CANCEL_DIAL closes it */
        return;
    }
    if (!target->connected || error) {
        watched_close(&target->socket, false);
        return;
    }
    poll_target(target);
}

static void on_target(uv_poll_t *poll, int status, int events) {
    mqd_target *target = poll->data;
    mqd_worker *worker = target->socket.worker;
    bool sound = watched_take(&target->socket, status, events);
    if (!target->connected) {
        finish_dial(target);
        worker_run(worker);
        return;
    }
    if (target->udp) {
        move_datagrams(target, !sound || events & UV_READABLE);
        poll_target(target);
        worker_run(worker);
        return;
    }
    if (!sound) {
        fail_target(target);
    } else if (events & UV_READABLE) {
        read_target(target);
    }
    if (events & UV_WRITABLE) {
        write_target(target);
    }
    poll_target(target);
    worker_run(worker);
}

void target_dial(mqd_worker *worker, const masque_event *event) {
    bool pending;
    masque_dial_result result;
    int fd = socket_connect(event, &worker->source, &pending, &result);
    mqd_target *target = fd >= 0 ? calloc(1, sizeof *target) : NULL;
    if (fd >= 0 && (!target || watched_init(&target->socket, worker, fd, on_closed) != 0)) {
        free(target);
        close(fd);
        target = NULL;
        result = MASQUE_DIAL_EXHAUSTED;
    }
    if (!target) {
        masque_dialed(worker->engine, event->attempt, result, worker_now(worker));
        return;
    }
    target->udp = event->transport == MASQUE_TRANSPORT_UDP;
    target->attempt = event->attempt;
    target->tunnel = event->tunnel;
    masque_attempt_set_user(worker->engine, event->attempt, target);
    if (!pending) {
        finish_dial(target);
        return;
    }
    target->writes = true;
    poll_target(target);
}

void target_event(const masque_event *event) {
    mqd_target *target = event->user;
    switch (event->type) {
    case MASQUE_EVENT_CANCEL_DIAL:
        watched_close(&target->socket, true);
        return;
    case MASQUE_EVENT_TUNNEL_OUTPUT:
        if (target->udp) {
            move_datagrams(target, false);
        } else {
            write_target(target);
        }
        break;
    case MASQUE_EVENT_TUNNEL_INPUT:
        target->reads = true;
        break;
    case MASQUE_EVENT_TUNNEL_FINISH:
        shutdown(target->socket.fd, SHUT_WR);
        break;
    case MASQUE_EVENT_TUNNEL_END:
        watched_close(&target->socket, event->reset);
        return;
    case MASQUE_EVENT_CONN_OUTPUT:
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_CONN_FINISH:
    case MASQUE_EVENT_CONN_END:
    case MASQUE_EVENT_AUTHORIZE:
    case MASQUE_EVENT_RESOLVE:
    case MASQUE_EVENT_DIAL:
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
        return; /* not a target's */
    }
    poll_target(target);
}
