/*
 * harness/sim.h: a whole world in one process and in virtual time: clients that
 * speak TLS, HTTP/2 and HTTP/1.1 on code of their own, and HTTP/3 by the library's
 * client; a host that does what the engine's events ask for, a resolver and targets
 * by script, network paths with all that goes wrong there. After every step the invariants of
 * invariants.c are checked; a failure prints the seed. Tests read the structs,
 * and change what a comment allows.
 *
 *   sim_world *w = sim_world_new(&(sim_setup){.seed = 7});
 *   sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
 *   sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":1001", .send = 9, .send_fin = true});
 *   sim_settle(w);
 *   assert_int_equal(t->status, 200);
 *   sim_world_free(w);
 */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <masqueproxy/masqueproxy.h>

#include "harness/alloc.h"
#include "harness/link.h"
#include "harness/pipe.h"
#include "harness/prng.h"

/* Sites every world has: what they do is in sim_site below. */
#define SIM_ECHO "45.60.0.1"   /* returns every byte, and FIN for FIN */
#define SIM_SINK "45.60.0.2"   /* takes everything, sends nothing, FIN for FIN */
#define SIM_SOURCE "45.60.0.3" /* sends its sim_site.source bytes, then FIN */
#define SIM_QUIET "45.60.0.4"  /* accepts; reads; the test moves it by hand */

#define SIM_KEY "correct-horse-battery"
#define SIM_NEVER MASQUE_NEVER

typedef struct sim_world sim_world;
typedef struct sim_conn sim_conn;
typedef struct sim_tun sim_tun;
typedef struct sim_target sim_target;

/* --- scripts ------------------------------------------------------------------- */

/* How an address behaves. */
typedef struct sim_site {
    masque_address address; /* its port is ignored */
    masque_dial_result result;
    masque_time delay; /* of the dial's result; SIM_NEVER: none comes */
    bool echo;
    uint64_t source;      /* bytes it sends unasked */
    bool source_fin;      /* FIN behind them */
    bool fin_for_fin;     /* once everything is sent */
    bool fin_at_once;     /* its first act */
    bool reset_at_once;   /* likewise */
    bool stalls;          /* never reads */
    uint64_t reads_until; /* stops reading there; 0: doesn't */
    size_t reads_each;    /* bytes a step; 0: any */
    bool may_be_private;  /* a test's policy allows it though it isn't public */
    uint64_t dials;       /* seen so far */
    uint64_t cancelled;
    masque_time dialed_at[16]; /* the first ones' moments */
} sim_site;

#define SIM_ANSWER_MAX 20

typedef struct sim_answer {
    masque_lookup result;
    masque_time delay; /* SIM_NEVER: none comes */
    const char *addresses[SIM_ANSWER_MAX];
} sim_answer;

/* A name: the n-th look-up gets the n-th answers, later ones the last. */
typedef struct sim_name {
    const char *text;
    sim_answer ipv6[2];
    sim_answer ipv4[2];
    unsigned versions; /* 0 means 1 */
    unsigned asked;
} sim_name;

/* --- clients ---------------------------------------------------------------------- */

/* How a client connects. All zero is a good HTTP/2 client with TLS 1.3. */
typedef struct sim_client {
    const char *alpn; /* NULL: "h2"; "": none offered; "h3": over QUIC, by an engine */
    int tls;          /* 12 or 13 (0: 13) */
    const char *ciphers;
    int group;           /* wolfSSL's number; 0: X25519 */
    void *session;       /* a WOLFSSL_SESSION to resume */
    bool raw;            /* the test writes HTTP itself: sim_raw_send(), or with "h3" sim_stream_send() */
    bool naked;          /* not even TLS: raw bytes go to the transport */
    bool stubborn;       /* stays when the proxy said goodbye */
    const char *address; /* NULL: 198.51.100.7 */
    uint32_t window;     /* HTTP/2: initial window of streams; 0: 65,535 */
    size_t pipe;         /* capacity of the transport each way; 0: the world's */
    size_t segment;      /* the most a read or write moves; 0: the world's */
    bool engine;         /* the client is the library's own, as with "h3" always; offers ALPN and HTTP/1.1 */
    /* HTTP/3 */
    const sim_link_model *up; /* the path to the proxy; NULL: a perfect one */
    const sim_link_model *down;
    masque_congestion congestion;
    const char *name;           /* it must be the certificate's; NULL: it is */
    bool untrusting;            /* knows no authority that signed it */
    bool identified;            /* shows a certificate: sim_client.pem */
    bool stranger;              /* an engine, which shows one of another CA: unit-server-chain.pem */
    bool raw_key;               /* an engine, with one of both: shows the key alone (RFC 7250) */
    bool careless;              /* no engine: takes any certificate */
    const uint8_t *trusted_key; /* an engine, which trusts a raw public key with this hash, and no certificate */
    unsigned listener;          /* it came to */
} sim_client;

typedef struct sim_field {
    const char *name;
    const char *value;
} sim_field;

typedef struct sim_ask {
    const char *authority;
    const char *method;      /* NULL: CONNECT */
    const char *key;         /* NULL: SIM_KEY; "": no credential */
    const sim_field *fields; /* further ones */
    size_t field_count;
    bool no_authority; /* pseudo-header left out, with FIELDS for others */
    bool may_dial;     /* though `key` isn't SIM_KEY */
    uint64_t send;     /* bytes to send once it may */
    bool send_fin;     /* and FIN behind them */
    bool early;        /* HTTP/1.1: not waiting for the answer */
    bool head_only;    /* HTTP/2: END_STREAM on HEADERS */
    bool deaf;         /* doesn't read until the test says */
    bool udp;          /* CONNECT-UDP to AUTHORITY; SEND is not for it */
    const char *path;  /* of it; NULL: the default template's */
} sim_ask;

#define SIM_TEXT 192
#define SIM_LONG_TEXT 1024

/* Growing arrays of bytes; all zero is an empty one. */
typedef struct sim_bytes {
    uint8_t *bytes;
    size_t start;
    size_t end;
    size_t capacity;
} sim_bytes;

void sim_bytes_add(sim_bytes *bytes, const void *from, size_t length);
void sim_bytes_free(sim_bytes *bytes);

/* What one end of a CONNECT-UDP tunnel made and saw. */
typedef struct sim_datagrams {
    uint32_t made;
    uint32_t next;     /* the least number that may come */
    bool unordered;    /* a path may change the order: each comes once, that is all */
    uint8_t seen[512]; /* then: a bit for each number */
    uint64_t received;
    uint64_t received_bytes;
} sim_datagrams;

/* The client's side of a tunnel. */
struct sim_tun {
    sim_conn *conn;
    int32_t stream;
    uint16_t port;
    sim_target *target; /* set when it was dialed for this port */
    bool may_dial;
    bool retired; /* another request has its port now */
    /* A test may change these three, then call sim_wake(). */
    uint64_t send_total;
    bool send_fin;
    bool reading;
    uint64_t sent; /* handed to TLS */
    bool fin_sent;
    bool reset_sent;
    uint64_t received;
    uint64_t unread; /* received, but no credit given yet (HTTP/2) */
    bool got_fin;
    bool got_reset;
    uint32_t reset_code;
    bool answered; /* a complete head came */
    unsigned status;
    char server_timing[SIM_TEXT];
    char proxy_status[SIM_TEXT];
    char allow[SIM_TEXT];
    char connection[SIM_TEXT];
    char content_length[SIM_TEXT];
    char capsule_protocol[SIM_TEXT];
    char upgrade[SIM_TEXT];
    char proxy_authenticate[SIM_LONG_TEXT];
    size_t field_count;
    bool early;
    bool closed;
    masque_time answered_at;
    /* CONNECT-UDP: sent and received count bytes of capsules */
    bool udp;
    sim_bytes capsules; /* to be sent */
    sim_bytes incoming; /* a capsule that isn't whole yet */
    sim_datagrams datagrams;
    /* of a client that is an engine */
    masque_tunnel_id handle;
    bool blocked;  /* its reserve said no */
    bool has_more; /* TUNNEL_OUTPUT */
};

/* What a raw client saw of HTTP/2. */
typedef struct sim_seen {
    uint64_t frames[16]; /* by type */
    uint64_t bytes;
    uint32_t goaway_code; /* the last */
    uint32_t goaway_last;
    uint32_t reset_code;
    int32_t reset_stream;
    uint64_t window_updates; /* sum of increments, stream 0 apart */
    uint64_t window_updates_0;
    uint64_t acks;   /* of SETTINGS and PING */
    unsigned status; /* of the last HEADERS with an indexed or literal :status */
} sim_seen;

struct sim_conn {
    sim_world *world;
    sim_client options;
    size_t index;
    masque_conn_id id; /* 0: refused by masque_accept() */
    int accept_error;
    sim_pipe up;
    sim_pipe down;
    sim_prng chance;
    /* the host */
    bool read_blocked;
    bool want_write;
    bool fin_told;
    bool finished; /* CONN_FINISH */
    bool ended;    /* CONN_END */
    int end_error;
    bool end_reset;
    uint64_t inputs;         /* CONN_INPUT events */
    uint64_t write_ends[64]; /* where the host's latest writes into `down` ended; a ring */
    uint64_t writes;
    /* the client */
    void *ssl;
    void *h2;        /* nghttp2_session */
    sim_bytes out;   /* ciphertext that waits for room */
    sim_bytes plain; /* received by a raw or HTTP/1.1 client, not parsed yet */
    size_t budget;   /* of the present read */
    sim_tun *h1_tun;
    sim_tun **tuns;
    size_t tun_count;
    size_t tun_capacity;
    bool deaf; /* a test may set it: reads nothing of its transport */
    bool handshaken;
    bool tls_failed;
    int tls_error;    /* wolfSSL's */
    int alert;        /* the last one received, or -1 */
    bool peer_closed; /* close_notify */
    bool said_close;
    bool eof;       /* the proxy's FIN or reset */
    bool was_reset; /* it was a reset */
    bool leaving;   /* FIN follows what waits */
    bool closed;    /* FIN or reset was sent */
    uint64_t goaways;
    uint32_t goaway_code;
    int32_t goaway_last;
    bool alone_in_record; /* HTTP/1.1: the answer's head was */
    bool alone_in_write;
    sim_seen seen;
    uint64_t raw_sent;
    /* a client that is an engine; from `address` on over QUIC */
    masque_engine *engine;
    masque_conn_id engine_conn;
    sim_prng engine_chance;
    masque_address address;
    sim_link to_proxy;
    sim_link to_client;
    bool has_packets;
    int engine_error; /* of its CONN_END, see `closed` */
    void *quic;       /* a raw client's, see client_raw_h3.c */
    bool engine_writes;
    bool engine_blocked; /* its reserve said no */
    uint64_t ticks_now;
    bool validated; /* it showed the proxy its address */
    uint64_t bytes_to_proxy;
    uint64_t bytes_to_client; /* both until then */
};

/* --- the host's side of a target ---------------------------------------------------- */

typedef enum sim_target_state { SIM_DIALING, SIM_OPEN, SIM_CLOSED } sim_target_state;

struct sim_target {
    sim_world *world;
    sim_site *site;
    sim_tun *tun; /* NULL: no request named this port */
    size_t index;
    sim_target_state state;
    masque_attempt_id attempt;
    masque_tunnel_id tunnel;
    masque_address address;
    bool cancelled;
    bool read_blocked;
    bool want_write;
    uint64_t received;  /* from the client */
    uint64_t committed; /* to the client */
    uint64_t source;    /* a test may raise it: bytes to send */
    bool stalls;        /* a test may change it */
    bool send_fin;      /* a test may set it: FIN behind what is to be sent */
    bool send_reset;    /* likewise, at once */
    bool fin_told;
    bool reset_told;
    bool got_fin;
    uint64_t received_at_fin;
    bool ended; /* TUNNEL_END */
    bool got_reset;
    masque_transport transport;
    sim_bytes payloads; /* UDP: to be sent, each behind its length */
    size_t mtu;         /* a test may set it: larger payloads don't fit; 0: all do */
    sim_datagrams datagrams;
};

/* --- the world ------------------------------------------------------------------------- */

typedef struct sim_setup {
    uint64_t seed;
    size_t segment; /* the most a read or write moves; 0: 64 KiB */
    size_t pipe;    /* 0: 64 KiB */
    /* May change LIMITS, whose fields are the defaults but for the rates that
       would disturb: requests. */
    void (*limits)(masque_limits *limits);
    /* May add to the configuration before it is sealed. */
    void (*configure)(sim_world *world, masque_config *config);
    void *user;
    bool no_key;           /* SIM_KEY is not configured */
    bool may_fail;         /* masque_engine_new() may fail (memory): world->engine is NULL then */
    bool clients_may_fail; /* clients that are engines have the proxy's memory */
} sim_setup;

typedef enum sim_act_kind { SIM_ACT_RESOLVE, SIM_ACT_DIALED } sim_act_kind;

typedef struct sim_act {
    masque_time at;
    sim_act_kind kind;
    masque_tunnel_id tunnel;
    masque_family family;
    const sim_answer *answer;
    sim_target *target;
} sim_act;

typedef struct sim_set {
    uint64_t *keys;
    size_t capacity; /* a power of two */
    size_t count;
} sim_set;

struct sim_world {
    sim_setup setup;
    masque_time now;
    sim_prng chance;
    masque_engine *engine;
    masque_config *config; /* the present one */
    masque_limits limits;
    void *tls[2];        /* the clients' WOLFSSL_CTX, of TLS 1.3 and 1.2 */
    bool has_packets;    /* PACKETS */
    size_t quic_count;   /* clients over QUIC */
    size_t engine_count; /* clients that are engines */
    uint64_t strays;     /* packets for no client that is there */
    sim_prng engine_chance;
    sim_site sites[64];
    size_t site_count;
    sim_name names[32];
    size_t name_count;
    sim_conn **conns;
    size_t conn_count;
    size_t conn_capacity;
    sim_target **targets;
    size_t target_count;
    size_t target_capacity;
    sim_act *acts;
    size_t act_count;
    size_t act_capacity;
    sim_tun *ports[65536]; /* the latest request for each port */
    sim_set handles;       /* all that ever were: connections, tunnels, attempts apart by two bits */
    uint64_t events[MASQUE_EVENT_PACKETS + 1];
    uint64_t event_count;
    bool traced;            /* SIM_TRACE */
    uint64_t blocks_before; /* the proxy's, not 0 only after a failed test */
    uint64_t ticks_now;     /* masque_tick() calls that changed nothing */
    bool late_dials;        /* results are given to the engine after a cancel, too */
    masque_tunnel_id last_resolve;
    masque_tunnel_id authorize[64]; /* asked for, in order */
    size_t authorize_count;
    const char *authorize_text;
    /* Called for each event before the host acts. */
    void (*on_event)(sim_world *world, const masque_event *event);
    masque_log_record log_last;
    uint64_t log_count;
};

sim_world *sim_world_new(const sim_setup *setup);
/* Frees the engine with whatever lives and checks that nothing leaked. */
void sim_world_free(sim_world *world);
/* Closes all connections in order, runs until nothing lives, then frees. */
void sim_world_close(sim_world *world);
/* A configuration as the world's own, not sealed; LIMITS NULL: the world's. */
masque_config *sim_config_new(sim_world *world, const masque_limits *limits, bool with_key);
/* Seals CONFIG, gives it to the engine and lets it go. */
void sim_use_config(sim_world *world, masque_config *config);
/* The runtime of engine and configurations. */
masque_runtime sim_runtime(sim_world *world);

/* Everything that can happen happens; time only passes up to what the resolver or
   a dial has been asked for; with HTTP/3 clients as long as something is due within a second. */
void sim_settle(sim_world *world);
/* The same, and DURATION passes. */
void sim_advance(sim_world *world, masque_time duration);
/* One round: true when something happened. */
bool sim_step(sim_world *world);
/* Takes and performs all events. */
void sim_events(sim_world *world);

sim_site *sim_add_site(sim_world *world, const char *address, sim_site site);
sim_site *sim_find_site(sim_world *world, const char *address);
sim_name *sim_add_name(sim_world *world, sim_name name);
masque_address sim_address(const char *text, uint16_t port);
/* The file PATH, at most 16 KiB of it; free() it. */
char *sim_read_file(const char *path, size_t *length);

sim_conn *sim_connect(sim_world *world, const sim_client *client);
sim_tun *sim_request(sim_conn *conn, const sim_ask *request);
/* A test changed what a tunnel shall send or read. */
void sim_wake(sim_tun *tun);
/* CONNECT-UDP: the client sends COUNT datagrams of LENGTH bytes, or capsules byte by byte. */
void sim_send_datagrams(sim_tun *tun, size_t count, size_t length);
void sim_send_capsules(sim_tun *tun, const void *bytes, size_t length);
/* The target does, unasked; or the network says that it isn't there. */
void sim_target_datagrams(sim_target *target, size_t count, size_t length);
void sim_target_unreachable(sim_target *target);
/* Answered with a tunnel: 200, or 101 for CONNECT-UDP over HTTP/1.1. */
bool sim_tun_is_open(const sim_tun *tun);
/* A NAT gives an HTTP/3 client another port from now on. */
void sim_rebind(sim_conn *conn);
/* The client ends one direction, or all, of a tunnel. */
void sim_fin(sim_tun *tun);
void sim_reset(sim_tun *tun);
/* The client leaves: close_notify and FIN, and reads until the proxy's FIN; with
   RESET at once. */
void sim_leave(sim_conn *conn, bool reset);
/* Only close_notify; the transport stays. */
void sim_say_close(sim_conn *conn);
/* A raw client's bytes, encrypted unless it is naked. */
void sim_raw_send(sim_conn *conn, const void *bytes, size_t length);
/* A raw HTTP/3 client's streams, behind the handshake: opens one, returns its ID or -1; sends; resets;
   STOP_SENDING. And datagrams. Nothing is opened or sent of itself. */
int64_t sim_stream_open(sim_conn *conn, bool both_ways);
void sim_stream_send(sim_conn *conn, int64_t id, const void *bytes, size_t length, bool fin);
void sim_stream_reset(sim_conn *conn, int64_t id, uint64_t code);
void sim_stream_stop(sim_conn *conn, int64_t id, uint64_t code);
void sim_datagram_send(sim_conn *conn, const void *bytes, size_t length);
/* What came on a stream: bytes, and whether it ended or was reset. */
typedef struct sim_stream_seen {
    uint64_t bytes;
    uint8_t first[64];
    bool fin;
    bool reset;
    uint64_t reset_code;
} sim_stream_seen;
sim_stream_seen sim_stream_seen_of(const sim_conn *conn, int64_t id);
/* The application's code in the proxy's CONNECTION_CLOSE; MASQUE_NEVER: there was none. */
uint64_t sim_quic_close_code(const sim_conn *conn);
/* The connection ID that the client sends to; returns its length. */
size_t sim_quic_dcid(const sim_conn *conn, uint8_t bytes[20]);
/* It goes on with the next keys (RFC 9001 6). */
void sim_quic_update_keys(sim_conn *conn);
/* What the proxy's transport parameters say of disable_active_migration. */
bool sim_quic_is_fixed(const sim_conn *conn);
/* The session of a finished handshake, for sim_client.session; free with sim_session_free(). */
void *sim_session_of(sim_conn *conn);
void sim_session_free(void *session);

masque_stats sim_stats(const sim_world *world);
/* Bytes the proxy holds now, and blocks. */
uint64_t sim_proxy_bytes(void);

#endif
