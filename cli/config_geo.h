/*
 * config_geo.h: the section `geo` of the configuration file.
 */
#ifndef CLI_CONFIG_GEO_H
#define CLI_CONFIG_GEO_H

#include "config_reader.h"

typedef struct file_default_pool {
    char *country;
} file_default_pool;

typedef struct file_hint_key {
    char *kid;
    char *public_key;
} file_hint_key;

/* As the file has it; texts that it does not have are NULL. */
typedef struct file_geo {
    char **pools;
    unsigned pools_count;
    char *cities;
    file_default_pool *default_pool;
    char *precision;
    char *city_precision;
    char *coarse;
    char *client_locations;
    char *lenient;
    char *freebind;
    char *port_range;
    file_hint_key *hint_keys;
    unsigned hint_keys_count;
    char *audience;
    char *require_signed;
    char *hint_lifetime;
} file_geo;

extern const cyaml_schema_field_t CONFIG_GEO_FIELDS[];

/* GEO may be NULL. False with the message set. */
bool config_take_geo(mqd_reader *reader, const file_geo *geo);

#endif
