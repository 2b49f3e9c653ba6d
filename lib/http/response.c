#include "http/response.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct refusal_row {
    unsigned status;
    const char *type;
    const char *rcode;
    const char *details;
} refusal_row;

static const refusal_row ROWS[] = {[MQ_REFUSAL_NONE] = {200, NULL, NULL, NULL},
#define MASQUE_X(name, status, type, rcode, details) [MQ_REFUSAL_##name] = {(status), (type), (rcode), (details)},
                                   MQ_REFUSALS(MASQUE_X)
#undef MASQUE_X
};

typedef struct reason_row {
    unsigned status;
    const char *reason;
} reason_row;

static const reason_row REASONS[] = {
    {200, "OK"},
    {400, "Bad Request"},
    {403, "Forbidden"},
    {405, "Method Not Allowed"},
    {407, "Proxy Authentication Required"},
    {431, "Request Header Fields Too Large"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
};

unsigned mq_response_status(const mq_response *response) {
    return ROWS[response->refusal].status;
}

const char *mq_refusal_type(mq_refusal refusal) {
    return ROWS[refusal].type;
}

const char *mq_status_reason(unsigned status) {
    for (size_t i = 0; i < sizeof REASONS / sizeof REASONS[0]; i++) {
        if (REASONS[i].status == status) {
            return REASONS[i].reason;
        }
    }
    return "";
}

/* One metric with a duration in milliseconds and a decimal, "dns;dur=1.3". */
static size_t append_metric(char *text, size_t size, size_t at, const char *name, masque_time duration) {
    if (duration == MASQUE_NEVER) {
        return at;
    }
    uint64_t tenths = (duration + 50000) / 100000;
    int written =
        snprintf(text + at, size - at, "%s%s;dur=%" PRIu64 ".%" PRIu64, at ? ", " : "", name, tenths / 10, tenths % 10);
    size_t end = at + (size_t)(written > 0 ? written : 0);
    return end < size ? end : size - 1;
}

static void write_server_timing(const mq_timing *timing, char *text, size_t size) {
    size_t at = append_metric(text, size, 0, "proxy", timing->proxy);
    at = append_metric(text, size, at, "dns", timing->dns);
    at = append_metric(text, size, at, "connect", timing->connect);
    append_metric(text, size, at, "auth", timing->auth);
}

static void write_proxy_status(const refusal_row *row, char *text, size_t size) {
    /* error is a Token, rcode and details are Strings (RFC 9209 2.1, 2.3.2). */
    const char *name = row->rcode ? "; rcode=\"" : row->details ? "; details=\"" : "";
    const char *value = row->rcode ? row->rcode : row->details ? row->details : "";
    snprintf(text, size, "masqueproxy; error=%s%s%s%s", row->type, name, value, name[0] ? "\"" : "");
}

size_t mq_response_fields(const mq_response *response, mq_response_text *text,
                          masque_field fields[MQ_RESPONSE_FIELDS_MAX]) {
    const refusal_row *row = &ROWS[response->refusal];
    size_t count = 0;
    write_server_timing(&response->timing, text->server_timing, sizeof text->server_timing);
    fields[count++] = (masque_field){.name = "server-timing", .value = text->server_timing};
    if (response->refusal != MQ_REFUSAL_NONE) {
        write_proxy_status(row, text->proxy_status, sizeof text->proxy_status);
        fields[count++] = (masque_field){.name = "proxy-status", .value = text->proxy_status};
    }
    if (response->udp && response->refusal == MQ_REFUSAL_NONE) {
        fields[count++] = (masque_field){.name = "capsule-protocol", .value = "?1"};
    }
    if (response->h3_port) {
        snprintf(text->alt_svc, sizeof text->alt_svc, "h3=\":%u\"", response->h3_port);
        fields[count++] = (masque_field){.name = "alt-svc", .value = text->alt_svc};
    }
    for (size_t i = 0; i < response->challenge_count && row->status == 407; i++) {
        fields[count++] = (masque_field){.name = "proxy-authenticate", .value = response->challenges[i]};
    }
    if (row->status == 405) {
        fields[count++] = (masque_field){.name = "allow", .value = "CONNECT"};
    }
    return count;
}

size_t mq_response_fields_with_status(const mq_response *response, mq_response_text *text,
                                      masque_field fields[MQ_RESPONSE_FIELDS_MAX + 1]) {
    snprintf(text->status, sizeof text->status, "%u", mq_response_status(response) % 1000);
    fields[0] = (masque_field){.name = ":status", .value = text->status};
    return 1 + mq_response_fields(response, text, fields + 1);
}
