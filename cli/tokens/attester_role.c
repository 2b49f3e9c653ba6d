#include "tokens/attester_role.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "clock.h"
#include "files.h"
#include "http/client.h"
#include "random.h"
#include "tokens/accounts.h"
#include "tokens/directory.h"

#define ISSUER_TIMEOUT_S 10u
#define COUNTED_MAX 1000000u
/* Who waits for an issuer that is away hears so at once for as long, or all would wait one behind the other. */
#define FAILED_S 3
/* Each takes a processor for a while; who comes beyond is told to come again. */
#define CHECKS_MAX 8u

/* Counts, of tokens and of guesses, which outlive reloads. */
typedef struct attester_counts {
    pthread_mutex_t lock;
    unsigned users;
    masque_token_attester *attester;
    uint64_t tokens_per_account;
    uint64_t period_ms;
    masque_limits limits;
} attester_counts;

typedef struct attester_context {
    log_options log;
    accounts *accounts;
    attester_counts *counts;
    char *issuer;
    char *issuer_ca; /* NULL: the system's */
    char *certificate;
    char *private_key;
    pthread_mutex_t lock; /* of the directory, which is good until then */
    token_directory directory;
    time_t until;
    time_t failed_until; /* it is not asked for again before */
    atomic_bool failing; /* the log knows */
    atomic_uint checks;  /* of passwords, under way */
} attester_context;

/* --- life --------------------------------------------------------------------------------------------------------- */

static attester_counts *counts_new(const mqd_settings *all) {
    const attester_settings *settings = &all->attester;
    const masque_runtime runtime = {.random = system_random};
    const masque_token_attester_options options = {.tokens_per_account = settings->tokens_per_account,
                                                   .period = (uint32_t)(settings->period_ms / 1000),
                                                   .accounts_max = COUNTED_MAX,
                                                   .clock = unix_clock,
                                                   .limits = &all->limits};
    attester_counts *counts = calloc(1, sizeof *counts);
    if (!counts || masque_token_attester_new(&counts->attester, &options, &runtime) != 0) {
        free(counts);
        return NULL;
    }
    counts->users = 1;
    counts->tokens_per_account = settings->tokens_per_account;
    counts->period_ms = settings->period_ms;
    counts->limits = all->limits;
    pthread_mutex_init(&counts->lock, NULL);
    return counts;
}

/* Of limits those that counts are made with; others may change without anybody's being forgotten. */
static bool same_penalties(const masque_limits *a, const masque_limits *b) {
    return a->auth_failures_max == b->auth_failures_max && a->penalty_first_ms == b->penalty_first_ms &&
           a->penalty_last_ms == b->penalty_last_ms && a->sources_max == b->sources_max;
}

/* The main thread's: those of OLD, when nothing changed, or new ones. */
static attester_counts *counts_of(attester_context *old, const mqd_settings *all) {
    const attester_settings *settings = &all->attester;
    attester_counts *counts = old ? old->counts : NULL;
    if (counts && counts->tokens_per_account == settings->tokens_per_account &&
        counts->period_ms == settings->period_ms && same_penalties(&counts->limits, &all->limits)) {
        counts->users++;
        return counts;
    }
    return counts_new(all);
}

static void counts_release(attester_counts *counts) {
    if (counts && --counts->users == 0) {
        masque_token_attester_free(counts->attester);
        pthread_mutex_destroy(&counts->lock);
        free(counts);
    }
}

static void context_free(void *context) {
    attester_context *attester = context;
    accounts_free(attester->accounts);
    counts_release(attester->counts);
    free(attester->issuer);
    free(attester->issuer_ca);
    free(attester->certificate);
    free(attester->private_key);
    pthread_mutex_destroy(&attester->lock);
    free(attester);
}

static bool check_issuer_ca(const mqd_file *ca, mqd_message *message) {
    mqd_message why;
    size_t length;
    char *text = ca->path ? read_whole_file(ca->path, &length, &why) : NULL;
    if (ca->path && !text) {
        say(message, "%.200s: %.300s", ca->place, why.text);
    }
    bool good = !ca->path || (text && http_trust_is_good(text));
    if (text && !good) {
        say(message, "%.200s: %.200s: there is no certificate in it; expected PEM", ca->place, ca->path);
    }
    free(text);
    return good;
}

static attester_context *context_new(const mqd_settings *all, attester_context *old, mqd_message *message) {
    const attester_settings *settings = &all->attester;
    mqd_message why;
    attester_context *context = calloc(1, sizeof *context);
    if (!context || !(context->counts = counts_of(old, all))) {
        free(context);
        say(message, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&context->lock, NULL);
    settings_set_text(&context->issuer, settings->issuer);
    settings_set_text(&context->issuer_ca, settings->issuer_ca.path);
    settings_set_text(&context->certificate, settings->role.certificate.path);
    settings_set_text(&context->private_key, settings->role.private_key.path);
    if (!check_issuer_ca(&settings->issuer_ca, message)) {
        context_free(context);
        return NULL;
    }
    context->accounts = accounts_read(settings->basic.path, &why);
    if (!context->accounts) {
        say(message, "%.200s: %.300s", settings->basic.place, why.text);
        context_free(context);
        return NULL;
    }
    return context;
}

/* --- the issuer --------------------------------------------------------------------------------------------------- */

/* A line when it begins to fail, and one when that is over. WHY: NULL, it answered. */
static void note_issuer(attester_context *context, const char *why) {
    bool before = atomic_exchange(&context->failing, why != NULL);
    if (why && !before) {
        log_line(&context->log, MASQUE_LOG_WARNING, "issuer", "nobody gets tokens: %s", why);
    } else if (!why && before) {
        log_line(&context->log, MASQUE_LOG_INFO, "issuer", "it answers again");
    }
}

static bool ask_issuer(attester_context *context, const char *url, const http_request *request, const char *accept,
                       http_result *result) {
    mqd_message why;
    const http_call call = {.url = url,
                            .ca_file = context->issuer_ca,
                            .certificate = context->certificate,
                            .private_key = context->private_key,
                            .content_type = request ? request->content_type : NULL,
                            .accept = accept,
                            .body = request ? request->body : NULL,
                            .length = request ? request->length : 0,
                            .answer_max = request ? MASQUE_TOKEN_BODY_MAX : DIRECTORY_MAX,
                            .timeout_s = ISSUER_TIMEOUT_S};
    bool answered = http_client_call(&call, result, &why);
    if (!answered) {
        note_issuer(context, why.text);
    }
    return answered;
}

/* False: it can't be had. */
static bool fetch_directory(attester_context *context, token_directory *directory) {
    char url[2048];
    mqd_message why, line;
    http_result result;
    directory_location(context->issuer, url, sizeof url);
    if (!ask_issuer(context, url, NULL, MASQUE_TOKEN_DIRECTORY_TYPE, &result)) {
        return false;
    }
    bool good = result.status == 200 && result.body;
    if (!good) {
        say(&why, "status %ld", result.status);
    }
    good = good && directory_read(directory, (const char *)result.body, result.length, &why);
    if (!good) {
        say(&line, "no directory at %.200s: %.250s", url, why.text);
        note_issuer(context, line.text);
    } else {
        context->until = time(NULL) + (time_t)directory_age(result.cache_control);
    }
    free(result.body);
    return good;
}

/* The issuer's, as it stands now, or stood when it said how long that is good for. */
static bool read_directory(attester_context *context, token_directory *directory) {
    pthread_mutex_lock(&context->lock);
    time_t now = time(NULL);
    bool good = now < context->until;
    if (!good && now >= context->failed_until) {
        good = fetch_directory(context, &context->directory);
        context->failed_until = good ? 0 : time(NULL) + FAILED_S;
    }
    *directory = context->directory;
    pthread_mutex_unlock(&context->lock);
    return good;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

/* Requests come to us, so that the issuer sees us alone. */
static void answer_directory(attester_context *context, http_answer *answer) {
    token_directory *directory = malloc(sizeof *directory);
    answer->status = 502;
    if (directory && read_directory(context, directory)) {
        snprintf(directory->request_uri, sizeof directory->request_uri, "%s", TOKEN_REQUEST_PATH);
        answer->body = (uint8_t *)directory_write(directory);
    }
    free(directory);
    if (answer->body) {
        answer->status = 200;
        answer->length = strlen((const char *)answer->body);
        answer->content_type = MASQUE_TOKEN_DIRECTORY_TYPE;
        answer->field = "Cache-Control";
        answer->value = "max-age=600";
    }
}

/* --- who asks ----------------------------------------------------------------------------------------------------- */

/* What was right lately is known at once; anything else takes a processor for a while. */
static bool check_password(attester_context *context, const account_credential *who, bool *busy) {
    if (accounts_remember(context->accounts, who)) {
        return true;
    }
    *busy = atomic_fetch_add(&context->checks, 1) >= CHECKS_MAX;
    bool right = !*busy && accounts_check(context->accounts, who);
    atomic_fetch_sub(&context->checks, 1);
    return right;
}

/* 0, or the status: nobody that is known, or too many ask at a time. One that guesses hears nothing but 401. */
static unsigned judge_password(attester_context *context, const http_request *request, const account_credential *who) {
    attester_counts *counts = context->counts;
    bool busy = false;
    pthread_mutex_lock(&counts->lock);
    int refused = masque_token_attester_check(counts->attester, &request->client);
    pthread_mutex_unlock(&counts->lock);
    if (refused) {
        return refused == MASQUE_ERR_AUTH_FAILURES ? 401 : 503;
    }
    bool right = check_password(context, who, &busy);
    pthread_mutex_lock(&counts->lock);
    bool penalty = masque_token_attester_checked(counts->attester, &request->client, right || busy);
    pthread_mutex_unlock(&counts->lock);
    if (penalty) {
        char client[MASQUE_ADDRESS_TEXT_MAX];
        masque_address address = request->client;
        address.port = 0;
        masque_address_format(&address, client, sizeof client);
        log_line(&context->log, MASQUE_LOG_WARNING, "authentication-penalty",
                 "attester: too many wrong passwords from %s", client);
    }
    return busy ? 503 : right ? 0 : 401;
}

static unsigned authenticate(attester_context *context, const http_request *request, account_credential *who) {
    const char *value = request->authorization;
    if (!value || strncasecmp(value, "basic ", 6) != 0) {
        return 401;
    }
    value += 6 + strspn(value + 6, " ");
    return account_credential_read(who, context->accounts, value, strlen(value)) ? judge_password(context, request, who)
                                                                                 : 401;
}

/* --- tokens ------------------------------------------------------------------------------------------------------- */

static bool take_tokens(attester_counts *counts, const char *name, size_t count) {
    pthread_mutex_lock(&counts->lock);
    bool taken = masque_token_attester_take(counts->attester, name, strlen(name), count);
    pthread_mutex_unlock(&counts->lock);
    return taken;
}

static void give_back(attester_counts *counts, const char *name, size_t count) {
    pthread_mutex_lock(&counts->lock);
    masque_token_attester_give_back(counts->attester, name, strlen(name), count);
    pthread_mutex_unlock(&counts->lock);
}

/* Nothing of the client's goes along but what is blinded. */
static bool forward(attester_context *context, const http_request *request, http_answer *answer) {
    bool batch = strcasecmp(request->content_type, MASQUE_TOKEN_BATCH_REQUEST_TYPE) == 0;
    const char *accept = batch ? MASQUE_TOKEN_BATCH_RESPONSE_TYPE : MASQUE_TOKEN_RESPONSE_TYPE;
    char url[4096];
    http_result result;
    token_directory *directory = malloc(sizeof *directory);
    bool known = directory && read_directory(context, directory);
    if (known) {
        directory_url(directory, context->issuer, url, sizeof url);
    }
    free(directory);
    answer->status = 502;
    if (!known || !ask_issuer(context, url, request, accept, &result)) {
        return false;
    }
    bool good = result.status == 200 && strcasecmp(result.content_type, accept) == 0 && result.body;
    bool refused = result.status == 400 || result.status == 422; /* what the client sent */
    if (good) {
        note_issuer(context, NULL);
    } else if (!refused) {
        mqd_message why;
        say(&why, "%.200s answers with status %ld%s", url, result.status,
            result.status == 200 ? " and something else than tokens" : "");
        note_issuer(context, why.text);
    }
    answer->status = good ? 200 : refused ? (unsigned)result.status : 502;
    if (good) {
        answer->content_type = accept;
        answer->body = result.body;
        answer->length = result.length;
    } else {
        free(result.body);
    }
    return good;
}

static void answer_tokens(attester_context *context, const http_request *request, http_answer *answer) {
    account_credential who;
    size_t count = masque_token_request_count(request->content_type, request->body, request->length);
    unsigned unknown = authenticate(context, request, &who);
    if (unknown == 503) {
        answer->status = 503;
        answer->field = "Retry-After";
        answer->value = "1";
    } else if (unknown) {
        answer->status = unknown;
        answer->field = "WWW-Authenticate";
        answer->value = "Basic realm=\"attester\", charset=\"UTF-8\"";
    } else if (count == 0) {
        answer->status = 400;
    } else if (!take_tokens(context->counts, who.name, count)) {
        answer->status = 429;
    } else if (!forward(context, request, answer)) {
        give_back(context->counts, who.name, count);
    }
    explicit_bzero(&who, sizeof who);
}

static void handle(void *context, const http_request *request, http_answer *answer) {
    if (token_role_refuse(request, answer)) {
        return;
    }
    if (strcmp(request->path, TOKEN_REQUEST_PATH) == 0) {
        answer_tokens(context, request, answer);
    } else {
        answer_directory(context, answer);
    }
}

bool attester_role_prepare(token_role_next *next, const token_role *now, const mqd_settings *settings,
                           const log_options *log, mqd_message *message) {
    attester_context *context = context_new(settings, now->context, message);
    if (!context) {
        return false;
    }
    context->log = *log;
    return token_role_prepare(next, &settings->attester.role, handle, context, context_free, message);
}
