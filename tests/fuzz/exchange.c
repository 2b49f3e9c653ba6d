#include "exchange.h"

#include <string.h>

#define SOCKETS_MAX 256
#define RECORD_MAX 16384
#define RECORDS_MAX 64 /* of small chunks; the rest follows in one */
#define EVENTS_MAX 20000
#define END_TICKS_MAX 64
/* What an engine without connections may hold: the blocks of one readv() and one read. */
#define REST_BYTES_MAX (17 * 16640)

typedef enum socket_state { SOCKET_FREE, SOCKET_DIALING, SOCKET_OPEN } socket_state;

typedef struct socket {
    socket_state state;
    masque_attempt_id attempt;
    masque_tunnel_id tunnel;
    bool spoke;
    bool udp;
} socket;

typedef struct exchange {
    const exchange_setup *setup;
    masque_engine *engine;
    masque_time now;
    proxy_client client;
    bool ended;   /* CONN_END came */
    bool hurries; /* slow targets take everything now */
    socket sockets[SOCKETS_MAX];
    uint8_t *received;
    size_t received_length;
} exchange;

exchange_setup exchange_setup_read(fuzz_input *input) {
    unsigned bits = fuzz_byte(input);
    bits |= (unsigned)fuzz_byte(input) << 8;
    return (exchange_setup){.chunk = bits & 15,
                            .lookup_fails = bits & 1 << 4,
                            .dial_fails = bits & 1 << 5,
                            .dial_waits = bits & 1 << 6,
                            .target_finishes = bits & 1 << 7,
                            .target_resets = bits & 1 << 8,
                            .target_is_slow = bits & 1 << 9,
                            .time_passes = bits & 1 << 10,
                            .drains = bits & 1 << 11,
                            .transport_fails = bits & 1 << 12};
}

/* --- targets --------------------------------------------------------------------------- */

/* Says back what came, as far as the proxy has room. */
static void echo(exchange *world, socket *target) {
    masque_iovec heard, said;
    size_t budget = world->setup->target_is_slow && !world->hurries ? 3 : SIZE_MAX;
    while (budget > 0 && masque_tunnel_pull(world->engine, target->tunnel, &heard, 1) > 0) {
        FUZZ_REQUIRE(heard.length > 0);
        size_t length = heard.length < budget ? heard.length : budget;
        if (masque_tunnel_reserve(world->engine, target->tunnel, &said, 1) > 0) {
            FUZZ_REQUIRE(said.length > 0);
            length = length < said.length ? length : said.length;
            memcpy(said.base, heard.base, length);
            FUZZ_REQUIRE(masque_tunnel_commit(world->engine, target->tunnel, length, world->now) == 0);
        } else if (!target->spoke || !world->setup->target_finishes) {
            return; /* until TUNNEL_INPUT */
        }
        budget -= length;
        masque_tunnel_pulled(world->engine, target->tunnel, length, world->now);
        if (!target->spoke && world->setup->target_resets) {
            masque_tunnel_failed(world->engine, target->tunnel, world->now);
        } else if (!target->spoke && world->setup->target_finishes) {
            masque_tunnel_finished(world->engine, target->tunnel, world->now);
        }
        target->spoke = true;
    }
}

/* The same, a datagram at a time. */
static void echo_datagrams(exchange *world, socket *target) {
    static uint8_t payload[65536];
    masque_iovec heard;
    size_t budget = world->setup->target_is_slow && !world->hurries ? 3 : SIZE_MAX;
    while (budget-- > 0 && masque_tunnel_pull_datagrams(world->engine, target->tunnel, &heard, 1) > 0) {
        size_t length = heard.length;
        FUZZ_REQUIRE(length < sizeof payload);
        memcpy(payload, heard.base, length);
        FUZZ_REQUIRE(masque_tunnel_pulled_datagrams(world->engine, target->tunnel, 1, 0, world->now) == 0);
        masque_tunnel_datagrams(world->engine, target->tunnel, payload, length, length / 2, world->now);
        if (!target->spoke && world->setup->target_resets) {
            masque_tunnel_failed(world->engine, target->tunnel, world->now);
        } else if (!target->spoke && world->setup->target_finishes) {
            masque_tunnel_unreachable(world->engine, target->tunnel, world->now);
        }
        target->spoke = true;
    }
}

static void answer_dial(exchange *world, socket *target) {
    masque_dial_result result = world->setup->dial_fails ? MASQUE_DIAL_REFUSED : MASQUE_DIAL_OK;
    int error = masque_dialed(world->engine, target->attempt, result, world->now);
    target->state = error == 0 && result == MASQUE_DIAL_OK ? SOCKET_OPEN : SOCKET_FREE;
    FUZZ_REQUIRE(error == 0);
}

static void dial(exchange *world, const masque_event *event) {
    const uint8_t *ip = event->address.ip;
    bool loopback = event->address.family == MASQUE_IPV4 ? ip[0] == 127 || ip[0] == 10 : ip[0] == 0;
    FUZZ_REQUIRE(proxy_is_allowed(event->tunnel));
    FUZZ_REQUIRE(!loopback && event->address.port != 25 && event->address.port != 0);
    socket *target = world->sockets;
    while (target < world->sockets + SOCKETS_MAX && target->state != SOCKET_FREE) {
        target++;
    }
    FUZZ_REQUIRE(target < world->sockets + SOCKETS_MAX);
    *target = (socket){.state = SOCKET_DIALING,
                       .attempt = event->attempt,
                       .tunnel = event->tunnel,
                       .udp = event->transport == MASQUE_TRANSPORT_UDP};
    FUZZ_REQUIRE(masque_attempt_set_user(world->engine, event->attempt, target) == 0);
    if (!world->setup->dial_waits) {
        answer_dial(world, target);
    }
}

static void resolve(exchange *world, const masque_event *event) {
    const masque_address addresses[] = {{.family = MASQUE_IPV4, .ip = {127, 0, 0, 1}},
                                        {.family = MASQUE_IPV4, .ip = {8, 8, 4, 4}},
                                        {.family = MASQUE_IPV6, .ip = {[15] = 1}},
                                        {.family = MASQUE_IPV6, .ip = {0x26, 0x20, 0, 0xfe, [15] = 0xfe}}};
    masque_lookup result = world->setup->lookup_fails ? MASQUE_LOOKUP_FAILED : MASQUE_LOOKUP_OK;
    size_t count = world->setup->lookup_fails ? 0 : sizeof addresses / sizeof addresses[0];
    FUZZ_REQUIRE(proxy_is_allowed(event->tunnel));
    FUZZ_REQUIRE(event->text && strlen(event->text) > 0);
    FUZZ_REQUIRE(masque_resolved(world->engine, event->tunnel, MASQUE_IPV6, result, addresses, count, world->now) == 0);
    masque_resolved(world->engine, event->tunnel, MASQUE_IPV4, result, addresses, count, world->now);
}

/* --- the host -------------------------------------------------------------------------- */

static void end_socket(socket *target, socket_state expected) {
    FUZZ_REQUIRE(target && target->state == expected);
    target->state = SOCKET_FREE;
}

static void handle_event(exchange *world, const masque_event *event) {
    switch (event->type) {
    case MASQUE_EVENT_AUTHORIZE:
        proxy_allow(event->tunnel);
        FUZZ_REQUIRE(masque_authorized(world->engine, event->tunnel, MASQUE_AUTH_ALLOW, world->now) == 0);
        break;
    case MASQUE_EVENT_RESOLVE:
        resolve(world, event);
        break;
    case MASQUE_EVENT_DIAL:
        dial(world, event);
        break;
    case MASQUE_EVENT_CANCEL_DIAL:
        end_socket(event->user, SOCKET_DIALING);
        break;
    case MASQUE_EVENT_TUNNEL_OUTPUT:
    case MASQUE_EVENT_TUNNEL_INPUT:
        FUZZ_REQUIRE(((socket *)event->user)->state == SOCKET_OPEN);
        (((socket *)event->user)->udp ? echo_datagrams : echo)(world, event->user);
        break;
    case MASQUE_EVENT_TUNNEL_FINISH:
        FUZZ_REQUIRE(((socket *)event->user)->state == SOCKET_OPEN);
        masque_tunnel_finished(world->engine, event->tunnel, world->now);
        break;
    case MASQUE_EVENT_TUNNEL_END:
        end_socket(event->user, SOCKET_OPEN);
        break;
    case MASQUE_EVENT_CONN_END:
        FUZZ_REQUIRE(!world->ended && event->user == world);
        world->ended = true;
        break;
    case MASQUE_EVENT_CONN_OUTPUT:
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_CONN_FINISH:
        FUZZ_REQUIRE(!world->ended && event->user == world);
        break;
    }
}

static void handle_events(exchange *world) {
    masque_event event;
    size_t count = 0;
    while (masque_next_event(world->engine, &event)) {
        FUZZ_REQUIRE(count++ < EVENTS_MAX);
        handle_event(world, &event);
    }
}

/* What targets left for later, then time, then what the client gets. */
static void turn(exchange *world) {
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        if (world->sockets[i].state == SOCKET_DIALING) {
            answer_dial(world, &world->sockets[i]);
        } else if (world->sockets[i].state == SOCKET_OPEN) {
            echo(world, &world->sockets[i]);
        }
        handle_events(world);
    }
    world->now += world->setup->time_passes ? MASQUE_SECOND / 2 : 0;
    masque_tick(world->engine, world->now);
    handle_events(world);
    size_t length = 1;
    while (length > 0 && world->received_length < EXCHANGE_RECEIVED_MAX) {
        length = proxy_client_receive(&world->client, world->received + world->received_length,
                                      EXCHANGE_RECEIVED_MAX - world->received_length);
        world->received_length += length;
        handle_events(world);
    }
}

/* False when the proxy has no use for more. */
static bool send_record(exchange *world, const uint8_t *bytes, size_t length) {
    for (int i = 0; i < 3; i++) {
        bool sent = proxy_client_send(&world->client, bytes, length);
        handle_events(world);
        turn(world);
        if (sent) {
            return true;
        }
    }
    return false;
}

static void send_all(exchange *world, fuzz_input plaintext) {
    bool taken = true;
    for (size_t records = 0; taken && plaintext.left > 0; records++) {
        size_t length = world->setup->chunk && records < RECORDS_MAX ? world->setup->chunk : RECORD_MAX;
        const uint8_t *bytes = fuzz_bytes(&plaintext, &length);
        if (world->setup->drains && plaintext.left == 0) {
            masque_engine_drain(world->engine, world->now);
        }
        taken = send_record(world, bytes, length);
    }
}

/* --- the end --------------------------------------------------------------------------- */

static void check_nothing_left(exchange *world) {
    masque_stats stats;
    FUZZ_REQUIRE(world->ended);
    for (size_t i = 0; i < SOCKETS_MAX; i++) {
        FUZZ_REQUIRE(world->sockets[i].state == SOCKET_FREE);
    }
    masque_engine_stats(world->engine, &stats);
    FUZZ_REQUIRE(stats.connections_active == 0 && stats.tunnels_active == 0);
    FUZZ_REQUIRE(stats.buffered_bytes <= REST_BYTES_MAX);
    FUZZ_REQUIRE(masque_deadline(world->engine) == MASQUE_NEVER);
}

/* Until nothing is due any more. */
static void let_time_pass(exchange *world) {
    for (int i = 0; i < END_TICKS_MAX && masque_deadline(world->engine) != MASQUE_NEVER; i++) {
        masque_time due = masque_deadline(world->engine);
        world->now = due > world->now ? due : world->now;
        masque_tick(world->engine, world->now);
        handle_events(world);
    }
}

static void end(exchange *world) {
    if (!world->setup->transport_fails) {
        proxy_client_finish(&world->client);
        handle_events(world);
        turn(world);
        masque_conn_finished(world->engine, world->client.conn, world->now);
        handle_events(world);
        turn(world);
        /* No limit of time is set to a target that takes nothing; but these do in the end. */
        world->hurries = true;
        turn(world);
        let_time_pass(world);
        FUZZ_REQUIRE(world->ended);
    }
    masque_conn_failed(world->engine, world->client.conn, world->now);
    handle_events(world);
    let_time_pass(world);
    check_nothing_left(world);
}

size_t exchange_run(const exchange_setup *setup, fuzz_input plaintext, uint8_t *received) {
    exchange *world = calloc(1, sizeof *world);
    FUZZ_REQUIRE(world);
    world->setup = setup;
    world->now = MASQUE_SECOND;
    world->engine = proxy_engine_new(NULL);
    world->received = received;
    FUZZ_REQUIRE(proxy_client_open(&world->client, world->engine, &world->now, world, setup->protocol));
    handle_events(world);
    send_all(world, plaintext);
    end(world);
    proxy_client_free(&world->client);
    masque_engine_free(world->engine);
    size_t length = world->received_length;
    free(world);
    return length;
}
