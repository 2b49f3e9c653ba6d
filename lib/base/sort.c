#include "base/sort.h"

#include <string.h>

/* Merges the runs [0, MIDDLE) and [MIDDLE, COUNT) of FROM into TO. */
static void merge(uint8_t *to, const uint8_t *from, size_t middle, size_t count, size_t size,
                  int (*compare)(const void *a, const void *b)) {
    size_t left = 0, right = middle;
    for (size_t i = 0; i < count; i++) {
        bool take_left = left < middle && (right >= count || compare(from + left * size, from + right * size) <= 0);
        size_t taken = take_left ? left++ : right++;
        memcpy(to + i * size, from + taken * size, size);
    }
}

int mq_sort(const masque_allocator *allocator, void *items, size_t count, size_t size,
            int (*compare)(const void *a, const void *b)) {
    if (count < 2) {
        return 0;
    }
    uint8_t *other = mq_alloc(allocator, count * size);
    if (!other) {
        return MASQUE_ERR_NO_MEMORY;
    }
    uint8_t *from = items, *to = other;
    for (size_t run = 1; run < count; run *= 2) {
        for (size_t at = 0; at < count; at += 2 * run) {
            size_t length = count - at < 2 * run ? count - at : 2 * run;
            merge(to + at * size, from + at * size, run < length ? run : length, length, size, compare);
        }
        uint8_t *swapped = from;
        from = to;
        to = swapped;
    }
    if (from != items) {
        memcpy(items, from, count * size);
    }
    mq_free(allocator, other);
    return 0;
}
