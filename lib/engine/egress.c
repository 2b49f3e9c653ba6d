#include "engine/egress.h"

#include <string.h>

#include "engine/engine.h"

/* As long as a port of a closed connection may linger, roughly (RFC 9293 3.4.2 has four minutes; Linux one). */
#define REST (60 * MASQUE_SECOND)

static const mq_geo *geo_of(const mq_tunnel *tunnel) {
    return &tunnel->conn->engine->setup->config->geo;
}

/* --- addresses that rest ------------------------------------------------------------------- */

static mq_egress_resting *place_of(masque_engine *engine, const masque_address *address) {
    uint32_t hash = address->family;
    for (size_t i = 0; i < sizeof address->ip; i++) {
        hash = (hash ^ address->ip[i]) * 16777619u;
    }
    return &engine->resting[(hash ^ hash >> 16) % MQ_EGRESS_RESTING];
}

void mq_egress_rest(masque_engine *engine, const masque_address *source) {
    if (!engine->resting) {
        engine->resting = mq_zalloc(mq_engine_allocator(engine), MQ_EGRESS_RESTING * sizeof *engine->resting);
    }
    if (engine->resting) { /* another may lose its place: it is tried again then */
        *place_of(engine, source) = (mq_egress_resting){.address = *source, .until = engine->now + REST};
    }
    engine->stats.egress_exhausted++;
}

static bool is_resting(masque_engine *engine, const masque_address *address) {
    const mq_egress_resting *place = engine->resting ? place_of(engine, address) : NULL;
    return place && place->until > engine->now && masque_address_same_ip(&place->address, address);
}

/* --- choices ---------------------------------------------------------------------------------- */

/* A server that is known by its certificate needs to sign nothing: the connection vouches for it. */
static bool is_of_server(const mq_tunnel *tunnel) {
    const char *method = tunnel->opening->auth_method;
    return method && strcmp(method, MQ_METHOD_CERTIFICATE) == 0;
}

/* The last one that was believed on this connection is believed again, without a look at its signature. */
static bool is_believed(mq_tunnel *tunnel) {
    const mq_hints *hints = &geo_of(tunnel)->hints;
    const char *text = tunnel->opening->hint;
    mq_hint_kept *kept = &tunnel->conn->hint;
    const uint32_t setup = tunnel->conn->engine->setup_number;
    const mq_piece piece = {text, strlen(text)};
    uint8_t digest[MQ_SHA256_LENGTH];
    masque_hint hint;
    if (mq_sha256(digest, &piece, 1) != 0) {
        return false;
    }
    if (kept->setup == setup && memcmp(kept->digest, digest, sizeof digest) == 0 &&
        hints->options.clock(hints->options.context) < kept->expires) {
        return true;
    }
    tunnel->conn->engine->stats.hints_checked++;
    if (!mq_hints_believe(hints, text, piece.length, &hint)) {
        return false;
    }
    *kept = (mq_hint_kept){.expires = hint.expires, .setup = setup};
    memcpy(kept->digest, digest, sizeof digest);
    return true;
}

/* By the configuration of now: a reload may have come since the request. */
static bool is_vouched_for(mq_tunnel *tunnel) {
    const mq_opening *opening = tunnel->opening;
    const mq_hints *hints = &geo_of(tunnel)->hints;
    if (!opening->place.country[0] || !hints->audience[0]) {
        return true; /* nothing was said, or nobody is asked to vouch */
    }
    if (opening->hint) {
        return is_believed(tunnel);
    }
    return hints->options.need == MASQUE_HINTS_OPTIONAL || is_of_server(tunnel);
}

mq_refusal mq_egress_locate(mq_tunnel *tunnel) {
    const mq_geo *geo = geo_of(tunnel);
    masque_place *place = &tunnel->opening->place;
    if (!is_vouched_for(tunnel)) {
        *place = (masque_place){.country = ""};
        tunnel->conn->engine->stats.hints_refused++;
        if (geo->hints.options.need == MASQUE_HINTS_ENFORCED) {
            return MQ_REFUSAL_BAD_HINT;
        }
    }
    if (!place->country[0] && geo->locator.locate) {
        masque_place found = {.country = ""};
        *place = geo->locator.locate(geo->locator.context, &tunnel->conn->client, &found) ? found : *place;
    }
    size_t most = geo->options.precision ? geo->options.precision : MASQUE_GEO_PRECISION;
    memset(place->geohash + most, 0, sizeof place->geohash - most);
    tunnel->conn->engine->stats.places_unknown += geo->pools && !place->country[0];
    return MQ_REFUSAL_NONE;
}

/* The connection's own number: no two tunnels of it leave from different addresses, and nobody can foresee them. */
static uint64_t key_of(const mq_tunnel *tunnel) {
    return tunnel->conn->id ^ tunnel->conn->engine->egress_seed;
}

static masque_place registered(const masque_pool_prefix *prefix) {
    masque_place place = {.country = ""};
    memcpy(place.country, prefix->country, sizeof place.country);
    memcpy(place.geohash, prefix->geohash, strlen(prefix->geohash));
    return place;
}

/* As long as the address is ours, and where it was. */
static bool is_kept(const mq_tunnel *tunnel, const mq_egress_kept *kept) {
    masque_pool_prefix prefix;
    if (kept->source.family == MASQUE_FAMILY_NONE ||
        memcmp(&kept->place, &tunnel->opening->place, sizeof kept->place) != 0 ||
        !masque_pools_find(geo_of(tunnel)->pools, &kept->source, &prefix)) {
        return false;
    }
    const masque_place now = registered(&prefix);
    return memcmp(&kept->registered, &now, sizeof now) == 0;
}

bool mq_egress_choose(mq_tunnel *tunnel, masque_family family, masque_address *source) {
    const mq_geo *geo = geo_of(tunnel);
    mq_egress_kept *kept = &tunnel->conn->egress[family == MASQUE_IPV6];
    *source = (masque_address){.family = MASQUE_FAMILY_NONE};
    if (!geo->pools) {
        return true;
    }
    if (is_kept(tunnel, kept) && !is_resting(tunnel->conn->engine, &kept->source)) {
        *source = kept->source;
        tunnel->opening->egress_level[family == MASQUE_IPV6] = kept->level;
        return true;
    }
    for (unsigned attempt = 0; attempt < MASQUE_GEO_ATTEMPTS; attempt++) {
        masque_geo_choice choice;
        if (masque_pools_choose(geo->pools, &geo->options, &tunnel->opening->place, family, key_of(tunnel), attempt,
                                &choice) == MASQUE_GEO_NONE) {
            return false;
        }
        if (!is_resting(tunnel->conn->engine, &choice.source)) {
            masque_pool_prefix prefix = {.geohash = ""};
            (void)masque_pools_at(geo->pools, choice.prefix, &prefix);
            *kept = (mq_egress_kept){.place = tunnel->opening->place,
                                     .source = choice.source,
                                     .registered = registered(&prefix),
                                     .level = choice.level};
            tunnel->opening->egress_level[family == MASQUE_IPV6] = choice.level;
            *source = choice.source;
            return true;
        }
    }
    return false;
}

static masque_geo_level level_of(mq_tunnel *tunnel, masque_family family) {
    const mq_geo *geo = geo_of(tunnel);
    masque_geo_choice choice;
    return masque_pools_choose(geo->pools, &geo->options, &tunnel->opening->place, family, key_of(tunnel), 0, &choice);
}

bool mq_egress_has(mq_tunnel *tunnel, masque_family family) {
    return !geo_of(tunnel)->pools || level_of(tunnel, family) != MASQUE_GEO_NONE;
}

bool mq_egress_prefers_ipv4(mq_tunnel *tunnel) {
    return geo_of(tunnel)->pools && level_of(tunnel, MASQUE_IPV4) > level_of(tunnel, MASQUE_IPV6);
}

void mq_egress_count(mq_tunnel *tunnel, const masque_address *source) {
    masque_stats *stats = &tunnel->conn->engine->stats;
    if (source->family == MASQUE_FAMILY_NONE) {
        return;
    }
    masque_geo_level level = tunnel->opening->egress_level[source->family == MASQUE_IPV6];
    stats->egress_city += level == MASQUE_GEO_CITY;
    stats->egress_country += level == MASQUE_GEO_COUNTRY;
    stats->egress_default += level == MASQUE_GEO_DEFAULT;
}
