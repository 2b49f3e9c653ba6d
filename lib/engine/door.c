/*
 * engine/door.c: the one door. A request is checked in a fixed order: the rate, its form,
 * our capacity, who asks (auth/), and whom for (dialing.c with policy/). Nothing
 * else calls mq_dialing_begin(), and it is called only behind MASQUE_AUTH_ALLOW.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "engine/udp_tunnel.h"

#define OVERLOAD_REFUSE_PERCENT 92

static const masque_config *current_config(const mq_tunnel *tunnel) {
    return tunnel->conn->engine->setup->config;
}

/* --- answers ----------------------------------------------------------------------- */

static void count_status(masque_stats *stats, unsigned status) {
    switch (status) {
    case 200:
        stats->requests_200++;
        break;
    case 400:
        stats->requests_400++;
        break;
    case 403:
        stats->requests_403++;
        break;
    case 405:
        stats->requests_405++;
        break;
    case 407:
        stats->requests_407++;
        break;
    case 431:
        stats->requests_431++;
        break;
    default:
        stats->requests_5xx++;
        break;
    }
}

static masque_time known(masque_time duration) {
    return duration == MASQUE_NEVER ? 0 : duration;
}

static mq_timing measure(const mq_opening *opening, masque_time now) {
    mq_timing timing = {.dns = opening->dns_duration, .connect = MASQUE_NEVER, .auth = opening->auth_duration};
    masque_time in_phase = now - opening->phase_began;
    switch (opening->phase) {
    case MQ_PHASE_AUTH:
        timing.auth = opening->verdict_awaited ? in_phase : timing.auth;
        break;
    case MQ_PHASE_RESOLVE:
        timing.dns = opening->authority.name_length > 0 ? in_phase : timing.dns;
        break;
    case MQ_PHASE_DIAL:
        timing.connect = in_phase;
        break;
    }
    masque_time waited = known(timing.dns) + known(timing.connect) + known(timing.auth);
    timing.proxy = now - opening->began - waited;
    return timing;
}

static void log_answer(const mq_tunnel *tunnel, mq_refusal refusal, unsigned status) {
    /* Who asks too often must not fill the log by it. */
    masque_log_record record = {.level = refusal == MQ_REFUSAL_LIMIT || refusal == MQ_REFUSAL_QUOTA ? MASQUE_LOG_DEBUG
                                                                                                    : MASQUE_LOG_INFO,
                                .event = "request",
                                .conn = tunnel->conn->id,
                                .tunnel = tunnel->id,
                                .status = status,
                                .detail = mq_refusal_type(refusal)};
    mq_log(tunnel->conn->engine, &record);
}

/* What the methods ask for. */
typedef struct challenges {
    const char *values[MQ_CHALLENGES_MAX];
    size_t count;
    char texts[MQ_CHALLENGES_MAX][MQ_CHALLENGE_LENGTH_MAX];
} challenges;

static void answer(mq_tunnel *tunnel, mq_refusal refusal, const challenges *asked) {
    mq_conn *conn = tunnel->conn;
    masque_engine *engine = conn->engine;
    mq_session *session = tunnel->stream.session;
    const mq_response response = {.refusal = refusal,
                                  .udp = tunnel->udp != NULL,
                                  .h3_port = conn->h3_port,
                                  .challenges = asked ? asked->values : NULL,
                                  .challenge_count = asked ? asked->count : 0,
                                  .timing = measure(tunnel->opening, engine->now)};
    unsigned status = mq_response_status(&response);
    tunnel->opening->verdict_awaited = false;
    assert(session);
    count_status(&engine->stats, status);
    log_answer(tunnel, refusal, status);
    session->now = engine->now;
    int error = session->ops->respond(session, &tunnel->stream, &response);
    if (refusal != MQ_REFUSAL_NONE || error) {
        mq_tunnel_end(tunnel, true);
        return;
    }
    engine->stats.tunnels_total++;
    mq_tunnel_opened(tunnel);
}

void mq_door_answer(mq_tunnel *tunnel, mq_refusal refusal) {
    answer(tunnel, refusal, NULL);
}

/* 407, or 403 where no method asks for anything: a 407 has a challenge (RFC 9110 15.5.8). */
static void answer_challenge(mq_tunnel *tunnel) {
    const masque_config *config = current_config(tunnel);
    const masque_allocator *allocator = mq_engine_allocator(tunnel->conn->engine);
    challenges *asked = mq_alloc(allocator, sizeof *asked);
    if (asked) {
        asked->count = 0;
    }
    for (size_t i = 0; asked && i < config->method_count && asked->count < MQ_CHALLENGES_MAX; i++) {
        const masque_auth_method *method = &config->methods[i];
        char *text = asked->texts[asked->count];
        if (mq_config_allows_method(config, tunnel->conn->listener, i) && method->challenge &&
            method->challenge(method->context, text, sizeof asked->texts[0]) > 0) {
            asked->values[asked->count++] = text;
        }
    }
    bool any = asked && asked->count > 0;
    answer(tunnel, any ? MQ_REFUSAL_CHALLENGE : MQ_REFUSAL_UNAUTHORIZED, asked);
    mq_free(allocator, asked);
}

/* --- authentication ------------------------------------------------------------------- */

static void log_penalty(const mq_conn *conn) {
    masque_log_record record = {
        .level = MASQUE_LOG_WARNING, .event = "authentication-penalty", .conn = conn->id, .client = &conn->client};
    mq_log(conn->engine, &record);
}

static void note_failure(mq_conn *conn) {
    masque_engine *engine = conn->engine;
    engine->stats.auth_failures++;
    conn->auth_failures++;
    if (mq_source_failed(conn->source, &conn->setup->config->limits, engine->now)) {
        log_penalty(conn);
    }
}

/* "Scheme rest": the scheme ends at the first space. */
static masque_auth_request split_credential(mq_tunnel *tunnel, const mq_text *text) {
    const char *bytes = text->bytes ? text->bytes : "";
    const char *space = memchr(bytes, ' ', text->length);
    size_t scheme = space ? (size_t)(space - bytes) : text->length;
    size_t start = scheme;
    while (start < text->length && bytes[start] == ' ') {
        start++;
    }
    return (masque_auth_request){.tunnel = tunnel->id,
                                 .client = &tunnel->conn->client,
                                 .peer = mq_admission_peer(tunnel),
                                 .scheme = bytes,
                                 .scheme_length = scheme,
                                 .credential = bytes + start,
                                 .credential_length = text->length - start,
                                 .identity = &tunnel->opening->identity};
}

/* By the hash of its key, as a rule could name it. */
static void identify_certificate(const masque_auth_request *request) {
    char name[sizeof "sha256:" + 2 * sizeof request->peer->key_hash] = "sha256:";
    for (size_t i = 0; i < sizeof request->peer->key_hash; i++) {
        snprintf(name + 7 + 2 * i, 3, "%02x", request->peer->key_hash[i]);
    }
    masque_auth_identify(request, name, request->peer->key_hash);
}

static masque_verdict ask_methods(mq_tunnel *tunnel, const masque_auth_request *request) {
    const masque_config *config = current_config(tunnel);
    unsigned listener = tunnel->conn->listener;
    bool needed = mq_config_needs_certificate(config, listener);
    bool known =
        mq_config_asks_certificates(config, listener) && mq_certificates_allow(&config->certificates, request->peer);
    if (needed && !known) {
        return MASQUE_AUTH_DENY;
    }
    if (known && mq_config_lets_in_by_certificate(config, listener)) {
        identify_certificate(request);
        tunnel->opening->auth_method = MQ_METHOD_CERTIFICATE;
        return MASQUE_AUTH_ALLOW;
    }
    for (size_t i = 0; i < config->method_count; i++) {
        const masque_auth_method *method = &config->methods[i];
        if (!mq_config_allows_method(config, listener, i)) {
            continue;
        }
        masque_verdict verdict = method->check(method->context, request);
        if (verdict != MASQUE_AUTH_NEXT) {
            tunnel->opening->auth_method = method->name;
            return verdict;
        }
    }
    return MASQUE_AUTH_DENY;
}

static void judge(mq_tunnel *tunnel, masque_verdict verdict, bool counts) {
    switch (verdict) {
    case MASQUE_AUTH_ALLOW:
        if (mq_admission_begin(tunnel, tunnel->opening->auth_method, &tunnel->opening->identity)) {
            mq_dialing_begin(tunnel);
        } else {
            mq_door_answer(tunnel, MQ_REFUSAL_QUOTA);
        }
        return;
    case MASQUE_AUTH_UNAVAILABLE:
        mq_door_answer(tunnel, MQ_REFUSAL_AUTH_UNAVAILABLE);
        return;
    case MASQUE_AUTH_PENDING:
        mq_ready_set(tunnel->conn->engine, &tunnel->ready, MASQUE_EVENT_AUTHORIZE);
        return;
    case MASQUE_AUTH_NEXT:
    case MASQUE_AUTH_DENY:
        break;
    }
    if (counts) {
        note_failure(tunnel->conn);
    }
    mq_door_answer(tunnel, MQ_REFUSAL_UNAUTHORIZED);
}

static void authorize(mq_tunnel *tunnel, const mq_request *request) {
    mq_conn *conn = tunnel->conn;
    masque_engine *engine = conn->engine;
    const mq_text *text;
    /* While a penalty lasts nothing is compared, so nothing is learnt. */
    bool barred = mq_source_is_penalised(conn->source, engine->now) ||
                  conn->auth_failures >= conn->setup->config->limits.auth_failures_max;
    if (barred || !mq_request_credential(request, &text)) {
        judge(tunnel, MASQUE_AUTH_DENY, !barred);
        return;
    }
    masque_auth_request question = split_credential(tunnel, text);
    masque_verdict verdict = ask_methods(tunnel, &question);
    if (verdict == MASQUE_AUTH_PENDING) {
        masque_time limit = conn->setup->config->limits.auth_timeout_ms * MASQUE_MILLISECOND;
        mq_timer_set(&engine->timers, &tunnel->opening->timer, engine->now + limit);
        tunnel->opening->verdict_awaited = true;
        tunnel->opening->asked_of = engine->setup_number;
    }
    if (verdict == MASQUE_AUTH_DENY && text->length == 0 && current_config(tunnel)->challenges) {
        answer_challenge(tunnel);
        return;
    }
    /* Asking without any credential is no guess. */
    judge(tunnel, verdict, text->length > 0);
}

/* Whoever asks and goes before the verdict has guessed for nothing else: the check is made all the same. */
void mq_door_left(mq_tunnel *tunnel) {
    const mq_opening *opening = tunnel->opening;
    if (opening && opening->phase == MQ_PHASE_AUTH && opening->verdict_awaited) {
        note_failure(tunnel->conn);
    }
}

int masque_authorized(masque_engine *engine, masque_tunnel_id id, masque_verdict verdict, masque_time now) {
    return masque_authorized_as(engine, id, verdict, NULL, now);
}

int masque_authorized_as(masque_engine *engine, masque_tunnel_id id, masque_verdict verdict,
                         const masque_identity *identity, masque_time now) {
    mq_tunnel *tunnel = mq_tunnel_find(engine, id);
    if (!tunnel) {
        return MASQUE_ERR_STALE;
    }
    mq_opening *opening = tunnel->opening;
    if (!opening || opening->phase != MQ_PHASE_AUTH) {
        return MASQUE_ERR_STATE;
    }
    if (verdict != MASQUE_AUTH_ALLOW && verdict != MASQUE_AUTH_DENY && verdict != MASQUE_AUTH_UNAVAILABLE) {
        return MASQUE_ERR_INVALID;
    }
    engine->now = now;
    mq_conn *conn = tunnel->conn;
    if (mq_ready_has(&tunnel->ready, MASQUE_EVENT_AUTHORIZE)) {
        mq_ready_clear(&tunnel->ready, MASQUE_EVENT_AUTHORIZE);
    }
    if (identity) {
        opening->identity = *identity;
        opening->identity.name[MASQUE_IDENTITY_MAX] = 0;
    }
    mq_timer_set(&engine->timers, &opening->timer, MASQUE_NEVER);
    opening->auth_duration = now - opening->phase_began;
    opening->verdict_awaited = false;
    opening->phase_began = now;
    bool late = verdict == MASQUE_AUTH_ALLOW && opening->asked_of != engine->setup_number &&
                mq_admission_is_late(tunnel, opening->auth_method, &opening->identity);
    judge(tunnel, late ? MASQUE_AUTH_DENY : verdict, !late);
    mq_conn_settle(conn);
    return 0;
}

/* --- requests ----------------------------------------------------------------------------- */

/* RFC 9298 3.2 and 3.4: GET with an upgrade, or extended CONNECT. RFC 9110 7.8: Upgrade alone, without
   Connection, means nothing. */
static bool is_upgrade(const mq_request *request) {
    bool h1 = request->method == MQ_METHOD_GET && request->has_upgrade && request->is_upgrade;
    return h1 || (request->method == MQ_METHOD_CONNECT && request->has_protocol);
}

static mq_refusal check_udp_form(mq_tunnel *tunnel, const mq_request *request) {
    const masque_config *config = current_config(tunnel);
    if (config->no_udp || !request->is_for_udp) {
        return MQ_REFUSAL_PROTOCOL; /* RFC 8441 4, RFC 9110 7.8 */
    }
    if (request->has_body || request->has_content_type) {
        return MQ_REFUSAL_MALFORMED; /* RFC 9297 3.2 */
    }
    if (!request->path.bytes || mq_uri_template_match(&config->udp_template, request->path.bytes, request->path.length,
                                                      &tunnel->opening->authority) != 0) {
        return MQ_REFUSAL_BAD_AUTHORITY;
    }
    return mq_udp_new(tunnel) ? MQ_REFUSAL_INTERNAL : MQ_REFUSAL_NONE;
}

/* Where the client says it is; twice says nothing. It is believed once it is known who asks. */
static mq_refusal check_place(mq_tunnel *tunnel, const mq_request *request) {
    const mq_text *text = &request->geohash;
    mq_opening *opening = tunnel->opening;
    masque_engine *engine = tunnel->conn->engine;
    masque_hint said = {.kid = ""};
    if (request->geohash_count > 1 || (text->bytes && !masque_hint_read(&said, text->bytes, text->length))) {
        return MQ_REFUSAL_BAD_GEOHASH;
    }
    opening->place = said.place;
    if (said.is_signed) { /* by whom is looked at once the request is allowed */
        opening->hint = mq_copy_text(mq_engine_allocator(engine), text->bytes, text->length);
        return opening->hint ? MQ_REFUSAL_NONE : MQ_REFUSAL_INTERNAL;
    }
    return MQ_REFUSAL_NONE;
}

static mq_refusal check_form(mq_tunnel *tunnel, const mq_request *request) {
    mq_authority *authority = &tunnel->opening->authority;
    if (is_upgrade(request)) {
        return check_udp_form(tunnel, request);
    }
    if (request->method != MQ_METHOD_CONNECT) {
        return MQ_REFUSAL_METHOD;
    }
    if (request->has_body) {
        return MQ_REFUSAL_MALFORMED; /* RFC 9110 9.3.6: a CONNECT has no content */
    }
    if (!request->authority.bytes ||
        mq_authority_parse(authority, request->authority.bytes, request->authority.length) != 0) {
        return MQ_REFUSAL_BAD_AUTHORITY;
    }
    return MQ_REFUSAL_NONE;
}

/* A request beyond the rate is of no use to anybody; too many are a flood. */
static void note_excess(mq_conn *conn) {
    const masque_limits *limits = &conn->setup->config->limits;
    conn->flooded = conn->flooded ||
                    !mq_bucket_take(&conn->excess, conn->engine->now, limits->glitches_rate, limits->glitches_burst);
}

/* Every request counts, whatever is wrong with it: an answer costs, and so does its line in the log. */
static mq_refusal check_rate(mq_conn *conn) {
    const masque_limits *limits = &conn->setup->config->limits;
    masque_time now = conn->engine->now;
    bool fast = !mq_bucket_take(&conn->requests, now, limits->requests_rate, limits->requests_burst) ||
                !mq_source_may_request(conn->source, limits, now);
    if (fast) {
        note_excess(conn);
    }
    return fast ? MQ_REFUSAL_LIMIT : MQ_REFUSAL_NONE;
}

static mq_refusal check_capacity(const mq_conn *conn) {
    const masque_engine *engine = conn->engine;
    const masque_limits *limits = &conn->setup->config->limits;
    if (engine->draining) {
        return MQ_REFUSAL_DRAINING;
    }
    bool full = conn->tunnel_count > limits->tunnels_per_connection_max || engine->tunnels.live > limits->tunnels_max ||
                mq_engine_is_past(engine, OVERLOAD_REFUSE_PERCENT);
    return full ? MQ_REFUSAL_LIMIT : MQ_REFUSAL_NONE;
}

static void on_opening_timer(mq_timer *timer, masque_time now) {
    mq_opening *opening = MQ_MEMBER(timer, mq_opening, timer);
    mq_tunnel *tunnel = opening->tunnel;
    mq_conn *conn = tunnel->conn;
    (void)now;
    if (opening->phase == MQ_PHASE_AUTH) {
        mq_door_answer(tunnel, MQ_REFUSAL_AUTH_UNAVAILABLE);
    } else {
        mq_dialing_go_on(tunnel);
    }
    mq_conn_settle(conn);
}

static mq_opening *opening_new(mq_tunnel *tunnel, masque_time began) {
    masque_engine *engine = tunnel->conn->engine;
    mq_opening *opening = mq_zalloc(mq_engine_allocator(engine), sizeof *opening);
    if (!opening) {
        return NULL;
    }
    *opening = (mq_opening){.tunnel = tunnel,
                            .phase = MQ_PHASE_AUTH,
                            .began = began,
                            .phase_began = began,
                            .auth_duration = MASQUE_NEVER,
                            .dns_duration = MASQUE_NEVER};
    mq_link_init(&opening->attempts);
    mq_link_init(&opening->waiting);
    if (mq_timer_init(&engine->timers, &opening->timer, on_opening_timer)) {
        mq_free(mq_engine_allocator(engine), opening);
        return NULL;
    }
    return opening;
}

bool mq_door_request(mq_conn *conn, int64_t id, const mq_request *request, mq_refusal refusal) {
    conn->engine->stats.requests_total++;
    mq_tunnel *tunnel = mq_tunnel_new(conn);
    if (!tunnel) {
        return false;
    }
    tunnel->opening = opening_new(tunnel, request->complete_at);
    if (!tunnel->opening) {
        mq_tunnel_del(tunnel);
        return false;
    }
    conn->session->ops->open(conn->session, &tunnel->stream, id);
    mq_refusal too_fast = check_rate(conn);
    if (too_fast != MQ_REFUSAL_NONE) {
        refusal = too_fast;
    }
    if (refusal == MQ_REFUSAL_NONE) {
        refusal = check_form(tunnel, request);
    }
    if (refusal == MQ_REFUSAL_NONE) {
        refusal = check_place(tunnel, request);
    }
    if (refusal == MQ_REFUSAL_NONE) {
        refusal = check_capacity(conn);
    }
    if (refusal != MQ_REFUSAL_NONE) {
        mq_door_answer(tunnel, refusal);
        return true;
    }
    authorize(tunnel, request);
    return true;
}
