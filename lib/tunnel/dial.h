/*
 * tunnel/dial.h: Happy Eyeballs v2 (RFC 8305) for one request, as decisions in
 * the caller's time.
 *
 * Fed with the addresses that may be dialed, per family as they become known,
 * and with what came of attempts; asked what to do next. Starts nothing, checks
 * no policy, has no timer: mq_dial_next() says until when to wait.
 *
 * Addresses keep the order the resolver gave them (RFC 6724 is its matter);
 * families alternate, IPv6 first unless told.
 */
#ifndef MQ_TUNNEL_DIAL_H
#define MQ_TUNNEL_DIAL_H

#include <masqueproxy/engine.h>
#include <masqueproxy/limits.h>

#include "http/response.h"

/* The most that limits->addresses_per_name_max may be. */
#define MQ_DIAL_ADDRESSES_MAX 64

typedef enum mq_dial_step {
    MQ_DIAL_START, /* dial the address now */
    MQ_DIAL_WAIT,  /* ask again at the moment, or when something happened */
    MQ_DIAL_FAIL   /* nothing is left; mq_dial_refusal() says why */
} mq_dial_step;

typedef struct mq_dial_family {
    masque_address *addresses; /* allocated by the dial; NULL when none */
    size_t count;
    size_t next;   /* the first that wasn't tried */
    bool answered; /* the look-up is over */
    masque_lookup result;
    size_t denied; /* addresses the policy took out */
} mq_dial_family;

typedef struct mq_dial {
    const masque_allocator *allocator;
    const masque_limits *limits;
    mq_dial_family ipv6;
    mq_dial_family ipv4;
    bool ipv4_turn;           /* the next attempt's family, where both have one */
    bool prefers_ipv4;        /* IPv4 is the first one */
    bool has_no_source;       /* addresses were left out, as we have none of their family */
    size_t under_way;         /* attempts without a result */
    masque_time wait_first;   /* RFC 8305 3: A is known, AAAA may follow until then, or the other way; NEVER: no wait */
    masque_time next_attempt; /* not before, while others are under way */
    mq_refusal worst;         /* the most telling failure of an attempt */
} mq_dial;

void mq_dial_init(mq_dial *dial, const masque_allocator *allocator, const masque_limits *limits);
/* Before anything is known: IPv4 goes first, for the address that we would leave from is nearer to the client. */
void mq_dial_prefer_ipv4(mq_dial *dial);
void mq_dial_free(mq_dial *dial);

/* The look-up of one family is over: ADDRESSES may all be dialed, DENIED more were
   taken out. 0, MASQUE_ERR_STATE (already answered) or MASQUE_ERR_NO_MEMORY. */
int mq_dial_answer(mq_dial *dial, masque_family family, masque_lookup result, const masque_address *addresses,
                   size_t count, size_t denied, masque_time now);

/* With START *ADDRESS is the one to dial and counts as under way; with WAIT *UNTIL
   is when to ask again, MASQUE_NEVER for only after an answer or a failure. */
mq_dial_step mq_dial_next(mq_dial *dial, masque_time now, masque_address *address, masque_time *until);

/* An attempt failed, or was denied (OWN). The next one may start at once (RFC 8305 5). */
void mq_dial_failed(mq_dial *dial, masque_dial_result result, masque_time now);

/* True while there is an address that wasn't tried. */
static inline bool mq_dial_has_address(const mq_dial *dial) {
    return dial->ipv6.next < dial->ipv6.count || dial->ipv4.next < dial->ipv4.count;
}

/* True while a look-up is not answered. */
static inline bool mq_dial_is_resolving(const mq_dial *dial) {
    return !dial->ipv6.answered || !dial->ipv4.answered;
}

/* Why all failed. */
mq_refusal mq_dial_refusal(const mq_dial *dial);

#endif
