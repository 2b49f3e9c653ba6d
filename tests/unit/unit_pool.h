/*
 * unit_pool.h: a pool on counting memory, new for each test of a file. Goal: what a test left
 * behind fails it.
 */
#ifndef UNIT_POOL_H
#define UNIT_POOL_H

#include "base/block.h"
#include "unit.h"

static unit_memory memory;
static mq_pool pool;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    mq_pool_init(&pool, &memory.allocator);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    mq_pool_free(&pool);
    return memory.pieces == 0 ? 0 : -1;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
