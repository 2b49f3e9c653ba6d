/*
 * sim_close.c: every way in which the two ends of a tunnel may stop, in either
 * order, with bytes under way or without, on HTTP/2 and HTTP/1.1. FIN is carried
 * to the other side behind all bytes and leaves the reverse direction open; a
 * reset is carried as a reset.
 */
#include "harness/suite.h"

#define PORT ":1001"
#define CONNECT_ERROR 0x0au
/* Less than a stream's first window and than a tunnel's buffer. */
#define PENDING_UP 50000u
#define PENDING_DOWN 100000u

typedef enum act { STAYS, FINISHES, RESETS, LEAVES, ACTS } act; /* LEAVES, of a target: FIN, then a reset */

static const char *const ACT_NAMES[ACTS] = {"stays", "finishes", "resets", "leaves"};

typedef struct scene {
    int version;
    act client;
    act target;
    bool target_first;
    bool pending;
    sim_world *w;
    sim_conn *c;
    sim_tun *t;
    sim_target *far;
} scene;

static void client_acts(scene *s) {
    switch (s->client) {
    case FINISHES:
        s->t->send_fin = true;
        sim_wake(s->t);
        break;
    case RESETS:
        sim_reset(s->t);
        break;
    case LEAVES:
        sim_leave(s->c, false);
        break;
    case STAYS:
    case ACTS:
        break;
    }
    sim_settle(s->w);
}

static void target_acts(scene *s) {
    switch (s->target) {
    case FINISHES:
        s->far->send_fin = true;
        break;
    case LEAVES:
        s->far->send_fin = true;
        sim_settle(s->w);
        s->far->send_reset = true;
        break;
    case RESETS:
        s->far->send_reset = true;
        break;
    case STAYS:
    case ACTS:
        break;
    }
    sim_settle(s->w);
}

static void open_scene(scene *s, uint64_t seed) {
    s->w = sim_world_new(&(sim_setup){.seed = seed, .segment = seed % 3 == 2 ? 500 : 0});
    s->c = sim_connect(s->w, &(sim_client){.alpn = s->version == 1 ? "http/1.1" : "h2", .tls = seed % 2 ? 13 : 12});
    s->t = sim_request(s->c, &(sim_ask){.authority = SIM_QUIET PORT});
    sim_settle(s->w);
    SIM_CHECK(s->w, s->t->status == 200, "no tunnel");
    s->far = s->t->target;
    s->far->stalls = s->pending;
    s->t->reading = !s->pending;
    s->far->source = s->pending ? PENDING_DOWN : 0;
    s->t->send_total = s->pending ? PENDING_UP : 0;
    sim_wake(s->t);
    sim_settle(s->w);
}

static void resume(scene *s) {
    s->far->stalls = false;
    s->t->reading = true;
    sim_wake(s->t);
    sim_settle(s->w);
}

#define CHECK(scene, condition)                                                                                        \
    SIM_CHECK((scene)->w, condition, "h%d, client %s, target %s, %s first, %s: %s", (scene)->version,                  \
              ACT_NAMES[(scene)->client], ACT_NAMES[(scene)->target], (scene)->target_first ? "target" : "client",     \
              (scene)->pending ? "pending" : "empty", #condition)

/* Both directions end in order: everything arrived, nothing was reset. */
static void check_orderly(const scene *s) {
    bool up_ends = s->client == FINISHES || (s->client == LEAVES && s->version == 1);
    CHECK(s, !s->far->got_reset && !s->t->got_reset);
    CHECK(s, s->far->received == s->t->sent && s->t->sent == s->t->send_total);
    /* An orderly TUNNEL_END says FIN as well. */
    CHECK(s, s->far->got_fin == up_ends || (up_ends && s->far->ended));
    if (s->target == FINISHES) {
        CHECK(s, s->t->received == s->far->source && s->t->got_fin);
    }
    CHECK(s, s->far->ended == (up_ends && s->target == FINISHES));
}

static void check_reset(const scene *s) {
    CHECK(s, s->far->ended);
    if (s->client == RESETS || (s->client == LEAVES && s->version == 2)) {
        CHECK(s, s->far->got_reset);
    }
    if (s->target == RESETS && s->client != RESETS && s->client != LEAVES) {
        CHECK(s, s->t->got_reset);
        /* Bytes that are still on their way over HTTP/1.1 would be lost to a reset: it ends without close_notify. */
        bool cut = s->c->was_reset || (s->pending && s->c->eof && !s->c->peer_closed);
        CHECK(s, s->version == 1 ? cut : s->t->reset_code == CONNECT_ERROR);
    }
}

static bool is_reset(const scene *s) {
    bool client = s->client == RESETS || (s->client == LEAVES && s->version == 2);
    return client || s->target == RESETS || s->target == LEAVES;
}

/* HTTP/1.1: a client that left in order can't be reset any more, nor can one whose
   tunnel is over already be. */
static bool is_over_before(const scene *s) {
    bool client_ends = s->client == FINISHES || s->client == LEAVES;
    return s->target == LEAVES && client_ends && !s->target_first && !s->pending;
}

static void run_scene(scene s, uint64_t seed) {
    open_scene(&s, seed);
    if (s.target_first) {
        target_acts(&s);
        client_acts(&s);
    } else {
        client_acts(&s);
        target_acts(&s);
    }
    resume(&s);
    if (!is_reset(&s)) {
        check_orderly(&s);
    } else if (!is_over_before(&s)) {
        check_reset(&s);
    }
    if (s.version == 2 && s.client != LEAVES) {
        CHECK(&s, !s.c->ended);
        sim_tun *next = sim_request(s.c, &(sim_ask){.authority = SIM_ECHO ":1002", .send = 10, .send_fin = true});
        sim_settle(s.w);
        CHECK(&s, next->status == 200 && next->received == 10);
    }
    sim_world_close(s.w);
}

static void test_matrix(void **state) {
    (void)state;
    for (unsigned row = 0; row < 2 * ACTS * ACTS * 2 * 2; row++) {
        scene s = {.version = 1 + (int)(row % 2),
                   .client = (act)(row / 2 % ACTS),
                   .target = (act)(row / 2 / ACTS % ACTS),
                   .target_first = row / 2 / ACTS / ACTS % 2,
                   .pending = row / 2 / ACTS / ACTS / 2 % 2};
        for (uint64_t seed = 1; seed <= 6; seed++) {
            run_scene(s, seed);
        }
    }
}

/* --- single ones ---------------------------------------------------------------------------- */

/* END_STREAM on the request's HEADERS; close_notify behind the head. */
static void test_fin_with_the_request(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
        sim_find_site(w, SIM_SOURCE)->source = 70000;
        sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_SOURCE PORT,
                                               .head_only = version == 2,
                                               .early = version == 1,
                                               .send_fin = version == 1});
        sim_settle(w);
        SIM_CHECK(w, t->status == 200 && t->received == 70000 && t->got_fin, "h%d: %llu bytes, status %u", version,
                  (unsigned long long)t->received, t->status);
        SIM_CHECK(w, t->target->ended && !t->target->got_reset, "h%d: the target", version);
        sim_world_close(w);
    }
}

/* FIN without a byte, each way (h2o's 50connect-fin-only). */
static void test_fin_only(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
        sim_add_site(w, "45.60.0.20", (sim_site){.fin_at_once = true});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = "45.60.0.20" PORT, .send_fin = true});
        sim_settle(w);
        SIM_CHECK(w, t->status == 200 && t->got_fin && !t->got_reset && (t->target->got_fin || t->target->ended),
                  "h%d: fin %d, reset %d, the target's fin %d, error %d", version, t->got_fin, t->got_reset,
                  t->target->got_fin, c->end_error);
        sim_world_close(w);
    }
}

static void test_target_resets_at_once(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
        sim_add_site(w, "45.60.0.20", (sim_site){.reset_at_once = true});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = "45.60.0.20" PORT, .send = 100000});
        sim_settle(w);
        SIM_CHECK(w, t->got_reset && t->target->ended && t->target->got_reset, "h%d", version);
        sim_world_close(w);
    }
}

/* The client goes before the dial has an answer: no socket may stay. */
static void test_client_leaves_while_dialing(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (int how = 0; how < 4; how++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
            sim_find_site(w, SIM_ECHO)->delay = MASQUE_SECOND;
            sim_find_site(w, SIM_ECHO)->result = how % 2 ? MASQUE_DIAL_OK : MASQUE_DIAL_REFUSED;
            w->late_dials = how < 2;
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
            sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO PORT});
            sim_advance(w, 100 * MASQUE_MILLISECOND);
            sim_reset(t);
            sim_settle(w);
            SIM_CHECK(w, sim_find_site(w, SIM_ECHO)->cancelled == 1 && !t->target, "h%d: not cancelled", version);
            SIM_CHECK(w, !t->answered, "h%d: an answer", version);
            sim_world_close(w);
        }
    }
}

/* The client sent everything, ended, and left: its target still gets all of it, or
   is given up when it takes nothing for the write stall limit. */
static void test_bytes_outlive_their_client(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        for (int patient = 0; patient <= 1; patient++) {
            sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
            sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
            sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET PORT});
            sim_settle(w);
            t->target->stalls = true;
            t->target->send_fin = version == 1; /* HTTP/2 forgets the stream with the connection */
            t->send_total = PENDING_UP;
            t->send_fin = true;
            sim_wake(t);
            sim_settle(w);
            sim_leave(c, false);
            sim_advance(w, 20 * MASQUE_SECOND);
            SIM_CHECK(w, !t->target->ended, "h%d: given up already", version);
            t->target->stalls = !patient;
            sim_advance(w, 60 * MASQUE_SECOND);
            SIM_CHECK(w, t->target->ended && c->ended, "h%d, patient %d: not over", version, patient);
            SIM_CHECK(w, t->target->got_reset == !patient, "h%d, patient %d: reset", version, patient);
            SIM_CHECK(w, !patient || t->target->received == PENDING_UP, "h%d: %llu received", version,
                      (unsigned long long)t->target->received);
            sim_world_close(w);
        }
    }
}

/* END_STREAM was sent, then the client thinks better of it: a reset all the same. */
static void test_reset_behind_fin(void **state) {
    (void)state;
    for (int version = 1; version <= 2; version++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET PORT});
        sim_settle(w);
        t->target->stalls = true;
        t->send_total = PENDING_UP;
        t->send_fin = true;
        sim_wake(t);
        sim_settle(w);
        SIM_CHECK(w, t->fin_sent && !t->target->got_fin, "h%d: FIN before the bytes", version);
        sim_reset(t);
        sim_settle(w);
        SIM_CHECK(w, t->target->ended && t->target->got_reset, "h%d: not reset", version);
        sim_world_close(w);
    }
}

/* Bytes wait for a client long before the proxy tells it to go: the write stall
   limit counts from the bytes, and is due once, not again and again. */
static void test_goodbye_to_one_that_stopped_reading(void **state) {
    (void)state;
    sim_world *w = sim_world_new(&(sim_setup){.seed = 4});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2", .pipe = 4096, .window = 1000000});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET PORT});
    sim_settle(w);
    sim_raw_send(c, "\0\0\x09\x01\x04\0\0\0\x03", 9); /* HEADERS that never come: its time is up after 10 s */
    sim_settle(w);
    c->deaf = true;
    t->target->source = 200000;
    sim_advance(w, 29 * MASQUE_SECOND);
    SIM_CHECK(w, !c->ended && t->target->ended, "not told to go, or ended early");
    sim_advance(w, 2 * MASQUE_SECOND);
    SIM_CHECK(w, c->ended && c->end_reset, "not ended");
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrix),
        cmocka_unit_test(test_fin_with_the_request),
        cmocka_unit_test(test_fin_only),
        cmocka_unit_test(test_target_resets_at_once),
        cmocka_unit_test(test_client_leaves_while_dialing),
        cmocka_unit_test(test_bytes_outlive_their_client),
        cmocka_unit_test(test_reset_behind_fin),
        cmocka_unit_test(test_goodbye_to_one_that_stopped_reading),
    };
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
