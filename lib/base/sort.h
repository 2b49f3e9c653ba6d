/*
 * base/sort.h: sorting, as libc's qsort() may allocate behind our back. Stable.
 */
#ifndef MQ_BASE_SORT_H
#define MQ_BASE_SORT_H

#include "base/memory.h"

/* Sorts COUNT items of SIZE bytes; COMPARE is as qsort()'s. 0, or MASQUE_ERR_NO_MEMORY: as much again is needed for a
   while. */
int mq_sort(const masque_allocator *allocator, void *items, size_t count, size_t size,
            int (*compare)(const void *a, const void *b));

#endif
