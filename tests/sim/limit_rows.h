/*
 * limit_rows.h: sim_limits.c's table: for each configuration key of limits.h an
 * amount that is still fine and one that is not, and a function that tries. The
 * functions are in limit_counts.c and limit_times.c.
 */
#ifndef SIM_LIMIT_ROWS_H
#define SIM_LIMIT_ROWS_H

#include "harness/sim.h"

typedef struct limit_row {
    const char *key;
    uint64_t value; /* what the limit is set to */
    uint64_t fine;
    uint64_t over;
    /* Tries AMOUNT and says whether the limit showed. */
    bool (*shows)(sim_world *w, uint64_t amount);
    /* Others that are set for this row, or NULL. */
    void (*others)(masque_limits *limits);
    void (*configure)(sim_world *w, masque_config *config);
} limit_row;

#define LIMIT_AUTHORITY_FORMAT SIM_QUIET ":%u"
#define LIMIT_SILENT "45.60.0.30" /* a site whose dials get no answer */

/* A tunnel to PORT on CONN, settled. */
sim_tun *limit_open(sim_conn *conn, const char *address, unsigned port, const char *key);
sim_conn *limit_raw_client(sim_world *w);

bool limit_header_fields(sim_world *w, uint64_t amount);
bool limit_header_bytes(sim_world *w, uint64_t amount);
bool limit_continuations(sim_world *w, uint64_t amount);
bool limit_control_frames(sim_world *w, uint64_t amount);
bool limit_resets_burst(sim_world *w, uint64_t amount);
bool limit_resets_rate(sim_world *w, uint64_t amount);
bool limit_glitches_burst(sim_world *w, uint64_t amount);
bool limit_glitches_rate(sim_world *w, uint64_t amount);
bool limit_tunnels_per_connection(sim_world *w, uint64_t amount);
bool limit_dials(sim_world *w, uint64_t amount);
bool limit_requests_burst(sim_world *w, uint64_t amount);
bool limit_requests_rate(sim_world *w, uint64_t amount);
bool limit_connections_per_source(sim_world *w, uint64_t amount);
bool limit_connections(sim_world *w, uint64_t amount);
bool limit_tunnels(sim_world *w, uint64_t amount);
bool limit_before_retry(sim_world *w, uint64_t amount);
bool limit_half_open(sim_world *w, uint64_t amount);
bool limit_tunnel_buffer(sim_world *w, uint64_t amount);
bool limit_stream_window(sim_world *w, uint64_t amount);
bool limit_connection_buffer(sim_world *w, uint64_t amount);
bool limit_engine_buffer(sim_world *w, uint64_t amount);
bool limit_auth_failures(sim_world *w, uint64_t amount);
bool limit_sources(sim_world *w, uint64_t amount);
bool limit_identities(sim_world *w, uint64_t amount);
void limit_identity_keys(sim_world *w, masque_config *config);
bool limit_addresses(sim_world *w, uint64_t amount);
bool limit_datagram_queue(sim_world *w, uint64_t amount);
bool limit_unanswered(sim_world *w, uint64_t amount);

bool limit_penalty_first(sim_world *w, uint64_t amount);
bool limit_penalty_last(sim_world *w, uint64_t amount);
bool limit_handshake(sim_world *w, uint64_t amount);
bool limit_headers(sim_world *w, uint64_t amount);
bool limit_idle(sim_world *w, uint64_t amount);
bool limit_write_stall(sim_world *w, uint64_t amount);
bool limit_resolve(sim_world *w, uint64_t amount);
bool limit_dial(sim_world *w, uint64_t amount);
bool limit_auth(sim_world *w, uint64_t amount);
bool limit_stagger(sim_world *w, uint64_t amount);
bool limit_resolution_delay(sim_world *w, uint64_t amount);
bool limit_linger(sim_world *w, uint64_t amount);
bool limit_datagram_idle(sim_world *w, uint64_t amount);
void limit_auth_method(sim_world *w, masque_config *config);

#endif
