#include "random.h"

#include <sys/random.h>

void system_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    while (size > 0) {
        ssize_t count = getrandom(buffer, size, 0);
        if (count < 0) {
            continue; /* interrupted before the pool was ready */
        }
        buffer += count;
        size -= (size_t)count;
    }
}
