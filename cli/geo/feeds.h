/*
 * geo/feeds.h: the pools that a configuration names, read from their files (masqueproxy/geo.h). The main thread's.
 */
#ifndef GEO_FEEDS_H
#define GEO_FEEDS_H

#include "log.h"
#include "settings.h"

/* The geofeeds FILES, with GEO's cities. NULL with MESSAGE set, which names file and line. What a lenient configuration
   passes over is logged; LOG may be NULL. */
masque_pools *feeds_read(const geo_settings *geo, const mqd_file *files, size_t count, const log_options *log,
                         mqd_message *message);

/* Their pools: every problem is printed, counted, and passed over. */
masque_pools *feeds_look_at(const geo_settings *geo, size_t *problems, mqd_message *message);

#endif
