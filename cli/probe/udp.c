/*
 * udp.c: `masqueproxy udp HOST:PORT`: each line of standard input is a datagram, each datagram of the
 * target a line of standard output. When the input has ended it waits for answers until the
 * time limit, or until as many came as were sent.
 */
#include "commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

#define LINE_MAX_BYTES 65536
#define PIECES_MAX 16

typedef struct udp_state {
    char line[LINE_MAX_BYTES];
    size_t length;
    uint64_t sent;
    uint64_t received;
    bool input_ended;
    bool reset;
} udp_state;

static void end_if_over(probe *p) {
    const udp_state *state = p->user;
    p->done = state->input_ended && state->received >= state->sent;
}

static void send_line(probe *p, const char *line, size_t length) {
    udp_state *state = p->user;
    masque_tunnel_datagrams(p->engine, p->tunnel, line, length, 0, probe_now());
    state->sent++;
    p->bytes_sent += length;
}

/* Sends the complete lines, keeps the rest. */
static void send_lines(probe *p) {
    udp_state *state = p->user;
    char *start = state->line;
    char *end = state->line + state->length;
    char *newline;
    while ((newline = memchr(start, '\n', (size_t)(end - start)))) {
        send_line(p, start, (size_t)(newline - start));
        start = newline + 1;
    }
    state->length = (size_t)(end - start);
    memmove(state->line, start, state->length);
}

static void on_input(probe *p) {
    udp_state *state = p->user;
    ssize_t length = read(STDIN_FILENO, state->line + state->length, sizeof state->line - state->length);
    if (length > 0) {
        state->length += (size_t)length;
        send_lines(p);
        if (state->length == sizeof state->line) {
            say(&p->message, "a line is longer than a UDP datagram");
            p->tunnel_over = true;
        }
        return;
    }
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (state->length > 0) {
        send_line(p, state->line, state->length);
    }
    state->length = 0;
    state->input_ended = true;
    p->reads_input = false;
    end_if_over(p);
}

static void on_readable(probe *p) {
    udp_state *state = p->user;
    masque_iovec pieces[PIECES_MAX];
    size_t count;
    while ((count = masque_tunnel_pull_datagrams(p->engine, p->tunnel, pieces, PIECES_MAX)) > 0) {
        probe_reach(p, STAGE_FIRST);
        for (size_t i = 0; i < count; i++) {
            if (!p->options->json) {
                fwrite(pieces[i].base, 1, pieces[i].length, stdout);
                putchar('\n');
            }
            p->bytes_received += pieces[i].length;
        }
        state->received += count;
        masque_tunnel_pulled_datagrams(p->engine, p->tunnel, count, 0, probe_now());
    }
    fflush(stdout);
    end_if_over(p);
}

static void on_writable(probe *p) {
    (void)p;
}

static void on_ended(probe *p, bool reset) {
    if (!p->message.text[0]) {
        say(&p->message, reset ? "the tunnel was reset: the target can't be reached" : "the proxy ended the tunnel");
    }
}

probe_exit command_udp(const probe_options *options) {
    static const probe_events events = {
        .readable = on_readable, .writable = on_writable, .ended = on_ended, .input = on_input};
    static udp_state state;
    probe p;
    probe_exit result = probe_open(&p, options, MASQUE_TRANSPORT_UDP, options->argument);
    if (!result) {
        p.user = &state;
        p.reads_input = true;
        result = probe_run(&p, &events);
        if (result == EXIT_TIMEOUT && state.sent > 0) {
            say(&p.message, "%llu of %llu datagrams were answered in time", (unsigned long long)state.received,
                (unsigned long long)state.sent);
        }
    }
    report_print(&p, result, 0);
    probe_free(&p);
    return result;
}
