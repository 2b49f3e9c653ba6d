#include "wire/uri_template.h"

#include <stdio.h>
#include <string.h>

/* A host, and the longest port. */
#define HOST_MAX (MQ_HOST_NAME_MAX + 3)
#define PORT_MAX 5

/* --- compiling ----------------------------------------------------------------------- */

typedef struct compiler {
    mq_uri_template *out;
    size_t length;      /* of the literals so far */
    unsigned variables; /* seen so far */
    bool host_seen;
    bool port_seen;
} compiler;

static bool put(compiler *c, const char *text, size_t length) {
    if (length > sizeof c->out->literals - c->length) {
        return false;
    }
    memcpy(c->out->literals + c->length, text, length);
    c->length += length;
    return true;
}

static bool put_variable(compiler *c, const char *name, size_t length) {
    bool host = length == 11 && memcmp(name, "target_host", length) == 0;
    bool port = length == 11 && memcmp(name, "target_port", length) == 0;
    if ((!host && !port) || (host && c->host_seen) || (port && c->port_seen)) {
        return false;
    }
    /* A variable that follows another at once could not be told from it. */
    if (c->variables == 1 && c->length == c->out->ends[0]) {
        return false;
    }
    c->host_seen = c->host_seen || host;
    c->port_seen = c->port_seen || port;
    c->out->port_first = c->out->port_first || (port && c->variables == 0);
    c->out->ends[c->variables++] = (uint16_t)c->length;
    return true;
}

/* What stands between braces: `a`, `a,b`, `?a,b` or `&a,b`. */
static bool put_expression(compiler *c, const char *text, size_t length) {
    bool is_query = length > 0 && (text[0] == '?' || text[0] == '&');
    char separator = is_query ? text[0] : 0;
    size_t start = is_query ? 1 : 0;
    for (;;) {
        const char *comma = memchr(text + start, ',', length - start);
        size_t end = comma ? (size_t)(comma - text) : length;
        if (separator && !put(c, &separator, 1)) {
            return false;
        }
        if (is_query && (!put(c, text + start, end - start) || !put(c, "=", 1))) {
            return false;
        }
        if (!put_variable(c, text + start, end - start)) {
            return false;
        }
        if (!comma) {
            return true;
        }
        separator = is_query ? '&' : ',';
        start = end + 1;
    }
}

static bool is_literal(char byte) {
    return byte > ' ' && byte < 0x7f && !strchr("\"'<>\\^`{|}#", byte);
}

/* Where the path of an absolute URI begins; the text itself when it is none. */
static const char *skip_origin(const char *text, const char *end) {
    const char *at = text;
    if (at < end && *at == '/') {
        return at;
    }
    while (at < end && *at != ':') {
        at++;
    }
    if (end - at < 3 || memcmp(at, "://", 3) != 0) {
        return text;
    }
    at += 3;
    while (at < end && *at != '/' && *at != '?') {
        at++;
    }
    return at;
}

int mq_uri_template_compile(mq_uri_template *compiled, const char *text) {
    *compiled = (mq_uri_template){.port_first = false};
    compiler c = {.out = compiled};
    const char *at = skip_origin(text, text + strlen(text));
    if (*at != '/') {
        return MASQUE_ERR_INVALID;
    }
    while (*at) {
        if (*at == '{') {
            const char *end = strchr(at, '}');
            if (!end || !put_expression(&c, at + 1, (size_t)(end - at) - 1)) {
                return MASQUE_ERR_INVALID;
            }
            at = end + 1;
        } else if (!is_literal(*at) || !put(&c, at++, 1)) {
            return MASQUE_ERR_INVALID;
        }
    }
    compiled->ends[2] = (uint16_t)c.length;
    return c.variables == 2 ? 0 : MASQUE_ERR_INVALID;
}

/* --- matching ---------------------------------------------------------------------------- */

static int hex(char digit) {
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    if (digit >= 'a' && digit <= 'f') {
        return digit - 'a' + 10;
    }
    return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

/* Decodes percent-encoding from AT to END. False when it is malformed or doesn't fit. */
static bool decode(const char *at, const char *end, char *text, size_t size, size_t *length) {
    *length = 0;
    while (at < end) {
        char byte = *at++;
        if (byte == '%') {
            int high = end - at >= 2 ? hex(at[0]) : -1;
            int low = end - at >= 2 ? hex(at[1]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            byte = (char)(high * 16 + low);
            at += 2;
        }
        if (*length == size) {
            return false;
        }
        text[(*length)++] = byte;
    }
    return true;
}

/* Moves *AT behind the literal NUMBER; false when something else stands there. */
static bool skip_literal(const mq_uri_template *compiled, unsigned number, const char **at, const char *end) {
    size_t start = number ? compiled->ends[number - 1] : 0;
    size_t length = compiled->ends[number] - start;
    if ((size_t)(end - *at) < length || memcmp(*at, compiled->literals + start, length) != 0) {
        return false;
    }
    *at += length;
    return true;
}

/* A value ends where the literal behind it begins: what it holds itself of that is escaped. */
static const char *value_end(const mq_uri_template *compiled, unsigned next, const char *at, const char *end) {
    size_t start = compiled->ends[next - 1];
    if (start == compiled->ends[next]) {
        return end;
    }
    const char *found = memchr(at, compiled->literals[start], (size_t)(end - at));
    return found ? found : end;
}

int mq_uri_template_match(const mq_uri_template *compiled, const char *path, size_t length, mq_authority *target) {
    const char *end = path + length;
    const char *at = skip_origin(path, end);
    char values[2][HOST_MAX];
    size_t lengths[2];
    for (unsigned i = 0; i < 2; i++) {
        if (!skip_literal(compiled, i, &at, end)) {
            return MASQUE_ERR_INVALID;
        }
        const char *stop = value_end(compiled, i + 1, at, end);
        if (!decode(at, stop, values[i], HOST_MAX, &lengths[i])) {
            return MASQUE_ERR_INVALID;
        }
        at = stop;
    }
    if (!skip_literal(compiled, 2, &at, end) || at != end) {
        return MASQUE_ERR_INVALID;
    }
    const char *host = values[compiled->port_first];
    size_t host_length = lengths[compiled->port_first];
    size_t port_length = lengths[!compiled->port_first];
    if (port_length > PORT_MAX || host_length == 0) {
        return MASQUE_ERR_INVALID;
    }
    char text[HOST_MAX + PORT_MAX + 3];
    bool bare = host[0] != '[' && memchr(host, ':', host_length);
    size_t used = 0;
    if (bare) {
        text[used++] = '[';
    }
    memcpy(text + used, host, host_length);
    used += host_length;
    if (bare) {
        text[used++] = ']';
    }
    text[used++] = ':';
    memcpy(text + used, values[!compiled->port_first], port_length);
    return mq_authority_parse(target, text, used + port_length);
}

/* --- expanding ---------------------------------------------------------------------------- */

/* Copies the literal NUMBER to AT; returns the end. */
static char *put_literal(const mq_uri_template *compiled, unsigned number, char *at) {
    size_t start = number ? compiled->ends[number - 1] : 0;
    size_t length = compiled->ends[number] - start;
    memcpy(at, compiled->literals + start, length);
    return at + length;
}

static char *put_escaped(char *at, const char *text) {
    static const char digits[] = "0123456789ABCDEF";
    for (; *text; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= '0' && *text <= '9') || strchr("-._", *text);
        if (plain) {
            *at++ = *text;
            continue;
        }
        *at++ = '%';
        *at++ = digits[(unsigned char)*text >> 4];
        *at++ = digits[(unsigned char)*text & 15];
    }
    return at;
}

void mq_uri_template_expand(const mq_uri_template *compiled, const mq_authority *target,
                            char path[MQ_TEMPLATE_MAX + MQ_EXPANSION_MAX]) {
    char host[MASQUE_ADDRESS_TEXT_MAX];
    char port[PORT_MAX + 1];
    masque_address address = target->address;
    const char *name = target->name;
    if (target->name_length == 0) {
        address.port = 0;
        masque_address_format(&address, host, sizeof host);
        name = host;
    }
    snprintf(port, sizeof port, "%u", target->port);
    char *at = put_literal(compiled, 0, path);
    at = put_escaped(at, compiled->port_first ? port : name);
    at = put_literal(compiled, 1, at);
    at = put_escaped(at, compiled->port_first ? name : port);
    *put_literal(compiled, 2, at) = 0;
}
