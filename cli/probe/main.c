/*
 * main.c: masqueproxy, the client program: a table of subcommands.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "token_options.h"

typedef struct command_row {
    const char *name;
    const char *argument;
    const char *help;
    probe_exit (*run)(const probe_options *options);
} command_row;

static const command_row ROWS[] = {
    {"get", "URL", "fetch an https URL through the proxy, by CONNECT", command_get},
    {"udp", "HOST:PORT", "standard input and output over CONNECT-UDP, a line a datagram", command_udp},
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])

static int print_help(void) {
    puts("masqueproxy: a client of a privacy proxy\n");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        printf("  masqueproxy %s %-12s %s\n", ROWS[i].name, ROWS[i].argument, ROWS[i].help);
    }
    command_token_print();
    puts("  masqueproxy hint keygen|sign|verify  vouch for a client's place: keys, hints, and a look at one");
    puts("  masqueproxy trace-origin  serve https://…/cdn-cgi/trace, which shows from which address and place clients "
         "leave");
    puts("");
    options_print();
    token_options_print();
    command_hint_print();
    command_trace_print();
    puts("\nExit codes: 0 done, 2 usage, 3 proxy not reached, 4 refused by it, 5 target failed, 6 timeout.");
    return EXIT_OK;
}

int main(int argc, char **argv) {
    probe_options options;
    mqd_message message;
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        return print_help();
    }
    if (strcmp(name, "--version") == 0) {
        printf("masqueproxy %s\n", masque_version().masqueproxy);
        return EXIT_OK;
    }
    signal(SIGPIPE, SIG_IGN);
    if (strcmp(name, "token") == 0) {
        return (int)command_token(argc - 1, argv + 1);
    }
    if (strcmp(name, "hint") == 0) {
        return (int)command_hint(argc - 1, argv + 1);
    }
    if (strcmp(name, "trace-origin") == 0) {
        return (int)command_trace(argc - 1, argv + 1);
    }
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(name, ROWS[i].name) != 0) {
            continue;
        }
        probe_exit result = options_read(&options, argc - 1, argv + 1, &message);
        if (result) {
            fprintf(stderr, "masqueproxy %s: %s\n", name, message.text);
        } else {
            result = ROWS[i].run(&options);
        }
        options_free(&options);
        return (int)result;
    }
    fprintf(stderr, "masqueproxy: %s%.40s%s; expected get, udp, token, hint or trace-origin, see masqueproxy --help\n",
            name[0] ? "“" : "there is no subcommand", name, name[0] ? "” is no subcommand" : "");
    return EXIT_USAGE;
}
