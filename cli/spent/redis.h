/*
 * spent/redis.h: tokens that were shown, in a Redis or Valkey that a fleet of proxies shares: one SET with NX and PX a
 * token, pipelined over one connection, which a thread holds and renews.
 *
 * Whatever fails is UNAVAILABLE, never ALLOW. A store that lost its data while we ran, by a restart without persistence
 * for instance, is known by a marker that is gone, and allows nothing until we are started anew: what was spent before
 * is known to nobody any more.
 */
#ifndef CLI_SPENT_REDIS_H
#define CLI_SPENT_REDIS_H

#include "log.h"
#include "spent/memory.h"
#include "verdicts.h"

typedef struct spent_redis spent_redis;

/* "redis://HOST[:PORT][/DATABASE]" or "unix:/PATH"; PASSWORD may be NULL, and is copied. Tokens that we allowed are in
   MEMORY, too. NULL with MESSAGE set: no such URL, or no thread; whether anybody answers there is found out later, and
   logged. */
spent_redis *spent_redis_new(const char *url, const char *password, spent_memory *memory, const log_options *log,
                             mqd_message *message);
/* Is it such a URL? False with MESSAGE set. */
bool spent_redis_check(const char *url, mqd_message *message);
/* STORE may be NULL. */
void spent_redis_free(spent_redis *store);

/* DENY or UNAVAILABLE at once; or PENDING, and VERDICTS get one. Any thread. */
masque_verdict spent_redis_spend(spent_redis *store, const masque_spent_token *token, mqd_verdicts *verdicts);

#endif
