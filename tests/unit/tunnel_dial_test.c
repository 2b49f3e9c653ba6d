/*
 * tunnel_dial_test.c: Happy Eyeballs v2. Goal: in virtual time, each rule of RFC
 * 8305 3 and 5 that tunnel/dial.h names, and why a request failed at last.
 */
#include "tunnel/dial.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MS MASQUE_MILLISECOND

/*
 * A script is words between spaces:
 *
 *   @250    the time is 250 ms          6=2 4=0  AAAA, A are known: so many addresses
 *   >6.1    AAAA's second is dialed     6!N      not found; !F failed, !T timed out, !D denied by policy
 *   w250    wait until 250 ms; w* until something happens
 *   -R      an attempt was refused; -U unreachable, -T timed out, -F failed, -E exhausted
 *   x       nothing is left
 */
typedef struct script_row {
    const char *name;
    const char *script;
    mq_refusal refusal; /* when it ends with x */
} script_row;

#define NONE MQ_REFUSAL_NONE

static const script_row SCRIPTS[] = {
    {"nothing is known", "w* @1000 w*", NONE},
    {"IPv6 first, alternate, every 250 ms",
     "6=2 4=2 >6.0 w250 @249 w250 @250 >4.0 w500 @500 >6.1 w750 @750 >4.1 w* @9999 w*", NONE},
    {"the same in the order A, AAAA", "4=2 6=2 >6.0 w250 @250 >4.0 w500 @500 >6.1 w750 @750 >4.1 w*", NONE},
    {"asking again changes nothing", "6=1 4=1 >6.0 w250 w250 @100 w250 @250 >4.0", NONE},
    {"the stagger counts from the last start", "6=3 4=0 >6.0 @400 >6.1 w650 @649 w650 @650 >6.2 w*", NONE},
    {"one family is longer", "6=1 4=3 >6.0 @250 >4.0 @500 >4.1 @750 >4.2 w*", NONE},
    {"only IPv6", "6=2 4=0 >6.0 w250 @250 >6.1 w*", NONE},
    {"only IPv4", "6=0 4=2 >4.0 w250 @250 >4.1 w*", NONE},

    {"A first waits 50 ms for AAAA", "4=1 w50 @49 w50 @50 >4.0 w*", NONE},
    {"the wait counts from the answer", "@100 4=1 w150 @149 w150 @150 >4.0", NONE},
    {"AAAA ends the wait", "4=1 w50 @20 6=1 >6.0 w270 @270 >4.0 w*", NONE},
    {"an empty AAAA ends the wait", "4=1 w50 @20 6=0 >4.0 w*", NONE},
    {"a failed AAAA ends the wait", "4=1 w50 @20 6!F >4.0 w*", NONE},
    {"a denied AAAA ends the wait", "4=1 w50 @20 6!D >4.0 w*", NONE},
    {"AAAA first doesn't wait for A", "6=1 >6.0 w* @10 4=1 w250 @250 >4.0 w*", NONE},
    {"an empty AAAA first lets A go at once", "6=0 w* @10 4=1 >4.0 w*", NONE},
    {"an empty A starts no wait", "4=0 w* @100 6=1 >6.0 w*", NONE},
    {"a late AAAA joins, next in turn", "4=3 @50 >4.0 w300 @100 6=2 w300 @300 >6.0 @550 >4.1 @800 >6.1 @1050 >4.2 w*",
     NONE},
    {"a late AAAA starts at once behind failures", "4=1 @50 >4.0 -R w* @80 6=1 >6.0 w*", NONE},
    {"a late A starts at once behind failures", "6=1 >6.0 -R w* @80 4=1 >4.0 w*", NONE},
    {"no second wait once IPv4 was dialed", "4=2 @50 >4.0 w300 -R >4.1 w*", NONE},

    {"a failure starts the next at once", "6=2 4=2 >6.0 @10 -R >4.0 w260 @20 -R >6.1 w270 @30 -R >4.1 w* -R x",
     MQ_REFUSAL_REFUSED},
    {"a failure among others starts the next at once", "6=2 4=2 >6.0 @250 >4.0 w500 @300 -R >6.1 w550", NONE},
    {"one failure starts one", "6=3 4=0 >6.0 @10 -R >6.1 w260 w260", NONE},
    {"nothing left but under way", "6=1 4=1 >6.0 @250 >4.0 @300 -R w* @310 -T x", MQ_REFUSAL_REFUSED},
    {"nothing left but a look-up", "6=1 >6.0 -R w* @99 4=0 x", MQ_REFUSAL_REFUSED},

    {"no address", "6=0 4=0 x", MQ_REFUSAL_NAME_EMPTY},
    {"one family of no address", "6=0 w* 4=0 x", MQ_REFUSAL_NAME_EMPTY},
    {"not found", "6!N 4!N x", MQ_REFUSAL_NAME_NOT_FOUND},
    {"not found and empty", "6!N 4=0 x", MQ_REFUSAL_NAME_NOT_FOUND},
    {"empty and not found", "6=0 4!N x", MQ_REFUSAL_NAME_NOT_FOUND},
    {"failed", "6!F 4!F x", MQ_REFUSAL_NAME_FAILED},
    {"failed and empty", "6!F 4=0 x", MQ_REFUSAL_NAME_FAILED},
    {"failed and not found", "6!N 4!F x", MQ_REFUSAL_NAME_FAILED},
    {"timed out", "6!T 4!T x", MQ_REFUSAL_NAME_TIMEOUT},
    {"timed out and failed", "6!F 4!T x", MQ_REFUSAL_NAME_TIMEOUT},
    {"timed out and not found", "6!T 4!N x", MQ_REFUSAL_NAME_TIMEOUT},
    {"timed out and empty", "6=0 4!T x", MQ_REFUSAL_NAME_TIMEOUT},
    {"denied", "6!D 4!D x", MQ_REFUSAL_TARGET_DENIED},
    {"denied and empty", "6=0 4!D x", MQ_REFUSAL_TARGET_DENIED},
    {"denied and timed out", "6!D 4!T x", MQ_REFUSAL_TARGET_DENIED},
    {"denied and not found", "6!N 4!D x", MQ_REFUSAL_TARGET_DENIED},
    {"denied and refused", "6!D 4=1 >4.0 -R x", MQ_REFUSAL_REFUSED},

    {"refused", "6=0 4=1 >4.0 -R x", MQ_REFUSAL_REFUSED},
    {"unreachable", "6=0 4=1 >4.0 -U x", MQ_REFUSAL_UNREACHABLE},
    {"dial timed out", "6=0 4=1 >4.0 -T x", MQ_REFUSAL_DIAL_TIMEOUT},
    {"dial failed", "6=0 4=1 >4.0 -F x", MQ_REFUSAL_DIAL_FAILED},
    {"exhausted", "6=0 4=1 >4.0 -E x", MQ_REFUSAL_EXHAUSTED},
    {"a failed dial says more than a failed look-up", "6!T 4=1 >4.0 -R x", MQ_REFUSAL_REFUSED},
    {"unreachable, then refused", "6=1 4=1 >6.0 -U >4.0 -R x", MQ_REFUSAL_REFUSED},
    {"refused, then unreachable", "6=1 4=1 >6.0 -R >4.0 -U x", MQ_REFUSAL_REFUSED},
    {"unreachable twice", "6=1 4=1 >6.0 -U >4.0 -U x", MQ_REFUSAL_UNREACHABLE},
    {"the first of equal weight", "6=1 4=1 >6.0 -T >4.0 -R x", MQ_REFUSAL_DIAL_TIMEOUT},
    {"exhausted last", "6=1 4=1 >6.0 -R >4.0 -E x", MQ_REFUSAL_EXHAUSTED},
    {"exhausted first", "6=1 4=1 >6.0 -E >4.0 -R x", MQ_REFUSAL_EXHAUSTED},
    {"exhausted, then unreachable", "6=1 4=1 >6.0 -E >4.0 -U x", MQ_REFUSAL_EXHAUSTED},
    {"unreachable, then exhausted", "6=1 4=1 >6.0 -U >4.0 -E x", MQ_REFUSAL_EXHAUSTED},
};

typedef struct play {
    const script_row *row;
    mq_dial dial;
    masque_time now;
} play;

/* The family and the place in its list, as bytes of the address. */
static masque_address numbered(masque_family family, size_t index) {
    masque_address address = {.family = (uint8_t)family, .port = 443};
    address.ip[0] = (uint8_t)family;
    address.ip[1] = (uint8_t)index;
    return address;
}

static void play_answer(play *p, masque_family family, const char *word) {
    masque_address addresses[MQ_DIAL_ADDRESSES_MAX];
    masque_lookup result = MASQUE_LOOKUP_OK;
    size_t count = 0;
    if (word[0] == '=') {
        count = strtoul(word + 1, NULL, 10);
    } else if (word[1] != 'D') {
        result = word[1] == 'N'   ? MASQUE_LOOKUP_NOT_FOUND
                 : word[1] == 'F' ? MASQUE_LOOKUP_FAILED
                                  : MASQUE_LOOKUP_TIMEOUT;
    }
    for (size_t i = 0; i < count; i++) {
        addresses[i] = numbered(family, i);
    }
    size_t denied = word[1] == 'D';
    CHECK(p->row->name, mq_dial_answer(&p->dial, family, result, addresses, count, denied, p->now) == 0);
    /* It must have kept a copy. */
    memset(addresses, 0xff, sizeof addresses);
    CHECK(p->row->name, mq_dial_answer(&p->dial, family, result, NULL, 0, 0, p->now) == MASQUE_ERR_STATE);
}

static void play_next(play *p, const char *word) {
    masque_address address = {.family = MASQUE_FAMILY_NONE};
    masque_time until = 1;
    mq_dial_step step = mq_dial_next(&p->dial, p->now, &address, &until);
    if (word[0] == 'x') {
        CHECK(word, step == MQ_DIAL_FAIL);
        CHECK(p->row->name, mq_dial_refusal(&p->dial) == p->row->refusal);
    } else if (word[0] == 'w') {
        CHECK(word, step == MQ_DIAL_WAIT);
        CHECK(word, until == (word[1] == '*' ? MASQUE_NEVER : strtoul(word + 1, NULL, 10) * MS));
    } else {
        masque_address expected = numbered(word[1] == '6' ? MASQUE_IPV6 : MASQUE_IPV4, (size_t)(word[3] - '0'));
        CHECK(word, step == MQ_DIAL_START);
        CHECK(word, memcmp(&address, &expected, sizeof expected) == 0);
    }
}

static masque_dial_result result_of(char letter) {
    switch (letter) {
    case 'R':
        return MASQUE_DIAL_REFUSED;
    case 'U':
        return MASQUE_DIAL_UNREACHABLE;
    case 'T':
        return MASQUE_DIAL_TIMEOUT;
    case 'E':
        return MASQUE_DIAL_EXHAUSTED;
    default:
        return MASQUE_DIAL_FAILED;
    }
}

static void play_word(play *p, const char *word) {
    switch (word[0]) {
    case '@':
        p->now = strtoul(word + 1, NULL, 10) * MS;
        break;
    case '6':
        play_answer(p, MASQUE_IPV6, word + 1);
        break;
    case '4':
        play_answer(p, MASQUE_IPV4, word + 1);
        break;
    case '-':
        mq_dial_failed(&p->dial, result_of(word[1]), p->now);
        break;
    default:
        play_next(p, word);
    }
}

static void test_scripts(void **state) {
    (void)state;
    masque_limits limits;
    masque_limits_init(&limits);
    for (size_t i = 0; i < COUNT(SCRIPTS); i++) {
        unit_memory memory;
        play p = {.row = &SCRIPTS[i]};
        unit_memory_init(&memory);
        mq_dial_init(&p.dial, &memory.allocator, &limits);
        for (const char *at = p.row->script; *at; at += strspn(at, " ")) {
            char word[16];
            size_t length = strcspn(at, " ");
            CHECK(p.row->name, length < sizeof word);
            memcpy(word, at, length);
            word[length] = 0;
            play_word(&p, word);
            at += length;
        }
        mq_dial_free(&p.dial);
        CHECK(p.row->name, memory.pieces == 0);
    }
}

/* The two delays are the limits', not constants. */
static void test_limits_count(void **state) {
    (void)state;
    static const char *const script[] = {"4=3", "w7", "@7", ">4.0", "w18", "@18", ">4.1", "w29"};
    static const script_row row = {"other limits", "", NONE};
    masque_limits limits;
    unit_memory memory;
    play p = {.row = &row};
    masque_limits_init(&limits);
    limits.dial_stagger_ms = 11;
    limits.resolution_delay_ms = 7;
    unit_memory_init(&memory);
    mq_dial_init(&p.dial, &memory.allocator, &limits);
    for (size_t i = 0; i < COUNT(script); i++) {
        play_word(&p, script[i]);
    }
    mq_dial_free(&p.dial);
    limits.resolution_delay_ms = 0;
    mq_dial_init(&p.dial, &memory.allocator, &limits);
    play_word(&p, "4=1");
    play_word(&p, ">4.0");
    mq_dial_free(&p.dial);
}

static void test_no_memory(void **state) {
    (void)state;
    masque_limits limits;
    unit_memory memory;
    mq_dial dial;
    masque_address one = numbered(MASQUE_IPV4, 0);
    masque_limits_init(&limits);
    unit_memory_init(&memory);
    memory.left = 0;
    mq_dial_init(&dial, &memory.allocator, &limits);
    assert_true(mq_dial_is_resolving(&dial));
    assert_int_equal(mq_dial_answer(&dial, MASQUE_IPV4, MASQUE_LOOKUP_OK, &one, 1, 0, 0), MASQUE_ERR_NO_MEMORY);
    assert_int_equal(mq_dial_answer(&dial, MASQUE_IPV6, MASQUE_LOOKUP_OK, NULL, 0, 0, 0), 0);
    assert_true(mq_dial_is_resolving(&dial));
    memory.left = 1;
    assert_int_equal(mq_dial_answer(&dial, MASQUE_IPV4, MASQUE_LOOKUP_OK, &one, 1, 0, 0), 0);
    assert_false(mq_dial_is_resolving(&dial));
    mq_dial_free(&dial);
    mq_dial_free(&dial);
    assert_int_equal(memory.pieces, 0);
}

typedef struct walk {
    mq_dial dial;
    unit_random random;
    masque_time now;
    masque_time last_start;
    bool failed_since; /* an attempt failed after the last start */
    size_t counts[2];  /* IPv6, IPv4 */
    size_t started[2];
    bool answered[2];
    size_t under_way;
} walk;

static void walk_answer(walk *w, int index) {
    masque_address addresses[MQ_DIAL_ADDRESSES_MAX];
    masque_family family = index ? MASQUE_IPV4 : MASQUE_IPV6;
    for (size_t i = 0; i < w->counts[index]; i++) {
        addresses[i] = numbered(family, i);
    }
    assert_int_equal(mq_dial_answer(&w->dial, family, MASQUE_LOOKUP_OK, addresses, w->counts[index], 0, w->now), 0);
    w->answered[index] = true;
}

/* What must hold for every start, whatever happened before. */
static void walk_started(walk *w, const masque_address *address) {
    int index = address->family == MASQUE_IPV4;
    assert_true(w->answered[index]);
    assert_int_equal(address->ip[1], w->started[index]);
    assert_true(w->under_way == 0 || w->failed_since || w->now - w->last_start >= 250 * MS);
    w->started[index]++;
    w->under_way++;
    w->last_start = w->now;
    w->failed_since = false;
}

static bool walk_step(walk *w) {
    masque_address address;
    masque_time until;
    w->now += unit_random_below(&w->random, 3) ? unit_random_below(&w->random, 100 * MS) : 0;
    int index = (int)unit_random_below(&w->random, 2);
    if (!w->answered[index] && unit_random_below(&w->random, 4) == 0) {
        walk_answer(w, index);
    }
    if (w->under_way > 0 && unit_random_below(&w->random, 3) == 0) {
        mq_dial_failed(&w->dial, MASQUE_DIAL_REFUSED, w->now);
        w->under_way--;
        w->failed_since = true;
    }
    switch (mq_dial_next(&w->dial, w->now, &address, &until)) {
    case MQ_DIAL_START:
        walk_started(w, &address);
        return true;
    case MQ_DIAL_WAIT:
        assert_true(until > w->now);
        return true;
    case MQ_DIAL_FAIL:
        break;
    }
    return false;
}

/* Random answers, failures and times: each address is dialed once, in its order. */
static void test_random_walks(void **state) {
    (void)state;
    masque_limits limits;
    unit_memory memory;
    masque_limits_init(&limits);
    unit_memory_init(&memory);
    for (uint64_t seed = 0; seed < 5000; seed++) {
        walk w = {.random = {.state = seed}};
        mq_dial_init(&w.dial, &memory.allocator, &limits);
        w.counts[0] = unit_random_below(&w.random, 5);
        w.counts[1] = unit_random_below(&w.random, 5);
        int steps = 0;
        while (walk_step(&w)) {
            assert_true(++steps < 10000);
        }
        assert_true(w.answered[0] && w.answered[1] && w.under_way == 0);
        assert_int_equal(w.started[0], w.counts[0]);
        assert_int_equal(w.started[1], w.counts[1]);
        mq_dial_free(&w.dial);
    }
    assert_int_equal(memory.pieces, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_limits_count),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
