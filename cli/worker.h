/*
 * worker.h: one thread, one loop, one engine. Workers share nothing but the
 * sealed configuration; the main thread speaks to them through worker_send(), and
 * packets that came to the wrong one go through handover.h.
 *
 * worker.c: the loop, listening, commands, events. client.c: clients' sockets.
 * packets.c: UDP sockets for QUIC. target.c: targets' sockets. datagrams.c: those of UDP.
 * resolver.c: names.
 */
#ifndef CLI_WORKER_H
#define CLI_WORKER_H

#include <masqueproxy/masqueproxy.h>
#include <stdatomic.h>
#include <uv.h>

#include "handover.h"
#include "log.h"
#include "settings.h"
#include "verdicts.h"

typedef struct mqd_worker mqd_worker;
typedef struct mqd_resolver mqd_resolver;

/* A socket in the loop. Freed after its uv_close(). */
typedef struct mqd_watched {
    uv_poll_t poll;
    mqd_worker *worker;
    int fd;
    int events;         /* what is polled for now */
    bool hung_up;       /* the peer said its end while nothing was read */
    bool over;          /* neither direction lives, or something else that would be told over and over */
    uv_close_cb closed; /* frees what the socket lives in */
} mqd_watched;

typedef struct worker_listener {
    mqd_watched socket;
    unsigned protocols; /* of HTTP over TCP */
    unsigned number;    /* the configuration's: from 1 */
    uint16_t h3_port;   /* where the same listener serves HTTP/3; 0: nowhere */
    bool open;
} worker_listener;

/* A UDP socket, for QUIC. */
typedef struct worker_udp {
    mqd_watched socket;
    masque_address local; /* as bound */
    uint32_t number;      /* its place in mqd_worker.udps */
    bool open;
    bool writes;      /* packets wait for room in it */
    unsigned reads;   /* to be tried at the next callback */
    bool no_segments; /* the system has no UDP_SEGMENT for it */
} worker_udp;

struct mqd_worker {
    unsigned number;
    uv_thread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_prepare_t before_poll; /* arms the timer for the engine's next deadline */
    uv_timer_t deadline;
    uv_timer_t pause;  /* accepting goes on after it */
    masque_time now;   /* when this callback began, or later */
    masque_time armed; /* what the timer waits for */
    masque_engine *engine;
    mqd_resolver *resolver;
    worker_listener listeners[LISTENERS_MAX];
    size_t listener_count;
    worker_udp udps[LISTENERS_MAX];
    mqd_handover *handovers; /* one for each worker */
    size_t worker_count;
    uint32_t server_number;
    source_settings source; /* of sockets to targets */
    uv_async_t handed;      /* something is in ours */
    mqd_verdicts verdicts;
    uv_async_t judged; /* something is in them */
    int spare_fd;      /* given up to be able to refuse when descriptors run out */
    log_options log;
    bool draining;
    bool stopped;
    uv_timer_t refused_line; /* the next line about refused connections waits for it */
    unsigned refused;        /* connections, since the last such line */
    const char *refused_why; /* the last one; static */
    /* From the main thread, under the lock. */
    uv_mutex_t lock;
    masque_config *new_config;
    bool drain_asked;
    bool stop_asked;
    /* To the main thread. */
    atomic_bool done;
    uv_async_t *tell_done;
};

typedef struct worker_setup {
    unsigned number;
    masque_config *config;
    const int *fds;     /* listening sockets of this worker, which owns them; -1: none */
    const int *udp_fds; /* the same for QUIC */
    const unsigned *protocols;
    size_t fd_count;
    mqd_handover *handovers; /* one for each worker, outlive them */
    size_t worker_count;
    uint32_t server_number; /* as the configuration has it */
    source_settings source;
    const char *dns_servers;
    log_options log;
    uv_async_t *tell_done;
} worker_setup;

/* Starts the thread. False with MESSAGE set. */
bool worker_start(mqd_worker *worker, const worker_setup *setup, mqd_message *message);
/* Waits for its end and frees what it held. */
void worker_join(mqd_worker *worker);

/* Main thread's commands. CONFIG is counted. */
void worker_set_config(mqd_worker *worker, masque_config *config);
void worker_drain(mqd_worker *worker);
void worker_stop(mqd_worker *worker);

/* Reads the clock. Within one callback worker->now is good enough. */
static inline masque_time worker_now(mqd_worker *worker) {
    worker->now = uv_hrtime();
    return worker->now;
}

/* Puts FD into the loop; its uv_poll_t's data is the watched. 0 or a uv error. */
int watched_init(mqd_watched *watched, mqd_worker *worker, int fd, uv_close_cb closed);
/* Polls for EVENTS (0: nothing) by CALLBACK; cheap when nothing changes. */
void watched_set(mqd_watched *watched, int events, uv_poll_cb callback);
/* The same for a connection, which is always asked whether its peer is there: without
   it a peer that died while nothing is read would not be noticed. */
void watched_set_peer(mqd_watched *watched, bool reads, bool writes, uv_poll_cb callback);
/* To be called first in such a callback, it reads the clock, too; false: STATUS or EVENTS
   tell of an error. */
bool watched_take(mqd_watched *watched, int status, int events);
/* Ends polling, closes the descriptor and calls `closed` later. */
void watched_close(mqd_watched *watched, bool reset);

/* Takes the engine's events and acts on them. Every callback ends with it. */
void worker_run(mqd_worker *worker);

/* --- client.c: takes over FD of a client that was accepted. */
void client_new(mqd_worker *worker, int fd, const masque_address *address, const worker_listener *listener);
void client_event(const masque_event *event);
/* A client was sent away; WHY is static. */
void client_refused(mqd_worker *worker, const char *why);

/* --- packets.c */
bool packets_init(mqd_worker *worker, const int *fds, size_t count, mqd_message *message);
/* Sends what the engine has. */
void packets_send(mqd_worker *worker);
/* Takes what other workers handed over. */
void packets_take_handed(mqd_worker *worker);

/* --- target.c */
void target_dial(mqd_worker *worker, const masque_event *event);
void target_event(const masque_event *event);

/* --- datagrams.c: the socket of a UDP tunnel. */
void datagrams_read(const mqd_watched *socket, masque_tunnel_id tunnel);
/* True: it is full, and is to be polled for room. */
bool datagrams_write(mqd_watched *socket, masque_tunnel_id tunnel);

/* --- resolver.c */
mqd_resolver *resolver_new(mqd_worker *worker, const char *servers, mqd_message *message);
/* It is freed in the loop's last run. */
void resolver_del(mqd_resolver *resolver);
void resolver_ask(mqd_resolver *resolver, masque_tunnel_id tunnel, const char *name);

#endif
