#include "engine/engine.h"

#include <assert.h>

#define OVERLOAD_FEED_PERCENT 95

void mq_ready_init(mq_ready *ready, mq_ready_kind kind) {
    mq_link_init(&ready->link);
    ready->due = 0;
    ready->kind = kind;
}

void mq_ready_set(masque_engine *engine, mq_ready *ready, masque_event_type type) {
    if (ready->due == 0) {
        mq_list_append(&engine->ready, &ready->link);
    }
    ready->due |= 1u << type;
}

void mq_ready_clear(mq_ready *ready, masque_event_type type) {
    ready->due &= ~(1u << type);
    if (ready->due == 0) {
        mq_link_remove(&ready->link);
    }
}

bool mq_ready_has(const mq_ready *ready, masque_event_type type) {
    return ready->due & 1u << type;
}

void mq_log(const masque_engine *engine, const masque_log_record *record) {
    assert(!record->tunnel || !record->client);
    if (engine->runtime.log) {
        engine->runtime.log(engine->runtime.context, record);
    }
}

/* --- configuration -------------------------------------------------------------- */

static void free_listeners(masque_engine *engine, mq_setup *setup) {
    for (size_t i = 0; setup->listener_tls && i < setup->config->listener_count; i++) {
        mq_tls_context_del(setup->listener_tls[i]);
    }
    mq_free(mq_engine_allocator(engine), setup->listener_tls);
}

static int make_listeners(masque_engine *engine, mq_setup *setup) {
    const masque_config *config = setup->config;
    int error = 0;
    if (config->listener_count == 0) {
        return 0;
    }
    setup->listener_tls = mq_zalloc(mq_engine_allocator(engine), config->listener_count * sizeof(mq_tls_context *));
    if (!setup->listener_tls) {
        return MASQUE_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < config->listener_count && !error; i++) {
        const mq_listener *listener = mq_config_listener(config, (unsigned)i);
        error = listener ? mq_tls_context_new(&setup->listener_tls[i], &listener->credentials, &engine->runtime) : 0;
    }
    return error;
}

static int setup_new(masque_engine *engine, masque_config *config, mq_setup **out) {
    const masque_allocator *allocator = mq_engine_allocator(engine);
    *out = NULL;
    if (!config->sealed) {
        return MASQUE_ERR_STATE;
    }
    mq_setup *setup = mq_zalloc(allocator, sizeof *setup);
    if (!setup) {
        return MASQUE_ERR_NO_MEMORY;
    }
    setup->config = masque_config_retain(config);
    setup->users = 1;
    int error = mq_tls_context_new(&setup->tls, &config->credentials, &engine->runtime);
    error = error ? error : make_listeners(engine, setup);
    error = error ? error : mq_quic_keys_init(&setup->quic_keys, config->quic_secrets, config->quic_secret_count);
    if (error) {
        mq_setup_release(engine, setup);
        return error;
    }
    *out = setup;
    return 0;
}

mq_setup *mq_setup_retain(mq_setup *setup) {
    setup->users++;
    return setup;
}

void mq_setup_release(masque_engine *engine, mq_setup *setup) {
    assert(setup->users > 0);
    if (--setup->users > 0) {
        return;
    }
    mq_tls_context_del(setup->tls);
    free_listeners(engine, setup);
    mq_quic_keys_free(&setup->quic_keys);
    masque_config_release(setup->config);
    mq_free(mq_engine_allocator(engine), setup);
}

int masque_engine_set_config(masque_engine *engine, masque_config *config) {
    mq_setup *setup;
    int error = setup_new(engine, config, &setup);
    if (error) {
        return error;
    }
    mq_setup_release(engine, engine->setup);
    engine->setup = setup;
    engine->setup_number++;
    engine->endpoint.self.server = config->server_number;
    if (config->revokes) {
        mq_engine_revoke(engine);
    }
    return 0;
}

/* --- life ------------------------------------------------------------------------ */

static int engine_init(masque_engine *engine, masque_config *config) {
    const masque_allocator *allocator = mq_engine_allocator(engine);
    uint64_t seed;
    engine->runtime.random(engine->runtime.context, (uint8_t *)&seed, sizeof seed);
    engine->egress_seed = seed * UINT64_C(0x9e3779b97f4a7c15);
    mq_slots_init(&engine->conns, allocator);
    mq_slots_init(&engine->tunnels, allocator);
    mq_slots_init(&engine->attempts, allocator);
    mq_timers_init(&engine->timers, allocator);
    mq_pool_init(&engine->pool, allocator);
    mq_link_init(&engine->ready);
    mq_link_init(&engine->starved);
    mq_link_init(&engine->writers);
    mq_link_init(&engine->outbound);
    mq_ready_init(&engine->ready_packets, MQ_READY_PACKETS);
    engine->output.sealed = true;
    engine->endpoint.runtime = &engine->runtime;
    engine->endpoint.self.server = config->server_number;
    engine->read_buffer = mq_alloc(allocator, MQ_READ_SIZE);
    int error = mq_sources_init(&engine->sources, allocator, seed);
    if (!error && !engine->read_buffer) {
        error = MASQUE_ERR_NO_MEMORY;
    }
    return error ? error : setup_new(engine, config, &engine->setup);
}

int masque_engine_new(masque_engine **out, masque_config *config, const masque_runtime *runtime) {
    *out = NULL;
    if (!runtime->random) {
        return MASQUE_ERR_INVALID;
    }
    masque_allocator allocator;
    mq_allocator_init(&allocator, &runtime->allocator);
    masque_engine *engine = mq_zalloc(&allocator, sizeof *engine);
    if (!engine) {
        return MASQUE_ERR_NO_MEMORY;
    }
    engine->runtime = *runtime;
    engine->runtime.allocator = allocator;
    int error = engine_init(engine, config);
    if (error) {
        masque_engine_free(engine);
        return error;
    }
    *out = engine;
    return 0;
}

static void free_objects(masque_engine *engine) {
    for (uint32_t i = 0; i < engine->conns.used; i++) {
        mq_conn *conn = mq_slots_at(&engine->conns, i);
        if (conn) {
            mq_conn_del(conn);
        }
    }
    /* Cancelled attempts whose event was not taken are only in the event queue. */
    while (!mq_link_alone(&engine->ready)) {
        mq_ready *ready = MQ_MEMBER(engine->ready.next, mq_ready, link);
        if (ready->kind == MQ_READY_PACKETS) {
            mq_link_remove(&ready->link);
            continue;
        }
        assert(ready->kind == MQ_READY_ATTEMPT);
        mq_attempt_del(MQ_MEMBER(ready, mq_attempt, ready));
    }
}

void masque_engine_free(masque_engine *engine) {
    if (!engine) {
        return;
    }
    masque_allocator allocator = engine->runtime.allocator;
    if (engine->sources.chains) {
        free_objects(engine);
        mq_sources_free(&engine->sources);
    }
    for (size_t i = 0; i < MQ_RESERVE_BLOCKS; i++) {
        if (engine->reserved[i]) {
            mq_block_release(&engine->pool, engine->reserved[i]);
        }
    }
    if (engine->reserved_tail) {
        mq_block_release(&engine->pool, engine->reserved_tail);
    }
    if (engine->read_block) {
        mq_block_release(&engine->pool, engine->read_block);
    }
    mq_slots_free(&engine->attempts);
    mq_slots_free(&engine->tunnels);
    mq_slots_free(&engine->conns);
    mq_timers_free(&engine->timers);
    mq_pool_free(&engine->pool);
    if (engine->output.memory) {
        mq_cid_table_free(&engine->endpoint.table);
        mq_free(&allocator, engine->output.memory);
    }
    if (engine->setup) {
        mq_setup_release(engine, engine->setup);
    }
    mq_free(&allocator, engine->read_buffer);
    mq_free(&allocator, engine->resting);
    mq_free(&allocator, engine);
}

/* --- memory ------------------------------------------------------------------------ */

bool mq_engine_is_past(const masque_engine *engine, unsigned percent) {
    uint64_t used = engine->pool.live_bytes;
    return used / 100 >= engine->setup->config->limits.engine_buffer_max / 10000 * percent;
}

void mq_engine_feed_starved(masque_engine *engine) {
    if (mq_link_alone(&engine->starved) || mq_engine_is_past(engine, OVERLOAD_FEED_PERCENT)) {
        return;
    }
    while (!mq_link_alone(&engine->starved)) {
        mq_tunnel *tunnel = MQ_MEMBER(engine->starved.next, mq_tunnel, starved);
        mq_link_remove(&tunnel->starved);
        tunnel->target_blocked = false;
        mq_ready_set(engine, &tunnel->ready, MASQUE_EVENT_TUNNEL_INPUT);
    }
}

/* --- events -------------------------------------------------------------------------- */

static void fill_conn_event(mq_conn *conn, masque_event *event) {
    event->conn = conn->id;
    event->user = conn->user;
    if (event->type == MASQUE_EVENT_CONN_END) {
        event->reset = conn->reset;
        event->error = conn->error;
        mq_conn_end_taken(conn);
    } else if (event->type == MASQUE_EVENT_CONN_OPEN) {
        event->protocol = conn->outbound->protocol;
    }
}

static void fill_tunnel_event(mq_tunnel *tunnel, masque_event *event) {
    event->conn = tunnel->conn->id;
    event->tunnel = tunnel->id;
    event->user = tunnel->user;
    if (event->type == MASQUE_EVENT_RESOLVE) {
        event->text = tunnel->opening->authority.name;
    } else if (event->type == MASQUE_EVENT_AUTHORIZE) {
        event->text = tunnel->opening->auth_method;
    } else if (event->type == MASQUE_EVENT_TUNNEL_ANSWER) {
        event->status = tunnel->answer.status;
        event->fields = tunnel->answer.fields;
        event->field_count = tunnel->answer.count;
    } else if (event->type == MASQUE_EVENT_TUNNEL_END) {
        mq_conn *conn = tunnel->conn;
        event->reset = tunnel->reset;
        mq_tunnel_del(tunnel);
        mq_conn_settle(conn);
    }
}

static void fill_attempt_event(mq_attempt *attempt, masque_event *event) {
    event->attempt = attempt->event_id;
    event->user = attempt->user;
    if (event->type == MASQUE_EVENT_CANCEL_DIAL) {
        mq_attempt_del(attempt);
        return;
    }
    event->conn = attempt->tunnel->conn->id;
    event->tunnel = attempt->tunnel->id;
    event->address = attempt->address;
    event->source = attempt->source;
    event->transport = mq_tunnel_transport(attempt->tunnel);
}

bool masque_next_event(masque_engine *engine, masque_event *event) {
    /* Here, because memory comes back on many ways. */
    mq_engine_feed_starved(engine);
    if (mq_link_alone(&engine->ready)) {
        return false;
    }
    mq_ready *ready = MQ_MEMBER(engine->ready.next, mq_ready, link);
    assert(ready->due != 0);
    /* Lower numbers first: output before ends. */
    masque_event_type type = (masque_event_type)__builtin_ctz(ready->due);
    mq_ready_clear(ready, type);
    *event = (masque_event){.type = type};
    switch (ready->kind) {
    case MQ_READY_CONN:
        fill_conn_event(MQ_MEMBER(ready, mq_conn, ready), event);
        break;
    case MQ_READY_TUNNEL:
        fill_tunnel_event(MQ_MEMBER(ready, mq_tunnel, ready), event);
        break;
    case MQ_READY_ATTEMPT:
        fill_attempt_event(MQ_MEMBER(ready, mq_attempt, ready), event);
        break;
    case MQ_READY_PACKETS:
        break;
    }
    return true;
}

/* --- time ------------------------------------------------------------------------------ */

masque_time masque_deadline(const masque_engine *engine) {
    return mq_timers_next(&engine->timers);
}

void masque_tick(masque_engine *engine, masque_time now) {
    engine->now = now;
    mq_timers_run(&engine->timers, now);
}

void masque_engine_drain(masque_engine *engine, masque_time now) {
    engine->now = now;
    if (engine->draining) {
        return;
    }
    engine->draining = true;
    for (uint32_t i = 0; i < engine->conns.used; i++) {
        mq_conn *conn = mq_slots_at(&engine->conns, i);
        if (conn) {
            mq_conn_drain(conn);
        }
    }
}

void masque_engine_stats(const masque_engine *engine, masque_stats *stats) {
    *stats = engine->stats;
    stats->connections_active = engine->conns.live;
    stats->tunnels_active = engine->tunnels.live;
    stats->buffered_bytes = engine->pool.live_bytes;
}
