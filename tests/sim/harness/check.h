/*
 * harness/check.h: how the simulator says that something is wrong: with the seed
 * and the moment, so that the run can be repeated. Calls sim_failed, which a test
 * program may set to its framework's way (else abort()); when that returns the
 * run goes on, to see more.
 */
#ifndef SIM_CHECK_H
#define SIM_CHECK_H

#include "harness/sim.h"

extern void (*sim_failed)(const char *file, int line, const char *text);

__attribute__((format(printf, 4, 5))) void sim_fail(const sim_world *world, const char *file, int line,
                                                    const char *format, ...);

#define SIM_CHECK(world, condition, ...)                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            sim_fail((world), __FILE__, __LINE__, __VA_ARGS__);                                                        \
        }                                                                                                              \
    } while (0)

#endif
