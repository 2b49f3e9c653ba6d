#include "trace_origin.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

#include "socket.h"

#define REQUEST_MAX 8192
#define BODY_MAX 1024
#define PATIENCE_S 5

typedef struct mqd_origin {
    int fd;
    WOLFSSL_CTX *ctx;
    uv_thread_t thread;
} mqd_origin;

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

static int write_body(char *body, size_t size, const masque_address *peer, const char *request, const char *version) {
    char host[100];
    char agent[200];
    char ip[MASQUE_ADDRESS_TEXT_MAX];
    struct timespec now;
    masque_address address = *peer;
    address.port = 0;
    masque_address_format(&address, ip, sizeof ip);
    find_field(request, "host", host, sizeof host);
    find_field(request, "user-agent", agent, sizeof agent);
    clock_gettime(CLOCK_REALTIME, &now);
    /* Where an address lies is not known here: XX is ISO 3166's user-assigned code. */
    return snprintf(body, size,
                    "fl=quickstart\nh=%s\nip=%s\nts=%lld.%03ld\nvisit_scheme=https\nuag=%s\ncolo=XXX\nhttp=http/1.1\n"
                    "loc=XX\ntls=%s\n",
                    host, ip, (long long)now.tv_sec, now.tv_nsec / 1000000, agent, version);
}

static void answer(WOLFSSL *ssl, const masque_address *peer, const char *request) {
    char body[BODY_MAX];
    char head[200];
    bool known = strncmp(request, "GET /cdn-cgi/trace ", 19) == 0;
    int length = write_body(body, sizeof body, peer, request, wolfSSL_get_version(ssl));
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

static void converse(WOLFSSL *ssl, const masque_address *peer) {
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
    answer(ssl, peer, request);
    wolfSSL_shutdown(ssl);
}

static void serve(const mqd_origin *origin, int fd, const masque_address *peer) {
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    WOLFSSL *ssl = wolfSSL_new(origin->ctx);
    if (ssl && wolfSSL_set_fd(ssl, fd) == WOLFSSL_SUCCESS) {
        converse(ssl, peer);
    }
    wolfSSL_free(ssl);
    close(fd);
}

static void run(void *argument) {
    mqd_origin *origin = argument;
    for (;;) {
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        struct pollfd wait = {.fd = origin->fd, .events = POLLIN};
        poll(&wait, 1, -1);
        int fd = accept4(origin->fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
        masque_address peer;
        if (fd >= 0 && address_from_sockaddr(&peer, (struct sockaddr *)&from)) {
            serve(origin, fd, &peer);
        } else if (fd >= 0) {
            close(fd);
        }
    }
}

bool trace_origin_start(int fd, const char *certificate, const char *private_key, mqd_message *message) {
    mqd_origin *origin = calloc(1, sizeof *origin);
    bool ready = origin != NULL;
    if (ready) {
        origin->fd = fd;
        origin->ctx = wolfSSL_CTX_new(wolfSSLv23_server_method());
        ready = origin->ctx && wolfSSL_CTX_use_certificate_chain_file(origin->ctx, certificate) == WOLFSSL_SUCCESS &&
                wolfSSL_CTX_use_PrivateKey_file(origin->ctx, private_key, WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
                uv_thread_create(&origin->thread, run, origin) == 0;
    }
    if (!ready) {
        say(message, "the quick start's origin can't use %.200s and %.200s", certificate, private_key);
        close(fd);
    }
    return ready;
}
