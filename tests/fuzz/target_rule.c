/*
 * tests/fuzz/target_rule.c: a rule as an operator writes it. What is taken can be added
 * to a configuration and, written out by the plainest printer, reads back to the same.
 */
#include <string.h>

#include "fuzz.h"
#include "policy/targets.h"

#define TEXT_MAX 128

static void print_rule(const masque_target_rule *rule, char *text, size_t size) {
    static const char *const transports[] = {"", "tcp:", "udp:"};
    masque_address address = rule->prefix;
    char literal[MASQUE_ADDRESS_TEXT_MAX];
    address.port = 0;
    masque_address_format(&address, literal, sizeof literal);
    const char *transport = transports[rule->transport];
    if (rule->prefix.family == MASQUE_FAMILY_NONE) {
        snprintf(text, size, "%sport:%u-%u", transport, rule->port_first, rule->port_last);
    } else {
        bool ipv6 = rule->prefix.family == MASQUE_IPV6;
        snprintf(text, size, "%s%s%s%s/%u:%u-%u", transport, ipv6 ? "[" : "", literal, ipv6 ? "]" : "",
                 rule->prefix_length, rule->port_first, rule->port_last);
    }
}

static bool same(const masque_target_rule *a, const masque_target_rule *b) {
    return a->allow == b->allow && a->transport == b->transport && a->prefix_length == b->prefix_length &&
           a->port_first == b->port_first && a->port_last == b->port_last && a->prefix.family == b->prefix.family &&
           memcmp(a->prefix.ip, b->prefix.ip, sizeof a->prefix.ip) == 0;
}

static void check_rule(const masque_target_rule *rule) {
    masque_target_rule again;
    const char *reason;
    char text[TEXT_MAX];
    masque_allocator allocator;
    mq_targets targets;
    mq_allocator_init(&allocator, &(masque_allocator){.context = NULL});
    mq_targets_init(&targets, &allocator);
    FUZZ_REQUIRE(mq_targets_add_rule(&targets, rule) == 0);
    mq_targets_free(&targets);
    FUZZ_REQUIRE(rule->port_first <= rule->port_last);
    print_rule(rule, text, sizeof text);
    FUZZ_REQUIRE(masque_target_rule_parse(&again, rule->allow, text, &reason) == 0 && same(rule, &again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    FUZZ_REQUIRE(text);
    memcpy(text, data, size);
    text[size] = 0;
    const masque_target_rule untouched = {.prefix_length = 77};
    masque_target_rule rule = untouched;
    const char *reason = NULL;
    if (masque_target_rule_parse(&rule, size & 1, text, &reason) == 0) {
        check_rule(&rule);
    } else {
        FUZZ_REQUIRE(reason && same(&rule, &untouched));
    }
    free(text);
    return 0;
}
