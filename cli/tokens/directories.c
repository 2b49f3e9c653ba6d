#include "tokens/directories.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http/client.h"

#define TIMEOUT_S 10u
/* An issuer that says less is not asked more often, and one that fails is asked again soon. */
#define AGE_MIN_S 30
#define RETRY_S 10

typedef struct watched_directory {
    char *url;
    char *ca_file; /* or NULL */
    token_directory directory;
    bool fetched;
    bool failing; /* and the log knows */
    time_t due;
} watched_directory;

struct token_directories {
    log_options log;
    uv_async_t *changed;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    watched_directory watched[DIRECTORIES_MAX];
    size_t count;
    bool closing;
};

static void free_watched(watched_directory *one) {
    free(one->url);
    free(one->ca_file);
    *one = (watched_directory){.url = NULL};
}

static watched_directory *find(token_directories *directories, const char *url) {
    for (size_t i = 0; i < directories->count; i++) {
        if (strcmp(directories->watched[i].url, url) == 0) {
            return &directories->watched[i];
        }
    }
    return NULL;
}

/* --- fetching ----------------------------------------------------------------------------------------------------- */

/* *AGE: for how long it is good. False with MESSAGE set. */
static bool fetch(const char *url, const char *ca_file, token_directory *directory, unsigned *age,
                  mqd_message *message) {
    mqd_message why;
    http_result result;
    const http_call call = {.url = url,
                            .ca_file = ca_file,
                            .accept = MASQUE_TOKEN_DIRECTORY_TYPE,
                            .answer_max = DIRECTORY_MAX,
                            .timeout_s = TIMEOUT_S};
    if (!http_client_call(&call, &result, message)) {
        return false;
    }
    bool good = false;
    if (result.status != 200 || !result.body) {
        say(message, "%.300s answered %ld", url, result.status);
    } else if (!directory_read(directory, (const char *)result.body, result.length, &why)) {
        say(message, "%.250s is no directory: %.200s", url, why.text);
    } else {
        *age = directory_age(result.cache_control);
        good = true;
    }
    free(result.body);
    return good;
}

/* The lock is held, but not while we wait for the issuer; then the list may be another. */
static void refresh(token_directories *directories, const char *url, const char *ca_file) {
    mqd_message message;
    unsigned age = 0;
    token_directory *fresh = calloc(1, sizeof *fresh); /* padding is compared, too */
    pthread_mutex_unlock(&directories->lock);
    bool good = fresh && fetch(url, ca_file, fresh, &age, &message);
    pthread_mutex_lock(&directories->lock);
    watched_directory *one = find(directories, url);
    if (one && good) {
        if (!one->fetched || memcmp(&one->directory, fresh, sizeof *fresh) != 0) {
            one->directory = *fresh;
            one->fetched = true;
            uv_async_send(directories->changed);
        }
        if (one->failing) {
            log_line(&directories->log, MASQUE_LOG_INFO, "issuer", "%.300s can be read again", url);
        }
        one->failing = false;
        one->due = time(NULL) + (age > AGE_MIN_S ? (time_t)age : AGE_MIN_S);
    } else if (one) {
        if (!one->failing) {
            log_line(&directories->log, MASQUE_LOG_WARNING, "issuer", "%s; %s", fresh ? message.text : "out of memory",
                     one->fetched ? "the keys of before stay" : "its tokens get 503 until it can be read");
        }
        one->failing = true;
        one->due = time(NULL) + RETRY_S;
    }
    free(fresh);
}

static watched_directory *first_due(token_directories *directories) {
    watched_directory *first = NULL;
    for (size_t i = 0; i < directories->count; i++) {
        if (!first || directories->watched[i].due < first->due) {
            first = &directories->watched[i];
        }
    }
    return first;
}

static void *run(void *argument) {
    token_directories *directories = argument;
    pthread_mutex_lock(&directories->lock);
    while (!directories->closing) {
        watched_directory *next = first_due(directories);
        if (!next) {
            pthread_cond_wait(&directories->wake, &directories->lock);
        } else if (next->due > time(NULL)) {
            const struct timespec until = {.tv_sec = next->due};
            pthread_cond_timedwait(&directories->wake, &directories->lock, &until);
        } else {
            char *url = strdup(next->url);
            char *ca_file = next->ca_file ? strdup(next->ca_file) : NULL;
            if (url) {
                refresh(directories, url, ca_file);
            }
            free(url);
            free(ca_file);
        }
    }
    pthread_mutex_unlock(&directories->lock);
    return NULL;
}

/* --- what is wanted ----------------------------------------------------------------------------------------------- */

static bool is_wanted(const mqd_settings *settings, const char *url) {
    for (size_t i = 0; i < settings->token_key_count; i++) {
        const char *wanted = settings->token_keys[i].directory;
        if (wanted && strcmp(wanted, url) == 0) {
            return true;
        }
    }
    return false;
}

void token_directories_set(token_directories *directories, const mqd_settings *settings) {
    size_t kept = 0;
    pthread_mutex_lock(&directories->lock);
    for (size_t i = 0; i < directories->count; i++) {
        watched_directory *one = &directories->watched[i];
        if (is_wanted(settings, one->url)) {
            directories->watched[kept++] = *one;
        } else {
            free_watched(one);
        }
    }
    directories->count = kept;
    for (size_t i = 0; i < settings->token_key_count; i++) {
        const token_key *key = &settings->token_keys[i];
        if (!key->directory || directories->count == DIRECTORIES_MAX) {
            continue;
        }
        watched_directory *one = find(directories, key->directory);
        if (!one) {
            one = &directories->watched[directories->count++];
            *one = (watched_directory){.due = 0};
            settings_set_text(&one->url, key->directory);
        }
        settings_set_text(&one->ca_file, key->directory_ca);
    }
    pthread_cond_signal(&directories->wake);
    pthread_mutex_unlock(&directories->lock);
}

bool token_directories_get(token_directories *directories, const char *url, token_directory *copy) {
    if (!directories) {
        return false;
    }
    pthread_mutex_lock(&directories->lock);
    const watched_directory *one = find(directories, url);
    bool found = one && one->fetched;
    if (found) {
        *copy = one->directory;
    }
    pthread_mutex_unlock(&directories->lock);
    return found;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

token_directories *token_directories_new(const log_options *log, uv_async_t *changed) {
    token_directories *directories = calloc(1, sizeof *directories);
    if (!directories) {
        return NULL;
    }
    directories->log = *log;
    directories->changed = changed;
    pthread_mutex_init(&directories->lock, NULL);
    pthread_cond_init(&directories->wake, NULL);
    if (pthread_create(&directories->thread, NULL, run, directories) != 0) {
        free(directories);
        return NULL;
    }
    return directories;
}

void token_directories_free(token_directories *directories) {
    if (!directories) {
        return;
    }
    pthread_mutex_lock(&directories->lock);
    directories->closing = true;
    pthread_cond_signal(&directories->wake);
    pthread_mutex_unlock(&directories->lock);
    pthread_join(directories->thread, NULL);
    for (size_t i = 0; i < directories->count; i++) {
        free_watched(&directories->watched[i]);
    }
    pthread_mutex_destroy(&directories->lock);
    pthread_cond_destroy(&directories->wake);
    free(directories);
}
