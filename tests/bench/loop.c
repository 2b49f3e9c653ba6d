/* The event loop and socket helpers; see loop.h. */
#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_PER_WAIT = 256,
    BACKLOG = 4096, /* the kernel's own cap: a burst of tunnels must not wait for a SYN to be sent again */
    ACCEPTS_PER_EVENT = 64,
};

bool loop_init(struct loop *loop) {
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    return loop->epoll >= 0;
}

static void free_released(struct loop *loop) {
    for (size_t i = 0; i < loop->released_count; i++) {
        free(loop->released[i]);
    }
    loop->released_count = 0;
}

void loop_free(struct loop *loop) {
    free_released(loop);
    free(loop->released);
    close(loop->epoll);
}

uint64_t loop_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

bool loop_run(struct loop *loop, uint64_t deadline_ns) {
    struct epoll_event events[EVENTS_PER_WAIT];
    while (!loop->stopped) {
        int timeout_ms = -1;
        if (deadline_ns != 0) {
            uint64_t now = loop_now();
            if (now >= deadline_ns) {
                return false;
            }
            timeout_ms = (int)((deadline_ns - now) / 1000000 % 1000) + 1;
        }
        int count = epoll_wait(loop->epoll, events, EVENTS_PER_WAIT, timeout_ms);
        for (int i = 0; i < count; i++) {
            struct watcher *watcher = events[i].data.ptr;
            if (watcher->fd >= 0) {
                watcher->on_event(watcher, events[i].events);
            }
        }
        free_released(loop);
    }
    return true;
}

void loop_stop(struct loop *loop) {
    loop->stopped = true;
}

void loop_release(struct loop *loop, void *block) {
    if (loop->released_count == loop->released_capacity) {
        size_t capacity = loop->released_capacity == 0 ? 64 : 2 * loop->released_capacity;
        void **released = realloc(loop->released, capacity * sizeof(*released));
        if (released == NULL) {
            return; /* a leak is the lesser evil in a load generator */
        }
        loop->released = released;
        loop->released_capacity = capacity;
    }
    loop->released[loop->released_count++] = block;
}

bool watcher_start(struct loop *loop, struct watcher *watcher, int fd, uint32_t interest) {
    watcher->fd = fd;
    watcher->interest = interest;
    struct epoll_event event = {.events = interest, .data.ptr = watcher};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

void watcher_set_interest(struct loop *loop, struct watcher *watcher, uint32_t interest) {
    if (watcher->fd < 0 || watcher->interest == interest) {
        return;
    }
    watcher->interest = interest;
    struct epoll_event event = {.events = interest, .data.ptr = watcher};
    epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watcher->fd, &event);
}

void watcher_close(struct watcher *watcher) {
    if (watcher->fd >= 0) {
        close(watcher->fd);
        watcher->fd = -1;
    }
}

static void set_no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void accept_all(struct watcher *watcher, uint32_t events) {
    (void)events;
    struct listener *listener = (struct listener *)watcher;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int fd = accept4(watcher->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        set_no_delay(fd);
        listener->on_accept(listener, fd);
    }
}

static struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

bool listener_start(struct loop *loop, struct listener *listener) {
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    listener->loop = loop;
    listener->watcher.on_event = accept_all;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0 ||
        !watcher_start(loop, &listener->watcher, fd, EPOLLIN)) {
        int error = errno;
        close(fd);
        errno = error;
        return false;
    }
    listener->port = ntohs(address.sin_port);
    return true;
}

int socket_connect(uint16_t port) {
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    set_no_delay(fd);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

int socket_error(int fd) {
    int error = 0;
    socklen_t length = sizeof(error);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        return errno;
    }
    return error;
}

bool parse_number(const char *text, uint64_t max, uint64_t *number) {
    char *end = NULL;
    errno = 0;
    if (*text < '0' || *text > '9') {
        return false;
    }
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > max) {
        return false;
    }
    *number = value;
    return true;
}

size_t parse_ports(const char *text, uint16_t *ports, size_t capacity) {
    size_t count = 0;
    while (count < capacity) {
        char *end = NULL;
        if (*text < '0' || *text > '9') {
            return 0;
        }
        unsigned long port = strtoul(text, &end, 10);
        if (port == 0 || port > UINT16_MAX) {
            return 0;
        }
        ports[count++] = (uint16_t)port;
        if (*end == '\0') {
            return count;
        }
        if (*end != ',') {
            return 0;
        }
        text = end + 1;
    }
    return 0;
}

void process_limit_life(unsigned seconds) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    alarm(seconds);
}
