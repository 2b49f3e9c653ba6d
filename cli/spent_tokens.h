/*
 * spent_tokens.h: Privacy Pass tokens that were shown, in memory: one store for all workers, which outlives reloads of
 * the configuration. Any thread.
 *
 * Tokens lie by the time when their key ends: an hour behind it they could not be shown again, and all of that key's
 * go in one step. A token takes 16 bytes of its hash, in tables that are between half and four fifths full.
 */
#ifndef CLI_SPENT_TOKENS_H
#define CLI_SPENT_TOKENS_H

#include <masqueproxy/privacy_pass.h>

typedef struct spent_tokens spent_tokens;

/* For at most MOST tokens at a time; SEED is random. NULL: no memory. */
spent_tokens *spent_tokens_new(uint64_t most, uint64_t seed);
void spent_tokens_free(spent_tokens *store);

/* ALLOW: TOKEN is new, and noted. DENY: it was there. UNAVAILABLE: the store is full, or there is no memory. */
masque_verdict spent_tokens_spend(spent_tokens *store, const masque_spent_token *token, masque_unix_time now);

typedef struct spent_tokens_size {
    uint64_t tokens;
    uint64_t bytes; /* in tables */
} spent_tokens_size;
spent_tokens_size spent_tokens_size_of(spent_tokens *store);

#endif
