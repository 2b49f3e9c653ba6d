/*
 * harness/parts.h: what the simulator's files call of each other; tests see
 * sim.h. client*.c: the client's side, host.c and target.c: the host's, script.c:
 * sites, names and what is due, invariants.c: what must hold, world.c: the rest.
 */
#ifndef SIM_PARTS_H
#define SIM_PARTS_H

#include "harness/check.h"
#include "harness/pattern.h"
#include "harness/sim.h"

#define SIM_CLIENT_OUT_MAX 65536u
#define SIM_BURST_MAX 131070u

static inline bool sim_is_engine(const sim_conn *conn) {
    return conn->engine != NULL;
}

static inline bool sim_is_quic(const sim_conn *conn) {
    return conn->address.port != 0;
}

static inline uint64_t sim_up_seed(uint16_t port) {
    return (uint64_t)port * 2;
}

static inline uint64_t sim_down_seed(const sim_target *target) {
    return (uint64_t)target->address.port * 2 + !target->site->echo;
}

/* --- bytes.c */
void sim_bytes_drop(sim_bytes *bytes, size_t length);
static inline size_t sim_bytes_length(const sim_bytes *bytes) {
    return bytes->end - bytes->start;
}
/* Makes an array of ITEM_SIZE hold NEEDED; aborts without memory. */
void *sim_grow(void *items, size_t *capacity, size_t needed, size_t item_size);

/* --- client_tls.c */
void *sim_tls_context_new(int version);
void sim_tls_context_free(void *context);
void sim_tls_open(sim_conn *conn);
void sim_tls_free(sim_conn *conn);
/* True once the handshake is done. */
bool sim_tls_handshake(sim_conn *conn);
/* Decrypts one record at most; 0: nothing now, or peer_closed, or tls_failed. */
size_t sim_tls_read(sim_conn *conn, uint8_t *bytes, size_t capacity);
void sim_tls_write(sim_conn *conn, const void *bytes, size_t length);
void sim_tls_say_close(sim_conn *conn);

/* --- client_h2.c */
void sim_h2_open(sim_conn *conn);
void sim_h2_free(sim_conn *conn);
void sim_h2_input(sim_conn *conn, const uint8_t *bytes, size_t length);
void sim_h2_output(sim_conn *conn);
void sim_h2_request(sim_tun *tun, const sim_ask *request);
void sim_h2_wake(sim_tun *tun);
void sim_h2_reset(sim_tun *tun);

/* --- client_h1.c */
void sim_h1_input(sim_conn *conn, const uint8_t *bytes, size_t length);
void sim_h1_output(sim_conn *conn);
void sim_h1_request(sim_tun *tun, const sim_ask *request);
/* The proxy's direction ended. */
void sim_h1_ended(sim_conn *conn);

/* --- client_engine.c */
void sim_engine_open(sim_conn *conn);
void sim_engine_free(sim_conn *conn);
/* Everything of one connection that can happen now. */
bool sim_engine_step(sim_conn *conn);
void sim_engine_request(sim_tun *tun, const sim_ask *request);
void sim_engine_wake(sim_tun *tun);
void sim_engine_reset(sim_tun *tun);
void sim_engine_leave(sim_conn *conn, bool reset);

/* --- client_raw_h3.c */
void sim_raw_quic_open(sim_conn *conn);
void sim_raw_quic_free(sim_conn *conn);
void sim_raw_quic_leave(sim_conn *conn, bool reset);
bool sim_raw_quic_step(sim_conn *conn);
masque_time sim_raw_quic_due(const sim_conn *conn);
void sim_raw_quic_tick(sim_conn *conn);

/* --- packets.c */
/* Between the proxy and its links; true when something moved. */
bool sim_packets_step(sim_world *world);
/* When the next packet arrives, or a client's engine has something due. */
masque_time sim_packets_next(const sim_world *world);
/* Lets the clients' engines see the time. */
void sim_packets_tick(sim_world *world);
/* PACKETS, as UDP_SEGMENT cuts them, into LINK. */
void sim_packets_send(sim_link *link, const masque_packets *packets, uint16_t port, masque_time now);

/* --- datagrams.c */
void sim_datagrams_check(sim_world *world, uint64_t seed, sim_datagrams *seen, const uint8_t *bytes, size_t length);
/* Takes some of PAYLOADS as UDP_GRO would give them, into 131,070 bytes; returns how many bytes. */
size_t sim_payloads_gather(sim_prng *chance, sim_bytes *payloads, uint8_t *burst, size_t *segment);
void sim_udp_path(const char *authority, char *path, size_t size);
void sim_capsules_received(sim_tun *tun, const uint8_t *bytes, size_t length);
size_t sim_capsules_take(sim_tun *tun, uint8_t *bytes, size_t length);
bool sim_target_take_datagrams(sim_target *target);
bool sim_target_give_datagrams(sim_target *target);

/* --- client.c */
bool sim_client_step(sim_conn *conn);
void sim_client_free(sim_conn *conn);
/* Checks and counts bytes of the target. */
void sim_tun_received(sim_tun *tun, const uint8_t *bytes, size_t length);
/* Fills BYTES with what the tunnel may send now. */
size_t sim_tun_send(sim_tun *tun, uint8_t *bytes, size_t length);
void sim_tun_field(sim_tun *tun, const char *name, size_t name_length, const char *value, size_t value_length);

/* --- client_raw.c */
void sim_raw_input(sim_conn *conn, const uint8_t *bytes, size_t length);

/* --- host.c */
bool sim_host_step(sim_conn *conn);
/* The engine knows it no more: closes the transport. */
void sim_host_close(sim_conn *conn, bool reset);

/* --- target.c */
sim_target *sim_target_new(sim_world *world, const masque_event *event);
bool sim_target_step(sim_target *target);
void sim_target_dialed(sim_target *target);
void sim_target_event(sim_world *world, const masque_event *event);

/* --- script.c */
void sim_script_defaults(sim_world *world);
sim_site *sim_site_of(sim_world *world, const masque_address *address);
void sim_resolve(sim_world *world, const masque_event *event);
void sim_act_add(sim_world *world, sim_act act);
void sim_acts_forget(sim_world *world, const sim_target *target);
/* Does what is due; true when something was. */
bool sim_acts_run(sim_world *world);
masque_time sim_acts_next(const sim_world *world);

/* --- invariants.c */
/* KIND 1..3; fails on a handle seen before. */
void sim_check_new_handle(sim_world *world, unsigned kind, uint64_t handle);
void sim_check_dial(sim_world *world, const masque_event *event, const sim_tun *tun);
void sim_check_conn_end(const sim_conn *conn);
void sim_check_step(sim_world *world);
void sim_check_over(sim_world *world);

#endif
