#include "probe.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../random.h"
#include "../socket.h"

#define PULLS_MAX 16
#define ADDRESSES_MAX 4
/* How long HTTP/3 may keep the next protocol waiting: some networks swallow UDP. */
#define QUIC_PATIENCE (3 * MASQUE_SECOND)

masque_time probe_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (masque_time)now.tv_sec * MASQUE_SECOND + (masque_time)now.tv_nsec;
}

const char *protocol_name(unsigned protocol) {
    switch (protocol) {
    case MASQUE_PROTOCOL_H3:
        return "h3";
    case MASQUE_PROTOCOL_H2:
        return "h2";
    case MASQUE_PROTOCOL_HTTP11:
        return "http/1.1";
    default:
        return "h2 or http/1.1";
    }
}

void probe_reach(probe *p, probe_stage stage) {
    static const char *const names[STAGES] = {"name resolved", "connected",  "secure", "tunnel answered",
                                              "target secure", "first byte", "done"};
    if (p->stages[stage] != MASQUE_NEVER) {
        return;
    }
    p->stages[stage] = probe_now() - p->began;
    if (p->options->verbose) {
        fprintf(stderr, "%9.3f ms  %s\n", (double)p->stages[stage] / 1e6, names[stage]);
    }
}

static masque_time deadline(const probe *p) {
    return p->began + p->options->timeout_ms * MASQUE_MILLISECOND;
}

/* --- events ------------------------------------------------------------------------------ */

static void take_answer(probe *p, const masque_event *event) {
    p->status = event->status;
    for (size_t i = 0; i < event->field_count; i++) {
        const masque_field *field = &event->fields[i];
        char *to = strcmp(field->name, "server-timing") == 0  ? p->server_timing
                   : strcmp(field->name, "proxy-status") == 0 ? p->proxy_status
                                                              : NULL;
        if (to) {
            snprintf(to, FIELD_MAX, "%s", field->value);
        }
    }
    probe_reach(p, STAGE_TUNNEL);
}

static void take_event(probe *p, const masque_event *event) {
    if (event->type == MASQUE_EVENT_CONN_OUTPUT || event->type == MASQUE_EVENT_PACKETS) {
        p->has_output = true;
    } else if (event->type == MASQUE_EVENT_CONN_OPEN) {
        p->protocol = event->protocol;
        probe_reach(p, STAGE_OPEN);
    } else if (event->type == MASQUE_EVENT_CONN_END && event->conn == p->conn) {
        p->conn_over = true;
        p->conn_error = event->error;
    } else if (event->type == MASQUE_EVENT_TUNNEL_ANSWER) {
        take_answer(p, event);
    } else if (event->type == MASQUE_EVENT_TUNNEL_END) {
        p->tunnel_over = true;
        if (p->events) {
            p->events->ended(p, event->reset);
        }
    } else if (event->type == MASQUE_EVENT_TUNNEL_OUTPUT && p->events) {
        p->events->readable(p);
    } else if (event->type == MASQUE_EVENT_TUNNEL_INPUT && p->events) {
        p->events->writable(p);
    }
}

static void take_events(probe *p) {
    masque_event event;
    while (masque_next_event(p->engine, &event)) {
        take_event(p, &event);
    }
}

/* --- the socket ---------------------------------------------------------------------------- */

static void read_stream(probe *p) {
    masque_iovec piece;
    if (!masque_conn_reserve(p->engine, p->conn, &piece)) {
        return;
    }
    ssize_t length = read(p->fd, piece.base, piece.length);
    if (length > 0) {
        masque_conn_commit(p->engine, p->conn, (size_t)length, probe_now());
    } else if (length == 0) {
        masque_conn_finished(p->engine, p->conn, probe_now());
    } else if (errno != EAGAIN) {
        masque_conn_failed(p->engine, p->conn, probe_now());
    }
}

static void write_stream(probe *p) {
    masque_iovec piece;
    while (masque_conn_pull(p->engine, p->conn, &piece, 1, probe_now()) > 0) {
        ssize_t length = write(p->fd, piece.base, piece.length);
        if (length < 0) {
            if (errno != EAGAIN) {
                masque_conn_failed(p->engine, p->conn, probe_now());
                p->has_output = false;
            }
            return;
        }
        masque_conn_pulled(p->engine, p->conn, (size_t)length, probe_now());
    }
    p->has_output = false;
}

/* What UDP_GRO gathered: *SEGMENT bytes each, but for the last. */
static ssize_t receive(int fd, uint8_t *bytes, size_t size, size_t *segment) {
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = bytes, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &message, 0);
    *segment = 0;
    for (struct cmsghdr *at = length > 0 ? CMSG_FIRSTHDR(&message) : NULL; at; at = CMSG_NXTHDR(&message, at)) {
        int value;
        memcpy(&value, CMSG_DATA(at), sizeof value);
        *segment = at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO ? (size_t)value : *segment;
    }
    return length;
}

/* ICMP says that nobody listens, by the next call's RESULT; behind the handshake it would be anybody's word. */
static void note_refusal(probe *p, ssize_t result) {
    p->refused = p->refused || (result < 0 && errno == ECONNREFUSED && !p->protocol);
}

static void read_packets(probe *p) {
    uint8_t bytes[UDP_READ_SIZE];
    masque_packets packets = {.local = p->local, .remote = p->remote, .bytes = bytes};
    masque_route route;
    ssize_t length;
    while ((length = receive(p->fd, bytes, sizeof bytes, &packets.segment)) > 0) {
        packets.length = (size_t)length;
        masque_engine_packets(p->engine, &packets, &route, probe_now());
        take_events(p);
    }
    note_refusal(p, length);
}

/* What finds no room is lost, as on the way. */
static void write_packets(probe *p) {
    masque_packets bursts[PULLS_MAX];
    size_t count;
    while ((count = masque_engine_pull_packets(p->engine, bursts, PULLS_MAX, probe_now())) > 0) {
        for (size_t i = 0; i < count; i++) {
            for (size_t at = 0; at < bursts[i].length; at += bursts[i].segment) {
                size_t left = bursts[i].length - at;
                size_t take = left < bursts[i].segment ? left : bursts[i].segment;
                note_refusal(p, send(p->fd, bursts[i].bytes + at, take, 0));
            }
        }
        masque_engine_pulled_packets(p->engine, count, probe_now());
    }
    p->has_output = false;
}

/* --- the loop -------------------------------------------------------------------------------- */

static int wait_time(const probe *p, masque_time until) {
    masque_time now = probe_now();
    masque_time next = masque_deadline(p->engine);
    next = next < until ? next : until;
    return next <= now ? 0 : (int)((next - now + MASQUE_MILLISECOND - 1) / MASQUE_MILLISECOND);
}

static void flush(probe *p) {
    take_events(p);
    if (p->has_output) {
        (p->over_udp ? write_packets : write_stream)(p);
        take_events(p);
    }
}

/* One round: waits for something, at most until UNTIL. */
static void step(probe *p, masque_time until) {
    flush(p);
    bool full = p->has_output && !p->over_udp;
    struct pollfd fds[2] = {{.fd = p->fd, .events = (short)(POLLIN | (full ? POLLOUT : 0))},
                            {.fd = p->reads_input ? STDIN_FILENO : -1, .events = POLLIN}};
    if (p->done || p->conn_over || p->tunnel_over || poll(fds, 2, wait_time(p, until)) < 0) {
        return;
    }
    if (fds[0].revents) {
        (p->over_udp ? read_packets : read_stream)(p);
    }
    if (fds[1].revents && p->events && p->events->input) {
        p->events->input(p);
    }
    masque_tick(p->engine, probe_now());
    flush(p);
}

/* --- connecting -------------------------------------------------------------------------------- */

static bool make_engine(probe *p) {
    const masque_runtime runtime = {.random = system_random};
    const probe_options *options = p->options;
    p->config = masque_config_new(&runtime);
    int error = p->config ? 0 : MASQUE_ERR_NO_MEMORY;
    if (!error) {
        error = options->has_proxy_key
                    ? masque_config_add_trusted_key(p->config, options->proxy_key)
                    : masque_config_set_trust(p->config, options->trust, options->trust ? options->trust_length : 0);
    }
    if (!error && options->private_key) {
        error = masque_config_set_client_identity(p->config, options->certificate, options->certificate_length,
                                                  options->private_key, options->private_key_length);
    }
    if (!error) {
        error = masque_config_seal(p->config);
    }
    if (!error) {
        error = masque_engine_new(&p->engine, p->config, &runtime);
    }
    if (error == MASQUE_ERR_CERTIFICATE) {
        say(&p->message, "the trusted certificates can't be used; expected PEM");
    } else if (error) {
        say(&p->message, "can't begin: %s", masque_error_text(error));
    }
    return error == 0;
}

static size_t resolve(probe *p, masque_address *addresses) {
    char host[256];
    struct addrinfo *list = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    const char *colon = strrchr(p->options->proxy, ':');
    bool bracket = p->options->proxy[0] == '[';
    size_t length = (size_t)(colon - p->options->proxy) - (bracket ? 2 : 0);
    snprintf(host, sizeof host, "%.*s", (int)length, p->options->proxy + (bracket ? 1 : 0));
    int error = getaddrinfo(host, colon + 1, &hints, &list);
    if (error) {
        say(&p->message, "can't find the proxy %s: %s", host, gai_strerror(error));
        return 0;
    }
    size_t count = 0;
    for (const struct addrinfo *at = list; at && count < ADDRESSES_MAX; at = at->ai_next) {
        count += address_from_sockaddr(&addresses[count], at->ai_addr);
    }
    freeaddrinfo(list);
    probe_reach(p, STAGE_NAME);
    return count;
}

static void note_failure(probe *p, unsigned protocols, const char *why) {
    if (p->attempt_count < ATTEMPTS_MAX) {
        probe_attempt *attempt = &p->attempts[p->attempt_count++];
        attempt->protocols = protocols;
        masque_address_format(&p->remote, attempt->address, sizeof attempt->address);
        snprintf(attempt->why, sizeof attempt->why, "%s", why);
        if (p->options->verbose) {
            fprintf(stderr, "              %s to %s: %s\n", protocol_name(protocols), attempt->address, why);
        }
    }
    say(&p->message, "can't reach the proxy by %s: %s", protocol_name(protocols), why);
}

/* A connected socket; or false. */
static bool open_socket(probe *p, unsigned protocols) {
    masque_event dial = {.address = p->remote};
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    masque_dial_result result;
    bool pending;
    p->over_udp = protocols == MASQUE_PROTOCOL_H3;
    dial.transport = p->over_udp ? MASQUE_TRANSPORT_UDP : MASQUE_TRANSPORT_TCP;
    p->fd = socket_connect(&dial, NULL, &pending, &result);
    if (p->fd >= 0 && pending) {
        struct pollfd fd = {.fd = p->fd, .events = POLLOUT};
        masque_time now = probe_now();
        poll(&fd, 1, deadline(p) > now ? (int)((deadline(p) - now) / MASQUE_MILLISECOND) : 0);
        result = fd.revents ? socket_connect_result(p->fd) : MASQUE_DIAL_TIMEOUT;
    }
    bool good = p->fd >= 0 && (result == MASQUE_DIAL_OK || result == MASQUE_DIAL_OWN);
    if (!good) {
        note_failure(p, protocols,
                     result == MASQUE_DIAL_REFUSED       ? "connection refused"
                     : result == MASQUE_DIAL_UNREACHABLE ? "unreachable"
                     : result == MASQUE_DIAL_TIMEOUT     ? "timed out"
                                                         : "connection failed");
        return false;
    }
    if (!p->over_udp) {
        probe_reach(p, STAGE_CONNECTED);
    }
    return getsockname(p->fd, (struct sockaddr *)&storage, &length) == 0 &&
           address_from_sockaddr(&p->local, (struct sockaddr *)&storage);
}

static void drop_connection(probe *p) {
    masque_conn_close(p->engine, p->conn, probe_now());
    flush(p);
    if (p->fd >= 0) {
        close(p->fd);
    }
    p->fd = -1;
    p->conn = 0;
}

static bool try_connection(probe *p, unsigned protocols, masque_time patience) {
    int error;
    if (!open_socket(p, protocols)) {
        return false;
    }
    const masque_proxy proxy = {
        .authority = p->options->proxy, .protocols = protocols, .remote = p->remote, .local = p->local};
    p->conn_over = p->refused = false;
    p->conn = masque_connect(p->engine, &proxy, p, probe_now(), &error);
    masque_time until = deadline(p);
    until = patience < until - probe_now() ? probe_now() + patience : until;
    while (p->conn && !p->protocol && !p->conn_over && !p->refused && probe_now() < until) {
        step(p, until);
    }
    if (p->protocol) {
        return true;
    }
    int why = !p->conn ? error : p->conn_over ? p->conn_error : MASQUE_ERR_TIMEOUT;
    note_failure(p, protocols,
                 p->refused ? "connection refused"
                 : why      ? masque_error_text(why)
                            : "it closed the connection");
    if (p->fd >= 0) {
        drop_connection(p);
    }
    return false;
}

static probe_exit connect_to_proxy(probe *p) {
    masque_address addresses[ADDRESSES_MAX];
    size_t count = resolve(p, addresses);
    const probe_options *options = p->options;
    for (size_t i = 0; i < options->protocol_count; i++) {
        bool last = i + 1 == options->protocol_count;
        for (size_t k = 0; k < count; k++) {
            p->remote = addresses[k];
            if (probe_now() >= deadline(p)) {
                return EXIT_TIMEOUT;
            }
            if (try_connection(p, options->protocols[i], last ? MASQUE_NEVER / 2 : QUIC_PATIENCE)) {
                return EXIT_OK;
            }
        }
    }
    return probe_now() >= deadline(p) ? EXIT_TIMEOUT : EXIT_PROXY;
}

/* --- the tunnel -------------------------------------------------------------------------------- */

static probe_exit ask_for_tunnel(probe *p, masque_transport transport, const char *target) {
    masque_field fields[2];
    masque_tunnel_request request = {.transport = transport, .target = target, .fields = fields};
    int error;
    if (p->options->credential) {
        fields[request.field_count++] = (masque_field){.name = "proxy-authorization", .value = p->options->credential};
    }
    if (p->options->geohash) {
        fields[request.field_count++] = (masque_field){.name = "sec-ch-geohash", .value = p->options->geohash};
    }
    p->tunnel = masque_tunnel_open(p->engine, p->conn, &request, p, probe_now(), &error);
    if (!p->tunnel) {
        say(&p->message,
            error == MASQUE_ERR_INVALID ? "“%.200s” is no target; expected HOST:PORT" : "no tunnel to %.200s: %s",
            target, masque_error_text(error));
        return error == MASQUE_ERR_INVALID ? EXIT_USAGE : EXIT_REFUSED;
    }
    while (!p->status && !p->tunnel_over && !p->conn_over && probe_now() < deadline(p)) {
        step(p, deadline(p));
    }
    if (p->status / 100 == 2 || p->status == 101) {
        return EXIT_OK;
    }
    if (p->status) {
        say(&p->message, "the proxy answered %u%s%s", p->status, p->proxy_status[0] ? ": " : "", p->proxy_status);
        return EXIT_REFUSED;
    }
    say(&p->message, p->tunnel_over || p->conn_over ? "the proxy gave no answer" : "no answer in time");
    return p->tunnel_over || p->conn_over ? EXIT_REFUSED : EXIT_TIMEOUT;
}

probe_exit probe_open(probe *p, const probe_options *options, masque_transport transport, const char *target) {
    *p = (probe){.options = options, .fd = -1, .began = probe_now()};
    for (size_t i = 0; i < STAGES; i++) {
        p->stages[i] = MASQUE_NEVER;
    }
    if (!make_engine(p)) {
        return EXIT_USAGE;
    }
    probe_exit result = connect_to_proxy(p);
    if (result == EXIT_TIMEOUT) {
        say(&p->message, "the proxy wasn't reached in time");
    }
    return result ? result : ask_for_tunnel(p, transport, target);
}

probe_exit probe_run(probe *p, const probe_events *events) {
    p->events = events;
    events->writable(p);
    while (!p->done && !p->tunnel_over && !p->conn_over && probe_now() < deadline(p)) {
        step(p, deadline(p));
    }
    if (p->done) {
        probe_reach(p, STAGE_DONE);
        return EXIT_OK;
    }
    bool ended = p->tunnel_over || p->conn_over;
    if (!p->message.text[0]) {
        say(&p->message, ended ? "the tunnel ended too early" : "not done in time");
    }
    return ended ? EXIT_TARGET : EXIT_TIMEOUT;
}

void probe_free(probe *p) {
    p->events = NULL;
    if (p->conn) {
        drop_connection(p);
    }
    masque_engine_free(p->engine);
    masque_config_release(p->config);
}
