#include "policy/address_class.h"

#include <string.h>

typedef struct prefix4 {
    uint8_t ip[4];
    uint8_t length;
} prefix4;

typedef struct prefix6 {
    uint8_t ip[8]; /* no entry is longer than 64 bits */
    uint8_t length;
} prefix6;

/* The IPv4 registry's entries that are not globally reachable, those for services of
   the network itself, multicast and class E. */
static const prefix4 SPECIAL4[] = {
    {{0, 0, 0, 0}, 8},       /* this network, RFC 791 */
    {{10, 0, 0, 0}, 8},      /* private use, RFC 1918 */
    {{100, 64, 0, 0}, 10},   /* carrier-grade NAT, RFC 6598 */
    {{127, 0, 0, 0}, 8},     /* loopback, RFC 1122 */
    {{169, 254, 0, 0}, 16},  /* link local and cloud metadata, RFC 3927 */
    {{172, 16, 0, 0}, 12},   /* private use */
    {{192, 0, 0, 0}, 24},    /* IETF protocol assignments, RFC 6890 */
    {{192, 0, 2, 0}, 24},    /* documentation, RFC 5737 */
    {{192, 31, 196, 0}, 24}, /* AS112, RFC 7535 */
    {{192, 52, 193, 0}, 24}, /* AMT, RFC 7450 */
    {{192, 88, 99, 0}, 24},  /* 6to4 relays, RFC 7526 */
    {{192, 168, 0, 0}, 16},  /* private use */
    {{192, 175, 48, 0}, 24}, /* AS112, RFC 7534 */
    {{198, 18, 0, 0}, 15},   /* benchmarks, RFC 2544 */
    {{198, 51, 100, 0}, 24}, /* documentation */
    {{203, 0, 113, 0}, 24},  /* documentation */
    {{224, 0, 0, 0}, 3},     /* multicast, class E, broadcast */
};

/* What inside 2000::/3, the only global unicast space in use, is not public. */
static const prefix6 SPECIAL6[] = {
    {{0x20, 0x01, 0x00}, 23},             /* protocol assignments with Teredo 2001::/32, RFC 2928 */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},       /* documentation, RFC 3849 */
    {{0x20, 0x02}, 16},                   /* 6to4, RFC 3056 */
    {{0x26, 0x20, 0x00, 0x4f, 0x80}, 48}, /* AS112, RFC 7534 */
    {{0x3f, 0xff, 0x00}, 20},             /* documentation, RFC 9637 */
};

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits) {
    unsigned bytes = bits / 8;
    if (memcmp(a, b, bytes) != 0) {
        return false;
    }
    unsigned rest = bits % 8;
    return rest == 0 || ((a[bytes] ^ b[bytes]) >> (8 - rest)) == 0;
}

bool mq_address_in_prefix(const masque_address *address, const masque_address *prefix, unsigned length) {
    return address->family == prefix->family && same_bits(address->ip, prefix->ip, length);
}

bool mq_prefix_has_host_bits(const masque_address *prefix, unsigned length) {
    unsigned width = prefix->family == MASQUE_IPV4 ? 32 : prefix->family == MASQUE_IPV6 ? 128 : 0;
    for (unsigned bit = length; bit < width; bit++) {
        if (prefix->ip[bit / 8] & 0x80u >> bit % 8) {
            return true;
        }
    }
    return false;
}

static masque_address embedded_ipv4(const masque_address *address, size_t at) {
    masque_address inner = {.family = MASQUE_IPV4, .port = address->port};
    memcpy(inner.ip, address->ip + at, 4);
    return inner;
}

masque_address mq_address_canonical(const masque_address *address) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (address->family == MASQUE_IPV6 && memcmp(address->ip, mapped, sizeof mapped) == 0) {
        return embedded_ipv4(address, 12);
    }
    return *address;
}

static bool is_public_ipv4(const uint8_t *ip) {
    for (size_t i = 0; i < sizeof SPECIAL4 / sizeof SPECIAL4[0]; i++) {
        if (same_bits(ip, SPECIAL4[i].ip, SPECIAL4[i].length)) {
            return false;
        }
    }
    return true;
}

static bool is_public_ipv6(const uint8_t *ip) {
    static const uint8_t global_unicast[1] = {0x20};
    if (!same_bits(ip, global_unicast, 3)) {
        return false;
    }
    for (size_t i = 0; i < sizeof SPECIAL6 / sizeof SPECIAL6[0]; i++) {
        if (same_bits(ip, SPECIAL6[i].ip, SPECIAL6[i].length)) {
            return false;
        }
    }
    return true;
}

bool mq_address_embeds_ipv4(const masque_address *address, masque_address *inner) {
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};                  /* RFC 6052 2.1 */
    static const uint8_t local_nat64[6] = {0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}; /* RFC 8215, as it is used: a /96 */
    static const uint8_t compatible[12] = {0};                                  /* RFC 4291 2.5.5.1 */
    static const uint8_t isatap[4] = {0x00, 0x00, 0x5e, 0xfe};                  /* RFC 5214 6.1 */
    static const uint8_t isatap_global[4] = {0x02, 0x00, 0x5e, 0xfe};
    const uint8_t *ip = address->ip;
    if (address->family != MASQUE_IPV6) {
        return false;
    }
    if (ip[0] == 0x20 && ip[1] == 0x02) {
        *inner = embedded_ipv4(address, 2); /* 6to4, RFC 3056 2 */
        return true;
    }
    bool embeds = memcmp(ip, nat64, sizeof nat64) == 0 || memcmp(ip, local_nat64, sizeof local_nat64) == 0 ||
                  (memcmp(ip, compatible, sizeof compatible) == 0 && ip[12] != 0) || memcmp(ip + 8, isatap, 4) == 0 ||
                  memcmp(ip + 8, isatap_global, 4) == 0;
    if (embeds) {
        *inner = embedded_ipv4(address, 12);
    }
    return embeds;
}

bool mq_address_is_public(const masque_address *address) {
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    masque_address inner;
    if (address->family == MASQUE_IPV4) {
        return is_public_ipv4(address->ip);
    }
    if (address->family != MASQUE_IPV6) {
        return false;
    }
    if (!mq_address_embeds_ipv4(address, &inner)) {
        return is_public_ipv6(address->ip);
    }
    bool outer = memcmp(address->ip, nat64, sizeof nat64) == 0 || is_public_ipv6(address->ip);
    return outer && is_public_ipv4(inner.ip);
}
