#include "spent/store.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "files.h"
#include "random.h"
#include "spent/journal.h"
#include "spent/memory.h"
#include "spent/redis.h"

struct spent_store {
    log_options log;
    spent_memory *memory;
    spent_journal *journal; /* each may be NULL: in memory alone */
    spent_redis *redis;
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

static spent_redis *open_redis(spent_store *store, const spent_settings *spent, mqd_message *why) {
    size_t length = 0;
    char *password = NULL;
    if (spent->password.path) {
        password = read_password_file(spent->password.path, &length, why);
        if (!password) {
            return NULL;
        }
    }
    spent_redis *redis = spent_redis_new(spent->redis_url, password, store->memory, &store->log, why);
    forget_secret(password, length);
    return redis;
}

static bool may_write(const char *path, mqd_message *why) {
    char folder[4096];
    bool there = access(path, F_OK) == 0;
    snprintf(folder, sizeof folder, "%s", path);
    const char *asked = there ? path : dirname(folder);
    bool may = access(asked, there ? R_OK | W_OK : W_OK | X_OK) == 0;
    if (!may) {
        say(why, "can't write %.200s: %.100s", asked, strerror(errno));
    }
    return may;
}

bool spent_store_check(const mqd_settings *settings, mqd_message *message) {
    mqd_message why;
    size_t length;
    const spent_settings *spent = &settings->spent;
    char *password = spent->password.path ? read_password_file(spent->password.path, &length, &why) : NULL;
    bool good = (!spent->password.path || password) && (!spent->file || may_write(spent->file, &why)) &&
                (!spent->redis_url || spent_redis_check(spent->redis_url, &why));
    forget_secret(password, password ? length : 0);
    if (!good) {
        say(message, "%.150s: %.350s", spent->place, why.text);
    }
    return good;
}

bool spent_store_open(spent_store *store, const mqd_settings *settings, mqd_message *message) {
    mqd_message why;
    const spent_settings *spent = &settings->spent;
    if (spent->file) {
        store->journal = spent_journal_open(spent->file, store->memory, &store->log, &why);
    } else if (spent->redis_url) {
        store->redis = open_redis(store, spent, &why);
    }
    bool opened = store->journal || store->redis || (!spent->file && !spent->redis_url);
    if (!opened) {
        say(message, "%.150s: %.350s", spent->place, why.text);
    }
    return opened;
}

void spent_store_free(spent_store *store) {
    if (store) {
        spent_journal_close(store->journal);
        spent_redis_free(store->redis);
        spent_memory_free(store->memory);
        free(store);
    }
}

masque_verdict spent_store_spend(void *context, const masque_spent_token *token) {
    spent_store *store = context;
    masque_unix_time now = time(NULL);
    if (store->redis) {
        return spent_redis_spend(store->redis, token, verdicts_own());
    }
    return store->journal ? spent_journal_spend(store->journal, token, now, verdicts_own())
                          : spent_memory_spend(store->memory, token, now);
}
