/*
 * harness/script.c: the world's sites and names, and what is due when: answers of
 * the resolver and results of dials.
 */
#include <string.h>

#include "harness/parts.h"

masque_address sim_address(const char *text, uint16_t port) {
    masque_address address = {.family = MASQUE_FAMILY_NONE};
    if (masque_address_parse(&address, text, strlen(text)) == 0) {
        address.port = port;
    }
    return address;
}

sim_site *sim_add_site(sim_world *world, const char *address, sim_site site) {
    size_t most = sizeof world->sites / sizeof world->sites[0];
    SIM_CHECK(world, world->site_count < most, "too many sites");
    site.address = sim_address(address, 0);
    SIM_CHECK(world, site.address.family != MASQUE_FAMILY_NONE, "no address: %s", address);
    sim_site *at = sim_find_site(world, address);
    at = at ? at : &world->sites[world->site_count++];
    *at = site;
    return at;
}

sim_site *sim_site_of(sim_world *world, const masque_address *address) {
    for (size_t i = 0; i < world->site_count; i++) {
        if (masque_address_same_ip(&world->sites[i].address, address)) {
            return &world->sites[i];
        }
    }
    return NULL;
}

sim_site *sim_find_site(sim_world *world, const char *address) {
    masque_address parsed = sim_address(address, 0);
    return sim_site_of(world, &parsed);
}

sim_name *sim_add_name(sim_world *world, sim_name name) {
    SIM_CHECK(world, world->name_count < sizeof world->names / sizeof world->names[0], "too many names");
    sim_name *at = &world->names[world->name_count++];
    *at = name;
    return at;
}

void sim_script_defaults(sim_world *world) {
    sim_add_site(world, SIM_ECHO, (sim_site){.echo = true, .fin_for_fin = true});
    sim_add_site(world, SIM_SINK, (sim_site){.fin_for_fin = true});
    sim_add_site(world, SIM_SOURCE, (sim_site){.source_fin = true});
    sim_add_site(world, SIM_QUIET, (sim_site){.echo = false});
    sim_add_name(world, (sim_name){.text = "echo.test", .ipv4 = {{.addresses = {SIM_ECHO}}}});
    sim_add_name(world, (sim_name){.text = "quiet.test", .ipv4 = {{.addresses = {SIM_QUIET}}}});
}

/* --- what is due -------------------------------------------------------------------------- */

void sim_act_add(sim_world *world, sim_act act) {
    if (act.at == SIM_NEVER) {
        return;
    }
    world->acts = sim_grow(world->acts, &world->act_capacity, world->act_count + 1, sizeof *world->acts);
    world->acts[world->act_count++] = act;
}

static masque_time in(const sim_world *world, masque_time delay) {
    return delay == SIM_NEVER ? SIM_NEVER : world->now + delay;
}

void sim_resolve(sim_world *world, const masque_event *event) {
    static const sim_answer unknown = {.result = MASQUE_LOOKUP_NOT_FOUND};
    const sim_answer *ipv6 = &unknown;
    const sim_answer *ipv4 = &unknown;
    for (size_t i = 0; i < world->name_count; i++) {
        sim_name *name = &world->names[i];
        if (strcmp(name->text, event->text) != 0) {
            continue;
        }
        unsigned last = name->versions > 1 ? name->versions - 1 : 0;
        unsigned version = name->asked < last ? name->asked : last;
        name->asked++;
        ipv6 = &name->ipv6[version];
        ipv4 = &name->ipv4[version];
        break;
    }
    sim_act act = {.kind = SIM_ACT_RESOLVE, .tunnel = event->tunnel};
    act.at = in(world, ipv6->delay);
    act.family = MASQUE_IPV6;
    act.answer = ipv6;
    sim_act_add(world, act);
    act.at = in(world, ipv4->delay);
    act.family = MASQUE_IPV4;
    act.answer = ipv4;
    sim_act_add(world, act);
}

void sim_acts_forget(sim_world *world, const sim_target *target) {
    for (size_t i = 0; i < world->act_count;) {
        if (world->acts[i].target == target) {
            world->acts[i] = world->acts[--world->act_count];
        } else {
            i++;
        }
    }
}

static void answer(sim_world *world, const sim_act *act) {
    masque_address addresses[SIM_ANSWER_MAX];
    size_t count = 0;
    for (size_t i = 0; i < SIM_ANSWER_MAX && act->answer->addresses[i]; i++) {
        addresses[count++] = sim_address(act->answer->addresses[i], 0);
    }
    sim_alloc_side(SIM_PROXY);
    int error =
        masque_resolved(world->engine, act->tunnel, act->family, act->answer->result, addresses, count, world->now);
    sim_alloc_side(SIM_TEST);
    /* Stale: the request was given up; state: the first family's answer was enough. */
    SIM_CHECK(world, error == 0 || error == MASQUE_ERR_STALE || error == MASQUE_ERR_STATE, "masque_resolved: %s",
              masque_error_name(error));
}

bool sim_acts_run(sim_world *world) {
    bool progress = false;
    for (size_t i = 0; i < world->act_count;) {
        sim_act act = world->acts[i];
        if (act.at > world->now) {
            i++;
            continue;
        }
        memmove(&world->acts[i], &world->acts[i + 1], (world->act_count - i - 1) * sizeof act);
        world->act_count--;
        progress = true;
        if (act.kind == SIM_ACT_RESOLVE) {
            answer(world, &act);
        } else {
            sim_target_dialed(act.target);
        }
        sim_events(world);
        i = 0;
    }
    return progress;
}

masque_time sim_acts_next(const sim_world *world) {
    masque_time next = SIM_NEVER;
    for (size_t i = 0; i < world->act_count; i++) {
        next = world->acts[i].at < next ? world->acts[i].at : next;
    }
    return next;
}
