/*
 * yaml_line.h: in which line of a YAML text something stands. libcyaml tells of an
 * unknown key only the line of its mapping, and of a syntax error nothing; we look
 * it up here, when there is something to complain about.
 */
#ifndef CLI_YAML_LINE_H
#define CLI_YAML_LINE_H

#include <stddef.h>

/* PATH is "limits.header-fields" or "targets.deny[2]" (from 0). Returns the line
   from 1 of the deepest part of the path that is found, 0 for none. */
unsigned yaml_line_of(const char *text, size_t length, const char *path);

/* The line, from 1, of the first thing that is no YAML; 0 when all is. */
unsigned yaml_error_line(const char *text, size_t length);

/* The line, from 1, where a second document begins; 0 for none. */
unsigned yaml_second_document(const char *text, size_t length);

#endif
