/*
 * config_listeners.h: the section `listen` of the configuration file: addresses, and what is different at each.
 */
#ifndef CLI_CONFIG_LISTENERS_H
#define CLI_CONFIG_LISTENERS_H

#include "config_reader.h"

/* As the file has it; texts that it does not have are NULL. */
typedef struct file_listener {
    char *address;
    char **protocols;
    unsigned protocols_count;
    char *certificate;
    char *private_key;
    char *raw_public_key;
    char **auth;
    unsigned auth_count;
    char *mtls_required;
} file_listener;

extern const cyaml_schema_value_t CONFIG_LISTENER_ENTRY;

/* False with the message set. */
bool config_take_listeners(mqd_reader *reader, const file_listener *entries, unsigned count);

#endif
