/*
 * The event loop and the socket helpers that the load client, the target and
 * the relay share. Level-triggered epoll, one thread, and only 127.0.0.1: a
 * port is all that an address consists of here.
 */
#ifndef BENCH_LOOP_H
#define BENCH_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    IO_BYTES = 256 * 1024, /* one read or write, large enough that system calls don't dominate */
};

/* Embedded first in whatever owns a descriptor. */
struct watcher {
    int fd; /* -1 once closed */
    uint32_t interest;
    void (*on_event)(struct watcher *watcher, uint32_t events);
};

struct loop {
    int epoll;
    bool stopped;
    void **released; /* freed once the current batch of events is through */
    size_t released_count;
    size_t released_capacity;
};

struct listener {
    struct watcher watcher;
    struct loop *loop;
    uint16_t port;
    void *context;
    void (*on_accept)(struct listener *listener, int fd);
};

/* False with errno set. */
bool loop_init(struct loop *loop);
void loop_free(struct loop *loop);

/* Runs until loop_stop(); false when deadline_ns (loop_now) passed first. 0 means no deadline. */
bool loop_run(struct loop *loop, uint64_t deadline_ns);
void loop_stop(struct loop *loop);

/* Frees a block (from malloc) that an event of the same batch may still point into. */
void loop_release(struct loop *loop, void *block);

/* Nanoseconds of the monotonic clock. */
uint64_t loop_now(void);

/* False with errno set; the watcher isn't watched then and keeps its descriptor. */
bool watcher_start(struct loop *loop, struct watcher *watcher, int fd, uint32_t interest);
void watcher_set_interest(struct loop *loop, struct watcher *watcher, uint32_t interest);
void watcher_close(struct watcher *watcher);

/* Listens on a free port of 127.0.0.1, which it notes in port. False with errno set. */
bool listener_start(struct loop *loop, struct listener *listener);

/* A socket that is connecting to 127.0.0.1, or -1 with errno set. */
int socket_connect(uint16_t port);

/* 0 when a connect in progress succeeded, otherwise its errno. */
int socket_error(int fd);

/* A whole decimal number up to max; false for anything else. */
bool parse_number(const char *text, uint64_t max, uint64_t *number);

/* "P1,P2,..." into ports; the count, or 0 when it is no such list. */
size_t parse_ports(const char *text, uint16_t *ports, size_t capacity);

/* This process ends with its parent, and after so many seconds in any case. */
void process_limit_life(unsigned seconds);

#endif
