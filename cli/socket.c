#include "socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "random.h"

#define BACKLOG 4096
/* The default holds a few milliseconds at 1 Gbit/s; the system may give less. */
#define UDP_BUFFER 4194304
/* Ports of our own choice that are tried at one address. */
#define PORT_TRIES 32

bool address_from_sockaddr(masque_address *address, const struct sockaddr *from) {
    *address = (masque_address){.family = MASQUE_FAMILY_NONE};
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)(const void *)from;
        address->family = MASQUE_IPV4;
        memcpy(address->ip, &ipv4->sin_addr, 4);
        address->port = ntohs(ipv4->sin_port);
        return true;
    }
    if (from->sa_family != AF_INET6) {
        return false;
    }
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)(const void *)from;
    address->port = ntohs(ipv6->sin6_port);
    address->family = MASQUE_IPV6;
    memcpy(address->ip, ipv6->sin6_addr.s6_addr, sizeof address->ip);
    return true;
}

socklen_t address_to_sockaddr(const masque_address *address, struct sockaddr_storage *to) {
    memset(to, 0, sizeof *to);
    if (address->family == MASQUE_IPV4) {
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)to;
        ipv4->sin_family = AF_INET;
        memcpy(&ipv4->sin_addr, address->ip, 4);
        ipv4->sin_port = htons(address->port);
        return sizeof *ipv4;
    }
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)to;
    ipv6->sin6_family = AF_INET6;
    memcpy(&ipv6->sin6_addr, address->ip, 16);
    ipv6->sin6_port = htons(address->port);
    return sizeof *ipv6;
}

static void set_option(int fd, int level, int name, int value) {
    /* None of the options we set is worth failing for. */
    (void)setsockopt(fd, level, name, &value, sizeof value);
}

/* A socket of TYPE, bound; or -1 with MESSAGE set. */
static int bind_socket(const masque_address *address, int type, bool shared, mqd_message *message) {
    struct sockaddr_storage storage;
    socklen_t length = address_to_sockaddr(address, &storage);
    char text[MASQUE_ADDRESS_TEXT_MAX];
    masque_address_format(address, text, sizeof text);
    int fd = socket(storage.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        say(message, "can't make a socket for %s: %s", text, strerror(errno));
        return -1;
    }
    if (type == SOCK_STREAM) {
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    }
    if (shared) {
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (storage.ss_family == AF_INET6) {
        static const uint8_t any[16];
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, memcmp(address->ip, any, sizeof any) != 0);
    }
    bool bound = bind(fd, (struct sockaddr *)&storage, length) == 0;
    if (!bound || (type == SOCK_STREAM && listen(fd, BACKLOG) != 0)) {
        const char *remedy = errno == EADDRINUSE      ? "; another program listens there; stop it or listen elsewhere"
                             : errno == EACCES        ? "; ports below 1024 need root or CAP_NET_BIND_SERVICE"
                             : errno == EADDRNOTAVAIL ? "; this machine doesn't have that address"
                                                      : "";
        say(message, "can't listen on %s: %s%s", text, strerror(errno), remedy);
        close(fd);
        return -1;
    }
    return fd;
}

int socket_listen(const masque_address *address, bool shared, mqd_message *message) {
    return bind_socket(address, SOCK_STREAM, shared, message);
}

/* Never fragments (RFC 9298 5), and reads and writes in bursts. */
static void tune_udp(int fd) {
    set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
    set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE);
    set_option(fd, IPPROTO_UDP, UDP_GRO, 1);
    set_option(fd, SOL_SOCKET, SO_RCVBUF, UDP_BUFFER);
    set_option(fd, SOL_SOCKET, SO_SNDBUF, UDP_BUFFER);
}

int socket_bind_udp(const masque_address *address, bool shared, mqd_message *message) {
    int fd = bind_socket(address, SOCK_DGRAM, shared, message);
    if (fd < 0) {
        return -1;
    }
    /* An IPv6 socket may carry IPv4 as well; for an IPv4 socket IPv6's options fail, harmlessly. */
    set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
    set_option(fd, IPPROTO_IP, IP_RECVTOS, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
    tune_udp(fd);
    return fd;
}

static void map_to_ipv6(masque_address *address) {
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    if (address->family == MASQUE_IPV4) {
        memcpy(address->ip + 12, address->ip, 4);
        memcpy(address->ip, prefix, sizeof prefix);
        address->family = MASQUE_IPV6;
    }
}

socklen_t udp_peer(struct sockaddr_storage *to, masque_packets *packets, uint8_t family) {
    masque_address remote = packets->remote;
    if (family == MASQUE_IPV6) {
        map_to_ipv6(&remote);
        map_to_ipv6(&packets->local);
    }
    return address_to_sockaddr(&remote, to);
}

void socket_tune(int fd) {
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 20);
    set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

static masque_dial_result result_of(int error) {
    switch (error) {
    case 0:
        return MASQUE_DIAL_OK;
    case ECONNREFUSED:
        return MASQUE_DIAL_REFUSED;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EAFNOSUPPORT:
    case EACCES: /* a broadcast address, or a local firewall */
    case EPERM:
        return MASQUE_DIAL_UNREACHABLE;
    case ETIMEDOUT:
        return MASQUE_DIAL_TIMEOUT;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
    case EADDRNOTAVAIL:
    case EAGAIN:
        return MASQUE_DIAL_EXHAUSTED;
    default:
        return MASQUE_DIAL_FAILED;
    }
}

static void free_source(int fd) {
    set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
    set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
}

static bool set_port_range(int fd, const source_settings *options) {
    uint32_t range = (uint32_t)options->port_last << 16 | options->port_first;
    return setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof range) == 0;
}

/* Linux has it since 6.3, for parts of the range that is everybody's (ip(7)). */
void socket_prepare_source(source_settings *options) {
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    unsigned first = 0, last = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    options->ports_by_system = file && fd >= 0 && fscanf(file, "%u %u", &first, &last) == 2 &&
                               first <= options->port_first && options->port_last <= last &&
                               set_port_range(fd, options);
    if (file) {
        fclose(file);
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* What it can't be is clear in connect() at the latest: connections to other targets may have the port as well. */
static uint16_t any_port(const source_settings *options) {
    uint32_t number = 0;
    system_random(NULL, (uint8_t *)&number, sizeof number);
    return (uint16_t)(options->port_first + number % (options->port_last - options->port_first + 1u));
}

static int open_dial(const masque_event *dial) {
    bool udp = dial->transport == MASQUE_TRANSPORT_UDP;
    int family = dial->address.family == MASQUE_IPV4 ? AF_INET : AF_INET6;
    int fd = socket(family, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (udp ? tune_udp : socket_tune)(fd);
    }
    return fd;
}

/* *CHOOSES: the port is ours to choose, and another one may be free. Returns 0, or errno. */
static int bind_source(int fd, const masque_event *dial, const source_settings *options, bool *chooses) {
    struct sockaddr_storage from;
    masque_address source = dial->source;
    if (options->freebind) {
        free_source(fd);
    }
    *chooses = options->port_first > 0 && !options->ports_by_system;
    if (*chooses) {
        source.port = any_port(options);
        if (dial->transport == MASQUE_TRANSPORT_TCP) {
            set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        }
    } else {
        /* The port is chosen by connect(), so that one is used for many targets. */
        set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
        if (options->ports_by_system) {
            set_port_range(fd, options);
        }
    }
    socklen_t length = address_to_sockaddr(&source, &from);
    return bind(fd, (struct sockaddr *)&from, length) == 0 ? 0 : errno;
}

static bool is_of_source(int error) {
    return error == EADDRNOTAVAIL || error == EADDRINUSE || error == EAGAIN;
}

/* One try. *AGAIN: another port may do. */
static int connect_once(const masque_event *dial, const source_settings *options, bool *pending, bool *again,
                        masque_dial_result *result) {
    struct sockaddr_storage to;
    socklen_t length = address_to_sockaddr(&dial->address, &to);
    bool from_source = dial->source.family != MASQUE_FAMILY_NONE;
    *pending = *again = false;
    int fd = open_dial(dial);
    if (fd < 0) {
        *result = result_of(errno);
        return -1;
    }
    bool chooses = false;
    int error = from_source ? bind_source(fd, dial, options, &chooses) : 0;
    bool bound = error == 0;
    if (bound) {
        error = connect(fd, (struct sockaddr *)&to, length) == 0 ? 0 : errno;
        *pending = error == EINPROGRESS;
    }
    *result = result_of(*pending ? 0 : error);
    if (*result == MASQUE_DIAL_OK) {
        return fd;
    }
    if (from_source && (!bound || is_of_source(error))) {
        *result = MASQUE_DIAL_SOURCE;
        *again = chooses && (bound || error == EADDRINUSE);
    }
    close(fd);
    return -1;
}

int socket_connect(const masque_event *dial, const source_settings *source, bool *pending, masque_dial_result *result) {
    bool again = true;
    int fd = -1;
    for (int i = 0; i < PORT_TRIES && again; i++) {
        fd = connect_once(dial, source, pending, &again, result);
    }
    return fd;
}

/* Is the peer this machine? Then both ends have one address. */
static bool is_own(int fd) {
    struct sockaddr_storage here;
    struct sockaddr_storage there;
    socklen_t here_length = sizeof here;
    socklen_t there_length = sizeof there;
    masque_address local;
    masque_address peer;
    return getsockname(fd, (struct sockaddr *)&here, &here_length) == 0 &&
           getpeername(fd, (struct sockaddr *)&there, &there_length) == 0 &&
           address_from_sockaddr(&local, (struct sockaddr *)&here) &&
           address_from_sockaddr(&peer, (struct sockaddr *)&there) && masque_address_same_ip(&local, &peer);
}

masque_dial_result socket_connect_result(int fd) {
    int error = 0;
    socklen_t length = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
        error = errno;
    }
    if (error == 0 && is_own(fd)) {
        return MASQUE_DIAL_OWN;
    }
    return result_of(error);
}

void socket_close(int fd, bool reset) {
    if (reset) {
        const struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close(fd);
}
