#include "basic_auth.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <wolfssl/options.h>

#include <wolfssl/wolfcrypt/hmac.h>

#include "random.h"
#include "tokens/accounts.h"
#include "verdicts.h"

#define THREADS 2u
/* Checks that wait; who comes then is told to come again. */
#define WAITING_MAX 256u
#define KNOWN_MAX 4096u
#define KNOWN_S 300
#define DIGEST_LENGTH WC_SHA256_DIGEST_SIZE
#define REALM "Basic realm=\"proxy\", charset=\"UTF-8\""

/* A credential that was right. */
typedef struct known_credential {
    uint8_t digest[DIGEST_LENGTH];
    time_t until;
} known_credential;

typedef struct waiting_check {
    account_credential credential;
    uint8_t digest[DIGEST_LENGTH];
    masque_tunnel_id tunnel;
    mqd_verdicts *verdicts;
} waiting_check;

typedef struct basic_auth {
    accounts *accounts;
    uint8_t key[DIGEST_LENGTH]; /* of the digests; random */
    unsigned users;             /* threads, and the configuration; under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    known_credential known[KNOWN_MAX];  /* by the digest's first bytes; a newer one takes the place */
    waiting_check waiting[WAITING_MAX]; /* a ring */
    size_t first, count;
    bool closing;
} basic_auth;

/* --- what is known ------------------------------------------------------------------------------------------------ */

/* Of the whole field, so that nothing but the very same credential is found. */
static bool digest_of(const basic_auth *basic, const char *text, size_t length, uint8_t digest[DIGEST_LENGTH]) {
    Hmac hmac;
    if (wc_HmacInit(&hmac, NULL, INVALID_DEVID) != 0) {
        return false;
    }
    bool done = wc_HmacSetKey(&hmac, WC_SHA256, basic->key, sizeof basic->key) == 0 &&
                wc_HmacUpdate(&hmac, (const uint8_t *)text, (word32)length) == 0 && wc_HmacFinal(&hmac, digest) == 0;
    wc_HmacFree(&hmac);
    return done;
}

static known_credential *place_of(basic_auth *basic, const uint8_t digest[DIGEST_LENGTH]) {
    return &basic->known[((size_t)digest[0] << 8 | digest[1]) % KNOWN_MAX];
}

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

/* Also to all that wait for the same: a client begins with many tunnels at once. */
static void tell(basic_auth *basic, const waiting_check *checked, bool good) {
    masque_verdict verdict = good ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY;
    verdicts_give(checked->verdicts, checked->tunnel, verdict);
    pthread_mutex_lock(&basic->lock);
    if (good) {
        known_credential *place = place_of(basic, checked->digest);
        memcpy(place->digest, checked->digest, sizeof place->digest);
        place->until = time(NULL) + KNOWN_S;
    }
    for (size_t i = 0; i < basic->count; i++) {
        waiting_check *one = &basic->waiting[(basic->first + i) % WAITING_MAX];
        if (one->verdicts && memcmp(one->digest, checked->digest, sizeof one->digest) == 0) {
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
        tell(basic, &one, accounts_check(basic->accounts, one.credential.name, one.credential.password));
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

/* Under the lock: ALLOW, or PENDING when it was queued, or UNAVAILABLE. */
static masque_verdict look_up(basic_auth *basic, const waiting_check *one) {
    const known_credential *place = place_of(basic, one->digest);
    if (place->until > time(NULL) && memcmp(place->digest, one->digest, sizeof place->digest) == 0) {
        return MASQUE_AUTH_ALLOW;
    }
    if (basic->count == WAITING_MAX) {
        return MASQUE_AUTH_UNAVAILABLE;
    }
    basic->waiting[(basic->first + basic->count++) % WAITING_MAX] = *one;
    pthread_cond_signal(&basic->wake);
    return MASQUE_AUTH_PENDING;
}

static masque_verdict check(void *context, const masque_auth_request *request) {
    basic_auth *basic = context;
    waiting_check one = {.tunnel = request->tunnel, .verdicts = verdicts_own()};
    if (!masque_auth_is_scheme(request, "basic")) {
        return MASQUE_AUTH_NEXT;
    }
    if (!account_credential_read(&one.credential, request->credential, request->credential_length)) {
        explicit_bzero(&one, sizeof one);
        return MASQUE_AUTH_DENY;
    }
    masque_verdict verdict = MASQUE_AUTH_UNAVAILABLE;
    if (digest_of(basic, request->credential, request->credential_length, one.digest)) {
        pthread_mutex_lock(&basic->lock);
        verdict = look_up(basic, &one);
        pthread_mutex_unlock(&basic->lock);
    }
    explicit_bzero(&one, sizeof one);
    return verdict;
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
    system_random(NULL, basic->key, sizeof basic->key);
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
        .name = "basic", .check = check, .challenge = challenge, .release = release, .context = basic};
    int error = basic->users > 1 ? masque_config_add_auth_method(config, &method) : MASQUE_ERR_NO_MEMORY;
    if (error) {
        release(basic);
        say(message, "%.250s: %s", settings->basic.place, masque_error_text(error));
    }
    return error == 0;
}
