/*
 * report.h: what a probe found out, for people on standard error or for programs as JSON.
 */
#ifndef PROBE_REPORT_H
#define PROBE_REPORT_H

#include "probe.h"

/* TARGET_STATUS: of the target's answer to `get`, 0: none. */
void report_print(const probe *p, probe_exit result, unsigned target_status);

#endif
