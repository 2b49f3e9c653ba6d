/*
 * engine/egress.h: from which address a tunnel's target is dialed: what masque_pools_choose() says of the client's
 * place, without addresses that can't be used for a while.
 */
#ifndef MQ_ENGINE_EGRESS_H
#define MQ_ENGINE_EGRESS_H

#include <masqueproxy/geo.h>

#include "geo/hints.h"
#include "http/response.h"

struct masque_engine;
struct mq_conn;
struct mq_tunnel;

/* What a configuration says. */
typedef struct mq_geo {
    masque_pools *pools; /* NULL: the system chooses */
    masque_geo options;
    masque_locator locator; /* its function may be NULL */
    mq_hints hints;         /* without an audience signatures say nothing */
} mq_geo;

/* The address that a connection's tunnels leave from, of one family, for one place: they keep it as long as it is ours.
 */
typedef struct mq_egress_kept {
    masque_place place;
    masque_address source;   /* family NONE: nothing is kept */
    masque_place registered; /* where that is */
    masque_geo_level level;
} mq_egress_kept;

/* A connection's last signed hint, and what was found of it. */
typedef struct mq_hint_kept {
    uint8_t digest[MQ_SHA256_LENGTH];
    masque_unix_time expires; /* 0: nothing is kept */
    uint32_t setup;           /* whose keys were asked */
} mq_hint_kept;

/* Addresses that rest. */
#define MQ_EGRESS_RESTING 256u
typedef struct mq_egress_resting {
    masque_address address;
    masque_time until;
} mq_egress_resting;

/* TUNNEL's request is allowed: where its client is, by what it said, or by the host, is cut to what is kept. NONE, or
   what the request is refused with: a hint that isn't believed. */
mq_refusal mq_egress_locate(struct mq_tunnel *tunnel);
/* The address for a target of FAMILY. False: there is none, or none can be used now. *SOURCE has family NONE where the
   system is to choose. */
bool mq_egress_choose(struct mq_tunnel *tunnel, masque_family family, masque_address *source);
/* Is there any of FAMILY, used or not? */
bool mq_egress_has(struct mq_tunnel *tunnel, masque_family family);
/* Is IPv4's nearer to the client than IPv6's? */
bool mq_egress_prefers_ipv4(struct mq_tunnel *tunnel);
/* The tunnel leaves from SOURCE: counted by its level. */
void mq_egress_count(struct mq_tunnel *tunnel, const masque_address *source);
/* SOURCE can't be used: others are, for a while. */
void mq_egress_rest(struct masque_engine *engine, const masque_address *source);

#endif
