/*
 * harness/world.c: a world's life, its time, and the engine's events.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"

#define STEPS_MAX 20000000u
#define IDLE_TICKS_MAX 1000u
#define SIM_FILE_MAX 16384u

/* --- runtime ---------------------------------------------------------------------------- */

static void on_random(void *context, uint8_t *buffer, size_t size) {
    sim_world *world = context;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(sim_random(&world->engine_chance) >> 32);
    }
}

static void on_log(void *context, const masque_log_record *record) {
    sim_world *world = context;
    SIM_CHECK(world, !(record->client && record->tunnel), "a log record with client and tunnel");
    SIM_CHECK(world, record->event, "a log record without a word");
    world->log_last = *record;
    world->log_count++;
}

masque_runtime sim_runtime(sim_world *world) {
    return (masque_runtime){.allocator = sim_allocator(), .random = on_random, .log = on_log, .context = world};
}

char *sim_read_file(const char *path, size_t *length) {
    char *text = malloc(SIM_FILE_MAX);
    FILE *file = fopen(path, "rb");
    if (!text || !file) {
        fprintf(stderr, "can't read %s\n", path);
        abort();
    }
    *length = fread(text, 1, SIM_FILE_MAX, file);
    fclose(file);
    return text;
}

static void set_certificate(const sim_world *world, masque_config *config) {
    size_t chain_length;
    size_t key_length;
    char *chain = sim_read_file(SIM_DATA "/sim_server.pem", &chain_length);
    char *key = sim_read_file(SIM_DATA "/sim_server_key.pem", &key_length);
    int error = masque_config_set_certificate(config, chain, chain_length, key, key_length);
    free(chain);
    free(key);
    SIM_CHECK(world, error == 0 || world->setup.may_fail, "certificate: %s", masque_error_name(error));
}

masque_config *sim_config_new(sim_world *world, const masque_limits *limits, bool with_key) {
    masque_runtime runtime = sim_runtime(world);
    masque_config *config = masque_config_new(&runtime);
    if (!config) {
        SIM_CHECK(world, world->setup.may_fail, "no configuration");
        return NULL;
    }
    set_certificate(world, config);
    int error = masque_config_set_limits(config, limits ? limits : &world->limits);
    SIM_CHECK(world, error == 0, "the test's limits: %s", masque_limits_check(limits ? limits : &world->limits));
    if (with_key) {
        error = masque_config_add_preshared(config, "test", SIM_KEY, strlen(SIM_KEY));
        SIM_CHECK(world, error == 0 || world->setup.may_fail, "key: %s", masque_error_name(error));
    }
    return config;
}

void sim_use_config(sim_world *world, masque_config *config) {
    sim_side side = sim_alloc_side(SIM_PROXY);
    SIM_CHECK(world, masque_config_seal(config) == 0 && masque_engine_set_config(world->engine, config) == 0, "set");
    masque_config_release(config);
    sim_alloc_side(side);
}

/* --- life --------------------------------------------------------------------------------- */

static void start_engine(sim_world *world) {
    const sim_setup *setup = &world->setup;
    masque_runtime runtime = sim_runtime(world);
    sim_side side = sim_alloc_side(SIM_PROXY);
    world->config = sim_config_new(world, NULL, !setup->no_key);
    if (world->config && setup->configure) {
        setup->configure(world, world->config);
    }
    int error = world->config ? masque_config_seal(world->config) : MASQUE_ERR_NO_MEMORY;
    if (!error) {
        error = masque_engine_new(&world->engine, world->config, &runtime);
    }
    sim_alloc_side(side);
    SIM_CHECK(world, error == 0 || (setup->may_fail && !world->engine), "no engine: %s", masque_error_name(error));
}

sim_world *sim_world_new(const sim_setup *setup) {
    sim_world *world = calloc(1, sizeof *world);
    if (!world) {
        abort();
    }
    sim_alloc_init();
    world->setup = *setup;
    world->traced = getenv("SIM_TRACE") != NULL;
    world->now = MASQUE_SECOND * 1000;
    sim_prng_seed(&world->chance, setup->seed);
    sim_prng_seed(&world->engine_chance, setup->seed + 77);
    world->blocks_before = sim_alloc_memory(SIM_PROXY)->live_blocks;
    world->tls[0] = sim_tls_context_new(13);
    world->tls[1] = sim_tls_context_new(12);
    SIM_CHECK(world, world->tls[0] && world->tls[1], "no TLS for clients: is %s there?", SIM_DATA);
    masque_limits_init(&world->limits);
    world->limits.requests_burst = 1000000;
    if (setup->limits) {
        setup->limits(&world->limits);
    }
    sim_script_defaults(world);
    start_engine(world);
    return world;
}

static void free_test_side(sim_world *world) {
    for (size_t i = 0; i < world->conn_count; i++) {
        sim_client_free(world->conns[i]);
    }
    for (size_t i = 0; i < world->target_count; i++) {
        sim_bytes_free(&world->targets[i]->payloads);
        free(world->targets[i]);
    }
    sim_tls_context_free(world->tls[0]);
    sim_tls_context_free(world->tls[1]);
    free(world->conns);
    free(world->targets);
    free(world->acts);
    free(world->handles.keys);
}

void sim_world_free(sim_world *world) {
    for (size_t i = 0; i < world->conn_count; i++) {
        sim_engine_free(world->conns[i]);
        sim_raw_quic_free(world->conns[i]);
    }
    sim_alloc_side(SIM_PROXY);
    masque_engine_free(world->engine);
    masque_config_release(world->config);
    sim_alloc_side(SIM_TEST);
    const sim_memory *memory = sim_alloc_memory(SIM_PROXY);
    SIM_CHECK(world, memory->live_blocks == world->blocks_before, "the proxy leaked %llu bytes in %llu blocks",
              (unsigned long long)memory->live_bytes, (unsigned long long)memory->live_blocks);
    free_test_side(world);
    free(world);
}

void sim_world_close(sim_world *world) {
    for (size_t i = 0; i < world->conn_count; i++) {
        sim_conn *conn = world->conns[i];
        conn->deaf = false;
        sim_leave(conn, false);
    }
    /* A half-open tunnel would wait for its target for ever, as it should. */
    for (size_t i = 0; i < world->target_count; i++) {
        world->targets[i]->send_fin = true;
        world->targets[i]->stalls = false;
    }
    sim_advance(world, 120 * MASQUE_SECOND);
    sim_check_over(world);
    sim_world_free(world);
}

sim_conn *sim_connect(sim_world *world, const sim_client *client) {
    static const char *const usual = "198.51.100.7";
    sim_conn *conn = calloc(1, sizeof *conn);
    SIM_CHECK(world, conn, "no memory");
    *conn = (sim_conn){.world = world, .options = *client, .index = world->conn_count, .alert = -1};
    size_t capacity = client->pipe ? client->pipe : world->setup.pipe ? world->setup.pipe : 65536;
    sim_pipe_init(&conn->up, capacity);
    sim_pipe_init(&conn->down, capacity);
    sim_prng_seed(&conn->chance, world->setup.seed * 31 + conn->index);
    bool quic = client->alpn && strcmp(client->alpn, "h3") == 0;
    if (client->engine) {
        sim_engine_open(conn);
    } else if (!client->naked && !quic) {
        sim_tls_open(conn);
    }
    world->conns = sim_grow(world->conns, &world->conn_capacity, world->conn_count + 1, sizeof(sim_conn *));
    world->conns[world->conn_count++] = conn;
    masque_address address = sim_address(client->address ? client->address : usual, 40000);
    if (quic) {
        conn->address = address;
        conn->address.port = (uint16_t)(10000 + conn->index * 10);
        (client->raw ? sim_raw_quic_open : sim_engine_open)(conn);
        return conn;
    }
    sim_alloc_side(SIM_PROXY);
    conn->id = masque_accept(world->engine, &address, conn, world->now, &conn->accept_error);
    if (conn->id && client->listener) {
        SIM_CHECK(world, masque_conn_set_listener(world->engine, conn->id, client->listener) == 0, "its listener");
    }
    sim_alloc_side(SIM_TEST);
    if (conn->id) {
        sim_check_new_handle(world, 1, conn->id);
    }
    return conn;
}

/* --- events --------------------------------------------------------------------------------- */

static void conn_event(sim_world *world, const masque_event *event) {
    sim_conn *conn = event->user;
    SIM_CHECK(world, conn && conn->id == event->conn, "a connection's event with another's user");
    SIM_CHECK(world, !conn->ended, "an event behind CONN_END");
    switch (event->type) {
    case MASQUE_EVENT_CONN_OUTPUT:
        conn->want_write = true;
        break;
    case MASQUE_EVENT_CONN_INPUT:
        conn->read_blocked = false;
        conn->inputs++;
        break;
    case MASQUE_EVENT_CONN_FINISH:
        SIM_CHECK(world, !conn->finished, "CONN_FINISH twice");
        conn->finished = true;
        conn->down.fin = true;
        break;
    case MASQUE_EVENT_CONN_END:
        conn->ended = true;
        conn->end_error = event->error;
        conn->end_reset = event->reset;
        sim_check_conn_end(conn);
        sim_host_close(conn, event->reset);
        break;
    case MASQUE_EVENT_AUTHORIZE:
    case MASQUE_EVENT_RESOLVE:
    case MASQUE_EVENT_DIAL:
    case MASQUE_EVENT_CANCEL_DIAL:
    case MASQUE_EVENT_TUNNEL_OUTPUT:
    case MASQUE_EVENT_TUNNEL_INPUT:
    case MASQUE_EVENT_TUNNEL_FINISH:
    case MASQUE_EVENT_TUNNEL_END:
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
    case MASQUE_EVENT_PACKETS:
        break;
    }
}

static void dial(sim_world *world, const masque_event *event) {
    sim_check_new_handle(world, 3, event->attempt);
    sim_check_dial(world, event, world->ports[event->address.port]);
    sim_target *target = sim_target_new(world, event);
    sim_site *site = target->site;
    if (site) {
        size_t kept = sizeof site->dialed_at / sizeof site->dialed_at[0];
        site->dialed_at[site->dials % kept] = world->now;
        site->dials++;
    }
    int error = masque_attempt_set_user(world->engine, event->attempt, target);
    SIM_CHECK(world, error == 0, "masque_attempt_set_user: %s", masque_error_name(error));
    masque_time delay = site ? site->delay : 0;
    masque_time at = delay == SIM_NEVER ? SIM_NEVER : world->now + delay;
    sim_act_add(world, (sim_act){.at = at, .kind = SIM_ACT_DIALED, .target = target});
}

static void cancel_dial(sim_world *world, const masque_event *event) {
    sim_target *target = event->user;
    SIM_CHECK(world, target && target->attempt == event->attempt && target->state == SIM_DIALING && !target->cancelled,
              "a wrong CANCEL_DIAL");
    target->cancelled = true;
    if (target->site) {
        target->site->cancelled++;
    }
    if (!world->late_dials) {
        target->state = SIM_CLOSED;
        sim_acts_forget(world, target);
    }
}

static void perform(sim_world *world, const masque_event *event) {
    switch (event->type) {
    case MASQUE_EVENT_CONN_OUTPUT:
    case MASQUE_EVENT_CONN_INPUT:
    case MASQUE_EVENT_CONN_FINISH:
    case MASQUE_EVENT_CONN_END:
        conn_event(world, event);
        return;
    case MASQUE_EVENT_AUTHORIZE:
        SIM_CHECK(world, world->authorize_count < 64, "too many AUTHORIZE");
        world->authorize[world->authorize_count++] = event->tunnel;
        world->authorize_text = event->text;
        return;
    case MASQUE_EVENT_RESOLVE:
        SIM_CHECK(world, event->text && event->text[0], "RESOLVE without a name");
        world->last_resolve = event->tunnel;
        sim_resolve(world, event);
        return;
    case MASQUE_EVENT_DIAL:
        dial(world, event);
        return;
    case MASQUE_EVENT_CANCEL_DIAL:
        cancel_dial(world, event);
        return;
    case MASQUE_EVENT_TUNNEL_OUTPUT:
    case MASQUE_EVENT_TUNNEL_INPUT:
    case MASQUE_EVENT_TUNNEL_FINISH:
    case MASQUE_EVENT_TUNNEL_END:
        sim_target_event(world, event);
        return;
    case MASQUE_EVENT_PACKETS:
        world->has_packets = true;
        return;
    case MASQUE_EVENT_CONN_OPEN:
    case MASQUE_EVENT_TUNNEL_ANSWER:
        SIM_CHECK(world, false, "a client's event of a server");
        return;
    }
}

/* SIM_TRACE=1 in the environment: every event, to follow a run that failed. */
static void trace(const sim_world *world, const masque_event *event) {
    static const char *const names[] = {"CONN_OPEN",     "CONN_OUTPUT",   "CONN_INPUT",    "CONN_FINISH",
                                        "CONN_END",      "AUTHORIZE",     "RESOLVE",       "DIAL",
                                        "CANCEL_DIAL",   "TUNNEL_ANSWER", "TUNNEL_OUTPUT", "TUNNEL_INPUT",
                                        "TUNNEL_FINISH", "TUNNEL_END",    "PACKETS"};
    if (world->traced) {
        fprintf(stderr, "%8llu ms  %-13s conn %llx tunnel %llx reset %d error %d\n",
                (unsigned long long)(world->now / MASQUE_MILLISECOND), names[event->type],
                (unsigned long long)event->conn, (unsigned long long)event->tunnel, event->reset, event->error);
    }
}

void sim_events(sim_world *world) {
    masque_event event;
    for (;;) {
        sim_alloc_side(SIM_PROXY);
        bool more = masque_next_event(world->engine, &event);
        sim_alloc_side(SIM_TEST);
        if (!more) {
            return;
        }
        world->event_count++;
        world->events[event.type]++;
        trace(world, &event);
        if (world->on_event) {
            world->on_event(world, &event);
        }
        perform(world, &event);
    }
}

/* --- time -------------------------------------------------------------------------------------- */

bool sim_step(sim_world *world) {
    bool progress = sim_acts_run(world);
    sim_events(world);
    if (world->quic_count > 0 && sim_packets_step(world)) {
        progress = true;
    }
    for (size_t i = 0; i < world->conn_count; i++) {
        bool client = sim_client_step(world->conns[i]);
        bool host = sim_host_step(world->conns[i]);
        progress = progress || client || host;
    }
    for (size_t i = 0; i < world->target_count; i++) {
        if (world->targets[i]->state == SIM_OPEN && sim_target_step(world->targets[i])) {
            progress = true;
        }
    }
    sim_check_step(world);
    return progress;
}

static void step_all(sim_world *world) {
    unsigned steps = 0;
    while (sim_step(world)) {
        world->ticks_now = 0;
        SIM_CHECK(world, ++steps < STEPS_MAX, "no end of steps: something runs in circles");
    }
}

static void tick(sim_world *world) {
    sim_alloc_side(SIM_PROXY);
    masque_tick(world->engine, world->now);
    sim_alloc_side(SIM_TEST);
    world->ticks_now++;
    SIM_CHECK(world, world->ticks_now < IDLE_TICKS_MAX, "masque_deadline() is due again and again");
    sim_events(world);
}

/* Lets time go on to UNTIL at most; false when it is there and nothing is due. */
static bool pass(sim_world *world, masque_time until) {
    masque_time deadline = masque_deadline(world->engine);
    masque_time act = sim_acts_next(world);
    masque_time packet = world->engine_count > 0 ? sim_packets_next(world) : SIM_NEVER;
    masque_time next = act < deadline ? act : deadline;
    next = packet < next ? packet : next;
    next = next < until ? next : until;
    if (next > world->now) {
        world->now = next;
        world->ticks_now = 0;
    }
    if (packet <= world->now) {
        sim_packets_tick(world);
    }
    if (deadline <= world->now) {
        tick(world);
        return true;
    }
    return act <= world->now || packet <= world->now || world->now < until;
}

/* What is due with QUIC: also its timers, but not those that only a silent peer lets pass. */
static masque_time soon(const sim_world *world) {
    masque_time acts = sim_acts_next(world);
    masque_time packets = sim_packets_next(world);
    masque_time timer = masque_deadline(world->engine);
    masque_time next = acts < packets ? acts : packets;
    next = timer < next ? timer : next;
    return acts != SIM_NEVER || next <= world->now + MASQUE_SECOND ? next : SIM_NEVER;
}

void sim_settle(sim_world *world) {
    step_all(world);
    for (;;) {
        masque_time next = world->quic_count > 0 ? soon(world) : sim_acts_next(world);
        if (next == SIM_NEVER) {
            return;
        }
        pass(world, next);
        step_all(world);
    }
}

void sim_advance(sim_world *world, masque_time duration) {
    masque_time until = world->now + duration;
    step_all(world);
    while (pass(world, until)) {
        step_all(world);
    }
    step_all(world);
}

masque_stats sim_stats(const sim_world *world) {
    masque_stats stats;
    masque_engine_stats(world->engine, &stats);
    return stats;
}

uint64_t sim_proxy_bytes(void) {
    return sim_alloc_memory(SIM_PROXY)->live_bytes;
}
