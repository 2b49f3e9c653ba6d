/*
 * geo/hints.h: whose hints are believed (masqueproxy/hint.h). Read-only once the configuration is sealed: any threads.
 */
#ifndef MQ_GEO_HINTS_H
#define MQ_GEO_HINTS_H

#include "geo/hint.h"

typedef struct mq_hint_key {
    char kid[MASQUE_HINT_KID_MAX + 1];
    mq_p256_key key;
} mq_hint_key;

typedef struct mq_hints {
    masque_hints options;
    char audience[MASQUE_HINT_AUDIENCE_MAX + 1];
    mq_hint_key *keys;
    size_t count, capacity;
} mq_hints;

void mq_hints_clear(mq_hints *hints, const masque_allocator *allocator);
int mq_hints_set(mq_hints *hints, const masque_hints *options);
int mq_hints_add_key(mq_hints *hints, const char *kid, const char *pem, size_t length,
                     const masque_allocator *allocator);

/* Is TEXT, of LENGTH bytes, vouched for by somebody known, for us, and now? *HINT is what it says. */
bool mq_hints_believe(const mq_hints *hints, const char *text, size_t length, masque_hint *hint);

#endif
