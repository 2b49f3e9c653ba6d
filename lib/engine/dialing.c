/*
 * engine/dialing.c: from an allowed request to a connected target: events to the
 * host, its answers, time limits and the cap on dials of one connection. Which
 * address when is tunnel/dial.c's; which address at all is policy/'s, asked here
 * for each right before it is dialed.
 */
#include <assert.h>

#include "engine/engine.h"
#include "policy/address_class.h"

/* Addresses of ours that one request may find unusable. */
#define SOURCE_FAILURES_MAX 8u

static const masque_limits *limits_of(const mq_tunnel *tunnel) {
    return &tunnel->conn->setup->config->limits;
}

/* What clients leave from is ours, too: a tunnel there would come back to us. */
static bool may_dial(const mq_tunnel *tunnel, const masque_address *address) {
    const masque_config *config = tunnel->conn->engine->setup->config;
    masque_pool_prefix unused;
    masque_address inner = mq_address_canonical(address);
    bool own = config->geo.pools && masque_pools_find(config->geo.pools, &inner, &unused);
    return (own ? mq_targets_allow_own : mq_targets_allow)(&config->targets, address, mq_tunnel_transport(tunnel));
}

/* --- attempts ------------------------------------------------------------------------ */

void mq_attempt_del(mq_attempt *attempt) {
    masque_engine *engine = attempt->engine;
    if (attempt->id) {
        mq_slots_remove(&engine->attempts, attempt->id);
    }
    mq_link_remove(&attempt->in_opening);
    mq_link_remove(&attempt->ready.link);
    mq_free(mq_engine_allocator(engine), attempt);
}

/* Forgets it; the host hears of it unless it never did. */
static void cancel(mq_attempt *attempt) {
    masque_engine *engine = attempt->engine;
    attempt->tunnel->conn->dials--;
    if (mq_ready_has(&attempt->ready, MASQUE_EVENT_DIAL)) {
        mq_attempt_del(attempt);
        return;
    }
    mq_slots_remove(&engine->attempts, attempt->id);
    attempt->id = 0;
    attempt->tunnel = NULL;
    mq_link_remove(&attempt->in_opening);
    mq_ready_set(engine, &attempt->ready, MASQUE_EVENT_CANCEL_DIAL);
}

void mq_dialing_cancel(mq_opening *opening, const mq_attempt *winner) {
    for (mq_link *link = opening->attempts.next; link != &opening->attempts;) {
        mq_attempt *attempt = MQ_MEMBER(link, mq_attempt, in_opening);
        link = link->next;
        if (attempt != winner) {
            cancel(attempt);
        }
    }
}

static bool start_attempt(mq_tunnel *tunnel, const masque_address *address, const masque_address *source) {
    masque_engine *engine = tunnel->conn->engine;
    mq_attempt *attempt = mq_zalloc(mq_engine_allocator(engine), sizeof *attempt);
    if (!attempt) {
        return false;
    }
    attempt->engine = engine;
    attempt->tunnel = tunnel;
    attempt->address = *address;
    attempt->source = *source;
    mq_link_init(&attempt->in_opening);
    mq_ready_init(&attempt->ready, MQ_READY_ATTEMPT);
    attempt->id = mq_slots_add(&engine->attempts, attempt);
    if (!attempt->id) {
        mq_free(mq_engine_allocator(engine), attempt);
        return false;
    }
    attempt->event_id = attempt->id;
    mq_list_append(&tunnel->opening->attempts, &attempt->in_opening);
    mq_ready_set(engine, &attempt->ready, MASQUE_EVENT_DIAL);
    tunnel->conn->dials++;
    return true;
}

/* --- steps --------------------------------------------------------------------------- */

static masque_time phase_end(const mq_tunnel *tunnel) {
    const masque_limits *limits = limits_of(tunnel);
    uint64_t limit = tunnel->opening->phase == MQ_PHASE_RESOLVE ? limits->resolve_timeout_ms : limits->dial_timeout_ms;
    return tunnel->opening->phase_began + limit * MASQUE_MILLISECOND;
}

static void enter_dial_phase(mq_opening *opening, masque_time now) {
    if (opening->phase == MQ_PHASE_DIAL) {
        return;
    }
    if (opening->phase == MQ_PHASE_RESOLVE && opening->authority.name_length > 0) {
        opening->dns_duration = now - opening->phase_began;
    }
    opening->phase = MQ_PHASE_DIAL;
    opening->phase_began = now;
}

static bool waits_for_place(mq_tunnel *tunnel) {
    mq_conn *conn = tunnel->conn;
    mq_opening *opening = tunnel->opening;
    if (conn->dials < limits_of(tunnel)->dials_per_connection_max) {
        return false;
    }
    if (mq_link_alone(&opening->waiting)) {
        mq_list_append(&conn->dial_queue, &opening->waiting);
    }
    return true;
}

static void time_out(mq_tunnel *tunnel) {
    bool dialing = tunnel->opening->phase == MQ_PHASE_DIAL;
    mq_door_answer(tunnel, dialing ? MQ_REFUSAL_DIAL_TIMEOUT : MQ_REFUSAL_NAME_TIMEOUT);
}

/* Starts what may start now. False when the tunnel was answered. */
static bool start_due(mq_tunnel *tunnel, mq_dial_step *step, masque_time *until) {
    mq_opening *opening = tunnel->opening;
    masque_time now = tunnel->conn->engine->now;
    masque_address address;
    *step = MQ_DIAL_WAIT;
    *until = MASQUE_NEVER;
    while (!mq_dial_has_address(&opening->dial) || !waits_for_place(tunnel)) {
        *step = mq_dial_next(&opening->dial, now, &address, until);
        if (*step != MQ_DIAL_START) {
            break;
        }
        enter_dial_phase(opening, now);
        masque_address source;
        if (!mq_egress_choose(tunnel, (masque_family)address.family, &source)) {
            mq_dial_failed(&opening->dial, MASQUE_DIAL_SOURCE, now);
            continue;
        }
        if (!start_attempt(tunnel, &address, &source)) {
            mq_door_answer(tunnel, MQ_REFUSAL_INTERNAL);
            return false;
        }
    }
    return true;
}

void mq_dialing_go_on(mq_tunnel *tunnel) {
    mq_opening *opening = tunnel->opening;
    masque_engine *engine = tunnel->conn->engine;
    mq_dial_step step;
    masque_time until;
    /* With an address the look-up is over in time, however long a place is waited for. */
    bool resolved = opening->phase == MQ_PHASE_RESOLVE && mq_dial_has_address(&opening->dial);
    if (engine->now >= phase_end(tunnel) && !resolved) {
        time_out(tunnel);
        return;
    }
    if (!start_due(tunnel, &step, &until)) {
        return;
    }
    if (step == MQ_DIAL_FAIL) {
        mq_door_answer(tunnel, mq_dial_refusal(&opening->dial));
        return;
    }
    resolved = opening->phase == MQ_PHASE_RESOLVE && mq_dial_has_address(&opening->dial);
    masque_time end = resolved ? MASQUE_NEVER : phase_end(tunnel);
    mq_timer_set(&engine->timers, &opening->timer, until < end ? until : end);
}

void mq_dialing_next(mq_conn *conn) {
    while (!mq_link_alone(&conn->dial_queue) && conn->dials < conn->setup->config->limits.dials_per_connection_max) {
        mq_opening *opening = MQ_MEMBER(conn->dial_queue.next, mq_opening, waiting);
        mq_link_remove(&opening->waiting);
        if (opening->phase == MQ_PHASE_RESOLVE) {
            enter_dial_phase(opening, conn->engine->now);
        }
        mq_dialing_go_on(opening->tunnel);
    }
}

static void begin_with_address(mq_tunnel *tunnel) {
    mq_opening *opening = tunnel->opening;
    masque_time now = tunnel->conn->engine->now;
    masque_address address = mq_address_canonical(&opening->authority.address);
    bool reachable = mq_egress_has(tunnel, (masque_family)address.family);
    bool allowed = may_dial(tunnel, &address);
    opening->dial.has_no_source = !reachable && allowed;
    masque_family other = address.family == MASQUE_IPV4 ? MASQUE_IPV6 : MASQUE_IPV4;
    int error = mq_dial_answer(&opening->dial, other, MASQUE_LOOKUP_OK, NULL, 0, 0, now);
    if (!error) {
        error = mq_dial_answer(&opening->dial, (masque_family)address.family, MASQUE_LOOKUP_OK, &address,
                               allowed && reachable ? 1 : 0, allowed ? 0 : 1, now);
    }
    if (error) {
        mq_door_answer(tunnel, MQ_REFUSAL_INTERNAL);
        return;
    }
    mq_dialing_go_on(tunnel);
}

void mq_dialing_begin(mq_tunnel *tunnel) {
    masque_engine *engine = tunnel->conn->engine;
    mq_opening *opening = tunnel->opening;
    assert(opening->phase == MQ_PHASE_AUTH);
    mq_dial_init(&opening->dial, mq_engine_allocator(engine), limits_of(tunnel));
    opening->dial_ready = true;
    mq_refusal refusal = mq_egress_locate(tunnel);
    if (refusal) {
        mq_door_answer(tunnel, refusal);
        return;
    }
    opening->phase_began = engine->now;
    opening->phase = MQ_PHASE_RESOLVE; /* over at once for an address, but for a place to dial */
    if (opening->authority.address.family != MASQUE_FAMILY_NONE) {
        begin_with_address(tunnel);
        return;
    }
    if (mq_egress_prefers_ipv4(tunnel)) {
        mq_dial_prefer_ipv4(&opening->dial);
    }
    mq_ready_set(engine, &tunnel->ready, MASQUE_EVENT_RESOLVE);
    mq_timer_set(&engine->timers, &opening->timer, phase_end(tunnel));
}

/* --- the host answers -------------------------------------------------------------------- */

/* Keeps what may be dialed; returns how many, and how many the policy took out. */
static size_t filter(mq_tunnel *tunnel, masque_family family, const masque_address *addresses, size_t count,
                     masque_address *kept, size_t *denied) {
    size_t most = limits_of(tunnel)->addresses_per_name_max;
    size_t used = 0;
    bool reachable = mq_egress_has(tunnel, family);
    *denied = 0;
    for (size_t i = 0; i < count && used < most; i++) {
        if (addresses[i].family != family) {
            continue;
        }
        masque_address address = mq_address_canonical(&addresses[i]);
        address.port = tunnel->opening->authority.port;
        if (may_dial(tunnel, &address)) {
            tunnel->opening->dial.has_no_source = tunnel->opening->dial.has_no_source || !reachable;
            kept[used] = address;
            used += reachable;
        } else {
            ++*denied;
        }
    }
    return used;
}

int masque_resolved(masque_engine *engine, masque_tunnel_id id, masque_family family, masque_lookup result,
                    const masque_address *addresses, size_t count, masque_time now) {
    mq_tunnel *tunnel = mq_tunnel_find(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    if (!tunnel->opening || tunnel->opening->phase == MQ_PHASE_AUTH) {
        return MASQUE_ERR_STATE;
    }
    if ((family != MASQUE_IPV4 && family != MASQUE_IPV6) || result > MASQUE_LOOKUP_TIMEOUT) {
        return MASQUE_ERR_INVALID;
    }
    engine->now = now;
    mq_conn *conn = tunnel->conn;
    masque_address kept[MQ_DIAL_ADDRESSES_MAX];
    size_t denied;
    size_t used = filter(tunnel, family, addresses, count, kept, &denied);
    int error = mq_dial_answer(&tunnel->opening->dial, family, result, kept, used, denied, now);
    if (error == MASQUE_ERR_STATE) {
        return error;
    }
    if (error) {
        mq_door_answer(tunnel, MQ_REFUSAL_INTERNAL);
    } else {
        mq_dialing_go_on(tunnel);
    }
    mq_conn_settle(conn);
    return 0;
}

int masque_attempt_set_user(masque_engine *engine, masque_attempt_id id, void *user) {
    mq_attempt *attempt = mq_slots_find(&engine->attempts, id);
    if (!attempt) {
        return MASQUE_ERR_STALE;
    }
    attempt->user = user;
    return 0;
}

/* With the same target from another address; *FAILED is set when there is none left. False when the tunnel was
 * answered. */
static bool try_another_source(mq_tunnel *tunnel, const masque_address *address, bool *failed) {
    masque_address source;
    *failed = ++tunnel->opening->source_failures >= SOURCE_FAILURES_MAX ||
              !mq_egress_choose(tunnel, (masque_family)address->family, &source);
    if (*failed || start_attempt(tunnel, address, &source)) {
        return true;
    }
    mq_door_answer(tunnel, MQ_REFUSAL_INTERNAL);
    return false;
}

/* Is the attempt's socket one that the tunnel may have? */
static bool is_usable(const mq_attempt *attempt, masque_dial_result result) {
    const mq_targets *targets = &attempt->engine->setup->config->targets;
    return result == MASQUE_DIAL_OK ||
           (result == MASQUE_DIAL_OWN &&
            mq_targets_allow_own(targets, &attempt->address, mq_tunnel_transport(attempt->tunnel)));
}

/* The tunnel has its target. 0, or MASQUE_ERR_NO_MEMORY when it is gone. */
static int open_tunnel(mq_tunnel *tunnel, mq_attempt *attempt) {
    masque_engine *engine = attempt->engine;
    masque_tunnel_id id = tunnel->id;
    mq_dialing_cancel(tunnel->opening, attempt);
    mq_egress_count(tunnel, &attempt->source);
    tunnel->conn->dials--;
    tunnel->user = attempt->user;
    mq_attempt_del(attempt);
    mq_door_answer(tunnel, MQ_REFUSAL_NONE);
    return mq_tunnel_find(engine, id) ? 0 : MASQUE_ERR_NO_MEMORY;
}

/* ATTEMPT failed; another one may take its place. */
static void give_up(mq_tunnel *tunnel, mq_attempt *attempt, masque_dial_result result) {
    masque_engine *engine = attempt->engine;
    const masque_address address = attempt->address, source = attempt->source;
    bool failed = true;
    tunnel->conn->dials--;
    mq_attempt_del(attempt);
    if (result == MASQUE_DIAL_SOURCE && source.family != MASQUE_FAMILY_NONE) {
        mq_egress_rest(engine, &source);
        if (!try_another_source(tunnel, &address, &failed)) {
            return;
        }
    }
    if (failed) {
        mq_dial_failed(&tunnel->opening->dial, result, engine->now);
    }
    mq_dialing_go_on(tunnel);
}

int masque_dialed(masque_engine *engine, masque_attempt_id id, masque_dial_result result, masque_time now) {
    mq_attempt *attempt = mq_slots_find(&engine->attempts, id);
    if (!attempt) {
        return MASQUE_ERR_STALE;
    }
    if (result > MASQUE_DIAL_OWN) {
        return MASQUE_ERR_INVALID;
    }
    engine->now = now;
    mq_tunnel *tunnel = attempt->tunnel;
    mq_conn *conn = tunnel->conn;
    int error = result == MASQUE_DIAL_OWN ? MASQUE_ERR_DENIED : 0;
    if (is_usable(attempt, result)) {
        error = open_tunnel(tunnel, attempt);
    } else {
        give_up(tunnel, attempt, result);
    }
    mq_conn_settle(conn);
    return error;
}
