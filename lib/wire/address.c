/* wire/address.c: IP addresses as text (base.h says the forms). */
#include <masqueproxy/base.h>

#include <stdio.h>
#include <string.h>

/* One decimal number 0..255 without leading zeros; returns the bytes read or 0. */
static size_t parse_octet(uint8_t *octet, const char *text, size_t length) {
    unsigned value = 0;
    size_t used = 0;
    while (used < length && text[used] >= '0' && text[used] <= '9') {
        if (used == 3 || (used > 0 && value == 0)) {
            return 0;
        }
        value = value * 10 + (unsigned)(text[used++] - '0');
    }
    if (value > 255) {
        return 0;
    }
    *octet = (uint8_t)value;
    return used;
}

static bool parse_ipv4(uint8_t ip[4], const char *text, size_t length) {
    size_t at = 0;
    for (int i = 0; i < 4; i++) {
        if (i > 0) {
            if (at == length || text[at] != '.') {
                return false;
            }
            at++;
        }
        size_t used = parse_octet(&ip[i], text + at, length - at);
        if (!used) {
            return false;
        }
        at += used;
    }
    return at == length;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

/* One group of one to four hexadecimal digits; returns the bytes read or 0. */
static size_t parse_group(uint8_t group[2], const char *text, size_t length) {
    unsigned value = 0;
    size_t used = 0;
    while (used < length && used < 4 && hex_value(text[used]) >= 0) {
        value = value << 4 | (unsigned)hex_value(text[used++]);
    }
    group[0] = (uint8_t)(value >> 8);
    group[1] = (uint8_t)value;
    return used;
}

/* RFC 4291 2.2: eight groups, one "::" for zeros, the last two may be IPv4. */
static bool parse_ipv6(uint8_t ip[16], const char *text, size_t length) {
    uint8_t bytes[16] = {0};
    size_t at = 0;
    size_t filled = 0;
    size_t gap = SIZE_MAX;
    if (length >= 2 && text[0] == ':' && text[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < length) {
        if (filled <= 12 && memchr(text + at, '.', length - at) && !memchr(text + at, ':', length - at)) {
            if (!parse_ipv4(bytes + filled, text + at, length - at)) {
                return false;
            }
            filled += 4;
            at = length;
            break;
        }
        size_t used = filled < 16 ? parse_group(bytes + filled, text + at, length - at) : 0;
        if (!used) {
            return false;
        }
        filled += 2;
        at += used;
        if (at == length) {
            break;
        }
        if (text[at++] != ':' || at == length) {
            return false;
        }
        if (text[at] == ':') {
            if (gap != SIZE_MAX) {
                return false;
            }
            gap = filled;
            at++;
        }
    }
    /* "::" stands for at least one group (RFC 5952 4.2.2 reads the same as RFC 4291 here). */
    if (gap == SIZE_MAX ? filled != 16 : filled > 14) {
        return false;
    }
    size_t head = gap == SIZE_MAX ? filled : gap;
    memset(ip, 0, 16);
    memcpy(ip, bytes, head);
    memcpy(ip + 16 - (filled - head), bytes + head, filled - head);
    return true;
}

int masque_address_parse(masque_address *address, const char *text, size_t length) {
    masque_address parsed = {.family = MASQUE_IPV4};
    if (length == 0 || length > 45) {
        return MASQUE_ERR_INVALID;
    }
    if (!parse_ipv4(parsed.ip, text, length)) {
        parsed = (masque_address){.family = MASQUE_IPV6};
        if (!parse_ipv6(parsed.ip, text, length)) {
            return MASQUE_ERR_INVALID;
        }
    }
    *address = parsed;
    return 0;
}

static unsigned group_at(const masque_address *address, int index) {
    return (unsigned)address->ip[2 * index] << 8 | address->ip[2 * index + 1];
}

/* The longest run of at least two zero groups, the first among equals (RFC 5952 4.2.3). */
static int longest_zero_run(const masque_address *address, int *run_length) {
    int best = -1;
    *run_length = 1;
    for (int start = 0; start < 8; start++) {
        int end = start;
        while (end < 8 && group_at(address, end) == 0) {
            end++;
        }
        if (end - start > *run_length) {
            best = start;
            *run_length = end - start;
        }
        start = end > start ? end : start;
    }
    return best;
}

static void format_ipv6(const masque_address *address, char text[48]) {
    int run_length;
    int run = longest_zero_run(address, &run_length);
    size_t at = 0;
    for (int i = 0; i < 8; i++) {
        if (i == run) {
            text[at++] = ':';
            if (i == 0) {
                text[at++] = ':';
            }
            i += run_length - 1;
            continue;
        }
        at += (size_t)snprintf(text + at, 48 - at, "%x%s", group_at(address, i), i == 7 ? "" : ":");
    }
    text[at] = 0;
}

size_t masque_address_format(const masque_address *address, char *text, size_t size) {
    char ip[48];
    if (address->family == MASQUE_IPV4) {
        snprintf(ip, sizeof ip, "%u.%u.%u.%u", address->ip[0], address->ip[1], address->ip[2], address->ip[3]);
    } else if (address->family == MASQUE_IPV6) {
        format_ipv6(address, ip);
    } else {
        snprintf(ip, sizeof ip, "none");
    }
    if (address->port == 0) {
        return (size_t)snprintf(text, size, "%s", ip);
    }
    bool bracket = address->family == MASQUE_IPV6;
    return (size_t)snprintf(text, size, "%s%s%s:%u", bracket ? "[" : "", ip, bracket ? "]" : "",
                            (unsigned)address->port);
}

bool masque_address_same_ip(const masque_address *a, const masque_address *b) {
    return a->family == b->family && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}
