/*
 * resolver.c: names by c-ares in the worker's loop. AAAA and A are asked together
 * and answered each as it comes (RFC 8305 3). Names are taken as absolute: no
 * search domain turns them into an inside one. What a name resolves to is not
 * judged here; the engine does that for each address.
 */
#include <ares.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "socket.h"
#include "worker.h"

#define TIMEOUT_MS 2000
#define TRIES 3
/* Sockets c-ares may have at once: one a server and protocol, with room to spare. */
#define SOCKETS_MAX 32
#define ADDRESSES_MAX 64

typedef struct resolver_socket {
    mqd_watched socket;
    struct mqd_resolver *resolver;
    bool used;
} resolver_socket;

struct mqd_resolver {
    mqd_worker *worker;
    ares_channel channel;
    uv_timer_t timer;
    resolver_socket *sockets[SOCKETS_MAX];
    unsigned open_questions;
    bool ending;
};

typedef struct mqd_question {
    mqd_resolver *resolver;
    masque_tunnel_id tunnel;
    masque_family family;
} mqd_question;

static void on_timer(uv_timer_t *timer) {
    mqd_resolver *resolver = timer->data;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    worker_run(resolver->worker);
}

/* c-ares looks at its time-outs when we call it; that is often enough at 4 Hz. */
static void set_timer(mqd_resolver *resolver) {
    bool needed = resolver->open_questions > 0 && !resolver->ending;
    if (needed && !uv_is_active((uv_handle_t *)&resolver->timer)) {
        uv_timer_start(&resolver->timer, on_timer, 250, 250);
    } else if (!needed) {
        uv_timer_stop(&resolver->timer);
    }
}

static void on_socket(uv_poll_t *poll, int status, int events) {
    mqd_watched *watched = poll->data;
    mqd_resolver *resolver = ((resolver_socket *)(void *)watched)->resolver;
    ares_socket_t fd = watched->fd;
    bool readable = !watched_take(watched, status, events) || events & UV_READABLE;
    ares_process_fd(resolver->channel, readable ? fd : ARES_SOCKET_BAD, events & UV_WRITABLE ? fd : ARES_SOCKET_BAD);
    set_timer(resolver);
    worker_run(resolver->worker);
}

static void on_socket_closed(uv_handle_t *handle) {
    free(handle->data);
}

static resolver_socket **find_socket(mqd_resolver *resolver, ares_socket_t fd) {
    resolver_socket **vacant = NULL;
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (resolver->sockets[i] && resolver->sockets[i]->socket.fd == fd) {
            return &resolver->sockets[i];
        }
        if (!resolver->sockets[i] && !vacant) {
            vacant = &resolver->sockets[i];
        }
    }
    return vacant;
}

static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable) {
    mqd_resolver *resolver = data;
    resolver_socket **slot = find_socket(resolver, fd);
    if (!slot) {
        return; /* more sockets than c-ares opens for its servers; its time-out answers */
    }
    int events = (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
    if (!*slot && events) {
        *slot = calloc(1, sizeof **slot);
        if (!*slot || watched_init(&(*slot)->socket, resolver->worker, fd, on_socket_closed) != 0) {
            free(*slot);
            *slot = NULL;
            return;
        }
        (*slot)->resolver = resolver;
    }
    if (*slot && events) {
        watched_set(&(*slot)->socket, events, on_socket);
    } else if (*slot) {
        /* c-ares closes its descriptor itself. */
        (*slot)->socket.fd = -1;
        uv_close((uv_handle_t *)&(*slot)->socket.poll, on_socket_closed);
        *slot = NULL;
    }
}

static masque_lookup lookup_of(int status) {
    switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA:
        return MASQUE_LOOKUP_OK;
    case ARES_ENOTFOUND:
        return MASQUE_LOOKUP_NOT_FOUND;
    case ARES_ETIMEOUT:
        return MASQUE_LOOKUP_TIMEOUT;
    default:
        return MASQUE_LOOKUP_FAILED;
    }
}

static void on_answer(void *argument, int status, int timeouts, struct ares_addrinfo *info) {
    mqd_question *question = argument;
    mqd_resolver *resolver = question->resolver;
    masque_address addresses[ADDRESSES_MAX];
    size_t count = 0;
    (void)timeouts;
    for (struct ares_addrinfo_node *node = info ? info->nodes : NULL; node && count < ADDRESSES_MAX;
         node = node->ai_next) {
        count += address_from_sockaddr(&addresses[count], node->ai_addr) ? 1 : 0;
    }
    if (info) {
        ares_freeaddrinfo(info);
    }
    resolver->open_questions--;
    if (!resolver->ending) {
        masque_resolved(resolver->worker->engine, question->tunnel, question->family, lookup_of(status), addresses,
                        count, worker_now(resolver->worker));
        set_timer(resolver);
    }
    free(question);
}

static void ask(mqd_resolver *resolver, masque_tunnel_id tunnel, const char *name, masque_family family) {
    mqd_question *question = malloc(sizeof *question);
    if (!question) {
        masque_resolved(resolver->worker->engine, tunnel, family, MASQUE_LOOKUP_FAILED, NULL, 0,
                        worker_now(resolver->worker));
        return;
    }
    *question = (struct mqd_question){.resolver = resolver, .tunnel = tunnel, .family = family};
    const struct ares_addrinfo_hints hints = {.ai_flags = ARES_AI_NOSORT,
                                              .ai_family = family == MASQUE_IPV6 ? AF_INET6 : AF_INET,
                                              .ai_socktype = SOCK_STREAM};
    resolver->open_questions++;
    ares_getaddrinfo(resolver->channel, name, NULL, &hints, on_answer, question);
}

/* RFC 6761 6.3: these are this machine, no server is asked. (c-ares 1.18 would leak
   the name.) Whether it may be dialed is the policy's matter, as ever. */
static bool is_localhost(const char *name) {
    static const char suffix[] = ".localhost";
    size_t length = strlen(name);
    return strcmp(name, suffix + 1) == 0 ||
           (length >= sizeof suffix && strcmp(name + length - (sizeof suffix - 1), suffix) == 0);
}

static void answer_localhost(mqd_resolver *resolver, masque_tunnel_id tunnel) {
    const masque_address addresses[] = {{.ip = {[15] = 1}, .family = MASQUE_IPV6},
                                        {.ip = {127, 0, 0, 1}, .family = MASQUE_IPV4}};
    masque_engine *engine = resolver->worker->engine;
    masque_resolved(engine, tunnel, MASQUE_IPV6, MASQUE_LOOKUP_OK, addresses, 2, worker_now(resolver->worker));
    masque_resolved(engine, tunnel, MASQUE_IPV4, MASQUE_LOOKUP_OK, addresses, 2, worker_now(resolver->worker));
}

void resolver_ask(mqd_resolver *resolver, masque_tunnel_id tunnel, const char *name) {
    if (resolver->ending) {
        return;
    }
    /* A copy: the first answer may come at once and end the tunnel with its name. */
    char copy[256];
    strncpy(copy, name, sizeof copy - 1);
    copy[sizeof copy - 1] = 0;
    if (is_localhost(copy)) {
        answer_localhost(resolver, tunnel);
        return;
    }
    ask(resolver, tunnel, copy, MASQUE_IPV6);
    ask(resolver, tunnel, copy, MASQUE_IPV4);
    set_timer(resolver);
}

mqd_resolver *resolver_new(mqd_worker *worker, const char *servers, mqd_message *message) {
    mqd_resolver *resolver = calloc(1, sizeof *resolver);
    if (!resolver) {
        say(message, "out of memory");
        return NULL;
    }
    resolver->worker = worker;
    /* Open sockets are kept, so that names resolve when descriptors run out. */
    struct ares_options options = {.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_STAYOPEN,
                                   .timeout = TIMEOUT_MS,
                                   .tries = TRIES,
                                   .sock_state_cb = on_socket_state,
                                   .sock_state_cb_data = resolver};
    int status = ares_init_options(&resolver->channel, &options,
                                   ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    bool opened = status == ARES_SUCCESS;
    if (opened && servers) {
        status = ares_set_servers_ports_csv(resolver->channel, servers);
    }
    if (status != ARES_SUCCESS) {
        say(message, "the resolver can't start: %s", ares_strerror(status));
        if (opened) {
            ares_destroy(resolver->channel);
        }
        free(resolver);
        return NULL;
    }
    uv_timer_init(&worker->loop, &resolver->timer);
    resolver->timer.data = resolver;
    return resolver;
}

static void on_timer_closed(uv_handle_t *handle) {
    free(handle->data);
}

void resolver_del(mqd_resolver *resolver) {
    if (!resolver) {
        return;
    }
    resolver->ending = true;
    ares_destroy(resolver->channel);
    uv_close((uv_handle_t *)&resolver->timer, on_timer_closed);
}
