/*
 * engine/engine.h: the objects of a running proxy and what its parts call of each
 * other. engine.c: life, events, time. connection.c, input.c: a client's transport;
 * packets.c, quic_connection.c: the same over QUIC. client.c: connections of our own, and their
 * tunnels. reports.c: what sessions report.
 * admission.c: who was allowed a tunnel. tunnel.c: bytes between client and target; udp_tunnel.c: datagrams. door.c:
 * request, authentication, policy, answer. dialing.c: look-ups and attempts.
 *
 * Who frees what: objects with a host's socket live until their END event is
 * taken (a connection: until its tunnels' is, too); everything else is freed where it ends. Session callbacks may end
 * tunnels, never the connection: that is left to mq_conn_settle(), which every
 * public function calls last.
 */
#ifndef MQ_ENGINE_ENGINE_H
#define MQ_ENGINE_ENGINE_H

#include <masqueproxy/client.h>
#include <masqueproxy/engine.h>
#include <masqueproxy/quic.h>

#include "base/block.h"
#include "base/bucket.h"
#include "base/list.h"
#include "base/slots.h"
#include "base/timers.h"
#include "crypto/peer.h"
#include "engine/admission.h"
#include "engine/config.h"
#include "engine/egress.h"
#include "http/session.h"
#include "policy/sources.h"
#include "transport/quic.h"
#include "transport/tls_stream.h"
#include "tunnel/dial.h"
#include "wire/authority.h"
#include "wire/uri_template.h"

/* What one read of a client's socket may bring; what one readv() of a target may. */
#define MQ_READ_SIZE 262144u
#define MQ_RESERVE_BLOCKS 16u
/* And at first: a system call's cost grows with the pieces, used or not. */
#define MQ_RESERVE_FIRST 2u

/* A configuration with what this engine made of it; counted by its connections. */
typedef struct mq_setup {
    masque_config *config;
    mq_tls_context *tls;
    mq_tls_context **listener_tls; /* by number, as far as the configuration has them; NULL: `tls` */
    mq_quic_keys quic_keys;
    size_t users;
} mq_setup;

typedef enum mq_ready_kind { MQ_READY_CONN, MQ_READY_TUNNEL, MQ_READY_ATTEMPT, MQ_READY_PACKETS } mq_ready_kind;

/* A place in the event queue: which events of an object are due, a bit for each
   masque_event_type. */
typedef struct mq_ready {
    mq_link link;
    uint32_t due;
    mq_ready_kind kind;
} mq_ready;

struct masque_engine {
    masque_runtime runtime;
    mq_setup *setup;
    uint32_t setup_number; /* how often it was replaced */
    mq_slots conns;
    mq_slots tunnels;
    mq_slots attempts;
    mq_timers timers;
    mq_pool pool;
    mq_sources sources;
    mq_link ready;   /* of mq_ready */
    mq_link starved; /* tunnels that wait for memory, see mq_engine_is_full() */
    masque_time now;
    bool draining;
    uint8_t *read_buffer;                  /* MQ_READ_SIZE, for masque_conn_reserve() */
    masque_conn_id read_for;               /* whose it is until the commit; 0: nobody's */
    size_t read_length;                    /* of it offered */
    mq_block *read_block;                  /* where TLS decrypts to, when nobody refers to it */
    mq_block *reserved[MQ_RESERVE_BLOCKS]; /* for masque_tunnel_reserve() */
    masque_tunnel_id reserved_for;
    mq_block *reserved_tail; /* the tunnel's last block whose rest was offered; a reference */
    size_t reserved_tail_length;
    size_t reserved_total;
    mq_quic_endpoint endpoint;
    mq_quic_packets output; /* its memory is NULL before the first packet */
    size_t packets_pulled;  /* bursts the host has, not yet said to be sent */
    mq_link outbound;       /* of mq_outbound, those over QUIC */
    mq_link writers;        /* mq_conn.in_writers: QUIC connections that may have something to say */
    mq_ready ready_packets;
    bool packets_told; /* the host knows, until a pull gives none */
    size_t half_open;  /* QUIC connections before the end of their handshake */
    mq_bucket strays;  /* answers to packets of no connection */
    uint64_t egress_seed;
    mq_egress_resting *resting; /* MQ_EGRESS_RESTING of them; NULL before the first */
    masque_stats stats;
};

typedef enum mq_conn_state {
    MQ_CONN_HANDSHAKE,
    MQ_CONN_OPEN,
    MQ_CONN_CLOSING, /* writes what is left, then close_notify */
    MQ_CONN_LINGER,  /* wrote all; reads and discards */
    MQ_CONN_ENDED    /* CONN_END is due, or taken; a shell for tunnels that linger */
} mq_conn_state;

/* What a connection has that we opened. */
typedef struct mq_outbound {
    struct mq_conn *conn;
    mq_authority proxy;
    mq_uri_template udp_template;
    unsigned protocol;   /* the one that is spoken, once it is known */
    bool opened;         /* requests can be made */
    masque_packets path; /* QUIC: only its addresses and socket */
    mq_link link;        /* QUIC: in masque_engine.outbound */
} mq_outbound;

typedef struct mq_conn {
    masque_engine *engine;
    masque_conn_id id;
    void *user;
    mq_setup *setup;
    mq_conn_state state;
    mq_ready ready;
    mq_timer timer;
    masque_address client; /* the peer's */
    mq_outbound *outbound; /* NULL: it was accepted */
    mq_source *source;     /* NULL: none is counted */
    mq_peer *peer;         /* by its certificate; NULL: it showed none */
    mq_tls_stream tls;     /* all zero when the transport is QUIC */
    mq_quic *quic;         /* NULL when it is a byte stream, and after the end */
    mq_session *session;   /* NULL before OPEN and after the end */
    uint8_t *kept;         /* ciphertext that came while a tunnel was full */
    size_t kept_length;
    bool output_told;   /* the host knows that there is output, until a pull gives none */
    bool input_blocked; /* masque_conn_reserve() said no */
    bool input_ended;   /* the transport's read side */
    bool reset;         /* of CONN_END */
    int error;          /* of CONN_END */
    bool end_taken;
    uint32_t auth_failures;
    mq_bucket requests;
    mq_bucket excess;         /* requests beyond that rate */
    bool flooded;             /* and beyond this one */
    mq_egress_kept egress[2]; /* IPv4's and IPv6's */
    mq_hint_kept hint;
    uint16_t h3_port; /* for Alt-Svc; 0: none */
    unsigned listener;
    mq_link tunnels; /* of mq_tunnel.in_conn */
    size_t tunnel_count;
    size_t dials;          /* attempts under way */
    mq_link dial_queue;    /* mq_opening that wait for a place */
    size_t outgoing_bytes; /* in all tunnels' queues to the client */
    size_t failing;        /* tunnels whose target failed, with bytes for the client */
    size_t lingering;      /* tunnels whose stream has ended, but not their target */
    masque_time since;     /* of this state */
    masque_time idle_since;
    masque_time head_since;   /* NEVER: no head is under way */
    masque_time output_since; /* no progress since; NEVER: nothing waits */
    masque_time check_at;     /* look for stalled tunnels */
    masque_time drain_final_at;
    bool over_quic;
    bool half_open;     /* counted in the engine */
    bool kept_alive;    /* QUIC sends PINGs */
    mq_link in_writers; /* in masque_engine.writers */
} mq_conn;

typedef enum mq_phase { MQ_PHASE_AUTH, MQ_PHASE_RESOLVE, MQ_PHASE_DIAL } mq_phase;

struct mq_tunnel;

/* What a tunnel needs until it is answered. */
typedef struct mq_opening {
    struct mq_tunnel *tunnel;
    mq_phase phase;
    mq_authority authority;
    const char *auth_method; /* whose verdict it is; NULL: nobody's yet */
    bool verdict_awaited;    /* it said PENDING ... */
    uint32_t asked_of;       /* ... in the engine's setup of that number */
    masque_identity identity;
    masque_place place;               /* where the client is */
    masque_geo_level egress_level[2]; /* of the latest choice, for IPv4 and IPv6 */
    char *hint;                       /* the field's value where it is signed; else NULL */
    unsigned source_failures;
    mq_dial dial;
    bool dial_ready; /* `dial` is initialised */
    mq_timer timer;
    mq_link attempts;  /* of mq_attempt.in_opening */
    mq_link waiting;   /* in mq_conn.dial_queue */
    masque_time began; /* the head was complete */
    masque_time phase_began;
    masque_time auth_duration; /* NEVER: none */
    masque_time dns_duration;
} mq_opening;

typedef struct mq_attempt {
    masque_engine *engine;
    masque_attempt_id id; /* 0: cancelled */
    masque_attempt_id event_id;
    void *user;
    struct mq_tunnel *tunnel;
    mq_link in_opening;
    mq_ready ready;
    masque_address address;
    masque_address source;
} mq_attempt;

typedef struct mq_tunnel {
    mq_stream stream; /* the near side */
    masque_tunnel_id id;
    void *user;
    mq_conn *conn;
    mq_link in_conn;
    mq_link starved;
    mq_ready ready;
    mq_queue incoming;   /* bytes for the target */
    mq_opening *opening; /* NULL once answered */
    struct mq_udp *udp;  /* NULL: it carries bytes */
    bool asked;          /* of a client: the answer isn't here yet */
    mq_answer answer;    /* of a client: until its event was taken */
    mq_admission admission;
    masque_time moved_at; /* bytes last went to the client, or to the target after the stream's end */
    bool client_finished; /* END_STREAM or close_notify came */
    bool finish_reported; /* TUNNEL_FINISH was queued */
    bool output_told;     /* as of mq_conn, for the target */
    bool target_blocked;  /* masque_tunnel_reserve() said no */
    bool failed;          /* the target is dead; ends when the client has what it sent */
    bool ended;           /* TUNNEL_END is due */
    bool lingering;       /* the client is gone in order, see tunnel.c; counted in conn->lingering */
    bool reset;
    uint8_t read_blocks; /* what the next readv() is offered: it follows the target's pace */
} mq_tunnel;

/* --- engine.c */
void mq_ready_init(mq_ready *ready, mq_ready_kind kind);
void mq_ready_set(masque_engine *engine, mq_ready *ready, masque_event_type type);
void mq_ready_clear(mq_ready *ready, masque_event_type type);
bool mq_ready_has(const mq_ready *ready, masque_event_type type);
mq_setup *mq_setup_retain(mq_setup *setup);
void mq_setup_release(masque_engine *engine, mq_setup *setup);
/* PERCENT of the memory for tunnel data is in use. */
bool mq_engine_is_past(const masque_engine *engine, unsigned percent);
/* Starved tunnels go on if memory was given back. */
void mq_engine_feed_starved(masque_engine *engine);
void mq_log(const masque_engine *engine, const masque_log_record *record);
static inline const masque_allocator *mq_engine_allocator(const masque_engine *engine) {
    return &engine->runtime.allocator;
}

/* --- connection.c */
mq_conn *mq_conn_find(const masque_engine *engine, masque_conn_id id);
/* Does what has become due: output, closing, end, deadlines. CONN may be gone, or an
   ENDED shell, afterwards. */
void mq_conn_settle(mq_conn *conn);
/* As its listener has it. */
mq_tls_context *mq_conn_tls(const mq_conn *conn);
bool mq_conn_asks_certificates(const mq_conn *conn);
/* The host took CONN_END. */
void mq_conn_end_taken(mq_conn *conn);
/* Ends CONN for ERROR: open tunnels with a reset, GOAWAY, close_notify. */
void mq_conn_begin_close(mq_conn *conn, int error);
void mq_conn_drain(mq_conn *conn);
void mq_conn_enter(mq_conn *conn, mq_conn_state state);
void mq_conn_log(const mq_conn *conn, masque_log_level level, const char *event, int error);
/* Frees a conn whose END was taken and whose tunnels are gone, or at once with its engine. */
void mq_conn_del(mq_conn *conn);

/* A conn in HANDSHAKE without a transport, or NULL without memory. */
mq_conn *mq_conn_new(masque_engine *engine, const masque_address *client);
/* Something was sent; what waited for that happens. */
void mq_conn_after_output(mq_conn *conn);

/* --- reports.c */
/* What its session is made with. */
mq_session_setup mq_conn_session_setup(mq_conn *conn);

/* --- client.c */
/* The client's session is ready for requests. */
void mq_client_opened(mq_conn *conn);
/* Takes over ANSWER's fields. */
void mq_client_answered(mq_tunnel *tunnel, mq_answer *answer, bool opened);

/* --- packets.c */
/* What only QUIC needs exists from then on. False without memory. */
bool mq_packets_prepare(masque_engine *engine);
/* Tells the host of packets, once. */
void mq_packets_tell(masque_engine *engine);

/* --- quic_connection.c */
struct mq_quic_initial;
/* NULL without memory. */
mq_conn *mq_quic_conn_new(masque_engine *engine, const struct mq_quic_initial *initial, const masque_packets *from);
/* Begins CONN's, an outbound one. 0, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_CRYPTO. */
int mq_quic_conn_connect(mq_conn *conn, const char *server);
/* One UDP payload; mq_conn_settle() must follow. */
void mq_quic_conn_input(mq_conn *conn, const masque_packets *from, const uint8_t *bytes, size_t length);
/* Writes what it can into the engine's output. */
void mq_quic_conn_output(mq_conn *conn);
/* QUIC's part of mq_conn_settle(), mq_conn_begin_close() and the end. */
void mq_quic_conn_settle(mq_conn *conn);
void mq_quic_conn_close(mq_conn *conn, int error);
void mq_quic_conn_free(mq_conn *conn);
/* It is not half-open any more. */
void mq_quic_conn_is_known(mq_conn *conn);

/* --- input.c */
/* Goes on with TLS, at whose end the session begins. */
int mq_conn_handshake(mq_conn *conn);
/* Processes ciphertext; a rest is in conn->kept afterwards. */
void mq_conn_input(mq_conn *conn, const uint8_t *bytes, size_t length);
/* Copies LENGTH bytes to conn->kept, in place of what was there. 0 or MASQUE_ERR_NO_MEMORY,
   which 0 bytes never give. */
int mq_conn_keep(mq_conn *conn, const uint8_t *bytes, size_t length);
/* False while a tunnel is full. */
bool mq_conn_accepts_input(const mq_conn *conn);

/* --- tunnel.c */
mq_tunnel *mq_tunnel_new(mq_conn *conn);
mq_tunnel *mq_tunnel_find(const masque_engine *engine, masque_tunnel_id id);
static inline mq_tunnel *mq_tunnel_of(mq_stream *stream) {
    return MQ_MEMBER(stream, mq_tunnel, stream);
}
/* Ends it. A stream the session still knows is reset. Without a target's socket it
   is freed at once, else when TUNNEL_END was taken. */
void mq_tunnel_end(mq_tunnel *tunnel, bool reset);
/* The client's side is gone: CLEAN lets bytes that came still reach the target. */
void mq_tunnel_client_gone(mq_tunnel *tunnel, bool clean);
bool mq_tunnel_take_data(mq_tunnel *tunnel, mq_block *block, uint32_t start, uint32_t end);
/* The same, copied. */
bool mq_tunnel_take_bytes(mq_tunnel *tunnel, const uint8_t *bytes, size_t length);
void mq_tunnel_client_finished(mq_tunnel *tunnel);
/* The client may send LENGTH bytes more. */
void mq_tunnel_credit(mq_tunnel *tunnel, size_t length);
/* Tells the host, once, of what waits for the target. */
void mq_tunnel_tell_output(mq_tunnel *tunnel);
/* What TUNNEL may hold for its client now, of at most LIMIT bytes. */
size_t mq_tunnel_client_limit(const mq_tunnel *tunnel, size_t limit);
static inline masque_transport mq_tunnel_transport(const mq_tunnel *tunnel) {
    return tunnel->udp ? MASQUE_TRANSPORT_UDP : MASQUE_TRANSPORT_TCP;
}
void mq_tunnel_sent(mq_tunnel *tunnel, size_t length);
/* What waited for room, or for the proxy's answer, may go on. */
void mq_tunnel_let_target_be_read(mq_tunnel *tunnel);
/* The answer went out and the target is there. */
void mq_tunnel_opened(mq_tunnel *tunnel);
/* Frees a tunnel that is in nobody's hands any more. */
void mq_tunnel_del(mq_tunnel *tunnel);
/* Ends one whose target failed once the client has all. */
void mq_tunnel_end_failed(mq_tunnel *tunnel);
/* Ends it when nothing moved for the write stall limit. */
void mq_tunnel_check_stall(mq_tunnel *tunnel, masque_time now);

/* --- door.c */
bool mq_door_request(mq_conn *conn, int64_t id, const mq_request *request, mq_refusal refusal);
/* Answers and, with a refusal, frees the tunnel. */
void mq_door_answer(mq_tunnel *tunnel, mq_refusal refusal);
/* TUNNEL goes, perhaps while its verdict is awaited: that counts as a failed authentication. */
void mq_door_left(mq_tunnel *tunnel);

/* --- admission.c, and see its header */
/* Ends tunnels of whoever ENGINE's configuration would not allow any longer. */
void mq_engine_revoke(masque_engine *engine);

/* --- dialing.c */
/* The request is allowed: looks up or dials. May answer (and free) at once. */
void mq_dialing_begin(mq_tunnel *tunnel);
/* Something happened: starts attempts, waits or gives up. May answer. */
void mq_dialing_go_on(mq_tunnel *tunnel);
/* Cancels all attempts of an opening, but WINNER. */
void mq_dialing_cancel(mq_opening *opening, const mq_attempt *winner);
/* Places became free: lets waiting tunnels of CONN dial. */
void mq_dialing_next(mq_conn *conn);
void mq_attempt_del(mq_attempt *attempt);

#endif
