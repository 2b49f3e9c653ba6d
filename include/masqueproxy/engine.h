/*
 * masqueproxy/engine.h: the proxy itself, without input and output.
 *
 * The host's loop, in short (examples/epoll.c is a whole one):
 *
 *   a socket was accepted        masque_accept()
 *   it is readable               masque_conn_reserve(), read(), masque_conn_commit()
 *   it is writable               masque_conn_pull(), writev(), masque_conn_pulled()
 *   a target is readable         masque_tunnel_reserve(), readv(), masque_tunnel_commit()
 *   a target is writable         masque_tunnel_pull(), writev(), masque_tunnel_pulled()
 *   read() gave 0, or failed     masque_conn_finished(), masque_conn_failed(), and the same of tunnels
 *   a UDP target's datagrams     masque_tunnel_datagrams(), masque_tunnel_pull_datagrams()
 *   packets of a QUIC listener   see quic.h
 *   masque_deadline() is due     masque_tick()
 *   after any call that
 *   takes NOW                    masque_next_event() until it returns false
 *
 * A new connection, and a target that was dialed, may be read at once, without an event.
 * Sockets are written with MSG_NOSIGNAL, or SIGPIPE is ignored. A socket of which nothing is
 * read now is still watched for an error (POLLERR): a peer that died is reported with
 * masque_conn_failed() or masque_tunnel_failed(), for no time limit covers one that is
 * not read.
 *
 * Rules for all functions here. An engine belongs to one thread at a time. No
 * function calls back into the host but through masque_runtime and
 * masque_auth_method, and those must not call the engine. Functions that take
 * NOW never take an earlier one than before. A handle that outlived its object
 * gives MASQUE_ERR_STALE (or 0 bytes, 0 pieces) and has no effect, so a late
 * completion is harmless.
 *
 * Copies. A byte from a target to the client is written into library memory by
 * the host's readv(), copied once by wolfSSL into its record buffer, encrypted
 * there, and copied once from there into the output that writev() takes. A byte
 * from the client is written into library memory by read(), copied once into
 * wolfSSL's record buffer, decrypted there, and copied once into the memory
 * that writev() takes. The library itself makes no other copy, but of pieces
 * under 4 KiB, which it gathers.
 */
#ifndef MASQUE_ENGINE_H
#define MASQUE_ENGINE_H

#include <masqueproxy/base.h>
#include <masqueproxy/config.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct masque_engine masque_engine;

/* A new engine with CONFIG (sealed; counted), which it uses for connections
   accepted from now on. RUNTIME is copied. Returns 0, MASQUE_ERR_NO_MEMORY,
   MASQUE_ERR_STATE (not sealed), MASQUE_ERR_INVALID (no random source) or
   MASQUE_ERR_CRYPTO; *ENGINE is NULL then. */
MASQUE_EXTERN int masque_engine_new(masque_engine **engine, masque_config *config, const masque_runtime *runtime);

/* Frees everything at once; no further events, the host closes its sockets.
   NULL is fine. */
MASQUE_EXTERN void masque_engine_free(masque_engine *engine);

/* Uses CONFIG for connections from now on. Authentication of new requests on
   live connections follows it too, so that a removed key is refused at once. Events may be due
   afterwards, where it revokes (config.h).
   Errors as masque_engine_new(); the old one stays then. */
MASQUE_EXTERN int masque_engine_set_config(masque_engine *engine, masque_config *config);

/* --- connections ------------------------------------------------------------ */

/* A client's transport was accepted: a byte stream that begins with TLS. CLIENT may be
   an IPv4-mapped address, as a socket for both families gives it. USER comes
   back in the connection's events. Returns its handle, or 0 with *ERROR set: MASQUE_ERR_OVERLOAD (a limit on
   connections), MASQUE_ERR_DRAINED, MASQUE_ERR_NO_CREDENTIALS (a client's configuration), MASQUE_ERR_NO_MEMORY; the
   host closes the socket then. */
MASQUE_EXTERN masque_conn_id masque_accept(masque_engine *engine, const masque_address *client, void *user,
                                           masque_time now, int *error);

/* Which versions of HTTP a connection may speak; the client chooses among them by
   ALPN (RFC 7301). A client without ALPN speaks HTTP/1.1. Without this call all are
   offered. To be called right after masque_accept(); MASQUE_ERR_STATE later,
   MASQUE_ERR_INVALID for none. */
#define MASQUE_PROTOCOL_HTTP11 1u
#define MASQUE_PROTOCOL_H2 2u
#define MASQUE_PROTOCOL_H3 4u /* over UDP, see quic.h; never of a connection that was accepted */
#define MASQUE_PROTOCOL_ALL (MASQUE_PROTOCOL_HTTP11 | MASQUE_PROTOCOL_H2)
MASQUE_EXTERN int masque_conn_set_protocols(masque_engine *engine, masque_conn_id conn, unsigned protocols);

/* Which listener it came to, by the number that masque_config_set_listener() knows; also after the configuration has
   changed. 0, the default, and numbers that it doesn't know are as the configuration says. To be called right after
   masque_accept(); MASQUE_ERR_STATE later. MASQUE_ERR_NO_MEMORY: the host gives it up by masque_conn_failed(). */
MASQUE_EXTERN int masque_conn_set_listener(masque_engine *engine, masque_conn_id conn, unsigned listener);

/* HTTP/3 is served too, by the same host name on UDP port PORT: the connection's answers say so
   with Alt-Svc (RFC 7838), for clients that begin with TCP. 0, the default: they say nothing.
   It holds for answers from now on, so the call belongs right behind masque_accept(). */
MASQUE_EXTERN int masque_conn_set_h3_port(masque_engine *engine, masque_conn_id conn, uint16_t port);

/* Memory to read ciphertext into, up to masque_iovec.length bytes. Valid until
   the matching commit, or the next reserve of any connection of this engine; there need be
   no commit when nothing was read. False: don't read now; a MASQUE_EVENT_CONN_INPUT
   says when. */
MASQUE_EXTERN bool masque_conn_reserve(masque_engine *engine, masque_conn_id conn, masque_iovec *piece);

/* LENGTH bytes were read into the reserved memory. They are processed before it
   returns. Returns 0 or MASQUE_ERR_STALE, MASQUE_ERR_INVALID (the last reserve was another
   connection's, committed already, or of less; nothing is taken). Whatever the client did wrong is not an error here:
   the connection ends by itself, with events. */
MASQUE_EXTERN int masque_conn_commit(masque_engine *engine, masque_conn_id conn, size_t length, masque_time now);

/* The same for bytes in memory of the host's own, valid during the call: nothing
   is copied that reserve would not have copied. MASQUE_ERR_STATE, and nothing was
   taken: masque_conn_reserve() would have said false. */
MASQUE_EXTERN int masque_conn_feed(masque_engine *engine, masque_conn_id conn, const void *bytes, size_t length,
                                   masque_time now);

/* The client sends no more (read() gave 0). What is left for it goes on to be pulled,
   then MASQUE_EVENT_CONN_END comes; at once if TLS had not ended before. */
MASQUE_EXTERN int masque_conn_finished(masque_engine *engine, masque_conn_id conn, masque_time now);

/* The client's transport was reset or failed: neither direction works any more. The
   events of the end are due at once. */
MASQUE_EXTERN int masque_conn_failed(masque_engine *engine, masque_conn_id conn, masque_time now);

/* Ciphertext for the client: fills at most COUNT pieces and returns how many. May be
   called at any time, with or without an event. 0:
   there is nothing; MASQUE_EVENT_CONN_OUTPUT says when. The memory is valid
   until the next call for this connection or one of its tunnels. Pulling again without pulled gives
   the same bytes, perhaps with more behind them. */
MASQUE_EXTERN size_t masque_conn_pull(masque_engine *engine, masque_conn_id conn, masque_iovec *pieces, size_t count,
                                      masque_time now);

/* The first LENGTH of the pulled bytes were written. After a short write the host
   waits until the socket is writable and pulls again. MASQUE_ERR_INVALID: more
   than was pulled. */
MASQUE_EXTERN int masque_conn_pulled(masque_engine *engine, masque_conn_id conn, size_t length, masque_time now);

/* --- decisions asked of the host --------------------------------------------- */

typedef enum masque_lookup {
    MASQUE_LOOKUP_OK,        /* also with no address: the name has none of this family */
    MASQUE_LOOKUP_NOT_FOUND, /* NXDOMAIN */
    MASQUE_LOOKUP_FAILED,    /* SERVFAIL, REFUSED, malformed, … */
    MASQUE_LOOKUP_TIMEOUT
} masque_lookup;

/* The answer to a MASQUE_EVENT_RESOLVE for one family; both are to be given, in
   any order, as soon as each is known (RFC 8305 3). ADDRESSES is copied; ports
   are ignored and other families skipped, so one list of both can be given twice. No
   event says that a look-up is no longer wanted: MASQUE_ERR_STALE does, harmlessly.
   MASQUE_ERR_STATE: already answered; MASQUE_ERR_INVALID: no such family or result. */
MASQUE_EXTERN int masque_resolved(masque_engine *engine, masque_tunnel_id tunnel, masque_family family,
                                  masque_lookup result, const masque_address *addresses, size_t count, masque_time now);

typedef enum masque_dial_result {
    MASQUE_DIAL_OK,
    MASQUE_DIAL_REFUSED,
    MASQUE_DIAL_UNREACHABLE, /* no route, host or network unreachable */
    MASQUE_DIAL_TIMEOUT,
    MASQUE_DIAL_FAILED,    /* any other failure of the target's side */
    MASQUE_DIAL_EXHAUSTED, /* the host has no descriptor, port or memory left: 503 */
    MASQUE_DIAL_SOURCE,    /* the event's source can't be used: it has no free port, or isn't this machine's
                              (EADDRNOTAVAIL). Another one is tried; this one is left alone for a while */
    MASQUE_DIAL_OWN        /* connected, but to this machine: getsockname() and getpeername() give the same
                              IP address. As OK where an allow rule fits (policy.h, rule 3), else denied: so
                              an address that the machine got later is no way around the policy */
} masque_dial_result;

/* Ties USER to an attempt; it comes back in CANCEL_DIAL, and in the tunnel's events
   once the attempt has become the tunnel's target. */
MASQUE_EXTERN int masque_attempt_set_user(masque_engine *engine, masque_attempt_id attempt, void *user);

/* The answer to a MASQUE_EVENT_DIAL. 0: taken; with MASQUE_DIAL_OK the attempt's
   socket is the tunnel's target from now on. MASQUE_ERR_STALE: the attempt was
   cancelled; its MASQUE_EVENT_CANCEL_DIAL came or comes, and that closes the socket.
   MASQUE_ERR_NO_MEMORY, after MASQUE_DIAL_OK and OWN only: the tunnel is gone; the host
   closes the socket. MASQUE_ERR_DENIED, after MASQUE_DIAL_OWN only: the host closes the
   socket. So a socket ends in exactly one of: a failure that the host itself reported here,
   one of these two errors, CANCEL_DIAL, or TUNNEL_END. */
MASQUE_EXTERN int masque_dialed(masque_engine *engine, masque_attempt_id attempt, masque_dial_result result,
                                masque_time now);

/* The late verdict of a method that answered MASQUE_AUTH_PENDING: ALLOW, DENY or
   UNAVAILABLE. MASQUE_ERR_STATE: none is awaited; MASQUE_ERR_INVALID: another
   verdict. */
MASQUE_EXTERN int masque_authorized(masque_engine *engine, masque_tunnel_id tunnel, masque_verdict verdict,
                                    masque_time now);

/* The same, with IDENTITY in place of what the method said when it was asked; for ALLOW. NULL: that stays. */
MASQUE_EXTERN int masque_authorized_as(masque_engine *engine, masque_tunnel_id tunnel, masque_verdict verdict,
                                       const masque_identity *identity, masque_time now);

/* --- tunnels ------------------------------------------------------------------ */

/* Memory to read the target's bytes into: fills at most COUNT pieces and returns
   how many. Valid until the matching commit or the next reserve of any tunnel; there
   need be no commit. A busy target is offered more than a quiet one, up to 256 KiB.
   0: don't read now; MASQUE_EVENT_TUNNEL_INPUT says when. */
MASQUE_EXTERN size_t masque_tunnel_reserve(masque_engine *engine, masque_tunnel_id tunnel, masque_iovec *pieces,
                                           size_t count);

/* LENGTH bytes were read into the reserved pieces, in their order. MASQUE_ERR_INVALID: the
   last reserve was another tunnel's, committed already, or of less; nothing is taken. */
MASQUE_EXTERN int masque_tunnel_commit(masque_engine *engine, masque_tunnel_id tunnel, size_t length, masque_time now);

/* The target ended its direction (read() gave 0): carried to the client as the end
   of the stream; the other direction stays open. Of a UDP tunnel: it is to end in order. */
MASQUE_EXTERN int masque_tunnel_finished(masque_engine *engine, masque_tunnel_id tunnel, masque_time now);

/* The target reset the connection, or it failed: carried to the client as a reset
   (RFC 9113 8.5 CONNECT_ERROR), behind what was read from it before; over HTTP/1.1 as an end
   without close_notify where a reset would destroy what is on its way. Then comes
   MASQUE_EVENT_TUNNEL_END. A target that
   takes no more bytes (EPIPE) but may still send some: go on reading, and pull and
   call masque_tunnel_pulled() without writing. */
MASQUE_EXTERN int masque_tunnel_failed(masque_engine *engine, masque_tunnel_id tunnel, masque_time now);

/* Bytes for the target: fills at most COUNT pieces and returns how many. May be called
   at any time, with or without an event. 0: there
   is nothing; MASQUE_EVENT_TUNNEL_OUTPUT says when. Valid until pulled. */
MASQUE_EXTERN size_t masque_tunnel_pull(masque_engine *engine, masque_tunnel_id tunnel, masque_iovec *pieces,
                                        size_t count);

/* The first LENGTH of the pulled bytes were taken by the target's socket; only now
   the client gets flow-control credit for them (RFC 9113 5.2). MASQUE_ERR_INVALID: more
   than was pulled. */
MASQUE_EXTERN int masque_tunnel_pulled(masque_engine *engine, masque_tunnel_id tunnel, size_t length, masque_time now);

/* --- datagrams: tunnels of CONNECT-UDP (RFC 9298) ---------------------------------- */

/* A tunnel whose MASQUE_EVENT_DIAL said UDP has these in place of reserve, commit, finished,
   pull and pulled, which give MASQUE_ERR_STALE or nothing for it. Its socket is connected, so
   that only the target's packets come, and never fragments (IP_PMTUDISC_PROBE, RFC 9298 5).
   Payloads of more than about 16 KiB, which no path but loopback carries in one packet, are
   dropped and counted as too big, either way. */

/* Payloads from the target: BYTES holds LENGTH of them back to back, each SEGMENT long but the
   last, as UDP_GRO gives them; SEGMENT 0: it is a single one, which may be empty. Copied. What
   the client can't take in time is dropped, the oldest first. */
MASQUE_EXTERN int masque_tunnel_datagrams(masque_engine *engine, masque_tunnel_id tunnel, const void *bytes,
                                          size_t length, size_t segment, masque_time now);

/* Payloads for the target, one a piece: fills at most COUNT and returns how many. 0: there is
   none; MASQUE_EVENT_TUNNEL_OUTPUT says when. Valid until the next call for this engine. */
MASQUE_EXTERN size_t masque_tunnel_pull_datagrams(masque_engine *engine, masque_tunnel_id tunnel,
                                                  masque_iovec *datagrams, size_t count);

/* The host is done with the first COUNT of them; TOO_BIG of these did not fit into the path's
   packets (EMSGSIZE) and were dropped. */
MASQUE_EXTERN int masque_tunnel_pulled_datagrams(masque_engine *engine, masque_tunnel_id tunnel, size_t count,
                                                 size_t too_big, masque_time now);

/* An ICMP error came for the target (ECONNREFUSED, EHOSTUNREACH, …). It ends a tunnel whose
   target never answered; later it is only counted: anybody on the way can send one. */
MASQUE_EXTERN int masque_tunnel_unreachable(masque_engine *engine, masque_tunnel_id tunnel, masque_time now);

/* --- events --------------------------------------------------------------------- */

typedef enum masque_event_type {
    MASQUE_EVENT_CONN_OPEN,     /* conn, of masque_connect(): tunnels can be opened; protocol says how */
    MASQUE_EVENT_CONN_OUTPUT,   /* conn: masque_conn_pull() has bytes */
    MASQUE_EVENT_CONN_INPUT,    /* conn: masque_conn_reserve() works again */
    MASQUE_EVENT_CONN_FINISH,   /* conn: nothing more will be written; shutdown(SHUT_WR), go on reading */
    MASQUE_EVENT_CONN_END,      /* conn: is gone; close the socket, with a reset if `reset` */
    MASQUE_EVENT_AUTHORIZE,     /* tunnel: a method answered PENDING; text is its name */
    MASQUE_EVENT_RESOLVE,       /* tunnel: look up text, AAAA and A, and answer masque_resolved() twice */
    MASQUE_EVENT_DIAL,          /* tunnel, attempt: connect to address from source, by transport */
    MASQUE_EVENT_CANCEL_DIAL,   /* attempt, whose DIAL was taken: is gone; close its socket */
    MASQUE_EVENT_TUNNEL_ANSWER, /* tunnel, of masque_tunnel_open(): the proxy answered, see client.h */
    MASQUE_EVENT_TUNNEL_OUTPUT, /* tunnel: masque_tunnel_pull() has bytes, or masque_tunnel_pull_datagrams() some */
    MASQUE_EVENT_TUNNEL_INPUT,  /* tunnel: masque_tunnel_reserve() works again */
    MASQUE_EVENT_TUNNEL_FINISH, /* tunnel: all was pulled, the client ended; shutdown(SHUT_WR) */
    MASQUE_EVENT_TUNNEL_END,    /* tunnel: is gone; close the target's socket, with a reset if `reset`; else the
                                   client's end may not have been told by TUNNEL_FINISH */
    MASQUE_EVENT_PACKETS        /* masque_engine_pull_packets() has some, see quic.h */
} masque_event_type;

typedef struct masque_event {
    masque_event_type type;
    masque_conn_id conn;        /* of connection events, and the connection of tunnel events */
    masque_tunnel_id tunnel;    /* of tunnel events and DIAL */
    masque_attempt_id attempt;  /* of DIAL and CANCEL_DIAL */
    void *user;                 /* of the connection (CONN_…), the tunnel (TUNNEL_…) or the attempt (CANCEL_DIAL);
                                   NULL with AUTHORIZE, RESOLVE and DIAL */
    masque_address address;     /* DIAL: whom to connect to */
    masque_address source;      /* DIAL: from where (geo.h); family NONE: as the system chooses */
    masque_transport transport; /* DIAL: TCP or UDP */
    const char *text;           /* RESOLVE: the name, ends with a zero; AUTHORIZE: the method */
    bool reset;                 /* CONN_END, TUNNEL_END: end with a TCP RST (SO_LINGER 0) */
    int error;                  /* CONN_END: a masque_error, 0 for an orderly end */
    unsigned protocol;          /* CONN_OPEN: one of MASQUE_PROTOCOL_… */
    unsigned status;            /* TUNNEL_ANSWER */
    const masque_field *fields; /* TUNNEL_ANSWER, see client.h */
    size_t field_count;
} masque_event;

/* Takes the next event into *EVENT; false when there is none. EVENT->text is valid
   until the next call of any function of this engine. Every TUNNEL_END and
   CONN_END comes exactly once; a tunnel that never had a target's socket has
   none. A tunnel whose client ended it and left may outlive its connection, until its target
   has all: its events' conn names nothing then. */
MASQUE_EXTERN bool masque_next_event(masque_engine *engine, masque_event *event);

/* --- time and end ----------------------------------------------------------------- */

/* The moment at which masque_tick() is due, or MASQUE_NEVER. */
MASQUE_EXTERN masque_time masque_deadline(const masque_engine *engine);

/* Lets time pass: everything due at NOW happens. What that makes due at once waits for
   the next call: masque_deadline() says so. Early calls are harmless. */
MASQUE_EXTERN void masque_tick(masque_engine *engine, masque_time now);

/* Begins to drain: no new connections; HTTP/2 clients get GOAWAY (RFC 9113 6.8),
   first with the last possible stream, a second later with the last accepted one;
   requests in between get 503; live tunnels go on. When masque_engine_stats() says
   no connections_active are left the engine can be freed. */
MASQUE_EXTERN void masque_engine_drain(masque_engine *engine, masque_time now);

/* Counters since masque_engine_new(). */
typedef struct masque_stats {
    uint64_t connections_total;
    uint64_t connections_active;
    uint64_t handshakes_failed;
    uint64_t handshakes_resumed;
    uint64_t retries; /* QUIC clients that were asked to show their address */
    uint64_t requests_total;
    uint64_t requests_200, requests_400, requests_403, requests_405, requests_407, requests_431, requests_5xx;
    uint64_t auth_failures;
    uint64_t quota_refusals; /* of requests beyond an identity's quota, among requests_5xx */
    uint64_t quota_ends;     /* tunnels that ended as the bytes of an hour were used up */
    uint64_t revoked;        /* tunnels that ended by masque_config_set_revocation() */
    uint64_t egress_city, egress_country, egress_default; /* tunnels by how near their address was (geo.h) */
    uint64_t hints_checked, hints_refused;                /* signatures looked at; hints that were not believed */
    uint64_t places_unknown;                              /* requests whose client's country nobody said */
    uint64_t egress_exhausted;                            /* addresses that could not be used, each time */
    uint64_t tunnels_total;                               /* answered with success */
    uint64_t tunnels_active;                              /* requests and tunnels that live */
    uint64_t bytes_sent;                                  /* to targets */
    uint64_t bytes_received;                              /* from targets */
    uint64_t datagrams_sent;                              /* to targets */
    uint64_t datagrams_received;
    uint64_t datagrams_dropped;   /* a queue was full, or a target didn't answer */
    uint64_t datagrams_too_big;   /* for the path to the client or to the target */
    uint64_t targets_unreachable; /* masque_tunnel_unreachable() */
    uint64_t buffered_bytes;      /* memory that holds bytes on their way now, what is offered for the next
                                     read with it: what engine_buffer_max bounds */
} masque_stats;

/* Copies the counters. */
MASQUE_EXTERN void masque_engine_stats(const masque_engine *engine, masque_stats *stats);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_ENGINE_H */
