/*
 * masqueproxy/quic.h: UDP packets in and out of an engine, for HTTP/3 (RFC 9114) on
 * QUIC (RFC 9000, RFC 9369), and what a fleet shares for it.
 *
 *   packets came to a UDP socket    masque_engine_packets(), once for each read
 *   MASQUE_EVENT_PACKETS            masque_engine_pull_packets(), send them,
 *                                   masque_engine_pulled_packets(), until there are none
 *
 * A QUIC connection has no socket of its own, so it has no CONN events: its tunnels
 * have theirs, as on any connection.
 *
 * What a host's UDP socket should be: bound to one address, or telling the local
 * address of each packet (IP_PKTINFO) so that answers leave from there; never
 * fragmenting (IP_MTU_DISCOVER, IP_PMTUDISC_PROBE); telling and taking the ECN bits
 * (IP_RECVTOS, IP_TOS). UDP_GRO and UDP_SEGMENT save most system calls.
 */
#ifndef MASQUE_QUIC_H
#define MASQUE_QUIC_H

#include <masqueproxy/base.h>
#include <masqueproxy/config.h>
#include <masqueproxy/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* UDP payloads of one path, one behind the other: all SEGMENT bytes long but the last,
   which may be shorter; as UDP_GRO reads and UDP_SEGMENT sends them. */
typedef struct masque_packets {
    masque_address local;  /* where they came to, or leave from */
    masque_address remote; /* the client's */
    unsigned listener;     /* of what comes: as masque_conn_set_listener() */
    uint32_t socket;       /* the host's number for the socket; comes back with answers */
    uint8_t ecn;           /* the two ECN bits of the IP header (RFC 3168 5) */
    uint8_t *bytes;
    size_t length;
    size_t segment; /* 0, or LENGTH or more: there is one */
} masque_packets;

/* Whose packets they are, when they aren't this engine's: a worker's of this server, or
   another server's. See masque_config_add_quic_key(). */
typedef struct masque_route {
    uint32_t server;
    uint8_t worker;
    uint8_t generation;
} masque_route;

/* Takes what one read of a socket gave. PACKETS and its bytes are only read, during the
   call. Returns 0; whatever a client did wrong is not an error here. MASQUE_ERR_ELSEWHERE:
   nothing was taken, for another worker's or server's connection ID is on them; *ROUTE
   says whose, and the host may hand them there. */
MASQUE_EXTERN int masque_engine_packets(masque_engine *engine, const masque_packets *packets, masque_route *route,
                                        masque_time now);

/* Packets to be sent: fills at most COUNT entries and returns how many, each fit for one
   sendmsg() with UDP_SEGMENT of its SEGMENT. Their bytes are valid until pulled. Pulling
   again without pulled gives the same, perhaps with more behind them. 0: there are none;
   MASQUE_EVENT_PACKETS says when. */
MASQUE_EXTERN size_t masque_engine_pull_packets(masque_engine *engine, masque_packets *packets, size_t count,
                                                masque_time now);

/* The first COUNT entries were sent, or could not be and are lost. A host whose socket is
   full (EAGAIN) leaves the rest, waits until it is writable, and pulls again: packets are
   never made a second time. MASQUE_ERR_INVALID: more than was pulled. */
MASQUE_EXTERN int masque_engine_pulled_packets(masque_engine *engine, size_t count, masque_time now);

/* --- what is set before sealing ------------------------------------------------------- */

#define MASQUE_QUIC_KEY_LENGTH 32
#define MASQUE_QUIC_KEY_ID_MAX 6
#define MASQUE_CONNECTION_ID_LENGTH 17
#define MASQUE_SERVER_NUMBER_MAX 0xffffffu

/*
 * A secret that connection IDs, address validation tokens (RFC 9000 8.1) and stateless
 * reset tokens (10.3) are made with. Engines, processes and machines that share it
 * understand each other's. The first one added is used; call again for older ones that
 * are still understood, at most 3 in all. Without a call one is derived from the first
 * ticket key when sealed.
 *
 * Our connection IDs are those of QUIC-LB's single-pass encryption
 * (draft-ietf-quic-load-balancers-21 5.4.1): the first byte holds ID in its upper three
 * bits and 16 in its lower five; the others are one AES-128-ECB block of server number (3
 * bytes), worker (1), generation (1), and 11 bytes that differ each time. A load balancer
 * is given masque_connection_id_key() and routes by it; it can make no tokens.
 *
 * MASQUE_ERR_INVALID: too many, an ID above MASQUE_QUIC_KEY_ID_MAX or one that exists.
 */
MASQUE_EXTERN int masque_config_add_quic_key(masque_config *config, unsigned id,
                                             const uint8_t key[MASQUE_QUIC_KEY_LENGTH]);

/* The AES-128 key of connection IDs under KEY. 0 or MASQUE_ERR_CRYPTO. Any thread. */
MASQUE_EXTERN int masque_connection_id_key(const uint8_t key[MASQUE_QUIC_KEY_LENGTH], uint8_t aes_key[16]);

/* This server's number in connection IDs. MASQUE_ERR_INVALID: above MASQUE_SERVER_NUMBER_MAX. */
MASQUE_EXTERN int masque_config_set_server_number(masque_config *config, uint32_t server);

typedef enum masque_congestion { MASQUE_CUBIC, MASQUE_BBR } masque_congestion;

/* How QUIC connections find their rate: CUBIC (RFC 9438) unless told. BBR does not take a lost packet for a full
   queue: much faster where paths lose some, also for QUIC inside CONNECT-UDP, whose own CUBIC would then
   halve its window together with ours. */
MASQUE_EXTERN int masque_config_set_congestion(masque_config *config, masque_congestion congestion);

/* Whether a client may move its connection to another address on purpose (RFC 9000 9);
   no unless told. A NAT that gives it another port never ends a connection. */
MASQUE_EXTERN int masque_config_set_migration(masque_config *config, bool allowed);

/* --- which engine this is --------------------------------------------------------------- */

/* WORKER and GENERATION (of a process that replaces another) as connection IDs made from now
   on tell them. To be called before the first packet. */
MASQUE_EXTERN void masque_engine_set_worker(masque_engine *engine, uint8_t worker, uint8_t generation);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_QUIC_H */
