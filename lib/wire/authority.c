#include "wire/authority.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"

/* RFC 1035 2.3.4. */
#define LABEL_MAX 63

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool parse_port(uint16_t *port, const char *text, size_t length) {
    unsigned value = 0;
    if (length < 1 || length > 5 || text[0] == '0') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i])) {
            return false;
        }
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= 65535;
}

static bool is_label(const char *text, size_t length) {
    if (length < 1 || length > LABEL_MAX || text[0] == '-' || text[length - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        char c = mq_lower(text[i]);
        if (!is_digit(c) && !(c >= 'a' && c <= 'z') && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

/* What resolvers of other programs may read as a number: "1", "0x7f", "0X". */
static bool is_number_like(const char *text, size_t length) {
    size_t digits = 0;
    bool hex = length >= 2 && text[0] == '0' && mq_lower(text[1]) == 'x';
    for (size_t i = hex ? 2 : 0; i < length; i++) {
        char c = mq_lower(text[i]);
        digits += is_digit(c) || (hex && c >= 'a' && c <= 'f');
    }
    return digits == length - (hex ? 2 : 0);
}

static bool parse_name(mq_authority *authority, const char *text, size_t length) {
    if (length > 1 && text[length - 1] == '.') {
        length--;
    }
    if (length < 1 || length > MQ_HOST_NAME_MAX) {
        return false;
    }
    size_t label = 0;
    for (size_t i = 0; i <= length; i++) {
        if (i < length && text[i] != '.') {
            continue;
        }
        if (!is_label(text + label, i - label) || (i == length && is_number_like(text + label, i - label))) {
            return false;
        }
        label = i + 1;
    }
    for (size_t i = 0; i < length; i++) {
        authority->name[i] = mq_lower(text[i]);
    }
    authority->name[length] = 0;
    authority->name_length = (uint16_t)length;
    return true;
}

static bool parse_host(mq_authority *authority, const char *text, size_t length) {
    if (length >= 2 && text[0] == '[') {
        bool literal = text[length - 1] == ']' && masque_address_parse(&authority->address, text + 1, length - 2) == 0;
        return literal && authority->address.family == MASQUE_IPV6;
    }
    if (masque_address_parse(&authority->address, text, length) == 0) {
        return authority->address.family == MASQUE_IPV4;
    }
    return parse_name(authority, text, length);
}

int mq_authority_parse(mq_authority *authority, const char *text, size_t length) {
    *authority = (mq_authority){.port = 0};
    size_t colon = length;
    while (colon > 0 && text[colon - 1] != ':') {
        colon--;
    }
    /* The longest host in text form: a name with its final dot. */
    if (colon < 2 || colon > MQ_HOST_NAME_MAX + 2 || !parse_port(&authority->port, text + colon, length - colon)) {
        return MASQUE_ERR_INVALID;
    }
    if (!parse_host(authority, text, colon - 1)) {
        return MASQUE_ERR_INVALID;
    }
    if (authority->address.family != MASQUE_FAMILY_NONE) {
        authority->address.port = authority->port;
    }
    return 0;
}

size_t mq_authority_format(const mq_authority *authority, char *text, size_t size) {
    if (authority->address.family != MASQUE_FAMILY_NONE) {
        return masque_address_format(&authority->address, text, size);
    }
    return (size_t)snprintf(text, size, "%s:%u", authority->name, (unsigned)authority->port);
}
