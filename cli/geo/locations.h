/*
 * geo/locations.h: where clients are that don't say it themselves, by their addresses.
 */
#ifndef GEO_LOCATIONS_H
#define GEO_LOCATIONS_H

#include "log.h"
#include "settings.h"

/* Fills LOCATOR from the file that GEO names: a MaxMind database if its name ends with .mmdb, else a geofeed (RFC
   8805). False with MESSAGE set. LOG may be NULL. */
bool locations_open(const geo_settings *geo, const log_options *log, masque_locator *locator, mqd_message *message);
/* The same from the bytes of a MaxMind database. */
bool locations_read_database(const char *bytes, size_t length, masque_locator *locator, mqd_message *message);

#endif
