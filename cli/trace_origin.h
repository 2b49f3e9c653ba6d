/*
 * trace_origin.h: the quick start's HTTPS origin. It answers
 * https://…/cdn-cgi/trace with what it saw (ip=, ts=, http=, tls=, loc=, …), so
 * that one can see which address a target sees. One thread, one request at a
 * time, each bounded in time: an instrument, not a web server.
 */
#ifndef CLI_TRACE_ORIGIN_H
#define CLI_TRACE_ORIGIN_H

#include "settings.h"

/* Serves on the listening socket FD, which it owns. False with MESSAGE set. */
bool trace_origin_start(int fd, const char *certificate, const char *private_key, mqd_message *message);

#endif
