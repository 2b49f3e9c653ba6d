/*
 * policy/sources.h: what one client address has done lately.
 *
 * A source is an IPv4 address or an IPv6 /64. For each: connections now, its
 * request rate, failed authentications, and the penalty those earned (the idea
 * of OpenSSH's PerSourcePenalties). A hash table of bounded size; when it is
 * full, one without a connection is forgotten: the longest gone, and a penalised
 * one last.
 */
#ifndef MQ_POLICY_SOURCES_H
#define MQ_POLICY_SOURCES_H

#include <masqueproxy/limits.h>

#include "base/bucket.h"
#include "base/list.h"
#include "base/memory.h"

typedef struct mq_source {
    struct mq_source *next; /* in its hash chain */
    mq_link in_gone;        /* in mq_sources.gone while it has no connection */
    uint64_t key[2];
    uint32_t connections;
    uint32_t failures;         /* since the last penalty */
    masque_time penalty_until; /* requests are denied before */
    masque_time penalty_next;  /* how long the next one lasts; 0: the first */
    mq_bucket requests;
} mq_source;

typedef struct mq_sources {
    const masque_allocator *allocator;
    mq_source **chains;
    size_t chain_count; /* a power of two */
    size_t count;
    uint64_t seed; /* so that nobody can choose colliding addresses */
    mq_link gone;  /* those without a connection, the longest gone first */
} mq_sources;

/* 0 or MASQUE_ERR_NO_MEMORY. */
int mq_sources_init(mq_sources *sources, const masque_allocator *allocator, uint64_t seed);
void mq_sources_free(mq_sources *sources);

/* One connection more of CLIENT: its entry, which stays until mq_source_leave();
   or NULL with *ERROR set to MASQUE_ERR_OVERLOAD or MASQUE_ERR_NO_MEMORY. */
mq_source *mq_sources_enter(mq_sources *sources, const masque_address *client, const masque_limits *limits, int *error);
void mq_source_leave(mq_sources *sources, mq_source *source);

/* CLIENT's entry, or NULL. */
mq_source *mq_sources_find(mq_sources *sources, const masque_address *client);

bool mq_source_may_request(mq_source *source, const masque_limits *limits, masque_time now);

/* True while a penalty lasts. */
bool mq_source_is_penalised(const mq_source *source, masque_time now);
/* Notes a failed authentication; true when a penalty begins with it. */
bool mq_source_failed(mq_source *source, const masque_limits *limits, masque_time now);

#endif
