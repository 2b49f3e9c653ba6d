/*
 * spent/memory.h: Privacy Pass tokens that were shown, in memory: one store for all workers, which outlives reloads of
 * the configuration. Any thread.
 *
 * Tokens lie by their key: an hour behind its end they could not be shown again, and go in one step. A token takes 16
 * bytes of its hash, in tables that are between half and four fifths full.
 */
#ifndef CLI_SPENT_MEMORY_H
#define CLI_SPENT_MEMORY_H

#include <masqueproxy/privacy_pass.h>

/* What is kept of a token's ID. */
#define SPENT_ID_LENGTH 16u
/* A key's tokens are kept so many seconds longer: a request that was checked in time may come late, and clocks are set
   back at times. */
#define SPENT_GRACE 3600

typedef struct spent_memory spent_memory;

/* For at most MOST tokens at a time; SEED is random. NULL: no memory. */
spent_memory *spent_memory_new(uint64_t most, uint64_t seed);
void spent_memory_free(spent_memory *store);

/* ALLOW: TOKEN is new, and noted. DENY: it was there. UNAVAILABLE: the store is full, or there is no memory. */
masque_verdict spent_memory_spend(spent_memory *store, const masque_spent_token *token, masque_unix_time now);

/* Is it noted? */
bool spent_memory_has(spent_memory *store, const masque_spent_token *token);

/* Calls VISIT with every token there is: the first SPENT_ID_LENGTH bytes of its ID, 8 of the key's, and not_after. No
   lock is held meanwhile, so it may take long: what comes while it lasts may be among them or not. False as soon as
   VISIT said so, or without memory. */
typedef bool spent_memory_visit(void *context, const masque_spent_token *token);
bool spent_memory_each(spent_memory *store, masque_unix_time now, spent_memory_visit *visit, void *context);

typedef struct spent_memory_size {
    uint64_t tokens;
    uint64_t bytes; /* in tables */
} spent_memory_size;
spent_memory_size spent_memory_size_of(spent_memory *store);

#endif
