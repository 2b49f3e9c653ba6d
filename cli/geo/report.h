/*
 * geo/report.h: what an operator asks of the pools, printed.
 */
#ifndef GEO_REPORT_H
#define GEO_REPORT_H

#include "log.h"
#include "settings.h"

/* --explain-egress, --check-pools and --publish-geofeed, as SETTINGS has them. The program's exit status: 1 when
   something is wrong. */
int report_pools(const mqd_settings *settings, const log_options *log);

#endif
