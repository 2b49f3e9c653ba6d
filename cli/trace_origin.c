#include "trace_origin.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

#include "socket.h"

#define REQUEST_MAX 8192
#define BODY_MAX 1024
#define PATIENCE_S 5
/* Beyond so many at once clients are sent away. */
#define CLIENTS_MAX 64

struct trace_origin {
    WOLFSSL_CTX *ctx;
    masque_pools *pools; /* or NULL */
    atomic_int clients;
};

/* A connection, in a thread of its own. */
typedef struct trace_visit {
    trace_origin *origin;
    int fd;
    masque_address peer;
} trace_visit;

/* The value of a header field, or "". Good enough for a host and a user agent. */
static void find_field(const char *request, const char *name, char *value, size_t size) {
    char pattern[40];
    snprintf(pattern, sizeof pattern, "\r\n%s:", name);
    const char *at = strcasestr(request, pattern);
    value[0] = 0;
    if (!at) {
        return;
    }
    at += strlen(pattern);
    at += strspn(at, " \t");
    size_t length = strcspn(at, "\r\n");
    snprintf(value, size, "%.*s", (int)(length < size ? length : size - 1), at);
}

static int write_body(char *body, size_t size, const trace_visit *visit, const char *request, const char *version) {
    char host[100];
    char agent[200];
    char ip[MASQUE_ADDRESS_TEXT_MAX];
    struct timespec now;
    masque_address address = visit->peer;
    masque_pool_prefix prefix = {.country = ""};
    address.port = 0;
    masque_address_format(&address, ip, sizeof ip);
    find_field(request, "host", host, sizeof host);
    find_field(request, "user-agent", agent, sizeof agent);
    clock_gettime(CLOCK_REALTIME, &now);
    if (visit->origin->pools) {
        (void)masque_pools_find(visit->origin->pools, &address, &prefix);
    }
    /* XX is ISO 3166's user-assigned code, here for what is not known. */
    return snprintf(body, size,
                    "fl=masqueproxy\nh=%s\nip=%s\nts=%lld.%03ld\nvisit_scheme=https\nuag=%s\ncolo=XXX\nhttp=http/1.1\n"
                    "loc=%s\ntls=%s\n",
                    host, ip, (long long)now.tv_sec, now.tv_nsec / 1000000, agent,
                    prefix.country[0] ? prefix.country : "XX", version);
}

static void answer(WOLFSSL *ssl, const trace_visit *visit, const char *request) {
    char body[BODY_MAX];
    char head[200];
    bool known = strncmp(request, "GET /cdn-cgi/trace ", 19) == 0;
    int length = write_body(body, sizeof body, visit, request, wolfSSL_get_version(ssl));
    if (!known) {
        length = snprintf(body, sizeof body, "Nothing here but /cdn-cgi/trace.\n");
    }
    int head_length = snprintf(head, sizeof head,
                               "HTTP/1.1 %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n"
                               "connection: close\r\n\r\n",
                               known ? "200 OK" : "404 Not Found", length);
    if (wolfSSL_write(ssl, head, head_length) == head_length) {
        wolfSSL_write(ssl, body, length);
    }
}

static void converse(WOLFSSL *ssl, const trace_visit *visit) {
    char request[REQUEST_MAX + 1];
    int used = 0;
    if (wolfSSL_accept(ssl) != WOLFSSL_SUCCESS) {
        return;
    }
    request[0] = 0;
    while (used < REQUEST_MAX && !strstr(request, "\r\n\r\n")) {
        int count = wolfSSL_read(ssl, request + used, REQUEST_MAX - used);
        if (count <= 0) {
            return;
        }
        used += count;
        request[used] = 0;
    }
    answer(ssl, visit, request);
    wolfSSL_shutdown(ssl);
}

static void *serve(void *argument) {
    trace_visit *visit = argument;
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(visit->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(visit->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    WOLFSSL *ssl = wolfSSL_new(visit->origin->ctx);
    if (ssl && wolfSSL_set_fd(ssl, visit->fd) == WOLFSSL_SUCCESS) {
        converse(ssl, visit);
    }
    wolfSSL_free(ssl);
    close(visit->fd);
    atomic_fetch_sub(&visit->origin->clients, 1);
    free(visit);
    return NULL;
}

/* Takes FD over. */
static void welcome(trace_origin *origin, int fd, const masque_address *peer) {
    trace_visit *visit = atomic_fetch_add(&origin->clients, 1) < CLIENTS_MAX ? malloc(sizeof *visit) : NULL;
    pthread_t thread;
    if (visit) {
        visit->origin = origin;
        visit->fd = fd;
        visit->peer = *peer;
    }
    if (!visit || pthread_create(&thread, NULL, serve, visit) != 0) {
        atomic_fetch_sub(&origin->clients, 1);
        free(visit);
        close(fd);
        return;
    }
    pthread_detach(thread);
}

/* IPv4 on a socket for both families. */
static void unmap(masque_address *address) {
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (address->family == MASQUE_IPV6 && memcmp(address->ip, prefix, sizeof prefix) == 0) {
        address->family = MASQUE_IPV4;
        memmove(address->ip, address->ip + 12, 4);
        memset(address->ip + 4, 0, 12);
    }
}

static void take_client(trace_origin *origin, int listener) {
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    masque_address peer;
    int fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
    if (fd >= 0 && address_from_sockaddr(&peer, (struct sockaddr *)&from)) {
        unmap(&peer);
        welcome(origin, fd, &peer);
    } else if (fd >= 0) {
        close(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        poll(NULL, 0, 100); /* until a client is gone */
    }
}

void trace_origin_run(trace_origin *origin, const int *fds, size_t count) {
    struct pollfd waits[TRACE_LISTENERS_MAX];
    for (size_t i = 0; i < count; i++) {
        waits[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    }
    for (;;) {
        poll(waits, (nfds_t)count, -1);
        for (size_t i = 0; i < count; i++) {
            if (waits[i].revents) {
                take_client(origin, fds[i]);
            }
        }
    }
}

trace_origin *trace_origin_new(const char *certificate, const char *private_key, masque_pools *pools,
                               mqd_message *message) {
    trace_origin *origin = calloc(1, sizeof *origin);
    WOLFSSL_CTX *ctx = origin ? wolfSSL_CTX_new(wolfSSLv23_server_method()) : NULL;
    if (ctx && wolfSSL_CTX_use_certificate_chain_file(ctx, certificate) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_use_PrivateKey_file(ctx, private_key, WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
        wolfSSL_CTX_check_private_key(ctx) == WOLFSSL_SUCCESS) {
        origin->ctx = ctx;
        origin->pools = pools;
        return origin;
    }
    say(message, "the trace origin can't use the certificate %.200s with the private key %.200s", certificate,
        private_key);
    wolfSSL_CTX_free(ctx);
    free(origin);
    return NULL;
}
