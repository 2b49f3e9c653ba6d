/*
 * base_timers_test.c: deadlines in order. Goal: whatever is armed, moved and
 * disarmed, timers fire as a plain list of deadlines would have it, and firing
 * ends.
 */
#include "base/timers.h"

#include <string.h>

#include "unit.h"

enum { TIMERS = 64 };

typedef struct alarm_timer {
    mq_timer timer;    /* first, so that a timer is its alarm */
    masque_time model; /* when it should fire, MASQUE_NEVER: not armed */
    masque_time again; /* arms itself again for NOW + AGAIN; MASQUE_NEVER: doesn't */
    unsigned fired;
} alarm_timer;

static unit_memory memory;
static mq_timers timers;
static alarm_timer alarms[TIMERS];
static masque_time last_due;

static void fire(mq_timer *timer, masque_time now) {
    alarm_timer *alarm = (alarm_timer *)timer;
    assert_int_equal(timer->place, 0);
    assert_true(alarm->model <= now);
    assert_true(alarm->model >= last_due);
    last_due = alarm->model;
    alarm->model = MASQUE_NEVER;
    alarm->fired++;
    if (alarm->again != MASQUE_NEVER) {
        mq_timer_set(&timers, timer, now + alarm->again);
        alarm->model = now + alarm->again;
    }
}

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    mq_timers_init(&timers, &memory.allocator);
    last_due = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        alarms[i] = (alarm_timer){.model = MASQUE_NEVER, .again = MASQUE_NEVER};
        if (mq_timer_init(&timers, &alarms[i].timer, fire)) {
            return -1;
        }
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < TIMERS; i++) {
        mq_timer_free(&timers, &alarms[i].timer);
        mq_timer_free(&timers, &alarms[i].timer);
    }
    mq_timers_free(&timers);
    return memory.pieces == 0 ? 0 : -1;
}

static void set(size_t index, masque_time due) {
    mq_timer_set(&timers, &alarms[index].timer, due);
    alarms[index].model = due;
}

static masque_time model_next(void) {
    masque_time next = MASQUE_NEVER;
    for (size_t i = 0; i < TIMERS; i++) {
        next = alarms[i].model < next ? alarms[i].model : next;
    }
    return next;
}

static void run(masque_time now) {
    last_due = 0;
    mq_timers_run(&timers, now);
}

static void test_order(void **state) {
    (void)state;
    assert_int_equal(mq_timers_next(&timers), MASQUE_NEVER);
    run(1000);
    for (size_t i = 0; i < TIMERS; i++) {
        set(i, (i * 37) % TIMERS + 1);
    }
    for (masque_time now = 0; now <= TIMERS; now++) {
        assert_int_equal(mq_timers_next(&timers), now < 1 ? 1 : now);
        run(now);
    }
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(alarms[i].fired, 1);
    }
    assert_int_equal(mq_timers_next(&timers), MASQUE_NEVER);
}

static void test_move_and_disarm(void **state) {
    (void)state;
    set(0, 100);
    set(1, 50);
    set(0, 10);
    assert_int_equal(mq_timers_next(&timers), 10);
    set(0, 200);
    assert_int_equal(mq_timers_next(&timers), 50);
    set(1, MASQUE_NEVER);
    set(1, MASQUE_NEVER);
    assert_int_equal(mq_timers_next(&timers), 200);
    run(199);
    assert_int_equal(alarms[0].fired + alarms[1].fired, 0);
    run(200);
    assert_int_equal(alarms[0].fired, 1);
    run(300);
    assert_int_equal(alarms[0].fired, 1);
    assert_int_equal(alarms[1].fired, 0);
}

/* One that is due again at once waits for the next call. */
static void test_run_ends(void **state) {
    (void)state;
    for (size_t i = 0; i < 8; i++) {
        alarms[i].again = 0;
        set(i, 5);
    }
    for (unsigned calls = 1; calls < 10; calls++) {
        run(5);
        for (size_t i = 0; i < 8; i++) {
            assert_int_equal(alarms[i].fired, calls);
        }
    }
    for (size_t i = 0; i < 8; i++) {
        alarms[i].again = MASQUE_NEVER;
    }
    run(5);
    assert_int_equal(mq_timers_next(&timers), MASQUE_NEVER);
}

static void disarm_others(mq_timer *timer, masque_time now) {
    (void)now;
    for (size_t i = 0; i < TIMERS; i++) {
        if (&alarms[i].timer != timer) {
            mq_timer_set(&timers, &alarms[i].timer, MASQUE_NEVER);
        }
    }
    ((alarm_timer *)timer)->fired++;
}

/* A timer may disarm those that are due with it. */
static void test_fire_disarms_others(void **state) {
    (void)state;
    unsigned fired = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        alarms[i].timer.fire = disarm_others;
        set(i, 1);
    }
    run(1);
    for (size_t i = 0; i < TIMERS; i++) {
        fired += alarms[i].fired;
    }
    assert_int_equal(fired, 1);
    assert_int_equal(mq_timers_next(&timers), MASQUE_NEVER);
}

/* Freeing an armed one takes it out of the heap and gives its room back. */
static void test_free_armed(void **state) {
    (void)state;
    for (size_t i = 0; i < TIMERS; i++) {
        set(i, i + 1);
    }
    for (size_t i = 0; i < TIMERS; i += 2) {
        mq_timer_free(&timers, &alarms[i].timer);
        alarms[i].model = MASQUE_NEVER;
    }
    assert_int_equal(timers.reserved, TIMERS / 2);
    assert_int_equal(timers.count, TIMERS / 2);
    run(TIMERS);
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(alarms[i].fired, i % 2);
    }
}

/* Room is taken when a timer is made, so that arming can't fail. */
static void test_no_memory(void **state) {
    (void)state;
    mq_timers other;
    mq_timer some[32];
    size_t made = 0;
    mq_timers_init(&other, &memory.allocator);
    memory.left = 0;
    memset(some, 0, sizeof some);
    assert_int_equal(mq_timer_init(&other, &some[0], fire), MASQUE_ERR_NO_MEMORY);
    mq_timer_free(&other, &some[0]);
    memory.left = 1;
    while (mq_timer_init(&other, &some[made], fire) == 0) {
        made++;
        assert_true(made < COUNT(some));
    }
    assert_true(made > 0);
    for (size_t i = 0; i < made; i++) {
        mq_timer_set(&other, &some[i], made - i);
    }
    assert_int_equal(mq_timers_next(&other), 1);
    for (size_t i = 0; i < made; i++) {
        mq_timer_free(&other, &some[i]);
    }
    assert_int_equal(mq_timers_next(&other), MASQUE_NEVER);
    mq_timers_free(&other);
}

static void test_against_list(void **state) {
    (void)state;
    unit_random random = {.state = 13};
    masque_time now = 0;
    for (int round = 0; round < 100000; round++) {
        size_t index = unit_random_below(&random, TIMERS);
        switch (unit_random_below(&random, 8)) {
        case 0:
            set(index, MASQUE_NEVER);
            break;
        case 1:
            alarms[index].again = unit_random_below(&random, 2) ? MASQUE_NEVER : unit_random_below(&random, 50);
            break;
        case 2:
            now += unit_random_below(&random, 20);
            run(now);
            break;
        default:
            set(index, now + unit_random_below(&random, 100));
        }
        assert_int_equal(mq_timers_next(&timers), model_next());
    }
    assert_true(alarms[0].fired > 100);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_order),      TEST(test_move_and_disarm), TEST(test_run_ends),     TEST(test_fire_disarms_others),
        TEST(test_free_armed), TEST(test_no_memory),       TEST(test_against_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
