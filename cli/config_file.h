/*
 * config_file.h: reads masqueproxyd's YAML file (masqueproxyd(8) lists the keys).
 * Every mistake is one message with file, line and key.
 */
#ifndef CLI_CONFIG_FILE_H
#define CLI_CONFIG_FILE_H

#include "settings.h"

/* Adds what PATH says to SETTINGS. False with MESSAGE set. */
bool config_file_read(mqd_settings *settings, const char *path, mqd_message *message);

/* The same for a text that is already there; PATH is only for messages. */
bool config_file_parse(mqd_settings *settings, const char *path, const char *text, size_t length, mqd_message *message);

#endif
