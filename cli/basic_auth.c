#include "basic_auth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokens/accounts.h"
#include "verdicts.h"

#define THREADS 2u
/* Checks that wait; who comes then is told to come again. */
#define WAITING_MAX 256u
#define REALM "Basic realm=\"proxy\", charset=\"UTF-8\""

typedef struct waiting_check {
    account_credential credential;
    masque_tunnel_id tunnel;
    mqd_verdicts *verdicts;
} waiting_check;

typedef struct basic_auth {
    accounts *accounts;
    unsigned users; /* threads, and the configuration; under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    waiting_check waiting[WAITING_MAX]; /* a ring */
    size_t first, count;
    bool closing;
} basic_auth;

/* --- threads ------------------------------------------------------------------------------------------------------ */

/* False: it is time to end. */
static bool take(basic_auth *basic, waiting_check *one) {
    bool taken = false;
    pthread_mutex_lock(&basic->lock);
    while (!taken && !basic->closing) {
        if (basic->count == 0) {
            pthread_cond_wait(&basic->wake, &basic->lock);
            continue;
        }
        *one = basic->waiting[basic->first];
        explicit_bzero(&basic->waiting[basic->first], sizeof *one);
        basic->first = (basic->first + 1) % WAITING_MAX;
        basic->count--;
        taken = one->verdicts != NULL; /* or it has been told already */
    }
    pthread_mutex_unlock(&basic->lock);
    return taken;
}

/* Threads that live, of all configurations. */
static pthread_mutex_t live_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t live_gone = PTHREAD_COND_INITIALIZER;
static unsigned live;

static void count_live(int change) {
    pthread_mutex_lock(&live_lock);
    live += (unsigned)change;
    pthread_cond_broadcast(&live_gone);
    pthread_mutex_unlock(&live_lock);
}

void basic_auth_wait(void) {
    pthread_mutex_lock(&live_lock);
    while (live > 0) {
        pthread_cond_wait(&live_gone, &live_lock);
    }
    pthread_mutex_unlock(&live_lock);
}

/* The last one frees it. */
static void leave(basic_auth *basic) {
    pthread_mutex_lock(&basic->lock);
    bool last = --basic->users == 0;
    pthread_mutex_unlock(&basic->lock);
    if (last) {
        pthread_mutex_destroy(&basic->lock);
        pthread_cond_destroy(&basic->wake);
        accounts_free(basic->accounts);
        explicit_bzero(basic, sizeof *basic);
        free(basic);
    }
}

static bool same(const waiting_check *a, const waiting_check *b) {
    return memcmp(a->credential.digest, b->credential.digest, sizeof a->credential.digest) == 0;
}

/* Also to all that wait for the same: a client begins with many tunnels at once. */
static void tell(basic_auth *basic, const waiting_check *checked, bool good) {
    masque_verdict verdict = good ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY;
    verdicts_give(checked->verdicts, checked->tunnel, verdict);
    pthread_mutex_lock(&basic->lock);
    for (size_t i = 0; i < basic->count; i++) {
        waiting_check *one = &basic->waiting[(basic->first + i) % WAITING_MAX];
        if (one->verdicts && same(one, checked)) {
            verdicts_give(one->verdicts, one->tunnel, verdict);
            explicit_bzero(one, sizeof *one); /* take() passes over it */
        }
    }
    pthread_mutex_unlock(&basic->lock);
}

static void *run(void *argument) {
    basic_auth *basic = argument;
    waiting_check one;
    while (take(basic, &one)) {
        tell(basic, &one, accounts_check(basic->accounts, &one.credential));
        explicit_bzero(&one, sizeof one);
    }
    leave(basic);
    count_live(-1);
    return NULL;
}

static bool start_thread(basic_auth *basic) {
    pthread_t thread;
    basic->users++;
    count_live(1);
    if (pthread_create(&thread, NULL, run, basic) != 0) {
        basic->users--;
        count_live(-1);
        return false;
    }
    pthread_detach(thread);
    return true;
}

/* --- the method --------------------------------------------------------------------------------------------------- */

/* PENDING when it was queued. */
static masque_verdict enqueue(basic_auth *basic, const waiting_check *one) {
    pthread_mutex_lock(&basic->lock);
    bool room = basic->count < WAITING_MAX;
    if (room) {
        basic->waiting[(basic->first + basic->count++) % WAITING_MAX] = *one;
        pthread_cond_signal(&basic->wake);
    }
    pthread_mutex_unlock(&basic->lock);
    return room ? MASQUE_AUTH_PENDING : MASQUE_AUTH_UNAVAILABLE;
}

static masque_verdict check(void *context, const masque_auth_request *request) {
    basic_auth *basic = context;
    waiting_check one = {.tunnel = request->tunnel, .verdicts = verdicts_own()};
    masque_verdict verdict = MASQUE_AUTH_DENY;
    if (!masque_auth_is_scheme(request, "basic")) {
        return MASQUE_AUTH_NEXT;
    }
    if (account_credential_read(&one.credential, basic->accounts, request->credential, request->credential_length)) {
        uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH];
        accounts_mark(basic->accounts, one.credential.name, mark);
        masque_auth_identify(request, one.credential.name, mark);
        verdict = accounts_remember(basic->accounts, &one.credential) ? MASQUE_AUTH_ALLOW : enqueue(basic, &one);
    }
    explicit_bzero(&one, sizeof one);
    return verdict;
}

static bool still(void *context, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]) {
    basic_auth *basic = context;
    return accounts_has_mark(basic->accounts, mark);
}

static size_t challenge(void *context, char *text, size_t size) {
    (void)context;
    int length = snprintf(text, size, "%s", REALM);
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

/* On some loop's thread: nobody is waited for. Who was queued hears that it was for nothing. */
static void release(void *context) {
    basic_auth *basic = context;
    pthread_mutex_lock(&basic->lock);
    basic->closing = true;
    for (; basic->count > 0; basic->count--) {
        waiting_check *one = &basic->waiting[basic->first];
        if (one->verdicts) {
            verdicts_give(one->verdicts, one->tunnel, MASQUE_AUTH_UNAVAILABLE);
        }
        basic->first = (basic->first + 1) % WAITING_MAX;
    }
    pthread_cond_broadcast(&basic->wake);
    pthread_mutex_unlock(&basic->lock);
    leave(basic);
}

static basic_auth *basic_auth_new(const mqd_file *file, mqd_message *message) {
    mqd_message why;
    basic_auth *basic = calloc(1, sizeof *basic);
    if (!basic) {
        say(message, "out of memory");
        return NULL;
    }
    basic->accounts = accounts_read(file->path, &why);
    if (!basic->accounts) {
        say(message, "%.200s: %.300s", file->place, why.text);
        free(basic);
        return NULL;
    }
    pthread_mutex_init(&basic->lock, NULL);
    pthread_cond_init(&basic->wake, NULL);
    basic->users = 1;
    for (unsigned i = 0; i < THREADS && start_thread(basic); i++) {
    }
    return basic;
}

bool basic_auth_add(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    if (!settings->basic.path) {
        return true;
    }
    basic_auth *basic = basic_auth_new(&settings->basic, message);
    if (!basic) {
        return false;
    }
    const masque_auth_method method = {
        .name = "basic", .check = check, .challenge = challenge, .still = still, .release = release, .context = basic};
    int error = basic->users > 1 ? masque_config_add_auth_method(config, &method) : MASQUE_ERR_NO_MEMORY;
    if (error) {
        release(basic);
        say(message, "%.250s: %s", settings->basic.place, masque_error_text(error));
    }
    return error == 0;
}
