/*
 * masqueproxy/client.h: the engine as the client of a proxy. It opens connections over TLS (HTTP/2,
 * HTTP/1.1) or QUIC (HTTP/3) and tunnels in them: CONNECT (RFC 9110 9.3.6) and CONNECT-UDP (RFC
 * 9298). Any engine can, next to what it serves; its configuration says whom to trust
 * (masque_config_set_trust()).
 *
 *   the proxy's address is known,
 *   for TLS a socket is connected    masque_connect()
 *   MASQUE_EVENT_CONN_OPEN           masque_tunnel_open()
 *   MASQUE_EVENT_TUNNEL_ANSWER       with a 2xx (or 101) the tunnel is there
 *
 * The bytes of a TLS connection go through masque_conn_reserve() and the like, QUIC's packets through
 * quic.h, just as where the engine serves. A tunnel's functions and events are the same too: what
 * engine.h calls the target is here the local application, what it calls the client is the proxy.
 * So masque_tunnel_commit() and masque_tunnel_datagrams() send, masque_tunnel_pull() and
 * masque_tunnel_pull_datagrams() receive.
 */
#ifndef MASQUE_CLIENT_H
#define MASQUE_CLIENT_H

#include <masqueproxy/base.h>
#include <masqueproxy/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whom to connect to. Copied. */
typedef struct masque_proxy {
    const char *authority;    /* "proxy.example:443", "192.0.2.1:443" or "[2001:db8::1]:443": its certificate must be
                                 for that host, which is what SNI says; requests for CONNECT-UDP name it */
    unsigned protocols;       /* MASQUE_PROTOCOL_H3, or any of the others: ALPN chooses */
    const char *udp_template; /* of CONNECT-UDP's path, as of masque_config_set_udp_template(); NULL: RFC 9298's */
    masque_address remote;    /* its address */
    masque_address local;     /* HTTP/3 only: from where packets leave, with the port */
    uint32_t socket;          /* HTTP/3 only: comes back in masque_packets */
} masque_proxy;

/* Begins a connection. Over TLS the host's socket is connected, or about to be. USER comes back in its
   events. Exactly one MASQUE_EVENT_CONN_END follows, also when it could not be opened: its error
   says why, MASQUE_ERR_UNTRUSTED of a certificate. Returns its handle, or 0 with *ERROR set:
   MASQUE_ERR_NO_TRUST, MASQUE_ERR_INVALID (authority, protocols or template), MASQUE_ERR_OVERLOAD
   (a limit on connections), MASQUE_ERR_DRAINED, MASQUE_ERR_NO_MEMORY, MASQUE_ERR_CRYPTO. */
MASQUE_EXTERN masque_conn_id masque_connect(masque_engine *engine, const masque_proxy *proxy, void *user,
                                            masque_time now, int *error);

/* Ends a connection in order, its tunnels with it: close_notify or CONNECTION_CLOSE. CONN_END
   follows. MASQUE_ERR_STALE: also one that was accepted. */
MASQUE_EXTERN int masque_conn_close(masque_engine *engine, masque_conn_id conn, masque_time now);

/* A tunnel to be asked for. Copied. */
typedef struct masque_tunnel_request {
    masque_transport transport; /* TCP: CONNECT; UDP: CONNECT-UDP */
    const char *target;         /* "host:port", an IPv6 address in brackets */
    const masque_field *fields; /* Proxy-Authorization, sec-ch-geohash, …; names in lower case, none of those
                                   that are about the connection, or content (RFC 9113 8.2.2, RFC 9297 3.2) */
    size_t field_count;         /* at most MASQUE_REQUEST_FIELDS_MAX */
} masque_tunnel_request;

#define MASQUE_REQUEST_FIELDS_MAX 16

/* Asks for a tunnel. Nothing can be sent through it before its MASQUE_EVENT_TUNNEL_ANSWER; a refusal,
   with another status than 2xx and 101, has one too. Exactly one MASQUE_EVENT_TUNNEL_END
   follows. Returns its handle, or 0 with *ERROR set: MASQUE_ERR_STALE (the connection),
   MASQUE_ERR_STATE (it isn't open, or HTTP/1.1's is used: it has one tunnel only), MASQUE_ERR_INVALID (target or
   fields), MASQUE_ERR_OVERLOAD (the proxy lets us have no more of them at a time, or a limit of
   ours), MASQUE_ERR_DRAINED (the proxy takes no new ones: connect again), MASQUE_ERR_PROTOCOL (it
   can't do CONNECT-UDP over this version), MASQUE_ERR_NO_MEMORY. */
MASQUE_EXTERN masque_tunnel_id masque_tunnel_open(masque_engine *engine, masque_conn_id conn,
                                                  const masque_tunnel_request *request, void *user, masque_time now,
                                                  int *error);

/* In masque_event of MASQUE_EVENT_CONN_OPEN: `protocol`, the one that is spoken. Of
   MASQUE_EVENT_TUNNEL_ANSWER: `status`, `fields` and `field_count`, the whole head of the answer,
   valid until the next call of any function of this engine. Its texts are the proxy's: any bytes
   that HTTP allows. */

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_CLIENT_H */
