/*
 * spent/store.h: where tokens that were shown are noted (auth.spent-tokens): in memory, in a file, or in Redis. One for
 * the process, which outlives reloads.
 */
#ifndef CLI_SPENT_STORE_H
#define CLI_SPENT_STORE_H

#include "log.h"
#include "settings.h"

typedef struct spent_store spent_store;

/* NULL with MESSAGE set. */
spent_store *spent_store_new(const mqd_settings *settings, const log_options *log, mqd_message *message);
/* Without opening anything: can the file be written, and is the URL one? False with MESSAGE set. */
bool spent_store_check(const mqd_settings *settings, mqd_message *message);
/* Reads the file, as the user who will write it. False with MESSAGE set. Before any worker runs. */
bool spent_store_open(spent_store *store, const mqd_settings *settings, mqd_message *message);
/* All workers have ended. STORE may be NULL. */
void spent_store_free(spent_store *store);

/* masque_token_origin_options.spend; CONTEXT is the store. In a worker's thread. */
masque_verdict spent_store_spend(void *context, const masque_spent_token *token);

#endif
