/*
 * trace_origin.h: an HTTPS origin that answers https://…/cdn-cgi/trace with what it saw (ip=, ts=, http=, tls=, loc=,
 * …), so that one can see which address a target sees, and where that is registered. For the quick start, and
 * `masqueproxy trace-origin`. A thread for each connection, each bounded in time: an instrument, not a web server.
 */
#ifndef CLI_TRACE_ORIGIN_H
#define CLI_TRACE_ORIGIN_H

#include "settings.h"

#define TRACE_LISTENERS_MAX 16

typedef struct trace_origin trace_origin;

/* Where addresses are registered POOLS says, which may be NULL and outlives it. NULL with MESSAGE set. */
trace_origin *trace_origin_new(const char *certificate, const char *private_key, masque_pools *pools,
                               mqd_message *message);
/* Serves on the listening sockets, at most TRACE_LISTENERS_MAX; never returns. */
void trace_origin_run(trace_origin *origin, const int *fds, size_t count);

#endif
