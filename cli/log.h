/*
 * log.h: one line for each thing that happened, on standard error, as text or
 * JSON. Any thread; a line is one write(), so lines don't mix.
 */
#ifndef CLI_LOG_H
#define CLI_LOG_H

#include "settings.h"

typedef struct log_options {
    masque_log_level level;
    log_format format;
    unsigned worker; /* whose lines they are, from 1; 0: no worker's. Handles are each worker's own */
} log_options;

/* What the library reports. */
void log_record(const log_options *options, const masque_log_record *record);

/* What the program itself has to say. EVENT is a fixed word. */
__attribute__((format(printf, 4, 5))) void log_line(const log_options *options, masque_log_level level,
                                                    const char *event, const char *format, ...);

#endif
