#include "tunnel/dial.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"

void mq_dial_init(mq_dial *dial, const masque_allocator *allocator, const masque_limits *limits) {
    *dial = (mq_dial){.allocator = allocator, .limits = limits, .wait_first = MASQUE_NEVER};
}

void mq_dial_prefer_ipv4(mq_dial *dial) {
    dial->prefers_ipv4 = dial->ipv4_turn = true;
}

static const mq_dial_family *first_family(const mq_dial *dial) {
    return dial->prefers_ipv4 ? &dial->ipv4 : &dial->ipv6;
}

void mq_dial_free(mq_dial *dial) {
    mq_free(dial->allocator, dial->ipv6.addresses);
    mq_free(dial->allocator, dial->ipv4.addresses);
    dial->ipv6.addresses = dial->ipv4.addresses = NULL;
}

int mq_dial_answer(mq_dial *dial, masque_family family, masque_lookup result, const masque_address *addresses,
                   size_t count, size_t denied, masque_time now) {
    assert(count <= MQ_DIAL_ADDRESSES_MAX);
    mq_dial_family *answer = family == MASQUE_IPV6 ? &dial->ipv6 : &dial->ipv4;
    if (answer->answered) {
        return MASQUE_ERR_STATE;
    }
    if (count > 0) {
        answer->addresses = mq_alloc(dial->allocator, count * sizeof *addresses);
        if (!answer->addresses) {
            return MASQUE_ERR_NO_MEMORY;
        }
        memcpy(answer->addresses, addresses, count * sizeof *addresses);
        answer->count = count;
    }
    answer->answered = true;
    answer->result = result;
    answer->denied = denied;
    if (answer != first_family(dial) && count > 0 && !first_family(dial)->answered) {
        dial->wait_first = now + dial->limits->resolution_delay_ms * MASQUE_MILLISECOND;
    }
    return 0;
}

static bool has_next(const mq_dial_family *family) {
    return family->next < family->count;
}

static mq_dial_family *choose_family(mq_dial *dial) {
    if (!has_next(&dial->ipv6) || !has_next(&dial->ipv4)) {
        return has_next(&dial->ipv6) ? &dial->ipv6 : &dial->ipv4;
    }
    return dial->ipv4_turn ? &dial->ipv4 : &dial->ipv6;
}

mq_dial_step mq_dial_next(mq_dial *dial, masque_time now, masque_address *address, masque_time *until) {
    *until = MASQUE_NEVER;
    mq_dial_family *family = choose_family(dial);
    if (!has_next(family)) {
        return dial->under_way > 0 || mq_dial_is_resolving(dial) ? MQ_DIAL_WAIT : MQ_DIAL_FAIL;
    }
    bool waits = !first_family(dial)->answered && dial->wait_first != MASQUE_NEVER && now < dial->wait_first;
    if (waits) {
        *until = dial->wait_first;
        return MQ_DIAL_WAIT;
    }
    if (dial->under_way > 0 && now < dial->next_attempt) {
        *until = dial->next_attempt;
        return MQ_DIAL_WAIT;
    }
    *address = family->addresses[family->next++];
    dial->ipv4_turn = family == &dial->ipv6;
    dial->under_way++;
    dial->next_attempt = now + dial->limits->dial_stagger_ms * MASQUE_MILLISECOND;
    return MQ_DIAL_START;
}

void mq_dial_failed(mq_dial *dial, masque_dial_result result, masque_time now) {
    static const mq_refusal refusals[] = {
        [MASQUE_DIAL_OK] = MQ_REFUSAL_NONE,
        [MASQUE_DIAL_REFUSED] = MQ_REFUSAL_REFUSED,
        [MASQUE_DIAL_UNREACHABLE] = MQ_REFUSAL_UNREACHABLE,
        [MASQUE_DIAL_TIMEOUT] = MQ_REFUSAL_DIAL_TIMEOUT,
        [MASQUE_DIAL_FAILED] = MQ_REFUSAL_DIAL_FAILED,
        [MASQUE_DIAL_EXHAUSTED] = MQ_REFUSAL_EXHAUSTED,
        [MASQUE_DIAL_SOURCE] = MQ_REFUSAL_NO_EGRESS,
        [MASQUE_DIAL_OWN] = MQ_REFUSAL_TARGET_DENIED,
    };
    assert(dial->under_way > 0 && result != MASQUE_DIAL_OK);
    dial->under_way--;
    dial->next_attempt = now;
    mq_refusal refusal = refusals[result];
    /* Our own lack says nothing about the target, but that a retry may help: it wins.
       "Unreachable" is often just a family the proxy doesn't have: it loses. */
    bool ours = refusal == MQ_REFUSAL_EXHAUSTED || refusal == MQ_REFUSAL_NO_EGRESS;
    if (dial->worst == MQ_REFUSAL_NONE || dial->worst == MQ_REFUSAL_UNREACHABLE || ours) {
        dial->worst = refusal;
    }
}

mq_refusal mq_dial_refusal(const mq_dial *dial) {
    if (dial->worst != MQ_REFUSAL_NONE) {
        return dial->worst;
    }
    if (dial->has_no_source) {
        return MQ_REFUSAL_NO_EGRESS;
    }
    if (dial->ipv6.denied + dial->ipv4.denied > 0) {
        return MQ_REFUSAL_TARGET_DENIED;
    }
    masque_lookup a = dial->ipv6.result;
    masque_lookup b = dial->ipv4.result;
    if (a == MASQUE_LOOKUP_TIMEOUT || b == MASQUE_LOOKUP_TIMEOUT) {
        return MQ_REFUSAL_NAME_TIMEOUT;
    }
    if (a == MASQUE_LOOKUP_FAILED || b == MASQUE_LOOKUP_FAILED) {
        return MQ_REFUSAL_NAME_FAILED;
    }
    if (a == MASQUE_LOOKUP_NOT_FOUND || b == MASQUE_LOOKUP_NOT_FOUND) {
        return MQ_REFUSAL_NAME_NOT_FOUND;
    }
    return MQ_REFUSAL_NAME_EMPTY;
}
