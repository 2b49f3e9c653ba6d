/*
 * commands.h: masqueproxy's subcommands, a file each.
 */
#ifndef PROBE_COMMANDS_H
#define PROBE_COMMANDS_H

#include "probe.h"

probe_exit command_get(const probe_options *options);
probe_exit command_udp(const probe_options *options);

/* `token` has subcommands and flags of its own; ARGV begins with it. */
probe_exit command_token(int argc, char **argv);
/* Their lines of --help. */
void command_token_print(void);

/* So has `hint`. */
probe_exit command_hint(int argc, char **argv);
void command_hint_print(void);

/* `trace-origin` has, too. It serves until a signal ends the process. */
probe_exit command_trace(int argc, char **argv);
void command_trace_print(void);

#endif
