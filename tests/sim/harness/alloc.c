#include "harness/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "harness/wolf.h"

/* In front of each block; keeps malloc()'s alignment. */
typedef struct block_head {
    size_t size;
    uint32_t side;
    uint32_t is_wolfssl;
} block_head;

static struct {
    bool ready;
    sim_side side;
    sim_memory memory[SIM_SIDES];
    uint64_t fail_in; /* 0: never */
    bool failing;     /* all from now on */
    bool lasting;
    uint64_t limit;
} state;

static bool must_fail(sim_side side, size_t size) {
    sim_memory *memory = &state.memory[side];
    memory->calls++;
    if (side != SIM_PROXY) {
        return false;
    }
    bool fails = state.failing;
    if (state.fail_in > 0 && --state.fail_in == 0) {
        fails = true;
        state.failing = state.lasting;
    }
    fails = fails || (state.limit && memory->live_bytes + size > state.limit);
    memory->failed += fails;
    return fails;
}

static void add(sim_side side, size_t size) {
    sim_memory *memory = &state.memory[side];
    memory->live_blocks++;
    memory->live_bytes += size;
    if (memory->live_bytes > memory->peak_bytes) {
        memory->peak_bytes = memory->live_bytes;
    }
}

static void *take(sim_side side, size_t size) {
    if (must_fail(side, size)) {
        return NULL;
    }
    block_head *head = malloc(sizeof *head + size);
    if (!head) {
        return NULL;
    }
    *head = (block_head){.size = size, .side = (uint32_t)side};
    add(side, size);
    return head + 1;
}

static void give(void *bytes) {
    if (!bytes) {
        return;
    }
    block_head *head = (block_head *)bytes - 1;
    state.memory[head->side].live_blocks--;
    state.memory[head->side].live_bytes -= head->size;
    state.memory[head->side].wolfssl_bytes -= head->is_wolfssl ? head->size : 0;
    free(head);
}

/* Always moves, so that a pointer kept across a resize is found. */
static void *move(sim_side side, void *bytes, size_t size) {
    void *fresh = take(side, size);
    if (fresh && bytes) {
        size_t old = ((block_head *)bytes - 1)->size;
        memcpy(fresh, bytes, old < size ? old : size);
        give(bytes);
    }
    return fresh;
}

static void *proxy_allocate(void *context, size_t size) {
    (void)context;
    return take(SIM_PROXY, size);
}

static void *proxy_resize(void *context, void *bytes, size_t size) {
    (void)context;
    return move(SIM_PROXY, bytes, size);
}

static void proxy_release(void *context, void *bytes) {
    (void)context;
    give(bytes);
}

static void *mark_wolfssl(void *bytes) {
    if (bytes) {
        block_head *head = (block_head *)bytes - 1;
        head->is_wolfssl = 1;
        state.memory[head->side].wolfssl_bytes += head->size;
    }
    return bytes;
}

static void *wolf_allocate(size_t size) {
    return mark_wolfssl(take(state.side, size));
}

static void wolf_release(void *bytes) {
    give(bytes);
}

static void *wolf_resize(void *bytes, size_t size) {
    return mark_wolfssl(move(state.side, bytes, size));
}

void sim_alloc_init(void) {
    if (!state.ready) {
        state.ready = true;
        wolfSSL_SetAllocators(wolf_allocate, wolf_release, wolf_resize);
        wolfSSL_Init();
    }
}

masque_allocator sim_allocator(void) {
    return (masque_allocator){.allocate = proxy_allocate, .resize = proxy_resize, .release = proxy_release};
}

sim_side sim_alloc_side(sim_side side) {
    sim_side before = state.side;
    state.side = side;
    return before;
}

const sim_memory *sim_alloc_memory(sim_side side) {
    return &state.memory[side];
}

void sim_alloc_reset_peak(void) {
    for (size_t side = 0; side < SIM_SIDES; side++) {
        state.memory[side].peak_bytes = state.memory[side].live_bytes;
    }
}

void sim_alloc_fail(uint64_t k, bool lasting) {
    state.fail_in = k;
    state.failing = false;
    state.lasting = lasting;
}

void sim_alloc_limit(uint64_t bytes) {
    state.limit = bytes;
}
