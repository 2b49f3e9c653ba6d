/*
 * unit.h: what the unit tests share: cmocka, a check that names its row, an
 * allocator that counts and fails on demand, random numbers from a seed. Goal: a
 * failure names the row, and repeats.
 */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <masqueproxy/base.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Fails the test unless CONDITION holds, and says in which ROW of a table. */
#define CHECK(row, condition) unit_check((condition), (row), #condition, __FILE__, __LINE__)

void unit_check(bool holds, const char *row, const char *condition, const char *file, int line);

/* The same SEED gives the same numbers (splitmix64). */
typedef struct unit_random {
    uint64_t state;
} unit_random;

uint64_t unit_random_next(unit_random *random);
/* 0 <= result < LIMIT. */
size_t unit_random_below(unit_random *random, size_t limit);
void unit_random_fill(unit_random *random, void *bytes, size_t size);

/* Counts what is out; fails every call once LEFT are done. */
typedef struct unit_memory {
    masque_allocator allocator;
    size_t pieces;
    size_t calls;
    size_t left;
} unit_memory;

/* Never fails, until `left` is set. */
void unit_memory_init(unit_memory *memory);

/* A masque_runtime's random source: CONTEXT is a unit_random. */
void unit_random_source(void *context, uint8_t *buffer, size_t size);

/* The bytes that HEX, in small letters, gives; returns how many. */
size_t unit_hex(uint8_t *bytes, const char *hex);

/* The address in TEXT, which must be one, with PORT. */
masque_address unit_address(const char *text, uint16_t port);

/* The whole file NAME of tests/data with a final zero; free() it. */
char *unit_read_data(const char *name, size_t *length);

#endif
