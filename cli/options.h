/*
 * options.h: masqueproxyd's command line and environment.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "settings.h"

typedef enum options_result { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG } options_result;

/* Reads the flags and, before them, the file that --config names, into SETTINGS.
   DONE: --help or --version was printed. WRONG: MESSAGE is set. */
options_result options_read(mqd_settings *settings, int count, char **arguments, mqd_message *message);

#endif
