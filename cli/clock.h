/*
 * clock.h: the time of day, as the library asks for it.
 */
#ifndef CLI_CLOCK_H
#define CLI_CLOCK_H

#include <masqueproxy/privacy_pass.h>
#include <time.h>

/* CONTEXT is not used. Any thread. */
static inline masque_unix_time unix_clock(void *context) {
    (void)context;
    return time(NULL);
}

#endif
