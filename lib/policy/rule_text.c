/* policy/rule_text.c: target rules as an operator writes them (policy.h gives the
 * grammar). Used by programs through masque_target_rule_parse(). */
#include <masqueproxy/policy.h>

#include <string.h>

#include "policy/address_class.h"

typedef struct scanner {
    const char *at;
    const char *end;
} scanner;

static bool take(scanner *scan, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(scan->end - scan->at) < length || memcmp(scan->at, word, length) != 0) {
        return false;
    }
    scan->at += length;
    return true;
}

/* A number without leading zeros up to MOST. */
static bool take_number(scanner *scan, unsigned most, unsigned *value) {
    const char *start = scan->at;
    *value = 0;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9' && *value <= most) {
        *value = *value * 10 + (unsigned)(*scan->at++ - '0');
    }
    size_t digits = (size_t)(scan->at - start);
    return digits > 0 && *value <= most && (digits == 1 || *start != '0');
}

static bool take_ports(scanner *scan, masque_target_rule *rule) {
    unsigned first;
    if (!take_number(scan, 65535, &first)) {
        return false;
    }
    unsigned last = first;
    if (take(scan, "-") && !take_number(scan, 65535, &last)) {
        return false;
    }
    rule->port_first = (uint16_t)first;
    rule->port_last = (uint16_t)last;
    return first <= last;
}

static bool take_address(scanner *scan, masque_target_rule *rule) {
    bool bracket = take(scan, "[");
    const char *start = scan->at;
    /* Without brackets a colon ends an IPv4 address and belongs to an IPv6 one, which
       has one before its first dot, if any ("::ffff:192.0.2.0"). */
    const char *first = start;
    while (first < scan->end && *first != '.' && *first != ':') {
        first++;
    }
    bool ipv4 = !bracket && first < scan->end && *first == '.';
    while (scan->at < scan->end && *scan->at != '/' && *scan->at != ']' && !(ipv4 && *scan->at == ':')) {
        scan->at++;
    }
    size_t length = (size_t)(scan->at - start);
    return masque_address_parse(&rule->prefix, start, length) == 0 && (!bracket || take(scan, "]"));
}

static bool take_prefix(scanner *scan, masque_target_rule *rule, const char **reason) {
    *reason = "expected an IP address or a prefix such as 192.0.2.0/24 or 2001:db8::/32";
    if (!take_address(scan, rule)) {
        return false;
    }
    unsigned width = rule->prefix.family == MASQUE_IPV4 ? 32 : 128;
    unsigned length = width;
    if (take(scan, "/") && !take_number(scan, width, &length)) {
        *reason = "expected a prefix length of 0 to 32 (IPv4) or 128 (IPv6)";
        return false;
    }
    rule->prefix_length = (uint8_t)length;
    *reason = "expected nothing or a port behind the prefix, as in 192.0.2.0/24:443 or [2001:db8::]/32:443";
    return scan->at == scan->end || (take(scan, ":") && take_ports(scan, rule));
}

static bool check_host_bits(const masque_target_rule *rule, const char **reason) {
    *reason = "the address has bits behind the prefix length; they must be 0";
    return !mq_prefix_has_host_bits(&rule->prefix, rule->prefix_length);
}

int masque_target_rule_parse(masque_target_rule *rule, bool allow, const char *text, const char **reason) {
    scanner scan = {.at = text, .end = text + strlen(text)};
    masque_target_rule parsed = {.allow = allow, .port_last = 65535};
    if (take(&scan, "tcp:")) {
        parsed.transport = MASQUE_TRANSPORT_TCP;
    } else if (take(&scan, "udp:")) {
        parsed.transport = MASQUE_TRANSPORT_UDP;
    }
    bool valid;
    if (take(&scan, "port:")) {
        *reason = "expected a port or a range of 0 to 65535, as in port:25 or port:8000-8999";
        valid = take_ports(&scan, &parsed);
    } else {
        valid = take_prefix(&scan, &parsed, reason);
    }
    if (valid && scan.at != scan.end) {
        *reason = "unexpected text behind the rule";
        valid = false;
    }
    if (!valid || !check_host_bits(&parsed, reason)) {
        return MASQUE_ERR_INVALID;
    }
    *rule = parsed;
    *reason = NULL;
    return 0;
}
