/*
 * bench_engine: loads a proxy over HTTP/3, HTTP/2 or HTTP/1.1 by the library's own client, with the targets in
 * the same process: TCP that sends or takes a known pattern, UDP that counts. One thread, poll().
 *
 *   bench_engine MODE --port P [--hold] [--protocol h3|h2|h1] [--size BYTES] [--count N] [--rate N] [--length N]
 *
 *   down, up      one tunnel by CONNECT, SIZE bytes, checked byte by byte
 *   udp-up        COUNT datagrams of LENGTH bytes through CONNECT-UDP at RATE a second (0: as fast as it goes)
 *   udp-down      the same from the target
 *   handshakes    COUNT connections, one after the other, each with a tunnel
 *   idle          COUNT connections at once, each with a tunnel
 *
 * Prints a JSON object a line: stages, which wait with --hold for a line on standard input, and the result.
 * The certificate is NOT verified: this is a load generator on loopback.
 */
#include <errno.h>
#include <masqueproxy/masqueproxy.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop.h"
#include "sockets.h"

enum {
    PIECES = 16,
    BURSTS = 32,
    BATCH = 32, /* datagrams given at once */
    CONNECTIONS_MAX = 4096,
    DRAIN_MS = 300, /* what is under way when the last datagram was sent */
};

enum mode { DOWN, UP, UDP_UP, UDP_DOWN, HANDSHAKES, IDLE };

struct bench {
    enum mode mode;
    unsigned protocol;
    uint16_t port;
    bool hold;
    uint64_t size, count, rate, length;
    masque_engine *engine;
    int fd; /* UDP: to the proxy, of all connections; TCP: of the present one */
    bool over_udp;
    bool has_output;
    masque_address local, remote;
    masque_conn_id conn;
    masque_tunnel_id tunnel;
    bool open, answered, ended, conn_over, has_room, readable;
    unsigned status;
    int target_listener, target_udp, target; /* the last is the accepted TCP connection */
    masque_address target_peer;              /* of UDP */
    uint16_t target_port;
    uint64_t sent, received;
    const char *failure;
};

static uint8_t pattern[1 << 20];

static void fail(struct bench *b, const char *why) {
    b->failure = b->failure ? b->failure : why;
}

static void on_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    for (size_t at = 0; at < size;) {
        ssize_t got = getrandom(buffer + at, size - at, 0);
        at += got > 0 ? (size_t)got : 0;
    }
}

static masque_address loopback(uint16_t port) {
    return (masque_address){.ip = {127, 0, 0, 1}, .family = MASQUE_IPV4, .port = port};
}

static void set_no_delay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* --- the proxy's side ---------------------------------------------------------------------------- */

static void take_events(struct bench *b) {
    masque_event event;
    while (masque_next_event(b->engine, &event)) {
        bool ours = event.tunnel == b->tunnel;
        if (event.type == MASQUE_EVENT_CONN_OUTPUT || event.type == MASQUE_EVENT_PACKETS) {
            b->has_output = true;
        } else if (event.type == MASQUE_EVENT_CONN_OPEN) {
            b->open = true;
        } else if (event.type == MASQUE_EVENT_CONN_END && event.conn == b->conn) {
            b->conn_over = true;
        } else if (event.type == MASQUE_EVENT_TUNNEL_ANSWER) {
            b->status = event.status;
        } else if (event.type == MASQUE_EVENT_TUNNEL_INPUT) {
            b->has_room = true;
        } else if (event.type == MASQUE_EVENT_TUNNEL_OUTPUT) {
            b->readable = true;
        } else if (event.type == MASQUE_EVENT_TUNNEL_END && ours) {
            b->ended = true;
        }
    }
}

static void write_packets(struct bench *b) {
    masque_packets bursts[BURSTS];
    size_t count;
    while ((count = masque_engine_pull_packets(b->engine, bursts, BURSTS, loop_now())) > 0) {
        size_t sent = 0;
        while (sent < count &&
               socket_send(b->fd, bursts[sent].bytes, bursts[sent].length, bursts[sent].segment, NULL)) {
            sent++;
        }
        masque_engine_pulled_packets(b->engine, sent, loop_now());
        if (sent < count) {
            return;
        }
    }
    b->has_output = false;
}

static void write_stream(struct bench *b) {
    masque_iovec piece;
    while (masque_conn_pull(b->engine, b->conn, &piece, 1, loop_now()) > 0) {
        ssize_t length = send(b->fd, piece.base, piece.length, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (length < 0) {
            return;
        }
        masque_conn_pulled(b->engine, b->conn, (size_t)length, loop_now());
    }
    b->has_output = false;
}

static void read_proxy(struct bench *b) {
    static uint8_t bytes[READ_BYTES];
    masque_iovec piece;
    if (!b->over_udp) {
        if (masque_conn_reserve(b->engine, b->conn, &piece)) {
            ssize_t length = recv(b->fd, piece.base, piece.length, MSG_DONTWAIT);
            if (length > 0) {
                masque_conn_commit(b->engine, b->conn, (size_t)length, loop_now());
            } else if (length == 0) {
                masque_conn_finished(b->engine, b->conn, loop_now());
            }
        }
        return;
    }
    masque_packets packets = {.local = b->local, .remote = b->remote, .bytes = bytes};
    masque_route route;
    ssize_t length;
    for (int i = 0; i < 32 && (length = socket_receive(b->fd, bytes, &packets.segment, NULL)) > 0; i++) {
        packets.length = (size_t)length;
        masque_engine_packets(b->engine, &packets, &route, loop_now());
    }
}

/* --- what the modes move ----------------------------------------------------------------------------- */

static bool fits_pattern(const uint8_t *bytes, size_t length, uint64_t at) {
    while (length > 0) {
        size_t start = (size_t)(at % sizeof pattern);
        size_t take = sizeof pattern - start < length ? sizeof pattern - start : length;
        if (memcmp(bytes, pattern + start, take) != 0) {
            return false;
        }
        bytes += take;
        length -= take;
        at += take;
    }
    return true;
}

static void take_tunnel_bytes(struct bench *b) {
    masque_iovec pieces[PIECES];
    size_t count;
    while ((count = masque_tunnel_pull(b->engine, b->tunnel, pieces, PIECES)) > 0) {
        size_t taken = 0;
        for (size_t i = 0; i < count; i++) {
            if (!fits_pattern(pieces[i].base, pieces[i].length, b->received)) {
                fail(b, "wrong bytes came");
            }
            b->received += pieces[i].length;
            taken += pieces[i].length;
        }
        masque_tunnel_pulled(b->engine, b->tunnel, taken, loop_now());
    }
}

static void give_tunnel_bytes(struct bench *b) {
    masque_iovec pieces[PIECES];
    while (b->has_room && b->sent < b->size) {
        size_t count = masque_tunnel_reserve(b->engine, b->tunnel, pieces, PIECES);
        size_t given = 0;
        for (size_t i = 0; i < count && b->sent < b->size; i++) {
            uint64_t left = b->size - b->sent;
            size_t start = (size_t)(b->sent % sizeof pattern);
            size_t take = pieces[i].length < left ? pieces[i].length : (size_t)left;
            take = take < sizeof pattern - start ? take : sizeof pattern - start;
            memcpy(pieces[i].base, pattern + start, take);
            b->sent += take;
            given += take;
            if (take < pieces[i].length) {
                break;
            }
        }
        b->has_room = count > 0;
        if (count > 0) {
            masque_tunnel_commit(b->engine, b->tunnel, given, loop_now());
        }
    }
}

static void serve_target_bytes(struct bench *b) {
    static uint8_t bytes[1 << 18];
    if (b->mode == DOWN) {
        while (b->sent < b->size) {
            size_t start = (size_t)(b->sent % sizeof pattern);
            size_t take =
                sizeof pattern - start < b->size - b->sent ? sizeof pattern - start : (size_t)(b->size - b->sent);
            ssize_t length = send(b->target, pattern + start, take, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (length <= 0) {
                return;
            }
            b->sent += (uint64_t)length;
        }
        return;
    }
    ssize_t length;
    while ((length = recv(b->target, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        if (!fits_pattern(bytes, (size_t)length, b->received)) {
            fail(b, "wrong bytes arrived");
        }
        b->received += (uint64_t)length;
    }
}

static void serve_target_datagrams(struct bench *b) {
    static uint8_t bytes[READ_BYTES];
    struct sockaddr_in from;
    size_t segment;
    ssize_t length;
    while ((length = socket_receive(b->target_udp, bytes, &segment, &from)) >= 0) {
        b->target_peer = loopback(ntohs(from.sin_port));
        b->received += b->mode == UDP_UP && segment > 0 ? ((size_t)length + segment - 1) / segment : 0;
        if (!b->answered) {
            b->answered = true;
            (void)sendto(b->target_udp, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&from, sizeof from);
        }
    }
}

static void take_tunnel_datagrams(struct bench *b) {
    masque_iovec pieces[64];
    size_t count;
    while ((count = masque_tunnel_pull_datagrams(b->engine, b->tunnel, pieces, 64)) > 0) {
        b->received += b->mode == UDP_DOWN ? count : 0;
        masque_tunnel_pulled_datagrams(b->engine, b->tunnel, count, 0, loop_now());
    }
}

/* As many as RATE allows since BEGAN. */
static void give_datagrams(struct bench *b, uint64_t began) {
    uint64_t due = b->rate ? (loop_now() - began) * b->rate / 1000000000 : b->sent + BATCH;
    due = due < b->count ? due : b->count;
    while (b->sent < due) {
        size_t burst = due - b->sent < BATCH ? (size_t)(due - b->sent) : BATCH;
        if (b->mode == UDP_UP) {
            masque_tunnel_datagrams(b->engine, b->tunnel, pattern, burst * b->length, b->length, loop_now());
        } else {
            struct sockaddr_in to = {.sin_family = AF_INET,
                                     .sin_port = htons(b->target_peer.port),
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
            if (!socket_send(b->target_udp, pattern, burst * b->length, b->length, &to)) {
                return;
            }
        }
        b->sent += burst;
    }
}

/* --- the loop --------------------------------------------------------------------------------------------- */

static void flush(struct bench *b) {
    take_events(b);
    if (b->has_output) {
        (b->over_udp ? write_packets : write_stream)(b);
        take_events(b);
    }
}

static void serve(struct bench *b) {
    bool udp = b->mode == UDP_UP || b->mode == UDP_DOWN;
    if (udp) {
        serve_target_datagrams(b);
        take_tunnel_datagrams(b);
    } else if (b->target >= 0) {
        serve_target_bytes(b);
        take_tunnel_bytes(b);
    }
    if (b->mode == UP && b->status) {
        give_tunnel_bytes(b);
    }
}

static void step(struct bench *b, int wait_ms) {
    flush(b);
    bool writes_target = b->mode == DOWN && b->target >= 0 && b->sent < b->size;
    struct pollfd fds[4] = {{.fd = b->fd, .events = (short)(POLLIN | (b->has_output ? POLLOUT : 0))},
                            {.fd = b->target_listener, .events = POLLIN},
                            {.fd = b->target_udp, .events = POLLIN},
                            {.fd = b->target, .events = (short)(writes_target ? POLLOUT : POLLIN)}};
    masque_time now = loop_now();
    masque_time due = masque_deadline(b->engine);
    int until = due <= now ? 0 : due - now > 1000000000 ? 1000 : (int)((due - now) / 1000000 + 1);
    poll(fds, 4, wait_ms < until ? wait_ms : until);
    if (fds[1].revents) {
        int fd = accept4(b->target_listener, NULL, NULL, SOCK_CLOEXEC);
        if (b->target >= 0) {
            close(b->target);
        }
        b->target = fd;
        set_no_delay(fd);
    }
    read_proxy(b);
    take_events(b);
    serve(b);
    masque_tick(b->engine, loop_now());
    flush(b);
}

static void connect_to_proxy(struct bench *b) {
    uint16_t own;
    int error;
    if (!b->over_udp || b->fd < 0) {
        b->fd = socket_open(b->over_udp ? SOCK_DGRAM : SOCK_STREAM, b->port, &own);
        b->local = loopback(own);
        b->remote = loopback(b->port);
        if (!b->over_udp) {
            set_no_delay(b->fd);
        }
    }
    const masque_proxy proxy = {
        .authority = "localhost:443", .protocols = b->protocol, .remote = b->remote, .local = b->local};
    b->open = b->conn_over = b->ended = b->has_room = false;
    b->status = 0;
    b->conn = masque_connect(b->engine, &proxy, NULL, loop_now(), &error);
    while (b->conn && !b->open && !b->conn_over) {
        step(b, 1000);
    }
    if (!b->open) {
        fail(b, "no connection");
    }
}

static void open_tunnel(struct bench *b) {
    bool udp = b->mode == UDP_UP || b->mode == UDP_DOWN;
    char target[64];
    char credential[300];
    const char *key = getenv("MASQUE_PRESHARED_KEY");
    int error;
    snprintf(target, sizeof target, "127.0.0.1:%u", b->target_port);
    snprintf(credential, sizeof credential, "Preshared %s", key ? key : "");
    const masque_field field = {.name = "proxy-authorization", .value = credential};
    const masque_tunnel_request request = {.transport = udp ? MASQUE_TRANSPORT_UDP : MASQUE_TRANSPORT_TCP,
                                           .target = target,
                                           .fields = &field,
                                           .field_count = key ? 1 : 0};
    b->tunnel = b->failure ? 0 : masque_tunnel_open(b->engine, b->conn, &request, NULL, loop_now(), &error);
    while (b->tunnel && !b->status && !b->ended) {
        step(b, 1000);
    }
    b->has_room = true;
    if (b->status != 200 && b->status != 101) {
        fail(b, "no tunnel");
    }
}

/* The proxy learns that the target answers, the target who it is. */
static void introduce(struct bench *b) {
    uint64_t deadline = loop_now() + 5000000000u;
    enum mode mode = b->mode;
    b->mode = UDP_UP;
    while (b->received == 0 && !b->failure && loop_now() < deadline) {
        masque_tunnel_datagrams(b->engine, b->tunnel, "x", 1, 0, loop_now());
        step(b, 10);
    }
    for (int i = 0; i < 20; i++) {
        step(b, 1);
    }
    b->mode = mode;
    b->received = b->sent = 0;
}

static void pause_for(const struct bench *b, const char *stage) {
    char line[64];
    printf("{\"stage\": \"%s\"}\n", stage);
    fflush(stdout);
    if (b->hold && !fgets(line, sizeof line, stdin)) {
        exit(1);
    }
}

static void run_transfer(struct bench *b) {
    while (b->received < b->size && !b->failure && !b->ended && !b->conn_over) {
        step(b, 1000);
    }
    if (b->received < b->size) {
        fail(b, "the tunnel ended too early");
    }
}

static void run_datagrams(struct bench *b) {
    uint64_t began = loop_now();
    while (b->sent < b->count && !b->failure && !b->ended) {
        give_datagrams(b, began);
        step(b, b->rate ? 1 : 0);
    }
    for (uint64_t end = loop_now() + DRAIN_MS * 1000000u; loop_now() < end && b->received < b->sent;) {
        step(b, 10);
    }
}

static void run_connections(struct bench *b) {
    for (uint64_t i = 0; i < b->count && !b->failure; i++) {
        connect_to_proxy(b);
        open_tunnel(b);
        b->received++;
        if (b->mode == HANDSHAKES) {
            masque_conn_close(b->engine, b->conn, loop_now());
            flush(b);
            if (!b->over_udp) {
                close(b->fd);
            }
        }
    }
}

static void run(struct bench *b) {
    bool many = b->mode == HANDSHAKES || b->mode == IDLE;
    if (!many) {
        connect_to_proxy(b);
        open_tunnel(b);
    }
    if (b->mode == UDP_UP || b->mode == UDP_DOWN) {
        introduce(b);
    }
    pause_for(b, "ready");
    uint64_t began = loop_now();
    if (many) {
        run_connections(b);
    } else if (b->mode == UP || b->mode == DOWN) {
        run_transfer(b);
    } else {
        run_datagrams(b);
    }
    uint64_t ended = loop_now();
    if (b->mode == IDLE) {
        pause_for(b, "idle");
    }
    if (b->failure) {
        fprintf(stderr, "bench_engine: %s\n", b->failure);
        exit(1);
    }
    bool bytes = b->mode == UP || b->mode == DOWN;
    printf("{\"bytes\": %llu, \"sent\": %llu, \"received\": %llu, \"seconds\": %.6f}\n",
           (unsigned long long)(bytes ? b->received : b->received * b->length), (unsigned long long)b->sent,
           (unsigned long long)b->received, (double)(ended - began) / 1e9);
}

/* --- options ------------------------------------------------------------------------------------------------ */

static void make_engine(struct bench *b) {
    const masque_runtime runtime = {.random = on_random};
    masque_limits limits;
    masque_config *config = masque_config_new(&runtime);
    masque_limits_init(&limits);
    limits.datagram_queue_max = 1 << 20;
    limits.idle_timeout_ms = 3600000;
    masque_config_set_limits(config, &limits);
    masque_config_set_trust(config, NULL, 0);
    masque_config_seal(config);
    if (masque_engine_new(&b->engine, config, &runtime) != 0) {
        fputs("bench_engine: no engine\n", stderr);
        exit(1);
    }
    masque_config_release(config);
}

static bool take_option(struct bench *b, const char *name, const char *value) {
    uint64_t *const numbers[] = {&b->size, &b->count, &b->rate, &b->length};
    static const char *const names[] = {"--size", "--count", "--rate", "--length"};
    uint64_t port;
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) == 0) {
            return parse_number(value, UINT64_MAX / 2, numbers[i]);
        }
    }
    if (strcmp(name, "--port") == 0 && parse_number(value, 65535, &port)) {
        b->port = (uint16_t)port;
        return true;
    }
    if (strcmp(name, "--protocol") == 0) {
        b->protocol = strcmp(value, "h3") == 0   ? MASQUE_PROTOCOL_H3
                      : strcmp(value, "h2") == 0 ? MASQUE_PROTOCOL_H2
                                                 : MASQUE_PROTOCOL_HTTP11;
        return true;
    }
    return strcmp(name, "--timeout") == 0 || strcmp(name, "--targets") == 0;
}

int main(int argc, char **argv) {
    static const char *const modes[] = {"down", "up", "udp-up", "udp-down", "handshakes", "idle"};
    struct bench b = {
        .protocol = MASQUE_PROTOCOL_H3, .fd = -1, .target = -1, .length = 1150, .count = 1, .size = 1 << 20};
    bool known = false;
    uint16_t udp_port;
    for (size_t i = 0; i < 6 && argc > 1; i++) {
        if (strcmp(argv[1], modes[i]) == 0) {
            b.mode = (enum mode)i;
            known = true;
        }
    }
    for (int i = 2; i < argc && known; i++) {
        if (strcmp(argv[i], "--hold") == 0) {
            b.hold = true;
        } else {
            known = i + 1 < argc && take_option(&b, argv[i], argv[i + 1]);
            i++;
        }
    }
    if (!known || !b.port || b.length == 0 || b.length > 2000) {
        fputs("usage: bench_engine MODE --port P …; see engine.c\n", stderr);
        return 2;
    }
    process_limit_life(300);
    for (size_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (uint8_t)(i * 131 >> 3);
    }
    b.over_udp = b.protocol == MASQUE_PROTOCOL_H3;
    b.target_listener = socket_open(SOCK_STREAM, 0, &b.target_port);
    b.target_udp = socket_open(SOCK_DGRAM, 0, &udp_port);
    b.target_port = b.mode == UDP_UP || b.mode == UDP_DOWN ? udp_port : b.target_port;
    make_engine(&b);
    run(&b);
    return 0;
}
