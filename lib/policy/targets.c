#include "policy/targets.h"

#include <string.h>

#include "policy/address_class.h"

/* Mail submission by anybody's proxy is spam. */
#define PORT_SMTP 25

void mq_targets_init(mq_targets *targets, const masque_allocator *allocator) {
    *targets = (mq_targets){.allocator = allocator};
}

void mq_targets_free(mq_targets *targets) {
    mq_free(targets->allocator, targets->rules);
    mq_free(targets->allocator, targets->own);
    *targets = (mq_targets){.allocator = targets->allocator};
}

static bool is_valid_rule(const masque_target_rule *rule) {
    if (rule->port_first > rule->port_last || rule->transport > MASQUE_TRANSPORT_UDP) {
        return false;
    }
    switch ((masque_family)rule->prefix.family) {
    case MASQUE_FAMILY_NONE:
        return rule->prefix_length == 0;
    case MASQUE_IPV4:
        return rule->prefix_length <= 32 && !mq_prefix_has_host_bits(&rule->prefix, rule->prefix_length);
    case MASQUE_IPV6:
        return rule->prefix_length <= 128 && !mq_prefix_has_host_bits(&rule->prefix, rule->prefix_length);
    }
    return false;
}

/* Targets are compared as IPv4 where they are mapped, so rules are, too. */
static masque_target_rule canonical_rule(const masque_target_rule *rule) {
    masque_target_rule canonical = *rule;
    masque_address prefix = mq_address_canonical(&rule->prefix);
    if (rule->prefix.family == MASQUE_IPV6 && prefix.family == MASQUE_IPV4 && rule->prefix_length >= 96) {
        canonical.prefix = prefix;
        canonical.prefix_length = (uint8_t)(rule->prefix_length - 96);
    }
    return canonical;
}

int mq_targets_add_rule(mq_targets *targets, const masque_target_rule *rule) {
    if (!is_valid_rule(rule)) {
        return MASQUE_ERR_INVALID;
    }
    masque_target_rule *rules =
        mq_grow(targets->allocator, targets->rules, &targets->rule_capacity, targets->rule_count + 1, sizeof *rules);
    if (!rules) {
        return MASQUE_ERR_NO_MEMORY;
    }
    targets->rules = rules;
    rules[targets->rule_count++] = canonical_rule(rule);
    return 0;
}

int mq_targets_add_own(mq_targets *targets, const masque_address *address) {
    if (address->family != MASQUE_IPV4 && address->family != MASQUE_IPV6) {
        return MASQUE_ERR_INVALID;
    }
    masque_address *own =
        mq_grow(targets->allocator, targets->own, &targets->own_capacity, targets->own_count + 1, sizeof *own);
    if (!own) {
        return MASQUE_ERR_NO_MEMORY;
    }
    targets->own = own;
    own[targets->own_count++] = mq_address_canonical(address);
    return 0;
}

static bool rule_fits(const masque_target_rule *rule, const masque_address *target, masque_transport transport) {
    return (rule->transport == MASQUE_TRANSPORT_ANY || rule->transport == transport) &&
           target->port >= rule->port_first && target->port <= rule->port_last &&
           (rule->prefix.family == MASQUE_FAMILY_NONE ||
            mq_address_in_prefix(target, &rule->prefix, rule->prefix_length));
}

static bool any_rule_fits(const mq_targets *targets, bool allow, const masque_address *target,
                          masque_transport transport) {
    for (size_t i = 0; i < targets->rule_count; i++) {
        if (targets->rules[i].allow == allow && rule_fits(&targets->rules[i], target, transport)) {
            return true;
        }
    }
    return false;
}

static bool is_own(const mq_targets *targets, const masque_address *target, bool with_port) {
    for (size_t i = 0; i < targets->own_count; i++) {
        const masque_address *own = &targets->own[i];
        if (masque_address_same_ip(own, target) && (!with_port || own->port == target->port)) {
            return true;
        }
    }
    return false;
}

static bool is_denied(const mq_targets *targets, const masque_address *target, masque_transport transport) {
    return target->port == 0 || is_own(targets, target, true) || any_rule_fits(targets, false, target, transport);
}

bool mq_targets_allow_own(const mq_targets *targets, const masque_address *target, masque_transport transport) {
    masque_address inner;
    bool embeds = mq_address_embeds_ipv4(target, &inner);
    /* What is denied stays so in another spelling. */
    bool denied = is_denied(targets, target, transport) || (embeds && is_denied(targets, &inner, transport));
    return !denied && any_rule_fits(targets, true, target, transport);
}

bool mq_targets_allow(const mq_targets *targets, const masque_address *target, masque_transport transport) {
    masque_address inner;
    bool embeds = mq_address_embeds_ipv4(target, &inner);
    if (is_denied(targets, target, transport) || (embeds && is_denied(targets, &inner, transport))) {
        return false;
    }
    if (any_rule_fits(targets, true, target, transport)) {
        return true;
    }
    bool smtp = transport == MASQUE_TRANSPORT_TCP && target->port == PORT_SMTP;
    bool own = is_own(targets, target, false) || (embeds && is_own(targets, &inner, false));
    return !own && !smtp && mq_address_is_public(target);
}
