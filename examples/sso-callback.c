/*
 * examples/sso-callback.c: bearer tokens (RFC 6750) of a single sign-on service, for a first hop that knows people by
 * their company's accounts. Each token is looked up once (RFC 7662); many questions are open at a time, answers come in
 * any order, clients leave while they wait, and what the service said is good for a while.
 *
 *     sso-callback CERTIFICATE KEY
 *
 * The service is a table here, and the clock jumps from one thing that is due to the next; a real host asks by HTTPS
 * from its loop and calls sso_answered() with what came.
 */
#include <stdio.h>
#include <string.h>

#include "host.h"
#include "memory-client.h"

#define QUESTIONS_MAX 16 /* open at a time; beyond it requests get 503 */
#define KNOWN_MAX 64
#define TOKEN_MAX 128
#define GOOD_FOR (60 * MASQUE_SECOND)
#define STEPS_MAX 200
#define CLIENTS 4

/* One question. Several tunnels of one token are several questions, as the first may be answered meanwhile. */
typedef struct question {
    masque_tunnel_id tunnel; /* 0: free */
    char token[TOKEN_MAX];
    masque_time answer_at; /* known to the service alone; here to us as well */
} question;

typedef struct known_token {
    char token[TOKEN_MAX];
    masque_verdict verdict;
    masque_time until;
} known_token;

typedef struct sso {
    masque_time now;
    question questions[QUESTIONS_MAX];
    known_token known[KNOWN_MAX];
    size_t next_known;
    unsigned asked;
} sso;

/* --- the service -------------------------------------------------------------------------------------------------- */

static masque_verdict service_verdict(const char *token) {
    return strcmp(token, "alice-1") == 0 || strcmp(token, "bob-7") == 0 ? MASQUE_AUTH_ALLOW : MASQUE_AUTH_DENY;
}

static masque_time service_delay(const char *token) {
    return strcmp(token, "alice-1") == 0 ? 80 * MASQUE_MILLISECOND : 30 * MASQUE_MILLISECOND;
}

/* --- the method --------------------------------------------------------------------------------------------------- */

static const known_token *find_known(const sso *s, const char *token) {
    for (size_t i = 0; i < KNOWN_MAX; i++) {
        if (s->known[i].until > s->now && strcmp(s->known[i].token, token) == 0) {
            return &s->known[i];
        }
    }
    return NULL;
}

static masque_verdict check_bearer(void *context, const masque_auth_request *request) {
    sso *s = context;
    char token[TOKEN_MAX];
    if (!masque_auth_is_scheme(request, "Bearer")) {
        return MASQUE_AUTH_NEXT; /* another method may know it */
    }
    if (request->credential_length == 0 || request->credential_length >= sizeof token) {
        return MASQUE_AUTH_DENY;
    }
    /* The request is gone when we return. */
    memcpy(token, request->credential, request->credential_length);
    token[request->credential_length] = 0;
    const known_token *known = find_known(s, token);
    if (known) {
        return known->verdict;
    }
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        if (s->questions[i].tunnel == 0) {
            s->questions[i] = (question){.tunnel = request->tunnel, .answer_at = s->now + service_delay(token)};
            memcpy(s->questions[i].token, token, sizeof token);
            s->asked++;
            return MASQUE_AUTH_PENDING;
        }
    }
    return MASQUE_AUTH_UNAVAILABLE;
}

/* What clients without a credential are told to bring (RFC 6750 3). */
static size_t write_challenge(void *context, char *text, size_t size) {
    (void)context;
    int length = snprintf(text, size, "Bearer realm=\"proxy\"");
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

/* The service has answered. */
static void sso_answered(sso *s, masque_engine *engine, question *q, masque_verdict verdict) {
    known_token *slot = &s->known[s->next_known++ % KNOWN_MAX];
    *slot = (known_token){.verdict = verdict, .until = s->now + GOOD_FOR};
    memcpy(slot->token, q->token, sizeof slot->token);
    /* MASQUE_ERR_STALE: the client did not wait. No harm is done, and the answer is known for the next time. */
    int error = masque_authorized(engine, q->tunnel, verdict, s->now);
    if (error == MASQUE_ERR_STALE) {
        printf("%s: the client was gone\n", q->token);
    } else {
        host_require(error, "verdict");
    }
    q->tunnel = 0;
}

/* --- the loop ----------------------------------------------------------------------------------------------------- */

static question *first_due(sso *s) {
    question *first = NULL;
    for (size_t i = 0; i < QUESTIONS_MAX; i++) {
        question *q = &s->questions[i];
        if (q->tunnel != 0 && (!first || q->answer_at < first->answer_at)) {
            first = q;
        }
    }
    return first;
}

/* One thing happens: an answer, or time passes. False: nothing is due any more. */
static bool step(sso *s, masque_engine *engine) {
    masque_event event;
    while (masque_next_event(engine, &event)) {
        if (event.type == MASQUE_EVENT_DIAL) {
            masque_dialed(engine, event.attempt, MASQUE_DIAL_OK, s->now);
        } /* MASQUE_EVENT_AUTHORIZE: check_bearer() has taken note already */
    }
    question *q = first_due(s);
    if (q) {
        s->now = q->answer_at > s->now ? q->answer_at : s->now;
        masque_tick(engine, s->now);
        sso_answered(s, engine, q, service_verdict(q->token));
    }
    return q != NULL;
}

static void begin(memory_client *client, sso *s, masque_engine *engine, const char *token, const char *ca_path) {
    char text[512];
    snprintf(text, sizeof text,
             "CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\nProxy-Authorization: Bearer %s\r\n\r\n", token);
    memory_client_open(client, engine, &s->now, ca_path);
    memory_client_write(client, text);
}

int main(int count, char **arguments) {
    static const char *const tokens[CLIENTS] = {"alice-1", "mallory-0", "bob-7", "alice-1"};
    static sso service = {.now = MASQUE_SECOND};
    if (count != 3) {
        host_fail("usage", "sso-callback CERTIFICATE KEY");
    }
    const masque_runtime runtime = {.random = host_random};
    const masque_auth_method method = {
        .name = "bearer", .check = check_bearer, .challenge = write_challenge, .context = &service};
    memory_client clients[CLIENTS];
    masque_engine *engine;
    masque_config *config = host_config(&runtime, arguments[1], arguments[2], "192.0.2.0/24");
    host_require(masque_config_add_auth_method(config, &method), "method");
    host_require(masque_config_set_challenge(config, true), "challenge");
    host_require(masque_config_seal(config), "configuration");
    host_require(masque_engine_new(&engine, config, &runtime), "engine");
    masque_config_release(config);

    for (size_t i = 0; i < 3; i++) {
        begin(&clients[i], &service, engine, tokens[i], arguments[1]);
    }
    memory_client_close(&clients[2]); /* bob does not wait */
    for (int i = 0; i < STEPS_MAX && step(&service, engine); i++) {
    }
    begin(&clients[3], &service, engine, tokens[3], arguments[1]); /* known by now */
    step(&service, engine);
    for (size_t i = 0; i < CLIENTS; i++) {
        char text[1024] = "";
        if (i != 2) {
            memory_client_read(&clients[i], text, sizeof text);
            printf("%s: %.*s\n", tokens[i], (int)strcspn(text, "\r"), text);
            memory_client_close(&clients[i]);
        }
    }
    printf("the service was asked %u times\n", service.asked);
    masque_engine_free(engine);
    return 0;
}
