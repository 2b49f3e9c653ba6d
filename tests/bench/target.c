/*
 * bench_target: the far end of the benchmark's tunnels, started by the driver.
 *
 *   bench_target [--ports N]      prints, a line each: "source P1,P2,...", "sink ...", "echo ..."
 *
 * source   reads a request (size, seed), sends that many bytes of the pattern and their digest, closes
 * sink     reads a request, then that many bytes, answers with their digest, closes
 * echo     sends back what it gets, closes when its peer does
 *
 * Each role has N ports (default 8): proxies connect from one address, and one
 * port alone would run out of ephemeral ports in TIME_WAIT.
 */
#include "loop.h"
#include "payload.h"
#include "unsent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PORTS_MAX = 64,
    LIFE_SECONDS = 4 * 3600,
};

struct role;

struct target {
    struct loop loop;
    struct pattern *pattern;
    uint8_t *scratch; /* IO_BYTES, shared: only one peer is read at a time */
};

struct peer {
    struct watcher watcher;
    struct target *target;
    const struct role *role;
    uint8_t request[REQUEST_BYTES];
    size_t request_length;
    uint64_t done; /* bytes of the pattern sent or received */
    struct digest digest;
    struct unsent unsent;
    bool ending; /* close as soon as nothing is unsent */
};

struct role {
    const char *name;
    /* Bytes arrived; false: the connection is of no use any more. */
    bool (*on_bytes)(struct peer *peer, const uint8_t *bytes, size_t length);
    /* The socket takes bytes and nothing is unsent; may be NULL. */
    bool (*on_room)(struct peer *peer);
};

static uint64_t peer_size(const struct peer *peer) {
    return read_u64(peer->request);
}

static void peer_close(struct peer *peer) {
    watcher_close(&peer->watcher);
    unsent_free(&peer->unsent);
    loop_release(&peer->target->loop, peer);
}

static bool peer_send_digest(struct peer *peer) {
    uint8_t answer[DIGEST_BYTES];
    write_u64(answer, digest_value(&peer->digest));
    peer->ending = true;
    return unsent_send(&peer->unsent, peer->watcher.fd, answer, sizeof(answer));
}

/* Takes the request off the front; the bytes that follow it are left. */
static size_t peer_take_request(struct peer *peer, const uint8_t *bytes, size_t length) {
    size_t room = REQUEST_BYTES - peer->request_length;
    size_t taken = length < room ? length : room;
    memcpy(peer->request + peer->request_length, bytes, taken);
    peer->request_length += taken;
    return taken;
}

static bool source_on_bytes(struct peer *peer, const uint8_t *bytes, size_t length) {
    return peer_take_request(peer, bytes, length) == length;
}

static bool source_on_room(struct peer *peer) {
    if (peer->request_length < REQUEST_BYTES || peer->ending) {
        return true;
    }
    uint64_t left = peer_size(peer) - peer->done;
    if (left == 0) {
        return peer_send_digest(peer);
    }
    const uint8_t *bytes = pattern_slice(peer->target->pattern, read_u64(peer->request + 8), peer->done);
    ssize_t sent = send(peer->watcher.fd, bytes, left < PATTERN_PERIOD ? (size_t)left : PATTERN_PERIOD, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN;
    }
    digest_update(&peer->digest, bytes, (size_t)sent);
    peer->done += (uint64_t)sent;
    return true;
}

static bool sink_on_bytes(struct peer *peer, const uint8_t *bytes, size_t length) {
    size_t taken = peer_take_request(peer, bytes, length);
    if (peer->request_length < REQUEST_BYTES) {
        return true;
    }
    digest_update(&peer->digest, bytes + taken, length - taken);
    peer->done += length - taken;
    return peer->done < peer_size(peer) || peer->ending || peer_send_digest(peer);
}

static bool echo_on_bytes(struct peer *peer, const uint8_t *bytes, size_t length) {
    return unsent_send(&peer->unsent, peer->watcher.fd, bytes, length);
}

/* Reads once; false when the peer is to be closed. */
static bool peer_receive(struct peer *peer) {
    ssize_t got = recv(peer->watcher.fd, peer->target->scratch, IO_BYTES, 0);
    if (got < 0) {
        return errno == EAGAIN;
    }
    if (got == 0) {
        peer->ending = true; /* what is unsent still goes out */
        return peer->unsent.bytes != NULL;
    }
    return peer->role->on_bytes(peer, peer->target->scratch, (size_t)got);
}

static uint32_t peer_interest(const struct peer *peer) {
    if (peer->unsent.bytes != NULL) {
        return EPOLLOUT; /* not reading meanwhile bounds what an echo holds */
    }
    bool source_works = peer->role->on_room != NULL && peer->request_length == REQUEST_BYTES;
    return source_works ? EPOLLIN | EPOLLOUT : EPOLLIN;
}

static void peer_on_event(struct watcher *watcher, uint32_t events) {
    struct peer *peer = (struct peer *)watcher;
    bool alive = true;
    if ((events & EPOLLOUT) != 0 && peer->unsent.bytes != NULL) {
        alive = unsent_flush(&peer->unsent, watcher->fd);
    }
    if (alive && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && peer->unsent.bytes == NULL) {
        alive = peer_receive(peer);
    }
    if (alive && peer->unsent.bytes == NULL && peer->role->on_room != NULL) {
        alive = peer->role->on_room(peer);
    }
    if (!alive || (peer->ending && peer->unsent.bytes == NULL)) {
        peer_close(peer);
        return;
    }
    watcher_set_interest(&peer->target->loop, watcher, peer_interest(peer));
}

static const struct role roles[] = {
    {"source", source_on_bytes, source_on_room},
    {"sink", sink_on_bytes, NULL},
    {"echo", echo_on_bytes, NULL},
};

enum { ROLES = sizeof(roles) / sizeof(roles[0]) };

struct role_listener {
    struct listener listener;
    const struct role *role;
};

static void on_accept(struct listener *listener, int fd) {
    struct peer *peer = calloc(1, sizeof(*peer));
    if (peer == NULL) {
        close(fd);
        return;
    }
    peer->target = listener->context;
    peer->role = ((struct role_listener *)listener)->role;
    peer->watcher.on_event = peer_on_event;
    digest_init(&peer->digest);
    if (!watcher_start(listener->loop, &peer->watcher, fd, EPOLLIN)) {
        peer_close(peer);
    }
}

static bool start_role(struct target *target, struct role_listener *listeners, const struct role *role,
                       uint64_t ports) {
    printf("%s ", role->name);
    for (uint64_t i = 0; i < ports; i++) {
        listeners[i] = (struct role_listener){
            .listener = {.context = target, .on_accept = on_accept},
            .role = role,
        };
        if (!listener_start(&target->loop, &listeners[i].listener)) {
            return false;
        }
        printf("%s%u", i == 0 ? "" : ",", listeners[i].listener.port);
    }
    printf("\n");
    return true;
}

int main(int argc, char **argv) {
    static struct role_listener listeners[ROLES][PORTS_MAX];
    struct target target = {.pattern = pattern_new(), .scratch = malloc(IO_BYTES)};
    uint64_t ports = 8;
    if ((argc != 1 && argc != 3) ||
        (argc == 3 && (strcmp(argv[1], "--ports") != 0 || !parse_number(argv[2], PORTS_MAX, &ports) || ports == 0))) {
        fprintf(stderr, "usage: bench_target [--ports 1..%d]\n", PORTS_MAX);
        return 2;
    }
    process_limit_life(LIFE_SECONDS);
    if (target.pattern == NULL || target.scratch == NULL || !loop_init(&target.loop)) {
        perror("bench_target");
        return 1;
    }
    for (size_t i = 0; i < ROLES; i++) {
        if (!start_role(&target, listeners[i], &roles[i], ports)) {
            perror("bench_target: listen");
            return 1;
        }
    }
    fflush(stdout);
    loop_run(&target.loop, 0); /* until a signal ends it */
    return 0;
}
