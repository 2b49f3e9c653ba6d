/*
 * random.h: the system's random bytes, as masque_runtime.random wants them. CONTEXT is not used. Any thread.
 */
#ifndef CLI_RANDOM_H
#define CLI_RANDOM_H

#include <stddef.h>
#include <stdint.h>

void system_random(void *context, uint8_t *buffer, size_t size);

#endif
