#include "spent/redis.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#include <hiredis/adapters/libuv.h>
#include <hiredis/async.h>
#pragma GCC diagnostic pop

#include "random.h"

#define PORT_DEFAULT 6379
/* Verdicts that are waited for. */
#define WAITING_MAX 65536u
/* For a connection, and for the oldest answer. */
#define PATIENCE_MS 2000u
#define LOOK_MS 100u
#define RETRY_MIN_MS 100u
#define RETRY_MAX_MS 5000u
#define PREFIX "masque:spent:"
#define MARKER PREFIX "store"
#define MARKER_LENGTH 32u

typedef struct asking {
    struct asking *next;
    struct spent_redis *store;
    masque_spent_token token;
    mqd_verdicts *verdicts;
    uint64_t since; /* uv_now(), behind the SET */
} asking;

typedef enum phase { PHASE_AWAY, PHASE_CONNECTING, PHASE_READY, PHASE_LOST } phase;

struct spent_redis {
    char *host; /* or a path */
    bool is_unix;
    int port;
    int database;
    char *password; /* or NULL */
    spent_memory *memory;
    log_options log;
    uv_thread_t thread;
    atomic_int phase;
    /* Under the lock, from any thread. */
    uv_mutex_t lock;
    asking *fresh, **fresh_end;
    size_t fresh_count;
    bool closing;
    /* The thread's. */
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t look;
    redisAsyncContext *connection;
    uint64_t connecting_since;
    size_t markers;        /* asked for, and not answered */
    uint64_t marker_since; /* the oldest of them */
    uint64_t marker_seen;
    uint64_t retry_at;
    uint64_t retry_ms;
    char marker[MARKER_LENGTH + 1]; /* the store's, once it is known; "" */
    asking *sent, **sent_end;       /* in the order of their answers */
    asking *noted, **noted_end;     /* by a SET that was good, if the marker behind it is there */
    size_t sent_count;              /* in both lists */
    bool warned;
    bool complained;
};

static void answer(asking *one, masque_verdict verdict) {
    verdicts_give(one->verdicts, one->token.tunnel, verdict);
    free(one);
}

/* --- answers of Redis ------------------------------------------------------------------------------------------- */

static void complain(spent_redis *store, const char *why) {
    if (!store->complained) {
        log_line(&store->log, MASQUE_LOG_ERROR, "spent-tokens",
                 "Redis at %.200s: %.200s; requests with tokens get 503 until it answers", store->host, why);
    }
    store->complained = true;
}

static asking *first_of(asking **list, asking ***end) {
    asking *first = *list;
    *list = first->next;
    if (!*list) {
        *end = list;
    }
    return first;
}

static void append(asking ***end, asking *one) {
    one->next = NULL;
    **end = one;
    *end = &one->next;
}

/* Those whose SET was good: the store is, or is not, the one that knows all others. */
static void answer_noted(spent_redis *store, bool good) {
    while (store->noted) {
        asking *one = first_of(&store->noted, &store->noted_end);
        masque_verdict verdict =
            good ? spent_memory_spend(store->memory, &one->token, time(NULL)) : MASQUE_AUTH_UNAVAILABLE;
        store->sent_count--;
        answer(one, verdict);
    }
}

static void disconnect(spent_redis *store, const char *why) {
    redisAsyncContext *connection = store->connection;
    if (atomic_load(&store->phase) != PHASE_LOST) {
        atomic_store(&store->phase, PHASE_AWAY);
    }
    store->connection = NULL;
    store->markers = 0;
    store->retry_at = uv_now(&store->loop) + store->retry_ms;
    store->retry_ms = store->retry_ms * 2 < RETRY_MAX_MS ? store->retry_ms * 2 : RETRY_MAX_MS;
    if (why) {
        complain(store, why);
    }
    if (connection) {
        connection->data = NULL;
        redisAsyncFree(connection); /* answers all that wait with NULL */
    }
    answer_noted(store, false);
}

static masque_verdict verdict_of(const redisReply *reply) {
    if (reply && reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0) {
        return MASQUE_AUTH_ALLOW;
    }
    return reply && reply->type == REDIS_REPLY_NIL ? MASQUE_AUTH_DENY : MASQUE_AUTH_UNAVAILABLE;
}

static void on_spent(redisAsyncContext *connection, void *reply, void *user) {
    asking *one = user;
    spent_redis *store = one->store;
    masque_verdict verdict = verdict_of(reply);
    (void)connection;
    first_of(&store->sent, &store->sent_end); /* it is: answers come in order */
    if (verdict == MASQUE_AUTH_ALLOW) {
        append(&store->noted_end, one);
        return;
    }
    store->sent_count--;
    if (verdict == MASQUE_AUTH_UNAVAILABLE && reply) {
        complain(store, ((redisReply *)reply)->str ? ((redisReply *)reply)->str : "an answer that is none");
    }
    answer(one, verdict);
}

static void be_ready(spent_redis *store) {
    atomic_store(&store->phase, PHASE_READY);
    store->retry_ms = RETRY_MIN_MS;
    if (store->complained) {
        log_line(&store->log, MASQUE_LOG_INFO, "spent-tokens", "Redis at %.200s answers again", store->host);
    }
    store->complained = false;
}

static void lose(spent_redis *store) {
    atomic_store(&store->phase, PHASE_LOST);
    log_line(
        &store->log, MASQUE_LOG_ERROR, "spent-tokens",
        "Redis at %.200s has lost its data: nobody knows any more which tokens were spent. Tokens get 503 from now on. "
        "Let the issuer change its keys, then start masqueproxyd anew",
        store->host);
}

/* The marker that is there now, whoever made it. */
static bool take_marker(spent_redis *store, const redisReply *reply) {
    bool there = reply->type == REDIS_REPLY_STRING && reply->len == MARKER_LENGTH;
    if (store->marker[0] && (!there || memcmp(store->marker, reply->str, MARKER_LENGTH) != 0)) {
        if (atomic_load(&store->phase) != PHASE_LOST) {
            lose(store);
        }
        return false;
    }
    if (there) {
        memcpy(store->marker, reply->str, MARKER_LENGTH);
    }
    return there && atomic_load(&store->phase) != PHASE_LOST;
}

static void on_marker(redisAsyncContext *connection, void *user_reply, void *user) {
    spent_redis *store = connection->data;
    const redisReply *reply = user_reply;
    (void)user;
    if (!store || !reply) {
        return; /* the connection is given up, which has told all that wait */
    }
    store->marker_since = store->marker_seen = uv_now(&store->loop);
    store->markers--;
    if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL) {
        disconnect(store, reply->str ? reply->str : "the marker is no string");
        return;
    }
    bool good = take_marker(store, reply);
    if (good && atomic_load(&store->phase) == PHASE_CONNECTING) {
        be_ready(store);
    }
    answer_noted(store, good);
}

/* What the store has to be set to, if it is to forget nothing; asked once. Where it may not be asked the operator
 * knows. */
static void on_config(redisAsyncContext *connection, void *user_reply, void *user) {
    spent_redis *store = connection->data;
    const redisReply *reply = user_reply;
    const char *wanted = user;
    if (store && reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str &&
        strcmp(reply->element[1]->str, wanted) != 0) {
        log_line(&store->log, MASQUE_LOG_WARNING, "spent-tokens",
                 "Redis at %.200s has %.40s %.40s; with another than %s it may forget tokens that were spent",
                 store->host, reply->element[0]->str ? reply->element[0]->str : "", reply->element[1]->str, wanted);
    }
}

static void on_setting(redisAsyncContext *connection, void *user_reply, void *user) {
    spent_redis *store = connection->data;
    const redisReply *reply = user_reply;
    (void)user;
    if (store && reply && reply->type == REDIS_REPLY_ERROR) {
        disconnect(store, reply->str);
    }
}

/* --- the connection ---------------------------------------------------------------------------------------------- */

static void ask_marker(spent_redis *store) {
    store->marker_since = store->markers++ > 0 ? store->marker_since : uv_now(&store->loop);
    redisAsyncCommand(store->connection, on_marker, NULL, "GET " MARKER);
}

/* TEXT has room for two characters a byte, and the end. */
static void write_hex(char *text, const uint8_t *bytes, size_t length) {
    for (size_t i = 0; i < length; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
}

/* A new store gets a marker, once: of whoever comes first. */
static void introduce(spent_redis *store) {
    uint8_t bytes[MARKER_LENGTH / 2];
    char marker[MARKER_LENGTH + 1];
    if (store->password) {
        redisAsyncCommand(store->connection, on_setting, NULL, "AUTH %s", store->password);
    }
    if (store->database) {
        redisAsyncCommand(store->connection, on_setting, NULL, "SELECT %d", store->database);
    }
    if (!store->marker[0]) {
        system_random(NULL, bytes, sizeof bytes);
        write_hex(marker, bytes, sizeof bytes);
        redisAsyncCommand(store->connection, on_setting, NULL, "SET " MARKER " %s NX", marker);
    }
    static const char *const settings[][2] = {
        {"maxmemory-policy", "noeviction"}, {"appendonly", "yes"}, {"appendfsync", "always"}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0] && !store->warned; i++) {
        redisAsyncCommand(store->connection, on_config, (void *)(uintptr_t)settings[i][1], "CONFIG GET %s",
                          settings[i][0]);
    }
    store->warned = true;
    ask_marker(store);
}

static void on_connected(const redisAsyncContext *connection, int status) {
    spent_redis *store = connection->data;
    if (!store) {
        return;
    }
    if (status != REDIS_OK) {
        store->connection = NULL; /* hiredis frees it */
        disconnect(store, connection->errstr);
    } else {
        introduce(store);
    }
}

static void on_disconnected(const redisAsyncContext *connection, int status) {
    spent_redis *store = connection->data;
    if (store) {
        store->connection = NULL;
        disconnect(store, status == REDIS_OK ? "the connection ended" : connection->errstr);
    }
}

static void connect_to(spent_redis *store) {
    redisAsyncContext *connection =
        store->is_unix ? redisAsyncConnectUnix(store->host) : redisAsyncConnect(store->host, store->port);
    if (!connection || connection->err) {
        disconnect(store, connection ? connection->errstr : "out of memory");
        if (connection) {
            redisAsyncFree(connection);
        }
        return;
    }
    connection->data = store;
    store->connection = connection;
    store->connecting_since = uv_now(&store->loop);
    if (atomic_load(&store->phase) != PHASE_LOST) {
        atomic_store(&store->phase, PHASE_CONNECTING);
    }
    redisLibuvAttach(connection, &store->loop);
    redisAsyncSetConnectCallback(connection, on_connected);
    redisAsyncSetDisconnectCallback(connection, on_disconnected);
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static void send_one(spent_redis *store, asking *one) {
    char id[2 * SPENT_ID_LENGTH + 1];
    int64_t now = time(NULL);
    int64_t seconds = one->token.not_after > now ? one->token.not_after - now : 0;
    long long life = (seconds + SPENT_GRACE) * 1000;
    write_hex(id, one->token.id, SPENT_ID_LENGTH);
    one->since = uv_now(&store->loop);
    int failed = one->token.not_after
                     ? redisAsyncCommand(store->connection, on_spent, one, "SET " PREFIX "%s 1 NX PX %lld", id, life)
                     : redisAsyncCommand(store->connection, on_spent, one, "SET " PREFIX "%s 1 NX", id);
    if (failed) {
        answer(one, MASQUE_AUTH_UNAVAILABLE);
        return;
    }
    append(&store->sent_end, one);
    store->sent_count++;
}

static void on_wake(uv_async_t *async) {
    spent_redis *store = async->data;
    uv_mutex_lock(&store->lock);
    asking *fresh = store->fresh;
    bool closing = store->closing;
    bool any = false;
    store->fresh = NULL;
    store->fresh_end = &store->fresh;
    store->fresh_count = 0;
    uv_mutex_unlock(&store->lock);
    while (fresh) {
        asking *one = fresh;
        fresh = one->next;
        if (atomic_load(&store->phase) == PHASE_READY && store->sent_count < WAITING_MAX) {
            send_one(store, one);
            any = true;
        } else {
            answer(one, MASQUE_AUTH_UNAVAILABLE);
        }
    }
    if (any && store->connection) {
        ask_marker(store); /* behind them: were they noted where all others are? */
    }
    if (closing) {
        uv_timer_stop(&store->look);
        disconnect(store, NULL);
        uv_close((uv_handle_t *)&store->look, NULL);
        uv_close((uv_handle_t *)&store->wake, NULL);
    }
}

static bool is_slow(const spent_redis *store, uint64_t now) {
    phase at = (phase)atomic_load(&store->phase);
    return (store->sent && now - store->sent->since > PATIENCE_MS) ||
           (store->markers && now - store->marker_since > PATIENCE_MS) ||
           (at == PHASE_CONNECTING && now - store->connecting_since > PATIENCE_MS);
}

static void on_look(uv_timer_t *timer) {
    spent_redis *store = timer->data;
    uint64_t now = uv_now(&store->loop);
    if (!store->connection) {
        if (now >= store->retry_at) {
            connect_to(store);
        }
        return;
    }
    if (is_slow(store, now)) {
        disconnect(store, "no answer in time");
    } else if (!store->markers && atomic_load(&store->phase) == PHASE_READY &&
               now - store->marker_seen > PATIENCE_MS / 2) {
        ask_marker(store); /* also whether anybody is there at all */
    }
}

static void run(void *argument) {
    spent_redis *store = argument;
    connect_to(store);
    uv_run(&store->loop, UV_RUN_DEFAULT);
}

masque_verdict spent_redis_spend(spent_redis *store, const masque_spent_token *token, mqd_verdicts *verdicts) {
    if (spent_memory_has(store->memory, token)) {
        return MASQUE_AUTH_DENY;
    }
    if (atomic_load(&store->phase) != PHASE_READY) {
        return MASQUE_AUTH_UNAVAILABLE;
    }
    asking *one = malloc(sizeof *one);
    if (!one) {
        return MASQUE_AUTH_UNAVAILABLE;
    }
    *one = (asking){.store = store, .token = *token, .verdicts = verdicts};
    uv_mutex_lock(&store->lock);
    bool room = store->fresh_count < WAITING_MAX;
    if (room) {
        append(&store->fresh_end, one);
        store->fresh_count++;
        uv_async_send(&store->wake);
    }
    uv_mutex_unlock(&store->lock);
    if (!room) {
        free(one);
    }
    return room ? MASQUE_AUTH_PENDING : MASQUE_AUTH_UNAVAILABLE;
}

#define URL_EXPECTED "expected redis://HOST[:PORT][/DATABASE] or unix:/PATH, and a password in password-file alone"

/* --- life --------------------------------------------------------------------------------------------------------- */

static bool read_url(spent_redis *store, const char *url) {
    static const char tcp[] = "redis://";
    static const char local[] = "unix:/";
    if (strncmp(url, local, sizeof local - 1) == 0) {
        store->is_unix = true;
        settings_set_text(&store->host, url + sizeof local - 2);
        return true;
    }
    if (strncmp(url, tcp, sizeof tcp - 1) != 0 || strchr(url, '@')) {
        return false;
    }
    const char *host = url + sizeof tcp - 1;
    bool bracket = host[0] == '[';
    size_t length = strcspn(host + bracket, bracket ? "]" : ":/");
    const char *rest = host + bracket + length + bracket;
    char *end = NULL;
    if (length == 0 || (bracket && host[1 + length] != ']') || !(store->host = strndup(host + bracket, length))) {
        return false;
    }
    store->port = PORT_DEFAULT;
    if (*rest == ':') {
        unsigned long port = strtoul(rest + 1, &end, 10);
        store->port = port >= 1 && port <= 65535 ? (int)port : 0;
        rest = end;
    }
    if (*rest == '/' && rest[1]) {
        store->database = (int)strtoul(rest + 1, &end, 10);
        rest = end;
    }
    return store->port > 0 && (*rest == 0 || strcmp(rest, "/") == 0);
}

static void forget(spent_redis *store) {
    free(store->host);
    if (store->password) {
        explicit_bzero(store->password, strlen(store->password));
    }
    free(store->password);
    free(store);
}

bool spent_redis_check(const char *url, mqd_message *message) {
    spent_redis *trial = calloc(1, sizeof *trial);
    bool good = trial && read_url(trial, url);
    if (!good) {
        say(message, URL_EXPECTED);
    }
    if (trial) {
        forget(trial);
    }
    return good;
}

spent_redis *spent_redis_new(const char *url, const char *password, spent_memory *memory, const log_options *log,
                             mqd_message *message) {
    spent_redis *store = calloc(1, sizeof *store);
    if (!store || !read_url(store, url)) {
        say(message, URL_EXPECTED);
        if (store) {
            forget(store);
        }
        return NULL;
    }
    settings_set_text(&store->password, password);
    store->memory = memory;
    store->log = *log;
    store->fresh_end = &store->fresh;
    store->sent_end = &store->sent;
    store->noted_end = &store->noted;
    store->retry_ms = RETRY_MIN_MS;
    atomic_init(&store->phase, PHASE_AWAY);
    uv_loop_init(&store->loop);
    uv_mutex_init(&store->lock);
    uv_async_init(&store->loop, &store->wake, on_wake);
    uv_timer_init(&store->loop, &store->look);
    store->wake.data = store->look.data = store;
    uv_timer_start(&store->look, on_look, LOOK_MS, LOOK_MS);
    if (uv_thread_create(&store->thread, run, store) != 0) {
        say(message, "no thread for Redis");
        forget(store);
        return NULL;
    }
    return store;
}

void spent_redis_free(spent_redis *store) {
    if (!store) {
        return;
    }
    uv_mutex_lock(&store->lock);
    store->closing = true;
    uv_mutex_unlock(&store->lock);
    uv_async_send(&store->wake);
    uv_thread_join(&store->thread);
    uv_loop_close(&store->loop);
    uv_mutex_destroy(&store->lock);
    forget(store);
}
