#include "quickstart.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "certificates.h"
#include "files.h"
#include "geo/feeds.h"
#include "random.h"
#include "socket.h"
#include "trace_origin.h"

#define PROXY_ADDRESS "127.0.0.1:4433"
#define ORIGIN_ADDRESS "127.0.0.1:4434"
#define PATH_LENGTH 400
/* 24 random bytes in hexadecimal. */
#define KEY_BYTES 24

typedef struct state_folder {
    char folder[PATH_LENGTH];
    char ca[PATH_LENGTH + 16];
    char certificate[PATH_LENGTH + 16];
    char private_key[PATH_LENGTH + 16];
    char psk[PATH_LENGTH + 16];
} state_folder;

static bool find_folder(state_folder *state, mqd_message *message) {
    const char *base = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int length;
    if (base && base[0] == '/') {
        length = snprintf(state->folder, sizeof state->folder, "%s/masqueproxy", base);
    } else {
        length = snprintf(state->folder, sizeof state->folder, "%s/.local/state/masqueproxy", home ? home : "/root");
    }
    if (length < 0 || (size_t)length >= sizeof state->folder) {
        say(message, "the path of the state folder is too long; set XDG_STATE_HOME to a shorter one");
        return false;
    }
    snprintf(state->ca, sizeof state->ca, "%s/ca.crt", state->folder);
    snprintf(state->certificate, sizeof state->certificate, "%s/server.crt", state->folder);
    snprintf(state->private_key, sizeof state->private_key, "%s/server.key", state->folder);
    snprintf(state->psk, sizeof state->psk, "%s/psk.txt", state->folder);
    return true;
}

/* mkdir -p, readable by the owner only. */
static bool make_folder(const char *folder, mqd_message *message) {
    char path[PATH_LENGTH];
    snprintf(path, sizeof path, "%s", folder);
    for (char *at = path + 1; *at; at++) {
        if (*at != '/') {
            continue;
        }
        *at = 0;
        (void)mkdir(path, 0700);
        *at = '/';
    }
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        say(message, "can't make the state folder %.300s: %s; set XDG_STATE_HOME to another place", folder,
            strerror(errno));
        return false;
    }
    return true;
}

static bool write_key(const char *path, mqd_message *message) {
    uint8_t bytes[KEY_BYTES];
    char text[2 * KEY_BYTES + 2];
    system_random(NULL, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    text[2 * KEY_BYTES] = '\n';
    bool done = write_private_file(path, text, 2 * KEY_BYTES + 1, message);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(text, sizeof text);
    return done;
}

static bool is_valid(const char *certificate) {
    mqd_message message;
    size_t length = 0;
    char day[CERTIFICATE_DAY_SIZE];
    char *pem = read_whole_file(certificate, &length, &message);
    bool valid = pem && !certificate_has_expired(pem, length, day);
    free(pem);
    return valid;
}

static bool make_missing(const state_folder *state, mqd_message *message) {
    if (!make_folder(state->folder, message)) {
        return false;
    }
    bool complete =
        access(state->ca, R_OK) == 0 && access(state->private_key, R_OK) == 0 && is_valid(state->certificate);
    if (!complete && !make_certificates(state->ca, state->certificate, state->private_key, message)) {
        return false;
    }
    return access(state->psk, R_OK) == 0 || write_key(state->psk, message);
}

bool quickstart_prepare(mqd_settings *settings, mqd_message *message) {
    state_folder state;
    if (!find_folder(&state, message) || !make_missing(&state, message)) {
        return false;
    }
    settings_set_file(&settings->certificate, state.certificate, "--quickstart");
    settings_set_file(&settings->private_key, state.private_key, "--quickstart");
    if (settings->listener_count == 0 && !settings_add_listener(settings, PROXY_ADDRESS, PROTOCOLS_DEFAULT, message)) {
        return false;
    }
    if (!settings_add_preshared(settings, "quickstart", message)) {
        return false;
    }
    settings_set_key_file(settings, state.psk, "--quickstart");
    return settings_add_rule(settings, true, "tcp:" ORIGIN_ADDRESS, message);
}

typedef struct started_origin {
    trace_origin *origin;
    masque_pools *pools; /* for loc=; NULL without --pools */
    int fd;
    uv_thread_t thread; /* as long as the process */
} started_origin;

static void run_origin(void *argument) {
    started_origin *started = argument;
    trace_origin_run(started->origin, &started->fd, 1);
}

bool quickstart_start_origin(const mqd_settings *settings, mqd_message *message) {
    static started_origin started;
    masque_address address;
    if (!parse_endpoint(ORIGIN_ADDRESS, &address, message)) {
        return false;
    }
    if (settings->geo.pool_count > 0) {
        started.pools = feeds_read(&settings->geo, settings->geo.pools, settings->geo.pool_count, NULL, message);
        if (!started.pools) {
            return false;
        }
    }
    started.fd = socket_listen(&address, false, message);
    started.origin = started.fd >= 0 ? trace_origin_new(settings->certificate.path, settings->private_key.path,
                                                        started.pools, message)
                                     : NULL;
    if (started.origin && uv_thread_create(&started.thread, run_origin, &started) != 0) {
        say(message, "no thread for the quick start's origin");
        return false;
    }
    return started.origin != NULL;
}

/* PATH for a shell: as it is, or in single quotes. */
static void quote(const char *path, char *text, size_t size) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,@%";
    size_t at = 0;
    if (path[strspn(path, plain)] == 0) {
        snprintf(text, size, "%s", path);
        return;
    }
    text[at++] = '\'';
    for (; *path && at + 6 < size; path++) {
        at += (size_t)snprintf(text + at, size - at, *path == '\'' ? "'\\''" : "%c", *path);
    }
    text[at++] = '\'';
    text[at] = 0;
}

void quickstart_print(const mqd_settings *settings) {
    state_folder state;
    mqd_message message;
    char proxy[MASQUE_ADDRESS_TEXT_MAX];
    char ca[4 * PATH_LENGTH];
    char psk[4 * PATH_LENGTH];
    if (!find_folder(&state, &message)) {
        return;
    }
    masque_address_format(&settings->listeners[0].address, proxy, sizeof proxy);
    quote(state.ca, ca, sizeof ca);
    quote(state.psk, psk, sizeof psk);
    printf("\nThe proxy runs. Its CA, certificate and key are in %s.\n"
           "Try it in another terminal (without internet):\n\n"
           "  curl -v --proxy https://%s --proxy-cacert %s \\\n"
           "    --proxy-header \"Proxy-Authorization: Preshared $(cat %s)\" \\\n"
           "    --cacert %s https://" ORIGIN_ADDRESS "/cdn-cgi/trace\n\n"
           "and, with internet, as the documentation has it:\n\n"
           "  curl -v --proxy https://%s --proxy-cacert %s \\\n"
           "    --proxy-header \"Proxy-Authorization: Preshared $(cat %s)\" \\\n"
           "    https://example.com\n\n"
           "Ctrl-C stops it.\n",
           state.folder, proxy, ca, psk, ca, proxy, ca, psk);
    fflush(stdout);
}
