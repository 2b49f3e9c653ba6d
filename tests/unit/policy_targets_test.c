/*
 * policy_targets_test.c: may this address be dialed? Goal: the six steps of
 * masqueproxy/policy.h decide in their order, each by the first that fits, for
 * every port.
 */
#include "policy/targets.h"

#include <string.h>

#include "unit.h"

/* Rules as an operator writes them; read by masque_target_rule_parse(). */
typedef struct order_row {
    const char *name;
    const char *own; /* with OWN_PORT; NULL: none */
    uint16_t own_port;
    const char *deny;
    const char *allow;
    const char *target;
    uint16_t port;
    masque_transport transport;
    bool allowed;
} order_row;

#define TCP MASQUE_TRANSPORT_TCP
#define UDP MASQUE_TRANSPORT_UDP

static const order_row ORDER[] = {
    {"6 public", NULL, 0, NULL, NULL, "8.8.8.8", 443, TCP, true},
    {"6 public over UDP", NULL, 0, NULL, NULL, "8.8.8.8", 443, UDP, true},
    {"6 public IPv6", NULL, 0, NULL, NULL, "2606:4700::1", 443, TCP, true},
    {"5 private", NULL, 0, NULL, NULL, "10.0.0.1", 443, TCP, false},
    {"5 loopback", NULL, 0, NULL, NULL, "127.0.0.1", 443, TCP, false},
    {"5 metadata", NULL, 0, NULL, NULL, "169.254.169.254", 80, TCP, false},
    {"5 IPv6 loopback", NULL, 0, NULL, NULL, "::1", 443, TCP, false},
    {"5 SMTP", NULL, 0, NULL, NULL, "8.8.8.8", 25, TCP, false},
    {"5 port 25 of UDP is not SMTP", NULL, 0, NULL, NULL, "8.8.8.8", 25, UDP, true},
    {"4 own address, another port", "8.8.8.8", 443, NULL, NULL, "8.8.8.8", 80, TCP, false},
    {"4 sending address", "8.8.8.8", 0, NULL, NULL, "8.8.8.8", 80, TCP, false},
    {"4 not its neighbour", "8.8.8.8", 443, NULL, NULL, "8.8.8.9", 443, TCP, true},
    {"4 own address given as mapped", "::ffff:8.8.8.8", 443, NULL, NULL, "8.8.8.8", 80, TCP, false},
    {"3 allow before own address", "8.8.8.8", 443, NULL, "8.8.8.8", "8.8.8.8", 80, TCP, true},
    {"3 allow before sending address", "8.8.8.8", 0, NULL, "8.8.8.8", "8.8.8.8", 80, TCP, true},
    {"3 allow before not public", NULL, 0, NULL, "10.0.0.0/8", "10.1.2.3", 443, TCP, true},
    {"3 allow before SMTP", NULL, 0, NULL, "port:25", "8.8.8.8", 25, TCP, true},
    {"3 allow of a port opens private space", NULL, 0, NULL, "port:8080", "10.0.0.1", 8080, TCP, true},
    {"3 allow of another port", NULL, 0, NULL, "10.0.0.0/8:443", "10.1.2.3", 444, TCP, false},
    {"3 allow of another prefix", NULL, 0, NULL, "10.0.0.0/8", "11.1.2.3", 443, TCP, true},
    {"3 allow of another family", NULL, 0, NULL, "::/0", "10.0.0.1", 443, TCP, false},
    {"3 allow of one transport", NULL, 0, NULL, "tcp:10.0.0.0/8", "10.0.0.1", 443, TCP, true},
    {"3 allow of the other transport", NULL, 0, NULL, "udp:10.0.0.0/8", "10.0.0.1", 443, TCP, false},
    {"2 deny before public", NULL, 0, "8.0.0.0/8", NULL, "8.8.8.8", 443, TCP, false},
    {"2 deny before allow", NULL, 0, "8.8.0.0/16", "8.8.8.8", "8.8.8.8", 443, TCP, false},
    {"2 wide deny before narrow allow", NULL, 0, "0.0.0.0/0", "8.8.8.8:443", "8.8.8.8", 443, TCP, false},
    {"2 deny of a port", NULL, 0, "port:6667", NULL, "8.8.8.8", 6667, TCP, false},
    {"2 deny of a range, first", NULL, 0, "port:6000-6999", NULL, "8.8.8.8", 6000, TCP, false},
    {"2 deny of a range, last", NULL, 0, "port:6000-6999", NULL, "8.8.8.8", 6999, TCP, false},
    {"2 before the range", NULL, 0, "port:6000-6999", NULL, "8.8.8.8", 5999, TCP, true},
    {"2 behind the range", NULL, 0, "port:6000-6999", NULL, "8.8.8.8", 7000, TCP, true},
    {"2 deny of UDP spares TCP", NULL, 0, "udp:port:443", NULL, "8.8.8.8", 443, TCP, true},
    {"2 deny of UDP", NULL, 0, "udp:port:443", NULL, "8.8.8.8", 443, UDP, false},
    {"2 deny of IPv6", NULL, 0, "2606:4700::/32", NULL, "2606:4700::1", 443, TCP, false},
    {"2 deny given as mapped", NULL, 0, "::ffff:808:800/120", NULL, "8.8.8.8", 443, TCP, false},
    {"2 deny of one mapped address", NULL, 0, "[::ffff:8.8.8.8]:443", NULL, "8.8.8.8", 443, TCP, false},
    {"2 deny of all mapped", NULL, 0, "::ffff:0:0/96", NULL, "8.8.8.8", 443, TCP, false},
    {"2 deny of other mapped", NULL, 0, "::ffff:808:900/120", NULL, "8.8.8.8", 443, TCP, true},
    {"3 allow given as mapped", NULL, 0, NULL, "::ffff:a00:0/104", "10.1.2.3", 443, TCP, true},
    {"1 own port before allow", "8.8.8.8", 443, NULL, "8.8.8.8", "8.8.8.8", 443, TCP, false},
    {"1 own port before allow of a port", "8.8.8.8", 443, NULL, "port:443", "8.8.8.8", 443, TCP, false},
    {"1 own loopback port before allow", "127.0.0.1", 443, NULL, "127.0.0.0/8", "127.0.0.1", 443, TCP, false},
    {"1 other loopback port by allow", "127.0.0.1", 443, NULL, "127.0.0.0/8", "127.0.0.1", 80, TCP, true},
    {"1 own port over UDP", "8.8.8.8", 443, NULL, "8.8.8.8", "8.8.8.8", 443, UDP, false},
    {"1 own IPv6", "2606:4700::1", 443, NULL, "2606:4700::/32", "2606:4700::1", 443, TCP, false},
    {"1 own given as mapped", "::ffff:8.8.8.8", 443, NULL, "8.8.8.8", "8.8.8.8", 443, TCP, false},
    {"0 port zero is never dialed", NULL, 0, NULL, "0.0.0.0/0", "8.8.8.8", 0, TCP, false},
};

static void add_text(mq_targets *targets, bool allow, const char *text) {
    masque_target_rule rule;
    const char *reason;
    if (text) {
        assert_int_equal(masque_target_rule_parse(&rule, allow, text, &reason), 0);
        assert_int_equal(mq_targets_add_rule(targets, &rule), 0);
    }
}

static void test_order(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(ORDER); i++) {
        const order_row *row = &ORDER[i];
        unit_memory memory;
        mq_targets targets;
        unit_memory_init(&memory);
        mq_targets_init(&targets, &memory.allocator);
        /* Allow rules first: their place must not matter. */
        add_text(&targets, true, row->allow);
        add_text(&targets, false, row->deny);
        if (row->own) {
            masque_address own = unit_address(row->own, row->own_port);
            assert_int_equal(mq_targets_add_own(&targets, &own), 0);
        }
        masque_address target = unit_address(row->target, row->port);
        CHECK(row->name, mq_targets_allow(&targets, &target, row->transport) == row->allowed);
        mq_targets_free(&targets);
        CHECK(row->name, memory.pieces == 0);
    }
}

/* Every port, against what the rules say in words. */
static void test_every_port(void **state) {
    (void)state;
    unit_memory memory;
    mq_targets targets;
    unit_memory_init(&memory);
    mq_targets_init(&targets, &memory.allocator);
    for (unsigned port = 0; port <= 65535; port++) {
        masque_address target = unit_address("8.8.8.8", (uint16_t)port);
        assert_int_equal(mq_targets_allow(&targets, &target, TCP), port != 0 && port != 25);
        assert_int_equal(mq_targets_allow(&targets, &target, UDP), port != 0);
    }
    add_text(&targets, false, "port:1-1023");
    add_text(&targets, true, "tcp:port:25-26");
    add_text(&targets, true, "10.0.0.0/8:8080");
    add_text(&targets, false, "udp:port:65535");
    for (unsigned port = 0; port <= 65535; port++) {
        masque_address target = unit_address("8.8.8.8", (uint16_t)port);
        masque_address private = unit_address("10.0.0.1", (uint16_t)port);
        assert_int_equal(mq_targets_allow(&targets, &target, TCP), port > 1023);
        assert_int_equal(mq_targets_allow(&targets, &target, UDP), port > 1023 && port != 65535);
        assert_int_equal(mq_targets_allow(&targets, &private, TCP), port == 8080);
    }
    mq_targets_free(&targets);
    assert_int_equal(memory.pieces, 0);
}

typedef struct invalid_row {
    const char *name;
    masque_target_rule rule;
    int error;
} invalid_row;

static const invalid_row INVALID[] = {
    {"everything", {.port_last = 65535}, 0},
    {"no port but 0", {.port_last = 0}, 0},
    {"IPv4", {.prefix = {.ip = {10}, .family = MASQUE_IPV4}, .prefix_length = 8, .port_last = 65535}, 0},
    {"IPv4 /32", {.prefix = {.ip = {1, 2, 3, 4}, .family = MASQUE_IPV4}, .prefix_length = 32}, 0},
    {"IPv6 /128", {.prefix = {.ip = {[15] = 1}, .family = MASQUE_IPV6}, .prefix_length = 128}, 0},
    {"IPv4 /33", {.prefix = {.family = MASQUE_IPV4}, .prefix_length = 33}, MASQUE_ERR_INVALID},
    {"IPv6 /129", {.prefix = {.family = MASQUE_IPV6}, .prefix_length = 129}, MASQUE_ERR_INVALID},
    {"IPv6 /255", {.prefix = {.family = MASQUE_IPV6}, .prefix_length = 255}, MASQUE_ERR_INVALID},
    {"IPv4 host bits",
     {.prefix = {.ip = {10, 0, 0, 1}, .family = MASQUE_IPV4}, .prefix_length = 31},
     MASQUE_ERR_INVALID},
    {"IPv6 host bits", {.prefix = {.ip = {[15] = 1}, .family = MASQUE_IPV6}, .prefix_length = 127}, MASQUE_ERR_INVALID},
    {"a length without a family", {.prefix_length = 1}, MASQUE_ERR_INVALID},
    {"no family of ours", {.prefix = {.family = 5}}, MASQUE_ERR_INVALID},
    {"ports backwards", {.port_first = 2, .port_last = 1}, MASQUE_ERR_INVALID},
    {"no transport of ours", {.transport = (masque_transport)3}, MASQUE_ERR_INVALID},
};

static void test_invalid_rules(void **state) {
    (void)state;
    unit_memory memory;
    mq_targets targets;
    unit_memory_init(&memory);
    mq_targets_init(&targets, &memory.allocator);
    for (size_t i = 0; i < COUNT(INVALID); i++) {
        size_t before = targets.rule_count;
        CHECK(INVALID[i].name, mq_targets_add_rule(&targets, &INVALID[i].rule) == INVALID[i].error);
        CHECK(INVALID[i].name, targets.rule_count == before + (INVALID[i].error == 0));
    }
    masque_address none = {.port = 443};
    assert_int_equal(mq_targets_add_own(&targets, &none), MASQUE_ERR_INVALID);
    assert_int_equal(targets.own_count, 0);
    mq_targets_free(&targets);
}

/* Without memory nothing is added and what was there still holds. */
static void test_no_memory(void **state) {
    (void)state;
    unit_memory memory;
    mq_targets targets;
    unit_memory_init(&memory);
    mq_targets_init(&targets, &memory.allocator);
    masque_target_rule deny = {.port_first = 80, .port_last = 80};
    masque_address own = unit_address("8.8.4.4", 443);
    memory.left = 0;
    assert_int_equal(mq_targets_add_rule(&targets, &deny), MASQUE_ERR_NO_MEMORY);
    assert_int_equal(mq_targets_add_own(&targets, &own), MASQUE_ERR_NO_MEMORY);
    memory.left = 2;
    size_t added = 0;
    while (mq_targets_add_rule(&targets, &deny) == 0) {
        added++;
    }
    assert_int_equal(targets.rule_count, added);
    masque_address target = unit_address("8.8.8.8", 80);
    assert_false(mq_targets_allow(&targets, &target, TCP));
    mq_targets_free(&targets);
    assert_int_equal(memory.pieces, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_every_port),
        cmocka_unit_test(test_invalid_rules),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
