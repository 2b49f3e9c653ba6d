/*
 * examples/epoll.c: a complete forward proxy on Linux's epoll, in one thread. What
 * a host does for the library is all here: sockets, names, time and the signal to
 * stop (host.c only translates). TLS, HTTP, who may and where to is the library's.
 *
 *     epoll LISTEN_PORT CERTIFICATE KEY PRESHARED_KEY [ALLOW_PREFIX]
 *
 * Listens on 127.0.0.1 (port 0: any free one) and prints `ready: 127.0.0.1:PORT`.
 * SIGTERM drains: live tunnels go on, then it exits; a second one kills.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host.h"

#define PIECES_MAX 16    /* of one readv() or writev() */
#define ADDRESSES_MAX 32 /* of one name, both families */

enum role { LISTENER, CLIENT, DIALING, TARGET };

/* A socket in the loop. Clients and targets are the `user` of their events. */
struct peer {
    enum role role;
    int fd;
    uint32_t watched;          /* EPOLLIN, EPOLLOUT */
    bool over;                 /* out of epoll */
    masque_conn_id conn;       /* CLIENT */
    masque_attempt_id attempt; /* DIALING */
    masque_tunnel_id tunnel;   /* DIALING, TARGET */
};

struct proxy {
    masque_engine *engine;
    int epoll;
    struct peer listener;
};

/* --- sockets --------------------------------------------------------------------------- */

static void control(struct proxy *proxy, struct peer *peer, int operation) {
    struct epoll_event event = {.events = peer->watched, .data.ptr = peer};
    host_checked(epoll_ctl(proxy->epoll, operation, peer->fd, &event), "epoll_ctl");
}

/* A socket of which nothing is awaited stays in epoll all the same: EPOLLERR must come. */
static void watch(struct proxy *proxy, struct peer *peer, uint32_t more, uint32_t less) {
    uint32_t events = (peer->watched | more) & ~less;
    if (events != peer->watched && !peer->over) {
        peer->watched = events;
        control(proxy, peer, EPOLL_CTL_MOD);
    }
}

/* Neither direction lives any more; epoll would say so over and over. */
static void forget(struct proxy *proxy, struct peer *peer) {
    if (!peer->over) {
        peer->over = true;
        control(proxy, peer, EPOLL_CTL_DEL);
    }
}

static struct peer *open_peer(struct proxy *proxy, enum role role, int fd, uint32_t watched) {
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) {
        host_fail("peer", "out of memory");
    }
    *peer = (struct peer){.role = role, .fd = fd, .watched = watched};
    control(proxy, peer, EPOLL_CTL_ADD);
    return peer;
}

static void close_peer(struct proxy *proxy, struct peer *peer, bool reset) {
    host_close(peer->fd, reset);
    free(peer);
    if (proxy->listener.fd >= 0) {
        watch(proxy, &proxy->listener, EPOLLIN, 0); /* a descriptor is free, see accept_client() */
    }
}

static bool would_block(void) {
    return errno == EAGAIN || errno == EINTR;
}

/* --- bytes ----------------------------------------------------------------------------- */

static void fail_peer(struct proxy *proxy, struct peer *peer) {
    forget(proxy, peer); /* an …_END event comes */
    peer->role == CLIENT ? masque_conn_failed(proxy->engine, peer->conn, host_now())
                         : masque_tunnel_failed(proxy->engine, peer->tunnel, host_now());
}

static void read_peer(struct proxy *proxy, struct peer *peer) {
    masque_iovec pieces[PIECES_MAX];
    bool is_client = peer->role == CLIENT;
    size_t count = is_client ? masque_conn_reserve(proxy->engine, peer->conn, pieces)
                             : masque_tunnel_reserve(proxy->engine, peer->tunnel, pieces, PIECES_MAX);
    if (count == 0) {
        watch(proxy, peer, 0, EPOLLIN); /* until the next …_INPUT event */
        return;
    }
    ssize_t length = readv(peer->fd, host_iovec(pieces), (int)count);
    if (length < 0 && !would_block()) {
        fail_peer(proxy, peer);
    } else if (length > 0) {
        is_client ? masque_conn_commit(proxy->engine, peer->conn, (size_t)length, host_now())
                  : masque_tunnel_commit(proxy->engine, peer->tunnel, (size_t)length, host_now());
    } else if (length == 0) {
        watch(proxy, peer, 0, EPOLLIN);
        is_client ? masque_conn_finished(proxy->engine, peer->conn, host_now())
                  : masque_tunnel_finished(proxy->engine, peer->tunnel, host_now());
    }
}

/* Writes all the library has for PEER; EPOLLOUT only while the socket takes no more. */
static void write_peer(struct proxy *proxy, struct peer *peer) {
    masque_iovec pieces[PIECES_MAX];
    bool is_client = peer->role == CLIENT;
    for (;;) {
        size_t count = is_client ? masque_conn_pull(proxy->engine, peer->conn, pieces, PIECES_MAX, host_now())
                                 : masque_tunnel_pull(proxy->engine, peer->tunnel, pieces, PIECES_MAX);
        if (count == 0) {
            watch(proxy, peer, 0, EPOLLOUT); /* until the next …_OUTPUT event */
            return;
        }
        ssize_t length = writev(peer->fd, host_iovec(pieces), (int)count);
        if (length < 0) {
            would_block() ? watch(proxy, peer, EPOLLOUT, 0) : fail_peer(proxy, peer);
            return;
        }
        is_client ? masque_conn_pulled(proxy->engine, peer->conn, (size_t)length, host_now())
                  : masque_tunnel_pulled(proxy->engine, peer->tunnel, (size_t)length, host_now());
    }
}

/* --- beginnings ------------------------------------------------------------------------ */

static void accept_client(struct proxy *proxy) {
    masque_address address;
    int fd = host_accept(proxy->listener.fd, &address);
    if (fd < 0) {
        bool exhausted = errno == EMFILE || errno == ENFILE;
        watch(proxy, &proxy->listener, 0, exhausted ? EPOLLIN : 0); /* until a peer is closed */
        return;
    }
    struct peer *client = open_peer(proxy, CLIENT, fd, EPOLLIN);
    int error;
    client->conn = masque_accept(proxy->engine, &address, client, host_now(), &error);
    if (!client->conn) {
        close_peer(proxy, client, true);
    }
}

static void resolve(struct proxy *proxy, const masque_event *event) {
    masque_address addresses[ADDRESSES_MAX];
    size_t count = ADDRESSES_MAX;
    masque_lookup result = host_lookup(event->text, addresses, &count);
    /* Each answer takes the addresses of its family. */
    masque_resolved(proxy->engine, event->tunnel, MASQUE_IPV6, result, addresses, count, host_now());
    masque_resolved(proxy->engine, event->tunnel, MASQUE_IPV4, result, addresses, count, host_now());
}

static void dial(struct proxy *proxy, const masque_event *event) {
    int fd = host_connect(&event->address);
    if (fd < 0) {
        masque_dialed(proxy->engine, event->attempt, host_connected(fd), host_now());
        return;
    }
    struct peer *target = open_peer(proxy, DIALING, fd, EPOLLOUT);
    target->attempt = event->attempt;
    target->tunnel = event->tunnel;
    masque_attempt_set_user(proxy->engine, event->attempt, target);
}

static void finish_dial(struct proxy *proxy, struct peer *target) {
    masque_dial_result result = host_connected(target->fd);
    int error = masque_dialed(proxy->engine, target->attempt, result, host_now());
    if (error == MASQUE_ERR_STALE) {
        return; /* its CANCEL_DIAL is on the way */
    }
    if (error || (result != MASQUE_DIAL_OK && result != MASQUE_DIAL_OWN)) {
        close_peer(proxy, target, false);
        return;
    }
    target->role = TARGET;
    watch(proxy, target, EPOLLIN, EPOLLOUT);
}

/* --- the loop -------------------------------------------------------------------------- */

static void handle_event(struct proxy *proxy, const masque_event *event) {
    struct peer *peer = event->user;
    switch (event->type) {
    case MASQUE_EVENT_CONN_OUTPUT:
    case MASQUE_EVENT_TUNNEL_OUTPUT:
        write_peer(proxy, peer);
        break;
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_TUNNEL_INPUT:
        watch(proxy, peer, EPOLLIN, 0);
        break;
    case MASQUE_EVENT_CONN_FINISH:
    case MASQUE_EVENT_TUNNEL_FINISH:
        shutdown(peer->fd, SHUT_WR);
        break;
    case MASQUE_EVENT_CONN_END:
    case MASQUE_EVENT_TUNNEL_END:
    case MASQUE_EVENT_CANCEL_DIAL:
        close_peer(proxy, peer, event->reset);
        break;
    case MASQUE_EVENT_RESOLVE:
        resolve(proxy, event);
        break;
    case MASQUE_EVENT_DIAL:
        dial(proxy, event);
        break;
    case MASQUE_EVENT_AUTHORIZE: /* only with methods that answer PENDING */
        break;
    }
}

static void serve(struct proxy *proxy, struct peer *peer, uint32_t ready) {
    if (!(ready & peer->watched)) {
        ready &EPOLLERR ? fail_peer(proxy, peer) : forget(proxy, peer);
    }
    if (ready & EPOLLIN) {
        read_peer(proxy, peer); /* first: what a dead peer had sent is still there */
    }
    if (ready & EPOLLOUT && !peer->over) {
        write_peer(proxy, peer);
    }
}

static void handle_socket(struct proxy *proxy, struct peer *peer, uint32_t ready) {
    if (peer->role == LISTENER) {
        accept_client(proxy);
    } else if (peer->role == DIALING) {
        finish_dial(proxy, peer);
    } else {
        serve(proxy, peer, ready);
    }
}

static void run(struct proxy *proxy, const sigset_t *signals_while_waiting) {
    masque_stats stats;
    do {
        /* One socket a round: what happens on it may close and free any other. */
        struct epoll_event ready;
        int timeout = host_milliseconds_until(masque_deadline(proxy->engine));
        if (epoll_pwait(proxy->epoll, &ready, 1, timeout, signals_while_waiting) == 1) {
            handle_socket(proxy, ready.data.ptr, ready.events);
        }
        if (host_was_told_to_stop() && proxy->listener.fd >= 0) {
            close(proxy->listener.fd);
            proxy->listener.fd = -1;
            masque_engine_drain(proxy->engine, host_now());
        }
        masque_tick(proxy->engine, host_now());
        masque_event event;
        while (masque_next_event(proxy->engine, &event)) {
            handle_event(proxy, &event);
        }
        masque_engine_stats(proxy->engine, &stats);
    } while (proxy->listener.fd >= 0 || stats.connections_active > 0);
}

int main(int count, char **arguments) {
    if (count < 5 || count > 6) {
        host_fail("usage", "epoll LISTEN_PORT CERTIFICATE KEY PRESHARED_KEY [ALLOW_PREFIX]");
    }
    sigset_t before;
    host_take_sigterm(&before);
    masque_address own;
    struct proxy proxy = {.epoll = host_checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")};
    proxy.listener = (struct peer){.role = LISTENER, .fd = host_listen(arguments[1], &own)};

    const masque_runtime runtime = {.random = host_random};
    masque_config *config = host_config(&runtime, arguments[2], arguments[3], arguments[5]);
    host_require(masque_config_add_preshared(config, "key", arguments[4], strlen(arguments[4])), "pre-shared key");
    host_require(masque_config_add_own_address(config, &own), "own address");
    host_require(masque_config_seal(config), "configuration");
    host_require(masque_engine_new(&proxy.engine, config, &runtime), "engine");
    masque_config_release(config); /* the engine has its own count */

    proxy.listener.watched = EPOLLIN;
    control(&proxy, &proxy.listener, EPOLL_CTL_ADD);
    printf("ready: 127.0.0.1:%u\n", (unsigned)own.port);
    fflush(stdout);
    run(&proxy, &before);
    masque_engine_free(proxy.engine);
    close(proxy.epoll);
    return 0;
}
