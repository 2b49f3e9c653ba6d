/*
 * yaml_line.h: in which line of a YAML text a key stands. libcyaml tells lines of
 * syntax errors only, and of an unknown key the line of its mapping; for all else
 * we look it up here, when there is something to complain about.
 */
#ifndef CLI_YAML_LINE_H
#define CLI_YAML_LINE_H

#include <stddef.h>

/* PATH is "limits.header-fields" or "targets.deny[2]" (from 0). Returns the line
   from 1 of the deepest part of the path that is found, 0 for none. */
unsigned yaml_line_of(const char *text, size_t length, const char *path);

#endif
