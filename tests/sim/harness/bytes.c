/* harness/bytes.c: growing arrays; see parts.h. */
#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"

void *sim_grow(void *items, size_t *capacity, size_t needed, size_t item_size) {
    if (needed <= *capacity) {
        return items;
    }
    size_t grown = *capacity ? *capacity * 2 : 16;
    while (grown < needed) {
        grown *= 2;
    }
    void *memory = realloc(items, grown * item_size);
    if (!memory) {
        abort();
    }
    *capacity = grown;
    return memory;
}

void sim_bytes_add(sim_bytes *bytes, const void *from, size_t length) {
    if (length == 0) {
        return;
    }
    if (bytes->start > 0 && bytes->end + length > bytes->capacity) {
        memmove(bytes->bytes, bytes->bytes + bytes->start, bytes->end - bytes->start);
        bytes->end -= bytes->start;
        bytes->start = 0;
    }
    bytes->bytes = sim_grow(bytes->bytes, &bytes->capacity, bytes->end + length, 1);
    memcpy(bytes->bytes + bytes->end, from, length);
    bytes->end += length;
}

void sim_bytes_drop(sim_bytes *bytes, size_t length) {
    bytes->start += length;
    if (bytes->start == bytes->end) {
        bytes->start = bytes->end = 0;
    }
}

void sim_bytes_free(sim_bytes *bytes) {
    free(bytes->bytes);
    *bytes = (sim_bytes){.bytes = NULL};
}
