#include "harness/link.h"

#include <stdlib.h>
#include <string.h>

#include "harness/parts.h"

#define SHARES 10000u
#define QUEUE_DEFAULT 65536u

void sim_link_init(sim_link *link, const sim_link_model *model, uint64_t seed) {
    *link = (sim_link){.model = *model};
    sim_prng_seed(&link->chance, seed);
}

void sim_link_free(sim_link *link) {
    for (size_t i = 0; i < link->count; i++) {
        free(link->packets[i].bytes);
    }
    free(link->packets);
    *link = (sim_link){.count = 0};
}

static bool happens(sim_link *link, unsigned share) {
    return share > 0 && sim_random(&link->chance) % SHARES < share;
}

static bool is_dark(const sim_link_model *model, masque_time now) {
    if (model->dark == 0 || now < model->dark_from) {
        return false;
    }
    masque_time since = now - model->dark_from;
    return model->period > 0 ? since % model->period < model->dark : since < model->dark;
}

static bool is_lost(sim_link *link, const sim_packet *packet, masque_time now) {
    const sim_link_model *model = &link->model;
    if (link->losing > 0) {
        link->losing--;
        return true;
    }
    if (happens(link, model->loss)) {
        link->losing = model->burst > 1 ? model->burst - 1 : 0;
        return true;
    }
    return is_dark(model, now) || (model->mtu > 0 && packet->length > model->mtu);
}

/* When the packet has left the queue; MASQUE_NEVER: it doesn't fit in. */
static masque_time departure(sim_link *link, size_t length, masque_time now) {
    const sim_link_model *model = &link->model;
    if (model->rate == 0) {
        return now;
    }
    masque_time start = link->free_at > now ? link->free_at : now;
    uint64_t waiting = (start - now) / 1000 * model->rate / 1000000;
    uint64_t queue = model->queue ? model->queue : QUEUE_DEFAULT;
    if (waiting + length > queue) {
        return MASQUE_NEVER;
    }
    link->free_at = start + length * MASQUE_SECOND / model->rate;
    return link->free_at;
}

static masque_time arrival(sim_link *link, masque_time departed) {
    const sim_link_model *model = &link->model;
    masque_time at = departed + model->delay;
    if (model->jitter > 0) {
        at += sim_random(&link->chance) % model->jitter;
    }
    if (happens(link, model->reorder)) {
        return at + model->late;
    }
    link->last_at = at > link->last_at ? at : link->last_at;
    return link->last_at;
}

static void add(sim_link *link, const sim_packet *packet, masque_time at) {
    link->packets = sim_grow(link->packets, &link->capacity, link->count + 1, sizeof *link->packets);
    sim_packet *copy = &link->packets[link->count++];
    *copy = *packet;
    copy->at = at;
    copy->number = link->number++;
    copy->bytes = malloc(packet->length + 1);
    if (!copy->bytes) {
        abort();
    }
    memcpy(copy->bytes, packet->bytes, packet->length);
    if (happens(link, link->model.corrupt)) {
        for (unsigned i = 0; i < 3; i++) {
            copy->bytes[sim_random(&link->chance) % packet->length] ^= (uint8_t)(1 + sim_random(&link->chance) % 255);
        }
    }
}

void sim_link_send(sim_link *link, const sim_packet *packet, masque_time now) {
    link->sent++;
    bool lost = is_lost(link, packet, now);
    masque_time departed = lost ? MASQUE_NEVER : departure(link, packet->length, now);
    if (departed == MASQUE_NEVER) {
        link->lost++;
        return;
    }
    add(link, packet, arrival(link, departed));
    if (happens(link, link->model.duplicate)) {
        add(link, packet, arrival(link, departed));
    }
}

/* The one that arrives first. */
static sim_packet *first(const sim_link *link) {
    sim_packet *best = NULL;
    for (size_t i = 0; i < link->count; i++) {
        sim_packet *packet = &link->packets[i];
        bool earlier = best && (packet->at < best->at || (packet->at == best->at && packet->number < best->number));
        best = !best || earlier ? packet : best;
    }
    return best;
}

masque_time sim_link_next(const sim_link *link) {
    const sim_packet *packet = first(link);
    return packet ? packet->at : MASQUE_NEVER;
}

bool sim_link_take(sim_link *link, masque_time now, sim_packet *packet) {
    sim_packet *next = first(link);
    if (!next || next->at > now) {
        return false;
    }
    *packet = *next;
    *next = link->packets[--link->count];
    link->delivered++;
    return true;
}
