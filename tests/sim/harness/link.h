/*
 * harness/link.h: one direction of a network path that carries UDP packets, in virtual time: delay
 * and jitter, loss alone or in bursts, reordering, duplicates, damage, a largest packet, a rate
 * with a queue before it, and times when nothing passes. All zero is a perfect path.
 */
#ifndef SIM_LINK_H
#define SIM_LINK_H

#include <masqueproxy/base.h>

#include "harness/prng.h"

/* Shares are of 10,000 packets. */
typedef struct sim_link_model {
    masque_time delay;
    masque_time jitter; /* up to so much more, without reordering */
    unsigned loss;
    unsigned burst; /* so many are lost in a row; 0 and 1: each on its own */
    unsigned reorder;
    masque_time late; /* how much later a reordered one comes */
    unsigned duplicate;
    unsigned corrupt; /* some bytes of it are changed */
    size_t mtu;       /* UDP payloads up to so many bytes; 0: all */
    uint64_t rate;    /* bytes a second; 0: any */
    uint64_t queue;   /* bytes that may wait for that; 0: 64 KiB */
    /* Each `period` begins with so much darkness, once `dark_from` is there. */
    masque_time dark_from;
    masque_time dark;
    masque_time period;
} sim_link_model;

typedef struct sim_packet {
    masque_time at;
    uint64_t number;
    uint16_t port; /* the sender's, as the path shows it */
    uint8_t ecn;
    size_t length;
    uint8_t *bytes;
} sim_packet;

typedef struct sim_link {
    sim_link_model model;
    sim_prng chance;
    sim_packet *packets; /* in no order */
    size_t count;
    size_t capacity;
    uint64_t number;
    masque_time last_at; /* arrival of the latest packet that wasn't reordered */
    masque_time free_at; /* when the rate lets the next one go */
    unsigned losing;     /* so many are still lost of a burst */
    uint64_t sent;
    uint64_t lost; /* by loss, darkness, size or queue */
    uint64_t delivered;
} sim_link;

void sim_link_init(sim_link *link, const sim_link_model *model, uint64_t seed);
void sim_link_free(sim_link *link);
/* PACKET goes in at NOW; its bytes are copied, its at and number set here. */
void sim_link_send(sim_link *link, const sim_packet *packet, masque_time now);
/* The next that has arrived at NOW; its bytes are the caller's to free. */
bool sim_link_take(sim_link *link, masque_time now, sim_packet *packet);
/* When the next one arrives; MASQUE_NEVER: nothing is under way. */
masque_time sim_link_next(const sim_link *link);

#endif
