/*
 * tests/fuzz/engine_api.c: any calls in any order, with handles that live, that are stale
 * and that never were, also without memory. Nothing breaks; every accepted connection and
 * every connected target ends by just one event; in the end nothing is left.
 *
 * Input: two bytes, after how many allocations one fails (0: never) and how it ends; then
 * calls: a byte that names it and the bytes it takes.
 */
#include <string.h>

#include "proxy.h"

#define HANDLES_MAX 64
#define CLIENTS_MAX 3
#define ATTEMPTS_MAX 1024
#define CALLS_MAX 400
#define END_TICKS_MAX 200
#define PIECES_MAX 16
#define OVERDUE_MAX 8 /* ticks in a row */

typedef struct api_world {
    masque_engine *engine;
    masque_time now;
    fuzz_input input;
    size_t allocations_left; /* before one fails; SIZE_MAX: none does */
    uint64_t handles[HANDLES_MAX];
    size_t handle_count; /* ever; the last HANDLES_MAX are kept */
    proxy_client clients[CLIENTS_MAX];
    masque_attempt_id dialing[ATTEMPTS_MAX];
    size_t dialing_count;
    size_t conns_accepted, conns_ended;
    size_t targets_opened, targets_ended;
    bool draining;
} api_world;

/* --- memory ---------------------------------------------------------------------------- */

static bool may_allocate(api_world *world) {
    if (world->allocations_left == SIZE_MAX) {
        return true;
    }
    if (world->allocations_left == 0) {
        world->allocations_left = SIZE_MAX;
        return false;
    }
    world->allocations_left--;
    return true;
}

static void *allocate(void *context, size_t size) {
    return may_allocate(context) ? malloc(size) : NULL;
}

static void *resize(void *context, void *memory, size_t size) {
    return may_allocate(context) ? realloc(memory, size) : NULL;
}

static void release(void *context, void *memory) {
    (void)context;
    FUZZ_REQUIRE(memory);
    free(memory);
}

/* --- handles --------------------------------------------------------------------------- */

static void remember(api_world *world, uint64_t handle) {
    world->handles[world->handle_count++ % HANDLES_MAX] = handle;
}

/* One that was given, perhaps with a bit changed. */
static uint64_t any_handle(api_world *world) {
    size_t which = fuzz_byte(&world->input);
    uint8_t change = fuzz_byte(&world->input);
    size_t count = world->handle_count < HANDLES_MAX ? world->handle_count : HANDLES_MAX;
    uint64_t handle = count > 0 ? world->handles[which % count] : which;
    return change & 128 ? handle ^ (uint64_t)1 << (change & 63) : handle;
}

static bool forget_attempt(api_world *world, masque_attempt_id attempt) {
    for (size_t i = 0; i < world->dialing_count; i++) {
        if (world->dialing[i] == attempt) {
            world->dialing[i] = world->dialing[--world->dialing_count];
            return true;
        }
    }
    return false;
}

/* --- events ---------------------------------------------------------------------------- */

static void take_event(api_world *world, const masque_event *event) {
    switch (event->type) {
    case MASQUE_EVENT_CONN_END:
        world->conns_ended++;
        break;
    case MASQUE_EVENT_TUNNEL_END:
        world->targets_ended++;
        break;
    case MASQUE_EVENT_DIAL:
        FUZZ_REQUIRE(proxy_is_allowed(event->tunnel) && world->dialing_count < ATTEMPTS_MAX);
        world->dialing[world->dialing_count++] = event->attempt;
        remember(world, event->attempt);
        remember(world, event->tunnel);
        break;
    case MASQUE_EVENT_CANCEL_DIAL:
        FUZZ_REQUIRE(forget_attempt(world, event->attempt));
        break;
    case MASQUE_EVENT_RESOLVE:
        FUZZ_REQUIRE(proxy_is_allowed(event->tunnel) && strlen(event->text) > 0);
        remember(world, event->tunnel);
        break;
    case MASQUE_EVENT_AUTHORIZE:
        FUZZ_REQUIRE(strcmp(event->text, "fuzz") == 0);
        remember(world, event->tunnel);
        break;
    case MASQUE_EVENT_CONN_OUTPUT:
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_CONN_FINISH:
    case MASQUE_EVENT_TUNNEL_OUTPUT:
    case MASQUE_EVENT_TUNNEL_INPUT:
    case MASQUE_EVENT_TUNNEL_FINISH:
        break;
    }
}

static void take_events(api_world *world, size_t most) {
    masque_event event;
    for (size_t i = 0; i < most && masque_next_event(world->engine, &event); i++) {
        take_event(world, &event);
    }
}

static void call_next_event(api_world *world) {
    take_events(world, fuzz_byte(&world->input));
}

/* --- clients --------------------------------------------------------------------------- */

static void call_accept(api_world *world) {
    const masque_address from = {.family = MASQUE_IPV6, .ip = {0x20, 1, 0x0d, 0xb8}, .port = 1};
    int error;
    masque_conn_id conn = masque_accept(world->engine, &from, world, world->now, &error);
    FUZZ_REQUIRE((conn != 0) == (error == 0) && (!conn || !world->draining));
    world->conns_accepted += conn != 0;
    if (conn) {
        remember(world, conn);
    }
}

static proxy_client *any_client(api_world *world) {
    return &world->clients[fuzz_byte(&world->input) % CLIENTS_MAX];
}

static void call_client_open(api_world *world) {
    proxy_client *client = any_client(world);
    proxy_client_free(client);
    proxy_client_open(client, world->engine, &world->now, world, fuzz_byte(&world->input) & 1 ? "h2" : "http/1.1");
    world->conns_accepted += client->conn != 0;
    if (client->conn) {
        remember(world, client->conn);
    }
}

/* Requests that are worth having, by number, or bytes of the input. */
static void call_client_send(api_world *world) {
    static const struct request {
        const char *bytes;
        size_t length;
    } requests[] = {
#define REQUEST(text) {text, sizeof(text) - 1}
        REQUEST("CONNECT 192.88.98.1:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Fuzz a\r\n\r\nhello"),
        REQUEST("CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Fuzz a\r\n\r\n"),
        REQUEST("CONNECT a.test:443 HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Fuzz p\r\n\r\n"),
        REQUEST("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
        /* HEADERS: :method CONNECT, :authority a.test:443, authorization Fuzz a; literals of RFC 7541 6.2.2. */
        REQUEST("\0\0\x2a\1\4\0\0\0\1\2\7CONNECT\1\12a.test:443\0\15authorization\6Fuzz a"),
        REQUEST("\0\0\x2a\1\4\0\0\0\3\2\7CONNECT\1\12a.test:443\0\15authorization\6Fuzz p"),
        REQUEST("\0\0\5\0\0\0\0\0\1hello"),
        REQUEST("\0\0\0\0\1\0\0\0\1"),
        REQUEST("\0\0\4\3\0\0\0\0\1\0\0\0\10"),
#undef REQUEST
    };
    proxy_client *client = any_client(world);
    size_t which = fuzz_byte(&world->input);
    if (!client->tls) {
        return;
    }
    if (which < sizeof requests / sizeof requests[0]) {
        proxy_client_send(client, (const uint8_t *)requests[which].bytes, requests[which].length);
    } else {
        const uint8_t *bytes = fuzz_bytes(&world->input, &which);
        proxy_client_send(client, bytes, which);
    }
}

static void call_client_receive(api_world *world) {
    uint8_t bytes[4096];
    proxy_client *client = any_client(world);
    if (client->tls) {
        proxy_client_receive(client, bytes, sizeof bytes);
    }
}

static void call_client_finish(api_world *world) {
    proxy_client *client = any_client(world);
    if (client->tls) {
        proxy_client_finish(client);
    }
}

/* --- connections ----------------------------------------------------------------------- */

static void call_feed(api_world *world) {
    uint64_t handle = any_handle(world);
    size_t length = fuzz_byte(&world->input);
    const uint8_t *bytes = fuzz_bytes(&world->input, &length);
    masque_conn_feed(world->engine, handle, bytes, length, world->now);
}

static void call_commit(api_world *world) {
    uint64_t handle = any_handle(world);
    masque_iovec piece;
    if (masque_conn_reserve(world->engine, handle, &piece)) {
        size_t length = fuzz_byte(&world->input);
        const uint8_t *bytes = fuzz_bytes(&world->input, &length);
        FUZZ_REQUIRE(length <= piece.length);
        memcpy(piece.base, bytes, length);
        FUZZ_REQUIRE(masque_conn_commit(world->engine, handle, piece.length + 1, world->now) == MASQUE_ERR_INVALID);
        FUZZ_REQUIRE(masque_conn_commit(world->engine, handle, length, world->now) == 0);
    }
}

static void call_conn_closed(api_world *world) {
    uint64_t handle = any_handle(world);
    bool failed = fuzz_byte(&world->input) & 1;
    (failed ? masque_conn_failed : masque_conn_finished)(world->engine, handle, world->now);
}

static size_t total_of(const masque_iovec *pieces, size_t count) {
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        FUZZ_REQUIRE(pieces[i].base && pieces[i].length > 0);
        total += pieces[i].length;
    }
    return total;
}

static size_t part(api_world *world, size_t total) {
    return total * fuzz_byte(&world->input) / 255;
}

static void call_conn_pull(api_world *world) {
    uint64_t handle = any_handle(world);
    masque_iovec pieces[PIECES_MAX];
    size_t count = masque_conn_pull(world->engine, handle, pieces, PIECES_MAX, world->now);
    FUZZ_REQUIRE(count <= PIECES_MAX);
    if (count > 0) {
        size_t total = total_of(pieces, count);
        size_t length = part(world, total);
        FUZZ_REQUIRE(masque_conn_pulled(world->engine, handle, total + 1, world->now) == MASQUE_ERR_INVALID);
        FUZZ_REQUIRE(masque_conn_pulled(world->engine, handle, length, world->now) == 0);
    } else {
        masque_conn_pulled(world->engine, handle, fuzz_byte(&world->input), world->now);
    }
}

/* --- answers --------------------------------------------------------------------------- */

static void call_resolved(api_world *world) {
    const masque_address addresses[] = {{.family = MASQUE_IPV4, .ip = {127, 0, 0, 1}},
                                        {.family = MASQUE_IPV4, .ip = {8, 8, 4, 4}},
                                        {.family = MASQUE_IPV6, .ip = {0x26, 0x20, 0, 0xfe, [15] = 0xfe}},
                                        {.family = MASQUE_IPV4, .ip = {8, 8, 8, 8}},
                                        {.family = MASQUE_IPV6, .ip = {0x26, 0x20, 0, 0xfe, [15] = 0xff}}};
    uint64_t handle = any_handle(world);
    uint8_t how = fuzz_byte(&world->input);
    masque_family family = how & 1 ? MASQUE_IPV4 : how & 2 ? MASQUE_IPV6 : MASQUE_FAMILY_NONE;
    masque_resolved(world->engine, handle, family, (masque_lookup)(how >> 2 & 3), addresses,
                    (how >> 4) % (sizeof addresses / sizeof addresses[0] + 1), world->now);
}

static void call_dialed(api_world *world) {
    uint64_t handle = any_handle(world);
    masque_dial_result result = (masque_dial_result)(fuzz_byte(&world->input) % (MASQUE_DIAL_OWN + 1));
    int error = masque_dialed(world->engine, handle, result, world->now);
    bool connected = result == MASQUE_DIAL_OK || result == MASQUE_DIAL_OWN;
    FUZZ_REQUIRE(error == 0 || error == MASQUE_ERR_STALE || connected);
    if (error != MASQUE_ERR_STALE) {
        forget_attempt(world, handle);
        world->targets_opened += error == 0 && connected;
    }
}

static void call_authorized(api_world *world) {
    uint64_t handle = any_handle(world);
    masque_verdict verdict = (masque_verdict)(fuzz_byte(&world->input) % (MASQUE_AUTH_UNAVAILABLE + 1));
    if (masque_authorized(world->engine, handle, verdict, world->now) == 0 && verdict == MASQUE_AUTH_ALLOW) {
        proxy_allow(handle);
    }
}

static void call_set_user(api_world *world) {
    masque_attempt_set_user(world->engine, any_handle(world), world);
}

/* --- tunnels --------------------------------------------------------------------------- */

static void call_tunnel_commit(api_world *world) {
    uint64_t handle = any_handle(world);
    masque_iovec pieces[PIECES_MAX];
    size_t most = fuzz_byte(&world->input) % PIECES_MAX;
    size_t count = masque_tunnel_reserve(world->engine, handle, pieces, most);
    FUZZ_REQUIRE(count <= most);
    for (size_t i = 0; i < count; i++) {
        memset(pieces[i].base, 'x', pieces[i].length);
    }
    size_t total = total_of(pieces, count);
    size_t length = part(world, total);
    FUZZ_REQUIRE(count == 0 ||
                 masque_tunnel_commit(world->engine, handle, total + 1, world->now) == MASQUE_ERR_INVALID);
    int error = masque_tunnel_commit(world->engine, handle, length, world->now);
    FUZZ_REQUIRE(count == 0 || error == 0);
}

static void call_tunnel_finished(api_world *world) {
    masque_tunnel_finished(world->engine, any_handle(world), world->now);
}

static void call_tunnel_failed(api_world *world) {
    masque_tunnel_failed(world->engine, any_handle(world), world->now);
}

static void call_tunnel_pull(api_world *world) {
    uint64_t handle = any_handle(world);
    masque_iovec pieces[PIECES_MAX];
    size_t count = masque_tunnel_pull(world->engine, handle, pieces, PIECES_MAX);
    FUZZ_REQUIRE(count <= PIECES_MAX);
    int error = masque_tunnel_pulled(world->engine, handle, part(world, total_of(pieces, count)), world->now);
    FUZZ_REQUIRE(count == 0 || error == 0);
}

static void call_tunnel_datagrams(api_world *world) {
    static const uint8_t payloads[3000];
    size_t length = (size_t)fuzz_byte(&world->input) * 11;
    masque_tunnel_datagrams(world->engine, any_handle(world), payloads, length, fuzz_byte(&world->input), world->now);
}

static void call_pull_datagrams(api_world *world) {
    uint64_t handle = any_handle(world);
    masque_iovec pieces[PIECES_MAX];
    size_t count = masque_tunnel_pull_datagrams(world->engine, handle, pieces, PIECES_MAX);
    FUZZ_REQUIRE(count <= PIECES_MAX);
    int error = masque_tunnel_pulled_datagrams(world->engine, handle, part(world, count), 0, world->now);
    FUZZ_REQUIRE(count == 0 || error == 0);
}

static void call_unreachable(api_world *world) {
    masque_tunnel_unreachable(world->engine, any_handle(world), world->now);
}

/* --- the engine ------------------------------------------------------------------------ */

static void call_tick(api_world *world) {
    uint8_t step = fuzz_byte(&world->input);
    masque_time due = masque_deadline(world->engine);
    if (step == 255 && due != MASQUE_NEVER && due > world->now) {
        world->now = due;
    } else {
        world->now += (masque_time)step * step * MASQUE_MILLISECOND;
    }
    /* A timer may arm another that is overdue; but no host may be kept busy for ever. */
    for (int i = 0; i < OVERDUE_MAX && (i == 0 || masque_deadline(world->engine) <= world->now); i++) {
        masque_tick(world->engine, world->now);
    }
    FUZZ_REQUIRE(masque_deadline(world->engine) > world->now);
}

static void call_drain(api_world *world) {
    world->draining = true;
    masque_engine_drain(world->engine, world->now);
}

static void call_set_config(api_world *world) {
    masque_engine_set_config(world->engine, proxy_config());
}

static void call_stats(api_world *world) {
    masque_stats stats;
    masque_engine_stats(world->engine, &stats);
    FUZZ_REQUIRE(stats.connections_active <= stats.connections_total);
    FUZZ_REQUIRE(stats.connections_total == world->conns_accepted);
    FUZZ_REQUIRE(stats.connections_active == world->conns_accepted - world->conns_ended);
}

static void (*const CALLS[])(api_world *) = {
    call_next_event,      call_accept,        call_client_open,      call_client_send,    call_client_receive,
    call_client_finish,   call_feed,          call_commit,           call_conn_closed,    call_conn_pull,
    call_resolved,        call_dialed,        call_authorized,       call_set_user,       call_tunnel_commit,
    call_tunnel_finished, call_tunnel_failed, call_tunnel_pull,      call_tick,           call_drain,
    call_set_config,      call_stats,         call_tunnel_datagrams, call_pull_datagrams, call_unreachable,
};

/* --- the end --------------------------------------------------------------------------- */

static void let_time_pass(api_world *world) {
    for (int i = 0; i < END_TICKS_MAX && masque_deadline(world->engine) != MASQUE_NEVER; i++) {
        masque_time due = masque_deadline(world->engine);
        world->now = due > world->now ? due : world->now;
        masque_tick(world->engine, world->now);
        take_events(world, SIZE_MAX);
    }
}

static void close_everything(api_world *world) {
    masque_stats stats;
    masque_engine_drain(world->engine, world->now);
    take_events(world, SIZE_MAX);
    let_time_pass(world);
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        masque_conn_failed(world->engine, world->handles[i], world->now);
        masque_tunnel_failed(world->engine, world->handles[i], world->now);
    }
    take_events(world, SIZE_MAX);
    let_time_pass(world);
    if (world->handle_count > HANDLES_MAX) {
        return; /* some handle may be forgotten */
    }
    FUZZ_REQUIRE(world->conns_ended == world->conns_accepted);
    FUZZ_REQUIRE(world->targets_ended == world->targets_opened);
    FUZZ_REQUIRE(world->dialing_count == 0);
    masque_engine_stats(world->engine, &stats);
    FUZZ_REQUIRE(stats.connections_active == 0 && stats.tunnels_active == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    api_world *world = calloc(1, sizeof *world);
    FUZZ_REQUIRE(world);
    world->input = (fuzz_input){data, size};
    world->now = MASQUE_SECOND;
    world->allocations_left = SIZE_MAX;
    uint8_t allocations = fuzz_byte(&world->input);
    bool closes = fuzz_byte(&world->input) & 1;
    if (allocations > 0) {
        world->allocations_left = allocations - 1u;
    }
    const masque_allocator allocator = {allocate, resize, release, world};
    world->engine = proxy_engine_new(&allocator);
    for (int i = 0; world->engine && i < CALLS_MAX && world->input.left > 0; i++) {
        CALLS[fuzz_byte(&world->input) % (sizeof CALLS / sizeof CALLS[0])](world);
    }
    if (world->engine && closes) {
        close_everything(world);
    }
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        proxy_client_free(&world->clients[i]);
    }
    masque_engine_free(world->engine);
    free(world);
    return 0;
}
