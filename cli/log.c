#include "log.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_LENGTH 1200

static const char *const LEVELS[] = {
    [MASQUE_LOG_ERROR] = "error",
    [MASQUE_LOG_WARNING] = "warning",
    [MASQUE_LOG_INFO] = "info",
    [MASQUE_LOG_DEBUG] = "debug",
};

/* What a line may hold; empty texts are left out. */
typedef struct mqd_entry {
    masque_log_level level;
    const char *event;
    unsigned worker; /* from 1 */
    uint64_t conn;
    uint64_t tunnel;
    char client[MASQUE_ADDRESS_TEXT_MAX];
    unsigned status;
    const char *error;
    const char *detail;
    const char *text;
} mqd_entry;

static void format_time(char *text, size_t size) {
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    size_t at = strftime(text, size, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + at, size - at, ".%03ldZ", now.tv_nsec / 1000000);
}

static void put(const char *line, size_t length) {
    /* Nowhere to complain to when this fails. */
    ssize_t written = write(STDERR_FILENO, line, length);
    (void)written;
}

static void write_text(const mqd_entry *entry, const char *when) {
    char line[LINE_MAX_LENGTH];
    size_t at = (size_t)snprintf(line, sizeof line, "%s %s %s", when, LEVELS[entry->level], entry->event);
    const struct {
        const char *name;
        const char *value;
    } texts[] = {{"client", entry->client}, {"error", entry->error}, {"detail", entry->detail}};
    if (entry->worker) {
        at += (size_t)snprintf(line + at, sizeof line - at, " worker=%u", entry->worker - 1);
    }
    if (entry->conn) {
        at += (size_t)snprintf(line + at, sizeof line - at, " conn=%" PRIx64, entry->conn);
    }
    if (entry->tunnel) {
        at += (size_t)snprintf(line + at, sizeof line - at, " tunnel=%" PRIx64, entry->tunnel);
    }
    if (entry->status) {
        at += (size_t)snprintf(line + at, sizeof line - at, " status=%u", entry->status);
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].value && texts[i].value[0]) {
            at += (size_t)snprintf(line + at, sizeof line - at, " %s=\"%s\"", texts[i].name, texts[i].value);
        }
    }
    if (entry->text) {
        at += (size_t)snprintf(line + at, sizeof line - at, ": %.800s", entry->text);
    }
    at = at < sizeof line - 1 ? at : sizeof line - 2;
    line[at++] = '\n';
    put(line, at);
}

static void set_text(json_t *object, const char *name, const char *text) {
    if (text && text[0]) {
        json_object_set_new(object, name, json_string(text));
    }
}

static void set_number(json_t *object, const char *name, uint64_t number) {
    char text[20];
    if (number) {
        /* Handles are 64 bits; JSON readers keep 53. */
        snprintf(text, sizeof text, "%" PRIx64, number);
        json_object_set_new(object, name, json_string(text));
    }
}

static void write_json(const mqd_entry *entry, const char *when) {
    json_t *object = json_object();
    set_text(object, "time", when);
    set_text(object, "level", LEVELS[entry->level]);
    set_text(object, "event", entry->event);
    if (entry->worker) {
        json_object_set_new(object, "worker", json_integer(entry->worker - 1));
    }
    set_number(object, "conn", entry->conn);
    set_number(object, "tunnel", entry->tunnel);
    set_text(object, "client", entry->client);
    if (entry->status) {
        json_object_set_new(object, "status", json_integer(entry->status));
    }
    set_text(object, "error", entry->error);
    set_text(object, "detail", entry->detail);
    set_text(object, "message", entry->text);
    char line[LINE_MAX_LENGTH];
    size_t length = json_dumpb(object, line, sizeof line - 1, JSON_COMPACT);
    json_decref(object);
    if (length > 0 && length < sizeof line) {
        line[length++] = '\n';
        put(line, length);
    }
}

static void write_entry(const log_options *options, const mqd_entry *entry) {
    char when[40];
    format_time(when, sizeof when);
    if (options->format == LOG_JSON) {
        write_json(entry, when);
    } else {
        write_text(entry, when);
    }
}

void log_record(const log_options *options, const masque_log_record *record) {
    if (record->level > options->level) {
        return;
    }
    mqd_entry entry = {.level = record->level,
                       .event = record->event,
                       .worker = options->worker,
                       .conn = record->conn,
                       .tunnel = record->tunnel,
                       .status = record->status,
                       .error = record->error ? masque_error_text(record->error) : NULL,
                       .detail = record->detail};
    if (record->client) {
        masque_address client = *record->client;
        client.port = 0;
        masque_address_format(&client, entry.client, sizeof entry.client);
    }
    write_entry(options, &entry);
}

void log_line(const log_options *options, masque_log_level level, const char *event, const char *format, ...) {
    char text[800];
    va_list arguments;
    if (level > options->level) {
        return;
    }
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    write_entry(options, &(mqd_entry){.level = level, .event = event, .worker = options->worker, .text = text});
}
