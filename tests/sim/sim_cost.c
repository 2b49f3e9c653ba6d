/*
 * sim_cost.c: datagrams from a target to an HTTP/3 client, so many at a time, for callgrind to count the proxy's
 * instructions: those of its own are in the engine's three functions, and not in what they call of ngtcp2.
 *
 *   for rounds in 40 120; do
 *     SIM_BURST=16 SIM_ROUNDS=$rounds valgrind --tool=callgrind --callgrind-out-file=cost.$rounds \
 *       --collect-atstart=no --toggle-collect=masque_tunnel_datagrams --toggle-collect=masque_engine_packets \
 *       --toggle-collect=masque_engine_pull_packets --toggle-collect=masque_engine_pulled_packets sim_cost
 *     callgrind_annotate --auto=no --inclusive=yes cost.$rounds |
 *       grep -E 'TOTALS|ngtcp2_conn_(writev|read|handle|update)'
 *   done
 *
 * The difference of the two, by 80 bursts: the total less the lines of ngtcp2, which hold the AEAD.
 */
#include "harness/raw_h3.h"

static size_t setting(const char *name, size_t standard) {
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : standard;
}

static void test_datagrams_down(void **state) {
    size_t burst = setting("SIM_BURST", 16);
    size_t rounds = setting("SIM_ROUNDS", 40);
    sim_world *w = sim_world_new(&(sim_setup){.seed = 1});
    sim_conn *c = sim_h3_client(w, true);
    (void)state;
    sim_settle(w);
    sim_h3_udp_request(c);
    sim_settle(w);
    uint64_t before = c->seen.bytes;
    for (size_t i = 0; i < rounds; i++) {
        sim_target_datagrams(w->targets[0], burst, 1150);
        sim_settle(w);
    }
    /* Quarter Stream ID, context ID, payload. */
    assert_int_equal(c->seen.bytes - before, rounds * burst * (2 + 1150));
    sim_world_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_datagrams_down)};
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
