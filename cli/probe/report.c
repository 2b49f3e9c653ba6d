#include "report.h"

#include <jansson.h>
#include <stdio.h>

static const char *const STAGE_NAMES[STAGES] = {"name", "connect", "open", "tunnel", "target", "first", "done"};

static const char *result_name(probe_exit result) {
    switch (result) {
    case EXIT_OK:
        return "ok";
    case EXIT_USAGE:
        return "usage";
    case EXIT_PROXY:
        return "proxy";
    case EXIT_REFUSED:
        return "refused";
    case EXIT_TARGET:
        return "target";
    case EXIT_TIMEOUT:
        return "timeout";
    }
    return "";
}

/* --- JSON --------------------------------------------------------------------------------- */

static json_t *stages_of(const probe *p) {
    json_t *stages = json_object();
    for (size_t i = 0; i < STAGES; i++) {
        if (p->stages[i] != MASQUE_NEVER) {
            json_object_set_new(stages, STAGE_NAMES[i], json_real((double)(p->stages[i] / 1000) / 1e3));
        }
    }
    return stages;
}

static json_t *attempts_of(const probe *p) {
    json_t *attempts = json_array();
    for (size_t i = 0; i < p->attempt_count; i++) {
        const probe_attempt *attempt = &p->attempts[i];
        json_array_append_new(attempts, json_pack("{s:s, s:s, s:s}", "protocol", protocol_name(attempt->protocols),
                                                  "address", attempt->address, "error", attempt->why));
    }
    return attempts;
}

static void set_text(json_t *object, const char *key, const char *text) {
    if (text[0]) {
        /* Fields are the proxy's and may be any bytes. */
        json_t *value = json_string(text);
        json_object_set_new(object, key, value ? value : json_string_nocheck("(not UTF-8)"));
    }
}

static void set_number(json_t *object, const char *key, uint64_t number) {
    if (number) {
        json_object_set_new(object, key, json_integer((json_int_t)number));
    }
}

static void print_json(const probe *p, probe_exit result, unsigned target_status) {
    json_t *report = json_pack("{s:s, s:s}", "result", result_name(result), "proxy", p->options->proxy);
    char address[MASQUE_ADDRESS_TEXT_MAX];
    if (p->protocol) {
        masque_address_format(&p->remote, address, sizeof address);
        set_text(report, "address", address);
        set_text(report, "protocol", protocol_name(p->protocol));
    }
    set_number(report, "status", p->status);
    set_text(report, "server-timing", p->server_timing);
    set_text(report, "proxy-status", p->proxy_status);
    set_number(report, "target-status", target_status);
    json_object_set_new(report, "bytes-sent", json_integer((json_int_t)p->bytes_sent));
    json_object_set_new(report, "bytes-received", json_integer((json_int_t)p->bytes_received));
    json_object_set_new(report, "milliseconds", stages_of(p));
    if (p->attempt_count > 0) {
        json_object_set_new(report, "failed-attempts", attempts_of(p));
    }
    set_text(report, "error", result ? p->message.text : "");
    json_dumpf(report, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(report);
}

/* --- text ---------------------------------------------------------------------------------- */

static void print_text(const probe *p, probe_exit result) {
    if (result) {
        fprintf(stderr, "masqueproxy: %s\n", p->message.text);
    }
    if (!p->options->verbose || !p->protocol) {
        return;
    }
    fprintf(stderr, "%s, status %u", protocol_name(p->protocol), p->status);
    if (p->server_timing[0]) {
        fprintf(stderr, ", Server-Timing: %s", p->server_timing);
    }
    fprintf(stderr, "\n%llu bytes sent, %llu received\n", (unsigned long long)p->bytes_sent,
            (unsigned long long)p->bytes_received);
}

void report_print(const probe *p, probe_exit result, unsigned target_status) {
    if (p->options->json) {
        print_json(p, result, target_status);
    } else {
        print_text(p, result);
    }
}
