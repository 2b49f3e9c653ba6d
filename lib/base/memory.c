#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *system_allocate(void *context, size_t size) {
    (void)context;
    return malloc(size);
}

static void *system_resize(void *context, void *memory, size_t size) {
    (void)context;
    return realloc(memory, size);
}

static void system_release(void *context, void *memory) {
    (void)context;
    free(memory);
}

void mq_allocator_init(masque_allocator *allocator, const masque_allocator *source) {
    if (source->allocate) {
        *allocator = *source;
        return;
    }
    *allocator = (masque_allocator){
        .allocate = system_allocate, .resize = system_resize, .release = system_release, .context = NULL};
}

void *mq_alloc(const masque_allocator *allocator, size_t size) {
    assert(size > 0);
    return allocator->allocate(allocator->context, size);
}

void *mq_zalloc(const masque_allocator *allocator, size_t size) {
    void *memory = mq_alloc(allocator, size);
    if (memory) {
        memset(memory, 0, size);
    }
    return memory;
}

void *mq_resize(const masque_allocator *allocator, void *memory, size_t size) {
    assert(size > 0);
    if (!memory) {
        return mq_alloc(allocator, size);
    }
    return allocator->resize(allocator->context, memory, size);
}

void mq_free(const masque_allocator *allocator, void *memory) {
    if (memory) {
        allocator->release(allocator->context, memory);
    }
}

void *mq_grow(const masque_allocator *allocator, void *items, size_t *capacity, size_t needed, size_t item_size) {
    if (needed <= *capacity) {
        return items;
    }
    size_t grown = *capacity ? *capacity : 4;
    while (grown < needed) {
        if (grown > SIZE_MAX / 2 / item_size) {
            return NULL;
        }
        grown *= 2;
    }
    void *memory = mq_resize(allocator, items, grown * item_size);
    if (memory) {
        *capacity = grown;
    }
    return memory;
}

void *mq_library_malloc(size_t size, void *user) {
    return mq_alloc(user, size);
}

void mq_library_free(void *memory, void *user) {
    mq_free(user, memory);
}

void *mq_library_calloc(size_t count, size_t size, void *user) {
    return count > SIZE_MAX / size ? NULL : mq_zalloc(user, count * size);
}

void *mq_library_realloc(void *memory, size_t size, void *user) {
    return mq_resize(user, memory, size);
}

void *mq_grow_secret(const masque_allocator *allocator, void *items, size_t *capacity, size_t needed,
                     size_t item_size) {
    size_t larger = 0;
    if (needed <= *capacity) {
        return items;
    }
    void *grown = mq_grow(allocator, NULL, &larger, needed, item_size);
    if (!grown) {
        return NULL;
    }
    if (items) {
        memcpy(grown, items, *capacity * item_size);
        mq_wipe(items, *capacity * item_size);
        mq_free(allocator, items);
    }
    *capacity = larger;
    return grown;
}

void mq_wipe(void *memory, size_t size) {
    volatile uint8_t *byte = memory;
    while (size-- > 0) {
        *byte++ = 0;
    }
}

char *mq_copy_text(const masque_allocator *allocator, const char *text, size_t length) {
    char *copy = mq_alloc(allocator, length + 1);
    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}
