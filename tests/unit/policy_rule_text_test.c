/*
 * policy_rule_text_test.c: target rules as an operator writes them. Goal: each
 * form of masqueproxy/policy.h is read, each mistake is named, and a rule that
 * was refused leaves the caller's as it was.
 */
#include <masqueproxy/policy.h>

#include <stdio.h>
#include <string.h>

#include "unit.h"

typedef struct good_row {
    const char *text;
    masque_transport transport;
    const char *prefix; /* NULL: every address */
    uint8_t length;
    uint16_t first;
    uint16_t last;
} good_row;

#define ANY MASQUE_TRANSPORT_ANY
#define TCP MASQUE_TRANSPORT_TCP
#define UDP MASQUE_TRANSPORT_UDP

static const good_row GOOD[] = {
    {"192.0.2.0/24", ANY, "192.0.2.0", 24, 0, 65535},
    {"192.0.2.7", ANY, "192.0.2.7", 32, 0, 65535},
    {"192.0.2.7/32", ANY, "192.0.2.7", 32, 0, 65535},
    {"0.0.0.0/0", ANY, "0.0.0.0", 0, 0, 65535},
    {"128.0.0.0/1", ANY, "128.0.0.0", 1, 0, 65535},
    {"2001:db8::/32", ANY, "2001:db8::", 32, 0, 65535},
    {"2001:db8::1", ANY, "2001:db8::1", 128, 0, 65535},
    {"::/0", ANY, "::", 0, 0, 65535},
    {"[2001:db8::]/32", ANY, "2001:db8::", 32, 0, 65535},
    {"[2001:db8::1]", ANY, "2001:db8::1", 128, 0, 65535},
    {"::ffff:192.0.2.0/120", ANY, "::ffff:192.0.2.0", 120, 0, 65535},
    {"64:ff9b::192.0.2.1", ANY, "64:ff9b::192.0.2.1", 128, 0, 65535},
    {"[::ffff:192.0.2.0]/120:443", ANY, "::ffff:192.0.2.0", 120, 443, 443},
    {"192.0.2.0/24:443", ANY, "192.0.2.0", 24, 443, 443},
    {"192.0.2.7:443", ANY, "192.0.2.7", 32, 443, 443},
    {"192.0.2.0/24:8000-8999", ANY, "192.0.2.0", 24, 8000, 8999},
    {"[2001:db8::]/32:8000-8999", ANY, "2001:db8::", 32, 8000, 8999},
    {"[2001:db8::1]:443", ANY, "2001:db8::1", 128, 443, 443},
    {"port:25", ANY, NULL, 0, 25, 25},
    {"port:0", ANY, NULL, 0, 0, 0},
    {"port:65535", ANY, NULL, 0, 65535, 65535},
    {"port:0-65535", ANY, NULL, 0, 0, 65535},
    {"port:80-80", ANY, NULL, 0, 80, 80},
    {"tcp:port:25", TCP, NULL, 0, 25, 25},
    {"udp:port:1-1023", UDP, NULL, 0, 1, 1023},
    {"tcp:192.0.2.0/24", TCP, "192.0.2.0", 24, 0, 65535},
    {"udp:192.0.2.0/24:53", UDP, "192.0.2.0", 24, 53, 53},
    {"udp:[2001:db8::]/32:53", UDP, "2001:db8::", 32, 53, 53},
    {"tcp:2001:db8::/32", TCP, "2001:db8::", 32, 0, 65535},
};

static void test_good(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(GOOD); i++) {
        const good_row *row = &GOOD[i];
        masque_target_rule rule;
        const char *reason = NULL;
        memset(&rule, 0xff, sizeof rule);
        CHECK(row->text, masque_target_rule_parse(&rule, i % 2 == 0, row->text, &reason) == 0);
        masque_address prefix = {.family = MASQUE_FAMILY_NONE};
        if (row->prefix) {
            prefix = unit_address(row->prefix, 0);
        }
        CHECK(row->text, rule.allow == (i % 2 == 0) && rule.transport == row->transport);
        CHECK(row->text, memcmp(&rule.prefix, &prefix, sizeof prefix) == 0 && rule.prefix_length == row->length);
        CHECK(row->text, rule.port_first == row->first && rule.port_last == row->last);
    }
}

typedef struct bad_row {
    const char *text;
    const char *reason; /* a word of it */
} bad_row;

#define ADDRESS "expected an IP address or a prefix"
#define LENGTH "expected a prefix length"
#define PORTS "expected a port or a range"
#define BEHIND "expected nothing or a port behind the prefix"
#define TEXT "unexpected text"
#define HOST_BITS "bits behind the prefix length"

static const bad_row BAD[] = {
    {"", ADDRESS},
    {" ", ADDRESS},
    {"example.com", ADDRESS},
    {"example", ADDRESS},
    {" 192.0.2.0/24", ADDRESS},
    {"192.0.2/24", ADDRESS},
    {"192.0.2.0.0/24", ADDRESS},
    {"192.0.02.0/24", ADDRESS},
    {"256.0.0.0/8", ADDRESS},
    {"10/8", ADDRESS},
    {"/8", ADDRESS},
    {"*", ADDRESS},
    {"1:192.0.2.0", ADDRESS},
    {"192.0.2.0::/64", BEHIND},
    {":443", ADDRESS},
    {"443", ADDRESS},
    {"TCP:192.0.2.0/24", ADDRESS},
    {"sctp:192.0.2.0/24", ADDRESS},
    {"tcp:", ADDRESS},
    {"tcp:udp:192.0.2.0/24", ADDRESS},
    {"tcp:443", ADDRESS},
    {"fe80::1%eth0", ADDRESS},
    {"[2001:db8::", ADDRESS},
    {"[2001:db8::/32]", ADDRESS},
    {"[]", ADDRESS},
    {"2001:db8:::/32", ADDRESS},
    {"192.0.2.0/", LENGTH},
    {"192.0.2.0/33", LENGTH},
    {"192.0.2.0/024", LENGTH},
    {"192.0.2.0/-1", LENGTH},
    {"192.0.2.0/+8", LENGTH},
    {"192.0.2.0/4294967304", LENGTH},
    {"192.0.2.0/255.255.255.0", LENGTH},
    {"2001:db8::/129", LENGTH},
    {"2001:db8::/", LENGTH},
    {"192.0.2.0/24.0", BEHIND},
    {"192.0.2.0/24x", BEHIND},
    {"192.0.2.0/24 ", BEHIND},
    {"192.0.2.0/24,443", BEHIND},
    {"192.0.2.0/24:", BEHIND},
    {"192.0.2.0/24:x", BEHIND},
    {"192.0.2.0/24:65536", BEHIND},
    {"192.0.2.0/24:0443", BEHIND},
    {"192.0.2.0/24:443-80", BEHIND},
    {"192.0.2.0/24:443-", BEHIND},
    {"192.0.2.0/24:-443", BEHIND},
    {"[2001:db8::]443", BEHIND},
    {"192.0.2.0/24:443x", TEXT},
    {"192.0.2.0/24:443:444", TEXT},
    {"192.0.2.0/24:1-2-3", TEXT},
    {"port:", PORTS},
    {"port:x", PORTS},
    {"port:-1", PORTS},
    {"port:65536", PORTS},
    {"port:4294967321", PORTS},
    {"port:18446744073709551641", PORTS},
    {"port:025", PORTS},
    {"port:9-8", PORTS},
    {"port:1-65536", PORTS},
    {"port:1-", PORTS},
    {"port: 25", PORTS},
    {"tcp:port:", PORTS},
    {"port:25x", TEXT},
    {"port:25,26", TEXT},
    {"port:25 ", TEXT},
    {"port:1-2-3", TEXT},
    {"192.0.2.1/24", HOST_BITS},
    {"128.0.0.0/0", HOST_BITS},
    {"192.0.2.1/31", HOST_BITS},
    {"2001:db8::1/32", HOST_BITS},
    {"2001:db8::1/127", HOST_BITS},
    {"[2001:db8::1]/64:443", HOST_BITS},
    {"192.0.2.1/24:443", HOST_BITS},
};

static void test_bad(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(BAD); i++) {
        masque_target_rule rule;
        masque_target_rule before;
        const char *reason = NULL;
        memset(&rule, 0x5a, sizeof rule);
        memcpy(&before, &rule, sizeof rule);
        CHECK(BAD[i].text, masque_target_rule_parse(&rule, true, BAD[i].text, &reason) == MASQUE_ERR_INVALID);
        CHECK(BAD[i].text, reason && strstr(reason, BAD[i].reason));
        CHECK(BAD[i].text, memcmp(&before, &rule, sizeof rule) == 0);
    }
}

static void test_every_port(void **state) {
    (void)state;
    for (unsigned port = 0; port <= 65536; port++) {
        char text[32];
        masque_target_rule rule = {.allow = false};
        const char *reason;
        snprintf(text, sizeof text, "192.0.2.0/24:%u", port);
        int error = masque_target_rule_parse(&rule, true, text, &reason);
        CHECK(text, (error == 0) == (port <= 65535));
        CHECK(text, error || (rule.port_first == port && rule.port_last == port));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_every_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
