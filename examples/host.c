/* examples/host.c: what is needed beside a loop, on Linux; host.h says what. */
#define _GNU_SOURCE /* accept4() */
#include "host.h"

#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FILE_BYTES_MAX 65536

void host_fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

void host_require(int error, const char *what) {
    if (error) {
        host_fail(what, masque_error_text(error));
    }
}

int host_checked(int result, const char *what) {
    if (result < 0) {
        host_fail(what, strerror(errno));
    }
    return result;
}

masque_time host_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (masque_time)time.tv_sec * MASQUE_SECOND + (masque_time)time.tv_nsec;
}

int host_milliseconds_until(masque_time deadline) {
    if (deadline == MASQUE_NEVER) {
        return -1;
    }
    masque_time now = host_now();
    masque_time left = deadline > now ? deadline - now : 0;
    masque_time rounded_up = (left + MASQUE_MILLISECOND - 1) / MASQUE_MILLISECOND;
    return rounded_up < INT_MAX ? (int)rounded_up : INT_MAX;
}

void host_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    for (size_t done = 0; done < size;) {
        ssize_t length = getrandom(buffer + done, size - done, 0);
        if (length < 0 && errno != EINTR) {
            host_fail("getrandom", strerror(errno)); /* a proxy without randomness must not go on */
        }
        done += length > 0 ? (size_t)length : 0;
    }
}

/* --- configuration --------------------------------------------------------------------- */

static size_t read_file(const char *path, char *bytes) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        host_fail(path, strerror(errno));
    }
    size_t length = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    return length;
}

static void load_certificate(masque_config *config, const char *chain_path, const char *key_path) {
    char chain[FILE_BYTES_MAX];
    char key[FILE_BYTES_MAX];
    size_t chain_length = read_file(chain_path, chain);
    size_t key_length = read_file(key_path, key);
    host_require(masque_config_set_certificate(config, chain, chain_length, key, key_length), "certificate");
    explicit_bzero(key, sizeof key);
}

masque_config *host_config(const masque_runtime *runtime, const char *chain_path, const char *key_path,
                           const char *allow_prefix) {
    masque_config *config = masque_config_new(runtime);
    if (!config) {
        host_fail("configuration", "out of memory");
    }
    load_certificate(config, chain_path, key_path);
    host_require(masque_config_set_udp_template(config, NULL), "no CONNECT-UDP"); /* these hosts dial TCP only */
    if (allow_prefix) {
        masque_target_rule rule;
        const char *reason;
        if (masque_target_rule_parse(&rule, true, allow_prefix, &reason)) {
            host_fail(allow_prefix, reason);
        }
        host_require(masque_config_add_target_rule(config, &rule), allow_prefix);
    }
    return config;
}

/* --- addresses ------------------------------------------------------------------------- */

static masque_address from_sockaddr(const struct sockaddr *from) {
    masque_address address = {.family = MASQUE_FAMILY_NONE};
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof in);
        address = (masque_address){.family = MASQUE_IPV4, .port = ntohs(in.sin_port)};
        memcpy(address.ip, &in.sin_addr, sizeof in.sin_addr);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, from, sizeof in);
        address = (masque_address){.family = MASQUE_IPV6, .port = ntohs(in.sin6_port)};
        memcpy(address.ip, &in.sin6_addr, sizeof in.sin6_addr);
    }
    return address;
}

static socklen_t to_sockaddr(const masque_address *address, struct sockaddr_storage *to) {
    *to = (struct sockaddr_storage){.ss_family = AF_UNSPEC};
    if (address->family == MASQUE_IPV4) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
        memcpy(&in.sin_addr, address->ip, sizeof in.sin_addr);
        memcpy(to, &in, sizeof in);
        return sizeof in;
    }
    struct sockaddr_in6 in = {.sin6_family = AF_INET6, .sin6_port = htons(address->port)};
    memcpy(&in.sin6_addr, address->ip, sizeof in.sin6_addr);
    memcpy(to, &in, sizeof in);
    return sizeof in;
}

/* --- sockets --------------------------------------------------------------------------- */

/* The library writes whole records and wants them sent at once. */
static void set_no_delay(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static uint16_t read_port(const char *text) {
    char *end;
    errno = 0;
    unsigned long port = strtoul(text, &end, 10);
    if (errno || end == text || *end || port > UINT16_MAX) {
        host_fail(text, "expected a port of 0 to 65535");
    }
    return (uint16_t)port;
}

int host_listen(const char *port, masque_address *address) {
    const masque_address loopback = {.family = MASQUE_IPV4, .ip = {127, 0, 0, 1}, .port = read_port(port)};
    struct sockaddr_storage bound;
    socklen_t length = to_sockaddr(&loopback, &bound);
    int on = 1;
    int fd = host_checked(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
    host_checked(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "SO_REUSEADDR");
    host_checked(bind(fd, (struct sockaddr *)&bound, length), "bind");
    host_checked(listen(fd, SOMAXCONN), "listen");
    host_checked(getsockname(fd, (struct sockaddr *)&bound, &length), "getsockname");
    *address = from_sockaddr((struct sockaddr *)&bound);
    return fd;
}

int host_accept(int listener, masque_address *from) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    int fd = accept4(listener, (struct sockaddr *)&storage, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        *from = from_sockaddr((struct sockaddr *)&storage);
        set_no_delay(fd);
    }
    return fd;
}

int host_connect(const masque_address *to) {
    struct sockaddr_storage storage;
    socklen_t length = to_sockaddr(to, &storage);
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    set_no_delay(fd);
    if (connect(fd, (struct sockaddr *)&storage, length) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Is the peer this machine? Then both ends have one address. */
static bool is_own(int fd) {
    struct sockaddr_storage ends[2];
    socklen_t lengths[2] = {sizeof ends[0], sizeof ends[1]};
    if (getsockname(fd, (struct sockaddr *)&ends[0], &lengths[0]) != 0 ||
        getpeername(fd, (struct sockaddr *)&ends[1], &lengths[1]) != 0) {
        return false;
    }
    masque_address here = from_sockaddr((struct sockaddr *)&ends[0]);
    masque_address there = from_sockaddr((struct sockaddr *)&ends[1]);
    return masque_address_same_ip(&here, &there);
}

masque_dial_result host_connected(int fd) {
    int error = errno;
    socklen_t length = sizeof error;
    if (fd >= 0) {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
    switch (error) {
    case 0:
        return is_own(fd) ? MASQUE_DIAL_OWN : MASQUE_DIAL_OK;
    case ECONNREFUSED:
        return MASQUE_DIAL_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
        return MASQUE_DIAL_UNREACHABLE;
    case ETIMEDOUT:
        return MASQUE_DIAL_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
        return MASQUE_DIAL_EXHAUSTED;
    default:
        return MASQUE_DIAL_FAILED;
    }
}

void host_close(int fd, bool reset) {
    if (reset) {
        struct linger none = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    }
    close(fd);
}

/* --- signals ---------------------------------------------------------------------------- */

static volatile sig_atomic_t told_to_stop;

static void on_sigterm(int number) {
    (void)number;
    told_to_stop = 1;
}

void host_take_sigterm(sigset_t *before) {
    const struct sigaction once = {.sa_handler = on_sigterm, .sa_flags = (int)SA_RESETHAND};
    sigset_t term;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, before);
    sigaction(SIGTERM, &once, NULL);
    signal(SIGPIPE, SIG_IGN);
}

bool host_was_told_to_stop(void) {
    return told_to_stop;
}

/* --- names ----------------------------------------------------------------------------- */

masque_lookup host_lookup(const char *name, masque_address *addresses, size_t *count) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    size_t room = *count;
    *count = 0;
    int error = getaddrinfo(name, NULL, &hints, &list);
    if (error) {
        return error == EAI_NONAME ? MASQUE_LOOKUP_NOT_FOUND : MASQUE_LOOKUP_FAILED;
    }
    for (struct addrinfo *at = list; at && *count < room; at = at->ai_next) {
        addresses[(*count)++] = from_sockaddr(at->ai_addr);
    }
    freeaddrinfo(list);
    return MASQUE_LOOKUP_OK;
}
