/*
 * masqueproxy/policy.h: which targets may be dialed.
 *
 * The decision is made on the address that is dialed, once for each, never on
 * a name. In this order, the first that fits decides:
 *
 *   1. an own listening address and port          denied: the proxy would call itself
 *   2. a deny rule                                denied
 *   3. an allow rule                              allowed
 *   4. an own address, any port                   denied
 *   5. not public unicast (the IANA special-
 *      purpose registries), or TCP port 25        denied
 *   6. anything else                              allowed
 *
 * IPv4-mapped addresses count, and are dialed, as IPv4. An IPv4 address inside
 * a NAT64 or ISATAP address must pass as well; 6to4, Teredo and IPv4-compatible
 * addresses are not public.
 */
#ifndef MASQUE_POLICY_H
#define MASQUE_POLICY_H

#include <masqueproxy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum masque_transport {
    MASQUE_TRANSPORT_ANY = 0,
    MASQUE_TRANSPORT_TCP = 1,
    MASQUE_TRANSPORT_UDP = 2
} masque_transport;

typedef struct masque_target_rule {
    bool allow;
    masque_transport transport;
    masque_address prefix; /* family MASQUE_FAMILY_NONE: every address; the port is ignored */
    uint8_t prefix_length; /* bits: 0..32 or 0..128; bits behind it must be 0 */
    uint16_t port_first;   /* 0..65535, 0 and 65535 mean every port */
    uint16_t port_last;
} masque_target_rule;

/*
 * Reads one rule, as in a configuration file:
 *
 *   "192.0.2.0/24"  "2001:db8::/32"  "192.0.2.7"          every port
 *   "192.0.2.0/24:443"  "[2001:db8::]/32:8000-8999"       a port or a range
 *   "port:25"  "tcp:port:25"  "udp:192.0.2.0/24:53"       any address; one transport
 *
 * ALLOW is copied into the rule. Returns 0 with *REASON NULL, or MASQUE_ERR_INVALID with
 * *REASON set to a static text that says what was expected (RULE is unchanged then).
 * "port:0" fits nothing: a target always has a port. An IPv4-mapped prefix is IPv4's.
 */
MASQUE_EXTERN int masque_target_rule_parse(masque_target_rule *rule, bool allow, const char *text, const char **reason);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_POLICY_H */
