/*
 * policy/targets.h: the destination policy of a configuration (policy.h of the
 * public headers gives the order of its steps). Asked for every address right
 * before it is dialed. Built once, then read-only.
 */
#ifndef MQ_POLICY_TARGETS_H
#define MQ_POLICY_TARGETS_H

#include <masqueproxy/policy.h>

#include "base/memory.h"

typedef struct mq_targets {
    const masque_allocator *allocator;
    masque_target_rule *rules;
    size_t rule_count;
    size_t rule_capacity;
    masque_address *own;
    size_t own_count;
    size_t own_capacity;
} mq_targets;

void mq_targets_init(mq_targets *targets, const masque_allocator *allocator);
void mq_targets_free(mq_targets *targets);

/* 0, MASQUE_ERR_INVALID (see masque_config_add_target_rule()) or MASQUE_ERR_NO_MEMORY. */
int mq_targets_add_rule(mq_targets *targets, const masque_target_rule *rule);
int mq_targets_add_own(mq_targets *targets, const masque_address *address);

/* May TARGET (canonical, with its port) be dialed by TRANSPORT? */
bool mq_targets_allow(const mq_targets *targets, const masque_address *target, masque_transport transport);
/* The same for one that turned out to be this machine, though nobody named the address. */
bool mq_targets_allow_own(const mq_targets *targets, const masque_address *target, masque_transport transport);

#endif
