#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "random.h"
#include "socket.h"

/* Connections taken in one turn of the loop before others get theirs. */
#define ACCEPT_BATCH 64
/* How long accepting rests when even the spare descriptor is gone. */
#define ACCEPT_PAUSE_MS 100

/* --- watched ------------------------------------------------------------------------ */

int watched_init(mqd_watched *watched, mqd_worker *worker, int fd, uv_close_cb closed) {
    watched->worker = worker;
    watched->fd = fd;
    watched->events = 0;
    watched->hung_up = watched->over = false;
    watched->closed = closed;
    watched->poll.data = watched;
    return uv_poll_init_socket(&worker->loop, &watched->poll, fd);
}

void watched_set(mqd_watched *watched, int events, uv_poll_cb callback) {
    if (watched->events == events) {
        return;
    }
    watched->events = events;
    if (events) {
        uv_poll_start(&watched->poll, events, callback);
    } else {
        uv_poll_stop(&watched->poll);
    }
}

void watched_set_peer(mqd_watched *watched, bool reads, bool writes, uv_poll_cb callback) {
    int events = (reads ? UV_READABLE : 0) | (writes ? UV_WRITABLE : 0);
    if (!reads && !watched->hung_up) {
        events |= UV_DISCONNECT;
    }
    if (events == 0 && !watched->over) {
        events = UV_PRIORITIZED; /* an error comes with whatever is asked for */
    }
    watched_set(watched, events, callback);
}

bool watched_take(mqd_watched *watched, int status, int events) {
    worker_now(watched->worker);
    if (status < 0) {
        watched->events = 0; /* libuv has stopped polling */
        watched->hung_up = watched->over = true;
        return false;
    }
    /* A FIN stays to be seen: it is asked for once, and read in its turn. */
    watched->hung_up = watched->hung_up || events & UV_DISCONNECT;
    watched->over = watched->over || !(events & (UV_READABLE | UV_WRITABLE | UV_DISCONNECT));
    return true;
}

void watched_close(mqd_watched *watched, bool reset) {
    /* libuv lets go of the descriptor in uv_close(), so it may be closed at once. */
    uv_close((uv_handle_t *)&watched->poll, watched->closed);
    socket_close(watched->fd, reset);
    watched->fd = -1;
}

/* --- accepting ------------------------------------------------------------------------ */

static void on_listener(uv_poll_t *poll, int status, int events);

static void set_accepting(mqd_worker *worker, bool on) {
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (worker->listeners[i].open) {
            watched_set(&worker->listeners[i].socket, on ? UV_READABLE : 0, on_listener);
        }
    }
}

static void on_pause_over(uv_timer_t *timer) {
    mqd_worker *worker = timer->data;
    if (worker->spare_fd < 0) {
        worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    set_accepting(worker, true);
}

/* No descriptor is left: the waiting client is told by a close, and we don't spin. */
static void refuse_for_lack(mqd_worker *worker, int listener) {
    if (worker->spare_fd >= 0) {
        close(worker->spare_fd);
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            close(fd);
            client_refused(worker, "no descriptor is left");
        }
        worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    if (worker->spare_fd < 0) {
        set_accepting(worker, false);
        uv_timer_start(&worker->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
    }
}

static void on_listener(uv_poll_t *poll, int status, int events) {
    mqd_watched *socket = poll->data;
    mqd_worker *worker = socket->worker;
    const worker_listener *listener = (const worker_listener *)(const void *)socket;
    if (!watched_take(socket, status, events)) {
        watched_set(socket, UV_READABLE, on_listener);
    }
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        int fd = accept4(socket->fd, (struct sockaddr *)&from, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                refuse_for_lack(worker, socket->fd);
            }
            break;
        }
        masque_address address;
        address_from_sockaddr(&address, (struct sockaddr *)&from);
        client_new(worker, fd, &address, listener);
    }
    worker_run(worker);
}

static void on_listener_closed(uv_handle_t *handle) {
    (void)handle; /* lives inside the worker */
}

static void close_listeners(mqd_worker *worker) {
    for (size_t i = 0; i < worker->listener_count; i++) {
        if (worker->listeners[i].open) {
            worker->listeners[i].open = false;
            watched_close(&worker->listeners[i].socket, false);
        }
    }
}

/* --- events ------------------------------------------------------------------------------ */

static void act(mqd_worker *worker, const masque_event *event) {
    switch (event->type) {
    case MASQUE_EVENT_CONN_OUTPUT:
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_CONN_FINISH:
    case MASQUE_EVENT_CONN_END:
        client_event(event);
        break;
    case MASQUE_EVENT_AUTHORIZE:
        break; /* the store of spent tokens knows since it was asked */
    case MASQUE_EVENT_RESOLVE:
        resolver_ask(worker->resolver, event->tunnel, event->text);
        break;
    case MASQUE_EVENT_DIAL:
        target_dial(worker, event);
        break;
    case MASQUE_EVENT_CANCEL_DIAL:
    case MASQUE_EVENT_TUNNEL_OUTPUT:
    case MASQUE_EVENT_TUNNEL_INPUT:
    case MASQUE_EVENT_TUNNEL_FINISH:
    case MASQUE_EVENT_TUNNEL_END:
        target_event(event);
        break;
    case MASQUE_EVENT_PACKETS:
        packets_send(worker);
        break;
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
        break; /* only of connections that we would open */
    }
}

static void stop(mqd_worker *worker) {
    worker->stopped = true;
    uv_stop(&worker->loop);
}

void worker_run(mqd_worker *worker) {
    masque_event event;
    if (worker->stopped) {
        return; /* only closing is left */
    }
    while (masque_next_event(worker->engine, &event)) {
        act(worker, &event);
    }
    if (worker->draining) {
        masque_stats stats;
        masque_engine_stats(worker->engine, &stats);
        if (stats.connections_active == 0) {
            stop(worker);
        }
    }
}

static void on_deadline(uv_timer_t *timer) {
    mqd_worker *worker = timer->data;
    worker->armed = MASQUE_NEVER;
    masque_tick(worker->engine, worker_now(worker));
    worker_run(worker);
}

static void before_poll(uv_prepare_t *prepare) {
    mqd_worker *worker = prepare->data;
    masque_time due = masque_deadline(worker->engine);
    if (due == worker->armed) {
        return;
    }
    worker->armed = due;
    if (due == MASQUE_NEVER) {
        uv_timer_stop(&worker->deadline);
        return;
    }
    masque_time now = worker_now(worker);
    /* Rounded up, so that it is due when the timer fires. */
    uint64_t wait = due > now ? (due - now + MASQUE_MILLISECOND - 1) / MASQUE_MILLISECOND : 0;
    uv_timer_start(&worker->deadline, on_deadline, wait, 0);
}

/* --- commands -------------------------------------------------------------------------------- */

static void use_config(mqd_worker *worker, masque_config *config) {
    int error = masque_engine_set_config(worker->engine, config);
    masque_config_release(config);
    if (error) {
        log_line(&worker->log, MASQUE_LOG_ERROR, "reload-failed", "worker %u keeps the old configuration: %s",
                 worker->number, masque_error_text(error));
    }
}

static void on_wake(uv_async_t *async) {
    mqd_worker *worker = async->data;
    uv_mutex_lock(&worker->lock);
    masque_config *config = worker->new_config;
    bool drain = worker->drain_asked && !worker->draining;
    bool stop_asked = worker->stop_asked;
    worker->new_config = NULL;
    uv_mutex_unlock(&worker->lock);
    if (config) {
        use_config(worker, config);
    }
    if (drain) {
        worker->draining = true;
        uv_timer_stop(&worker->pause);
        close_listeners(worker);
        masque_engine_drain(worker->engine, worker_now(worker));
    }
    if (stop_asked) {
        stop(worker);
        return;
    }
    worker_run(worker);
}

static void on_handed(uv_async_t *async) {
    mqd_worker *worker = async->data;
    worker_now(worker);
    packets_take_handed(worker);
    worker_run(worker);
}

static void on_judged(uv_async_t *async) {
    mqd_worker *worker = async->data;
    size_t count;
    masque_time now = worker_now(worker);
    mqd_verdict *verdicts = verdicts_take(&worker->verdicts, &count);
    for (size_t i = 0; i < count; i++) {
        /* Its tunnel may be gone, which is no fault. */
        masque_authorized(worker->engine, verdicts[i].tunnel, verdicts[i].verdict, now);
    }
    free(verdicts);
    worker_run(worker);
}

static void command(mqd_worker *worker, masque_config *config, bool drain, bool stop_now) {
    uv_mutex_lock(&worker->lock);
    if (config) {
        masque_config_release(worker->new_config);
        worker->new_config = masque_config_retain(config);
    }
    worker->drain_asked = worker->drain_asked || drain;
    worker->stop_asked = worker->stop_asked || stop_now;
    uv_mutex_unlock(&worker->lock);
    uv_async_send(&worker->wake);
}

void worker_set_config(mqd_worker *worker, masque_config *config) {
    command(worker, config, false, false);
}

void worker_drain(mqd_worker *worker) {
    command(worker, NULL, true, false);
}

void worker_stop(mqd_worker *worker) {
    command(worker, NULL, false, true);
}

/* --- life ---------------------------------------------------------------------------------------- */

static void run_thread(void *argument) {
    mqd_worker *worker = argument;
    verdicts_set_own(&worker->verdicts);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    atomic_store(&worker->done, true);
    uv_async_send(worker->tell_done);
}

static void on_engine_log(void *context, const masque_log_record *record) {
    log_record(context, record);
}

static bool init_engine(mqd_worker *worker, const worker_setup *setup, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random, .log = on_engine_log, .context = &worker->log};
    int error = masque_engine_new(&worker->engine, setup->config, &runtime);
    if (error) {
        say(message, "worker %u can't start: %s", setup->number, masque_error_text(error));
        return false;
    }
    masque_engine_set_worker(worker->engine, (uint8_t)setup->number, 0);
    worker->resolver = resolver_new(worker, setup->dns_servers, message);
    return worker->resolver != NULL;
}

static void init_handles(mqd_worker *worker) {
    uv_async_init(&worker->loop, &worker->wake, on_wake);
    uv_async_init(&worker->loop, &worker->handed, on_handed);
    uv_async_init(&worker->loop, &worker->judged, on_judged);
    uv_prepare_init(&worker->loop, &worker->before_poll);
    uv_timer_init(&worker->loop, &worker->deadline);
    uv_timer_init(&worker->loop, &worker->pause);
    uv_timer_init(&worker->loop, &worker->refused_line);
    worker->wake.data = worker->before_poll.data = worker->deadline.data = worker->pause.data = worker;
    worker->refused_line.data = worker->handed.data = worker->judged.data = worker;
    uv_prepare_start(&worker->before_poll, before_poll);
}

/* Behind packets_init(): the answers name its ports. */
static bool init_listeners(mqd_worker *worker, const worker_setup *setup, mqd_message *message) {
    for (size_t i = 0; i < setup->fd_count; i++) {
        worker_listener *listener = &worker->listeners[i];
        if (setup->fds[i] < 0) {
            continue;
        }
        if (watched_init(&listener->socket, worker, setup->fds[i], on_listener_closed) != 0) {
            say(message, "worker %u can't watch a listening socket", setup->number);
            return false;
        }
        listener->protocols = setup->protocols[i] & MASQUE_PROTOCOL_ALL;
        listener->number = (unsigned)i + 1;
        listener->h3_port = worker->udps[i].local.port;
        listener->open = true;
        watched_set(&listener->socket, UV_READABLE, on_listener);
    }
    worker->listener_count = setup->fd_count;
    return true;
}

bool worker_start(mqd_worker *worker, const worker_setup *setup, mqd_message *message) {
    memset(worker, 0, sizeof *worker);
    worker->number = setup->number;
    worker->log = setup->log;
    worker->log.worker = setup->number + 1;
    worker->armed = MASQUE_NEVER;
    worker->tell_done = setup->tell_done;
    worker->handovers = setup->handovers;
    worker->worker_count = setup->worker_count;
    worker->server_number = setup->server_number;
    worker->source = setup->source;
    worker->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    atomic_init(&worker->done, false);
    if (uv_loop_init(&worker->loop) != 0 || uv_mutex_init(&worker->lock) != 0 || !verdicts_init(&worker->verdicts)) {
        say(message, "worker %u can't start: no event loop", setup->number);
        return false;
    }
    init_handles(worker);
    if (!init_engine(worker, setup, message) || !packets_init(worker, setup->udp_fds, setup->fd_count, message) ||
        !init_listeners(worker, setup, message)) {
        return false;
    }
    handover_attach(&worker->handovers[worker->number], &worker->handed);
    verdicts_attach(&worker->verdicts, &worker->judged);
    if (uv_thread_create(&worker->thread, run_thread, worker) != 0) {
        say(message, "worker %u can't start: no thread", setup->number);
        return false;
    }
    return true;
}

static void close_handle(uv_handle_t *handle, void *context) {
    (void)context;
    if (uv_is_closing(handle)) {
        return;
    }
    if (handle->type == UV_POLL) {
        /* A tunnel that is cut must not look complete: it ends with a reset. */
        watched_close(handle->data, true);
        return;
    }
    uv_close(handle, NULL);
}

void worker_join(mqd_worker *worker) {
    uv_thread_join(&worker->thread);
    handover_attach(&worker->handovers[worker->number], NULL);
    verdicts_attach(&worker->verdicts, NULL);
    resolver_del(worker->resolver);
    uv_walk(&worker->loop, close_handle, NULL);
    uv_run(&worker->loop, UV_RUN_DEFAULT);
    uv_loop_close(&worker->loop);
    masque_engine_free(worker->engine);
    masque_config_release(worker->new_config);
    uv_mutex_destroy(&worker->lock);
    if (worker->spare_fd >= 0) {
        close(worker->spare_fd);
    }
}
