/*
 * harness/suite.h: what every scenario file includes: cmocka in its order, the
 * simulator, and its failures told the way cmocka wants them.
 */
#ifndef SIM_SUITE_H
#define SIM_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "harness/check.h"
#include "harness/sim.h"

#define SIM_COUNT(array) (sizeof(array) / sizeof(array)[0])

static inline void suite_failed(const char *file, int line, const char *text) {
    print_error("%s\n", text);
    if (!getenv("SIM_GO_ON")) {
        _fail(file, line);
    }
}

static inline int suite_begin(void **state) {
    (void)state;
    sim_failed = suite_failed;
    return 0;
}

#endif
