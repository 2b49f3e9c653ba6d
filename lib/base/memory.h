/*
 * base/memory.h: the host's allocator behind four short calls. Everybody
 * allocates here and nowhere else; never aborts, never zeroes on free (wipe
 * secrets with mq_wipe() first).
 */
#ifndef MQ_BASE_MEMORY_H
#define MQ_BASE_MEMORY_H

#include <masqueproxy/base.h>

/* Fills in malloc and friends where SOURCE is all zero. */
void mq_allocator_init(masque_allocator *allocator, const masque_allocator *source);

/* NULL without memory. SIZE is not 0. */
void *mq_alloc(const masque_allocator *allocator, size_t size);
/* The same, all bytes 0. */
void *mq_zalloc(const masque_allocator *allocator, size_t size);
/* As realloc(); MEMORY may be NULL. */
void *mq_resize(const masque_allocator *allocator, void *memory, size_t size);
/* MEMORY may be NULL. */
void mq_free(const masque_allocator *allocator, void *memory);

/* Makes ITEMS (of ITEM_SIZE bytes, CAPACITY of them allocated) hold at least
   NEEDED, doubling. Returns the array, with *CAPACITY updated, or NULL; then the
   old array stays as it was. */
void *mq_grow(const masque_allocator *allocator, void *items, size_t *capacity, size_t needed, size_t item_size);

/* The same for secrets: the old array is wiped. */
void *mq_grow_secret(const masque_allocator *allocator, void *items, size_t *capacity, size_t needed, size_t item_size);

/* Overwrites memory in a way that is not optimised away. */
void mq_wipe(void *memory, size_t size);

/* The same for C libraries that take functions in malloc()'s form; USER is the masque_allocator. */
void *mq_library_malloc(size_t size, void *user);
void mq_library_free(void *memory, void *user);
void *mq_library_calloc(size_t count, size_t size, void *user);
void *mq_library_realloc(void *memory, size_t size, void *user);

/* A copy of LENGTH bytes with a final zero, or NULL. */
char *mq_copy_text(const masque_allocator *allocator, const char *text, size_t length);

#endif
