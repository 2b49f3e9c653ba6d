/*
 * get.c: `masqueproxy get URL`: a tunnel by CONNECT, TLS with the target in it, and one GET of
 * HTTP/1.1 that asks for the connection's end behind the answer. The body goes to standard output
 * as it comes; chunks are undone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "inner_tls.h"
#include "report.h"

#define HEAD_MAX 65536
#define PIECES_MAX 16

typedef struct url_parts {
    char host[256];      /* as it stands in the certificate */
    char authority[300]; /* with the port, for CONNECT */
    char shown[300];     /* for Host */
    const char *path;
} url_parts;

typedef struct get_state {
    const url_parts *url;
    inner_tls *tls;
    inner_tls_state tls_state;
    bool asked;
    char head[HEAD_MAX];
    size_t head_length;
    bool in_body;
    unsigned status;
    bool chunked;
    bool has_length;
    uint64_t left;      /* of the body, or of the chunk */
    bool in_chunk_line; /* the size of the next chunk, or the end of the last, is being read */
    bool body_over;
    FILE *out; /* NULL: dropped */
} get_state;

/* --- the URL --------------------------------------------------------------------------------- */

static bool parse_url(const char *url, url_parts *parts, mqd_message *message) {
    static const char scheme[] = "https://";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) {
        say(message, "“%.200s” is no https URL", url);
        return false;
    }
    const char *host = url + sizeof scheme - 1;
    size_t length = strcspn(host, "/?#");
    const char *bracket = host[0] == '[' ? memchr(host, ']', length) : NULL;
    const char *tail = bracket ? bracket + 1 : host;
    const char *colon = memchr(tail, ':', length - (size_t)(tail - host));
    size_t name = colon ? (size_t)(colon - host) : length;
    if (name == 0 || length >= sizeof parts->host || memchr(host, '@', length)) {
        say(message, "“%.200s” has no host that a certificate could be for", url);
        return false;
    }
    snprintf(parts->host, sizeof parts->host, "%.*s", (int)(bracket ? name - 2 : name), bracket ? host + 1 : host);
    snprintf(parts->authority, sizeof parts->authority, "%.*s%s", (int)length, host, colon ? "" : ":443");
    snprintf(parts->shown, sizeof parts->shown, "%.*s", (int)length, host);
    parts->path = host[length] == '/' ? host + length : "/";
    return true;
}

/* --- the answer -------------------------------------------------------------------------------- */

static void finish(probe *p) {
    get_state *state = p->user;
    state->body_over = true;
    p->done = true;
}

static void fail(probe *p, const char *why) {
    say(&p->message, "the target %s", why);
    p->tunnel_over = true;
}

/* The value of NAME in the head, or NULL; it ends at the line's end. */
static const char *field_of(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
            const char *value = line + 3 + length;
            return value + strspn(value, " \t");
        }
    }
    return NULL;
}

static bool read_head(get_state *state) {
    state->head[state->head_length] = 0;
    char *end = strstr(state->head, "\r\n\r\n");
    if (!end || strncmp(state->head, "HTTP/1.", 7) != 0 || sscanf(state->head + 8, " %3u", &state->status) != 1) {
        return false;
    }
    const char *coding = field_of(state->head, "transfer-encoding");
    const char *length = field_of(state->head, "content-length");
    state->chunked = coding && strncasecmp(coding, "chunked", 7) == 0;
    state->in_chunk_line = state->chunked;
    state->has_length = !state->chunked && length;
    state->left = state->has_length ? strtoull(length, NULL, 10) : 0;
    state->in_body = true;
    state->head_length = 0;
    return true;
}

static void put_body(probe *p, const char *bytes, size_t length) {
    get_state *state = p->user;
    p->bytes_received += length;
    if (state->out && fwrite(bytes, 1, length, state->out) != length) {
        fail(p, "was heard, but its answer can't be written");
    }
}

/* Takes one byte of a line between chunks. */
static void take_chunk_line(probe *p, char byte) {
    get_state *state = p->user;
    if (byte != '\n') {
        if (byte != '\r' && state->head_length < 64) {
            state->head[state->head_length++] = byte;
        }
        return;
    }
    state->head[state->head_length] = 0;
    bool empty = state->head_length == 0;
    state->head_length = 0;
    if (empty) {
        return; /* behind a chunk */
    }
    state->left = strtoull(state->head, NULL, 16);
    state->in_chunk_line = state->left == 0;
    if (state->left == 0) {
        finish(p);
    }
}

static void take_body(probe *p, const char *bytes, size_t length) {
    get_state *state = p->user;
    while (length > 0 && !state->body_over) {
        if (state->in_chunk_line) {
            take_chunk_line(p, *bytes++);
            length--;
            continue;
        }
        bool bounded = state->chunked || state->has_length;
        size_t take = bounded && state->left < length ? (size_t)state->left : length;
        put_body(p, bytes, take);
        bytes += take;
        length -= take;
        state->left -= bounded ? take : 0;
        state->in_chunk_line = state->chunked && state->left == 0;
        if (state->has_length && state->left == 0) {
            finish(p);
        }
    }
}

static void take_plaintext(probe *p, const char *bytes, size_t length) {
    get_state *state = p->user;
    probe_reach(p, STAGE_FIRST);
    while (!state->in_body && length > 0) {
        if (state->head_length + 1 >= HEAD_MAX) {
            fail(p, "sends no end of its answer's head");
            return;
        }
        state->head[state->head_length++] = *bytes++;
        length--;
        bool maybe = state->head_length >= 4 && memcmp(state->head + state->head_length - 4, "\r\n\r\n", 4) == 0;
        if (maybe && !read_head(state)) {
            fail(p, "answers with something else than HTTP/1.1");
            return;
        }
    }
    bool empty =
        state->in_body && (state->status == 204 || state->status == 304 || (state->has_length && state->left == 0));
    if (empty) {
        finish(p);
    } else if (state->in_body) {
        take_body(p, bytes, length);
    }
}

/* --- the tunnel ---------------------------------------------------------------------------------- */

static void send_ciphertext(probe *p) {
    const get_state *state = p->user;
    masque_iovec pieces[PIECES_MAX];
    size_t length;
    const uint8_t *bytes = inner_tls_output(state->tls, &length);
    while (length > 0) {
        size_t count = masque_tunnel_reserve(p->engine, p->tunnel, pieces, PIECES_MAX);
        size_t given = 0;
        for (size_t i = 0; i < count && given < length; i++) {
            size_t take = pieces[i].length < length - given ? pieces[i].length : length - given;
            memcpy(pieces[i].base, bytes + given, take);
            given += take;
        }
        if (count == 0) {
            return; /* `writable` comes */
        }
        masque_tunnel_commit(p->engine, p->tunnel, given, probe_now());
        inner_tls_sent(state->tls, given);
        p->bytes_sent += given;
        bytes = inner_tls_output(state->tls, &length);
    }
}

static void ask(probe *p) {
    get_state *state = p->user;
    char request[4096];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: masqueproxy/%s\r\nAccept: */*\r\n"
                          "Connection: close\r\n\r\n",
                          state->url->path, state->url->shown, masque_version().masqueproxy);
    state->asked = true;
    if (length >= (int)sizeof request || !inner_tls_write(state->tls, request, (size_t)length)) {
        fail(p, "can't be asked: the URL is too long");
    }
}

static void fail_tls(probe *p) {
    const get_state *state = p->user;
    say(&p->message, "TLS with the target failed: %s", inner_tls_error(state->tls));
    p->tunnel_over = true;
}

/* Everything that can be done with what came. */
static void go_on(probe *p) {
    get_state *state = p->user;
    char bytes[16384];
    size_t length = 1;
    if (state->tls_state == INNER_HANDSHAKE) {
        state->tls_state = inner_tls_go_on(state->tls);
    }
    if (state->tls_state == INNER_OPEN && !state->asked) {
        probe_reach(p, STAGE_SECURE);
        ask(p);
    }
    while (state->tls_state == INNER_OPEN && length > 0 && !p->done && !p->tunnel_over) {
        length = inner_tls_read(state->tls, bytes, sizeof bytes, &state->tls_state);
        take_plaintext(p, bytes, length);
    }
    if (state->tls_state == INNER_ENDED && state->in_body && !state->chunked && !state->has_length) {
        finish(p); /* a body that ends with its connection */
    } else if (state->tls_state == INNER_FAILED) {
        fail_tls(p);
    }
    send_ciphertext(p);
}

static void on_readable(probe *p) {
    const get_state *state = p->user;
    masque_iovec pieces[PIECES_MAX];
    size_t count;
    while ((count = masque_tunnel_pull(p->engine, p->tunnel, pieces, PIECES_MAX)) > 0) {
        size_t taken = 0;
        for (size_t i = 0; i < count; i++) {
            if (!inner_tls_feed(state->tls, pieces[i].base, pieces[i].length)) {
                abort();
            }
            taken += pieces[i].length;
        }
        masque_tunnel_pulled(p->engine, p->tunnel, taken, probe_now());
        go_on(p);
    }
}

static void on_ended(probe *p, bool reset) {
    if (!p->done && !p->message.text[0]) {
        say(&p->message, reset ? "the target reset the connection" : "the target ended the connection too early");
    }
}

static FILE *open_output(const probe_options *options, mqd_message *message) {
    FILE *file = options->output ? fopen(options->output, "wb") : options->json ? NULL : stdout;
    if (options->output && !file) {
        say(message, "can't write %.200s", options->output);
    }
    return file;
}

probe_exit command_get(const probe_options *options) {
    static const probe_events events = {.readable = on_readable, .writable = go_on, .ended = on_ended};
    static get_state state;
    static url_parts url;
    mqd_message message = {.text = ""};
    probe p;
    state.out = open_output(options, &message);
    if (message.text[0] || !parse_url(options->argument, &url, &message)) {
        fprintf(stderr, "masqueproxy get: %s\n", message.text);
        return EXIT_USAGE;
    }
    probe_exit result = probe_open(&p, options, MASQUE_TRANSPORT_TCP, url.authority);
    if (!result) {
        state.url = &url;
        state.tls = inner_tls_new(options->trust, options->trust_length, url.host);
        p.user = &state;
        if (!state.tls) {
            abort();
        }
        result = probe_run(&p, &events);
    }
    if (state.out && fflush(state.out) != 0) {
        say(&p.message, "the body can't be written");
        result = EXIT_USAGE;
    }
    report_print(&p, result, state.status);
    probe_free(&p);
    inner_tls_free(state.tls);
    if (options->output && state.out) {
        fclose(state.out);
    }
    return result;
}
