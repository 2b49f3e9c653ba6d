/*
 * commands.h: masqueproxy's subcommands, a file each.
 */
#ifndef PROBE_COMMANDS_H
#define PROBE_COMMANDS_H

#include "probe.h"

probe_exit command_get(const probe_options *options);
probe_exit command_udp(const probe_options *options);

#endif
