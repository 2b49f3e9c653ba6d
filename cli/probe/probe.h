/*
 * probe.h: one connection to a proxy and one tunnel in it, by the library's client in a loop around
 * poll(). get.c and udp.c say what goes through the tunnel.
 */
#ifndef PROBE_PROBE_H
#define PROBE_PROBE_H

#include "options.h"

/* Moments since the start; MASQUE_NEVER: it was not reached. */
typedef enum probe_stage {
    STAGE_NAME,      /* the proxy's name is resolved */
    STAGE_CONNECTED, /* TCP */
    STAGE_OPEN,      /* TLS or QUIC is done, and HTTP's settings are here */
    STAGE_TUNNEL,    /* the answer */
    STAGE_SECURE,    /* get: TLS with the target is done */
    STAGE_FIRST,     /* the first byte or datagram of the target */
    STAGE_DONE,
    STAGES
} probe_stage;

#define ATTEMPTS_MAX 8
#define FIELD_MAX 512

/* One try to reach the proxy that failed. */
typedef struct probe_attempt {
    unsigned protocols;
    char address[MASQUE_ADDRESS_TEXT_MAX];
    char why[128];
} probe_attempt;

typedef struct probe probe;

/* What goes through the tunnel. All may be called only between probe_open() and the end. */
typedef struct probe_events {
    /* The target, or the proxy, sent what is to be pulled; or there is room to send again. */
    void (*readable)(probe *p);
    void (*writable)(probe *p);
    /* The tunnel is over. */
    void (*ended)(probe *p, bool reset);
    /* Standard input has bytes, or ended; NULL: nobody reads it. */
    void (*input)(probe *p);
} probe_events;

struct probe {
    const probe_options *options;
    const probe_events *events;
    void *user;
    masque_config *config;
    masque_engine *engine;
    masque_conn_id conn;
    masque_tunnel_id tunnel;
    int fd; /* to the proxy */
    bool over_udp;
    bool has_output; /* the engine has bytes, or packets */
    bool reads_input;
    masque_address local;
    masque_address remote;
    masque_time began;
    masque_time stages[STAGES];
    unsigned protocol; /* MASQUE_PROTOCOL_…, 0 before it is open */
    bool refused;      /* nobody listens there for UDP */
    bool conn_over;
    int conn_error;
    unsigned status; /* of the tunnel's answer; 0: none */
    char server_timing[FIELD_MAX];
    char proxy_status[FIELD_MAX];
    bool tunnel_over;
    probe_attempt attempts[ATTEMPTS_MAX];
    size_t attempt_count;
    uint64_t bytes_sent;
    uint64_t bytes_received;
    bool done;           /* the subcommand has what it wanted */
    mqd_message message; /* what went wrong */
};

masque_time probe_now(void);
void probe_reach(probe *p, probe_stage stage);
/* "h3", "h2" or "http/1.1". */
const char *protocol_name(unsigned protocol);

/* Connects, by each protocol and address in turn, and opens a tunnel to TARGET. */
probe_exit probe_open(probe *p, const probe_options *options, masque_transport transport, const char *target);
/* Lets things happen until p->done, the tunnel's end, or the time limit. */
probe_exit probe_run(probe *p, const probe_events *events);
void probe_free(probe *p);

#endif
