#include "harness/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void stop(const char *file, int line, const char *text) {
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
    abort();
}

void (*sim_failed)(const char *file, int line, const char *text) = stop;

void sim_fail(const sim_world *world, const char *file, int line, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    int at = snprintf(text, sizeof text, "[seed %" PRIu64 ", %" PRIu64 " ms, event %" PRIu64 "] ", world->setup.seed,
                      world->now / MASQUE_MILLISECOND, world->event_count);
    vsnprintf(text + at, sizeof text - (size_t)at, format, arguments);
    va_end(arguments);
    sim_failed(file, line, text);
}
