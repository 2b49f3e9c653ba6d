/*
 * bench_relay: the floor of the benchmark, a plain TCP relay with read and
 * write through a 256 KiB buffer. Started by the driver in the place of a
 * proxy: what a proxy costs above it is TLS, HTTP and itself.
 *
 *   bench_relay P1,P2,...         relays to these ports of 127.0.0.1; prints "relay Q1,Q2,..."
 */
#include "loop.h"
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

struct relay {
    struct loop loop;
    uint8_t *scratch; /* IO_BYTES, shared by all pairs */
};

struct forwarding {
    struct listener listener;
    uint16_t target_port;
};

struct pair;

struct side {
    struct watcher watcher;
    struct pair *pair;
    struct side *other;
    struct unsent unsent; /* towards this side; its other side isn't read meanwhile */
    bool connecting;
    bool ended;       /* this side sent its end */
    bool end_is_sent; /* this side was told the other's end */
};

struct pair {
    struct side client;
    struct side target;
    struct relay *relay;
};

static void pair_close(struct pair *pair) {
    watcher_close(&pair->client.watcher);
    watcher_close(&pair->target.watcher);
    unsent_free(&pair->client.unsent);
    unsent_free(&pair->target.unsent);
    loop_release(&pair->relay->loop, pair);
}

/* One read here, one write on the other side. */
static bool side_relay(struct side *side) {
    uint8_t *scratch = side->pair->relay->scratch;
    ssize_t got = recv(side->watcher.fd, scratch, IO_BYTES, 0);
    if (got < 0) {
        return errno == EAGAIN;
    }
    if (got == 0) {
        side->ended = true;
        return true;
    }
    return unsent_send(&side->other->unsent, side->other->watcher.fd, scratch, (size_t)got);
}

static void side_pass_end(struct side *side) {
    if (side->other->ended && !side->end_is_sent && side->unsent.bytes == NULL && !side->connecting) {
        shutdown(side->watcher.fd, SHUT_WR);
        side->end_is_sent = true;
    }
}

static void side_update_interest(struct side *side) {
    bool reads = !side->ended && side->other->unsent.bytes == NULL && !side->other->connecting && !side->connecting;
    bool writes = side->connecting || side->unsent.bytes != NULL;
    watcher_set_interest(&side->pair->relay->loop, &side->watcher, (reads ? EPOLLIN : 0) | (writes ? EPOLLOUT : 0));
}

static bool side_work(struct side *side, uint32_t events) {
    if (side->connecting) {
        side->connecting = false;
        return socket_error(side->watcher.fd) == 0;
    }
    if (side->unsent.bytes != NULL && (events & EPOLLOUT) != 0 && !unsent_flush(&side->unsent, side->watcher.fd)) {
        return false;
    }
    bool reads = (side->watcher.interest & EPOLLIN) != 0;
    if (reads && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        return side_relay(side);
    }
    return (events & EPOLLERR) == 0;
}

static void side_on_event(struct watcher *watcher, uint32_t events) {
    struct side *side = (struct side *)watcher;
    struct pair *pair = side->pair;
    bool alive = side_work(side, events);
    if (alive) {
        side_pass_end(&pair->client);
        side_pass_end(&pair->target);
    }
    if (!alive || (pair->client.end_is_sent && pair->target.end_is_sent)) {
        pair_close(pair);
        return;
    }
    side_update_interest(&pair->client);
    side_update_interest(&pair->target);
}

static void on_accept(struct listener *listener, int fd) {
    struct pair *pair = calloc(1, sizeof(*pair));
    int target_fd = socket_connect(((struct forwarding *)listener)->target_port);
    if (pair == NULL || target_fd < 0) {
        free(pair);
        close(fd);
        if (target_fd >= 0) {
            close(target_fd);
        }
        return;
    }
    pair->relay = listener->context;
    pair->client = (struct side){.watcher.on_event = side_on_event, .pair = pair, .other = &pair->target};
    pair->target =
        (struct side){.watcher.on_event = side_on_event, .pair = pair, .other = &pair->client, .connecting = true};
    bool watched = watcher_start(listener->loop, &pair->client.watcher, fd, 0);
    watched = watcher_start(listener->loop, &pair->target.watcher, target_fd, EPOLLOUT) && watched;
    if (!watched) {
        pair_close(pair);
    }
}

int main(int argc, char **argv) {
    static struct forwarding forwardings[PORTS_MAX];
    uint16_t ports[PORTS_MAX];
    struct relay relay = {.scratch = malloc(IO_BYTES)};
    size_t count = argc == 2 ? parse_ports(argv[1], ports, PORTS_MAX) : 0;
    if (count == 0) {
        fprintf(stderr, "usage: bench_relay PORT[,PORT...]\n");
        return 2;
    }
    process_limit_life(LIFE_SECONDS);
    if (relay.scratch == NULL || !loop_init(&relay.loop)) {
        perror("bench_relay");
        return 1;
    }
    printf("relay ");
    for (size_t i = 0; i < count; i++) {
        forwardings[i] = (struct forwarding){
            .listener = {.context = &relay, .on_accept = on_accept},
            .target_port = ports[i],
        };
        if (!listener_start(&relay.loop, &forwardings[i].listener)) {
            perror("bench_relay: listen");
            return 1;
        }
        printf("%s%u", i == 0 ? "" : ",", forwardings[i].listener.port);
    }
    printf("\n");
    fflush(stdout);
    loop_run(&relay.loop, 0); /* until a signal ends it */
    return 0;
}
