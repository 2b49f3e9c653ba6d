#include "spent/store.h"

#include <stdlib.h>
#include <time.h>

#include "proxy_config.h"
#include "spent/journal.h"
#include "spent/memory.h"

struct spent_store {
    log_options log;
    spent_memory *memory;
    spent_journal *journal; /* NULL: in memory alone */
};

spent_store *spent_store_new(const mqd_settings *settings, const log_options *log, mqd_message *message) {
    uint64_t seed;
    spent_store *store = calloc(1, sizeof *store);
    system_random(NULL, (uint8_t *)&seed, sizeof seed);
    if (!store || !(store->memory = spent_memory_new(settings->spent.most, seed))) {
        free(store);
        say(message, "out of memory");
        return NULL;
    }
    store->log = *log;
    return store;
}

bool spent_store_open(spent_store *store, const mqd_settings *settings, mqd_message *message) {
    mqd_message why;
    const char *file = settings->spent.file;
    if (!file) {
        return true;
    }
    store->journal = spent_journal_open(file, store->memory, &store->log, &why);
    if (!store->journal) {
        say(message, "%.150s: %.350s", settings->spent.place, why.text);
    }
    return store->journal != NULL;
}

void spent_store_free(spent_store *store) {
    if (store) {
        spent_journal_close(store->journal);
        spent_memory_free(store->memory);
        free(store);
    }
}

masque_verdict spent_store_spend(void *context, const masque_spent_token *token) {
    spent_store *store = context;
    masque_unix_time now = time(NULL);
    return store->journal ? spent_journal_spend(store->journal, token, now, verdicts_own())
                          : spent_memory_spend(store->memory, token, now);
}
