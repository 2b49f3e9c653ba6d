/*
 * policy_address_class_test.c: which addresses are public. Goal: the same answer
 * as a slow reader of the IANA registries (tests/data/special-purpose.csv), and
 * no way round through an IPv4 address inside an IPv6 one.
 */
#include "policy/address_class.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define ROWS_MAX 128
#define RANDOM_ADDRESSES 1000000

typedef struct registry_row {
    char prefix[64];
    masque_address address;
    unsigned length;
    bool embedded;
} registry_row;

static registry_row rows[ROWS_MAX];
static size_t row_count;

static unsigned width_of(const masque_address *address) {
    return address->family == MASQUE_IPV4 ? 32 : 128;
}

static bool bit_of(const masque_address *address, unsigned bit) {
    return address->ip[bit / 8] >> (7 - bit % 8) & 1;
}

static void flip_bit(masque_address *address, unsigned bit) {
    address->ip[bit / 8] = (uint8_t)(address->ip[bit / 8] ^ 0x80 >> bit % 8);
}

/* One line of the registry; the system's reader of addresses, not ours. */
static void read_row(const char *line) {
    registry_row *row = &rows[row_count];
    size_t length = strcspn(line, ",");
    assert_true(row_count < ROWS_MAX && length < sizeof row->prefix);
    memcpy(row->prefix, line, length);
    char *slash = strchr(row->prefix, '/');
    assert_non_null(slash);
    *slash = 0;
    row->address.family = strchr(row->prefix, ':') ? MASQUE_IPV6 : MASQUE_IPV4;
    int family = row->address.family == MASQUE_IPV6 ? AF_INET6 : AF_INET;
    assert_int_equal(inet_pton(family, row->prefix, row->address.ip), 1);
    *slash = '/';
    row->length = (unsigned)strtoul(slash + 1, NULL, 10);
    const char *decision = strrchr(line, ',') + 1;
    row->embedded = strcmp(decision, "embedded") == 0;
    assert_true(row->embedded || strcmp(decision, "deny") == 0);
    row_count++;
}

static int read_registry(void **state) {
    (void)state;
    size_t length;
    char *text = unit_read_data("special-purpose.csv", &length);
    char *line = text;
    while (*line) {
        char *end = strchr(line, '\n');
        assert_non_null(end);
        *end = 0;
        if (*line && *line != '#') {
            read_row(line);
        }
        line = end + 1;
    }
    free(text);
    assert_true(row_count > 60);
    return 0;
}

static bool row_holds(const registry_row *row, const masque_address *address) {
    if (row->address.family != address->family) {
        return false;
    }
    for (unsigned bit = 0; bit < row->length; bit++) {
        if (bit_of(&row->address, bit) != bit_of(address, bit)) {
            return false;
        }
    }
    return true;
}

static masque_address inner_ipv4(const masque_address *address) {
    masque_address inner = {.family = MASQUE_IPV4};
    memcpy(inner.ip, address->ip + 12, 4);
    return inner;
}

/* RFC 5214 6.1: the interface identifier of ISATAP. */
static bool is_isatap(const masque_address *address) {
    const uint8_t *id = address->ip + 8;
    return address->family == MASQUE_IPV6 && (id[0] == 0 || id[0] == 2) && id[1] == 0 && id[2] == 0x5e && id[3] == 0xfe;
}

/* The obvious way: the longest prefix of the registry decides. */
static bool reference_is_public(const masque_address *address) {
    const registry_row *best = NULL;
    for (size_t i = 0; i < row_count; i++) {
        if (row_holds(&rows[i], address) && (!best || rows[i].length > best->length)) {
            best = &rows[i];
        }
    }
    masque_address inner = inner_ipv4(address);
    if (best) {
        return best->embedded && reference_is_public(&inner);
    }
    return !is_isatap(address) || reference_is_public(&inner);
}

static void check_same(const masque_address *address) {
    char text[MASQUE_ADDRESS_TEXT_MAX];
    masque_address_format(address, text, sizeof text);
    CHECK(text, mq_address_is_public(address) == reference_is_public(address));
}

/* First and last address of each prefix, and the neighbours of both. */
static void test_borders(void **state) {
    (void)state;
    for (size_t i = 0; i < row_count; i++) {
        masque_address first = rows[i].address;
        masque_address last = first;
        for (unsigned bit = rows[i].length; bit < width_of(&first); bit++) {
            CHECK(rows[i].prefix, !bit_of(&first, bit));
            flip_bit(&last, bit);
        }
        CHECK(rows[i].prefix, !mq_address_is_public(&first));
        CHECK(rows[i].prefix, !mq_address_is_public(&last));
        check_same(&first);
        check_same(&last);
        for (unsigned bit = 0; bit < rows[i].length; bit++) {
            masque_address neighbour = first;
            flip_bit(&neighbour, bit);
            check_same(&neighbour);
            neighbour = last;
            flip_bit(&neighbour, bit);
            check_same(&neighbour);
        }
    }
}

/* Anywhere; in a prefix; next to one; with ISATAP's identifier. */
static masque_address random_address(unit_random *random) {
    masque_address address = {.family = unit_random_below(random, 2) ? MASQUE_IPV4 : MASQUE_IPV6};
    const registry_row *row = NULL;
    size_t kind = unit_random_below(random, 6);
    if (kind < 3) {
        row = &rows[unit_random_below(random, row_count)];
        address.family = row->address.family;
    }
    unit_random_fill(random, address.ip, width_of(&address) / 8);
    if (kind == 3) {
        /* Near the space that is in use. */
        address.ip[0] = (uint8_t)(address.family == MASQUE_IPV6 ? 0x20 | (address.ip[0] & 0x1f) : address.ip[0]);
    }
    for (unsigned bit = 0; row && bit < row->length; bit++) {
        if (bit_of(&row->address, bit) != bit_of(&address, bit)) {
            flip_bit(&address, bit);
        }
    }
    if (kind == 2 && row->length > 0) {
        flip_bit(&address, (unsigned)unit_random_below(random, row->length));
    }
    if (address.family == MASQUE_IPV6 && unit_random_below(random, 4) == 0) {
        const uint8_t id[4] = {(uint8_t)(unit_random_below(random, 2) * 2), 0, 0x5e, 0xfe};
        memcpy(address.ip + 8, id, sizeof id);
    }
    return address;
}

static void test_random(void **state) {
    (void)state;
    unit_random random = {.state = 4};
    size_t public = 0;
    for (int i = 0; i < RANDOM_ADDRESSES; i++) {
        masque_address address = random_address(&random);
        check_same(&address);
        public += reference_is_public(&address);
    }
    assert_true(public > RANDOM_ADDRESSES / 10 && public < RANDOM_ADDRESSES * 9 / 10);
}

typedef struct embedding_row {
    const char *name;
    const char *prefix; /* the IPv4 address is put in at AT */
    size_t at;
    uint8_t mask;   /* of every byte of it: 0xff in Teredo (RFC 4380 4) */
    bool may_allow; /* when the IPv4 address is public */
} embedding_row;

static const embedding_row EMBEDDINGS[] = {
    {"mapped (RFC 4291 2.5.5.2)", "::ffff:0:0", 12, 0, true},
    {"NAT64 (RFC 6052 2.1)", "64:ff9b::", 12, 0, true},
    {"ISATAP (RFC 5214 6.1)", "2600:1::5efe:0:0", 12, 0, true},
    {"ISATAP, global identifier", "2600:1::200:5efe:0:0", 12, 0, true},
    {"compatible (RFC 4291 2.5.5.1)", "::", 12, 0, false},
    {"translated (RFC 2765 2.1)", "::ffff:0:0:0", 12, 0, false},
    {"local NAT64 (RFC 8215)", "64:ff9b:1::", 12, 0, false},
    {"local NAT64, /48 form (RFC 6052 2.2)", "64:ff9b:1::", 6, 0, false},
    {"6to4 (RFC 3056 2)", "2002::1", 2, 0, false},
    {"Teredo client (RFC 4380 4)", "2001:0:4136:e378:8000:63bf::", 12, 0xff, false},
    {"Teredo server", "2001::8000:63bf:3fff:fdd2", 4, 0, false},
    {"ISATAP, unique local", "fd00::5efe:0:0", 12, 0, false},
    {"ISATAP, link local", "fe80::5efe:0:0", 12, 0, false},
    {"ISATAP, documentation", "2001:db8::5efe:0:0", 12, 0, false},
};

static void check_embedding(const embedding_row *row, const masque_address *ipv4) {
    masque_address address = unit_address(row->prefix, 443);
    for (size_t i = 0; i < 4; i++) {
        address.ip[row->at + i] = ipv4->ip[i] ^ row->mask;
    }
    masque_address canonical = mq_address_canonical(&address);
    bool allowed = mq_address_is_public(&canonical);
    CHECK(row->name, canonical.port == 443);
    CHECK(row->name, allowed == (row->may_allow && reference_is_public(ipv4)));
}

static void test_embeddings(void **state) {
    (void)state;
    unit_random random = {.state = 5};
    size_t public = 0;
    for (size_t i = 0; i < COUNT(EMBEDDINGS); i++) {
        for (int j = 0; j < 20000; j++) {
            masque_address ipv4 = random_address(&random);
            ipv4 = ipv4.family == MASQUE_IPV4 ? ipv4 : inner_ipv4(&ipv4);
            public += reference_is_public(&ipv4);
            check_embedding(&EMBEDDINGS[i], &ipv4);
        }
        for (size_t j = 0; j < row_count; j++) {
            if (rows[j].address.family == MASQUE_IPV4) {
                check_embedding(&EMBEDDINGS[i], &rows[j].address);
            }
        }
    }
    assert_true(public > 10000);
}

typedef struct known_row {
    const char *text;
    bool public;
} known_row;

/* Written out, should the registry's copy and the code ever be wrong alike. */
static const known_row KNOWN[] = {
    {"8.8.8.8", true},
    {"1.1.1.1", true},
    {"9.255.255.255", true},
    {"11.0.0.0", true},
    {"100.63.255.255", true},
    {"100.128.0.0", true},
    {"126.255.255.255", true},
    {"128.0.0.0", true},
    {"172.15.255.255", true},
    {"172.32.0.0", true},
    {"191.255.255.255", true},
    {"192.0.1.0", true},
    {"223.255.255.255", true},
    {"2606:4700::1111", true},
    {"2001:4860:4860::8888", true},
    {"2001:200::", true},
    {"3ffe::1", true},
    {"64:ff9b::808:808", true},
    {"127.0.0.1", false},
    {"169.254.169.254", false},
    {"0.0.0.0", false},
    {"10.1.2.3", false},
    {"100.64.0.1", false},
    {"255.255.255.255", false},
    {"224.0.0.1", false},
    {"::1", false},
    {"::", false},
    {"fd00:ec2::254", false},
    {"fe80::1", false},
    {"ff02::1", false},
    {"64:ff9b::7f00:1", false},
    {"64:ff9b::a9fe:a9fe", false},
    {"64:ff9b:0:1::808:808", false},
    {"2002:7f00:1::1", false},
    {"2001:0:1::1", false},
    {"2001:1ff:ffff::", false},
    {"4000::1", false},
    {"1fff:ffff::1", false},
};

static void test_known(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(KNOWN); i++) {
        masque_address address = unit_address(KNOWN[i].text, 0);
        CHECK(KNOWN[i].text, mq_address_is_public(&address) == KNOWN[i].public);
        CHECK(KNOWN[i].text, reference_is_public(&address) == KNOWN[i].public);
    }
    masque_address none = {.ip = {8, 8, 8, 8}};
    assert_false(mq_address_is_public(&none));
}

/* Only ::ffff:0:0/96 becomes IPv4; the bytes behind the address are clean then. */
static void test_canonical(void **state) {
    (void)state;
    masque_address mapped = unit_address("::ffff:192.0.2.1", 7);
    masque_address ipv4 = unit_address("192.0.2.1", 7);
    masque_address canonical = mq_address_canonical(&mapped);
    assert_memory_equal(&canonical, &ipv4, sizeof ipv4);
    canonical = mq_address_canonical(&ipv4);
    assert_memory_equal(&canonical, &ipv4, sizeof ipv4);
    for (unsigned bit = 0; bit < 96; bit++) {
        masque_address other = mapped;
        flip_bit(&other, bit);
        canonical = mq_address_canonical(&other);
        assert_memory_equal(&canonical, &other, sizeof other);
    }
}

/* Against the bit by bit way, for each length and each bit that differs. */
static void test_prefixes(void **state) {
    (void)state;
    static const char *const texts[] = {"203.0.113.165", "2001:db8:a5a5:5a5a:1234:5678:9abc:def1"};
    for (size_t i = 0; i < COUNT(texts); i++) {
        masque_address address = unit_address(texts[i], 0);
        unsigned width = width_of(&address);
        for (unsigned length = 0; length <= width; length++) {
            bool host_bits = false;
            for (unsigned bit = 0; bit < width; bit++) {
                masque_address other = address;
                flip_bit(&other, bit);
                assert_int_equal(mq_address_in_prefix(&other, &address, length), bit >= length);
                host_bits = host_bits || (bit >= length && bit_of(&address, bit));
            }
            assert_true(mq_address_in_prefix(&address, &address, length));
            assert_int_equal(mq_prefix_has_host_bits(&address, length), host_bits);
        }
    }
    masque_address ipv4 = unit_address("0.0.0.0", 0);
    masque_address ipv6 = unit_address("::", 0);
    masque_address none = {.ip = {1}};
    assert_false(mq_address_in_prefix(&ipv4, &ipv6, 0));
    assert_false(mq_prefix_has_host_bits(&none, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_borders), cmocka_unit_test(test_random),    cmocka_unit_test(test_embeddings),
        cmocka_unit_test(test_known),   cmocka_unit_test(test_canonical), cmocka_unit_test(test_prefixes),
    };
    return cmocka_run_group_tests(tests, read_registry, NULL);
}
