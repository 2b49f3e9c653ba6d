/*
 * vectors.h: published test vectors of others, which lie beside the project and not in it: in the folder that
 * MASQUE_VECTORS names, else in ../shared/standards/vectors beside the source. Without them a test is skipped, and
 * says so; one with vectors of our own stands beside it.
 */
#ifndef UNIT_VECTORS_H
#define UNIT_VECTORS_H

#include <jansson.h>

#include "unit.h"

/* The JSON of file NAME, to be freed by json_decref(); skips the test when there is none. */
json_t *unit_vectors(const char *name);

/* The hexadecimal string KEY of OBJECT, with 0x before it or not; *LENGTH bytes, to be freed by free(). */
uint8_t *unit_vector(const json_t *object, const char *key, size_t *length);

#endif
