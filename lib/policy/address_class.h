/*
 * policy/address_class.h: is an address public unicast?
 *
 * By the IANA special-purpose registries (RFC 6890 and its updates): what is not
 * known to be public is not. Pure functions.
 */
#ifndef MQ_POLICY_ADDRESS_CLASS_H
#define MQ_POLICY_ADDRESS_CLASS_H

#include <masqueproxy/base.h>

/* An IPv4-mapped address becomes the IPv4 address a kernel would reach by it
   (RFC 4291 2.5.5.2); any other stays. The port is kept. */
masque_address mq_address_canonical(const masque_address *address);

/* True for an address that carries an IPv4 address towards a translator (NAT64
   64:ff9b::/96, ISATAP); *INNER is that, with the same port. */
bool mq_address_embeds_ipv4(const masque_address *address, masque_address *inner);

/* ADDRESS is canonical. For an address that carries an IPv4 address towards a
   translator (NAT64 64:ff9b::/96, ISATAP) that one must be public too. */
bool mq_address_is_public(const masque_address *address);

/* True when the first LENGTH bits of both are the same, and the family. */
bool mq_address_in_prefix(const masque_address *address, const masque_address *prefix, unsigned length);

/* True when a bit behind the first LENGTH is set. Without a family there is none. */
bool mq_prefix_has_host_bits(const masque_address *prefix, unsigned length);

#endif
