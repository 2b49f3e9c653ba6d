/*
 * masqueproxy/limits.h: every number that bounds what a peer can make us do.
 *
 * One list gives the fields, their defaults, the range a value may have, and
 * the key of a program's configuration file; the reason stands beside each.
 */
#ifndef MASQUE_LIMITS_H
#define MASQUE_LIMITS_H

#include <masqueproxy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* X(field, configuration key, default, least, most). Units end the names:
   _ms milliseconds, _max and _burst a count or bytes as said, _rate a second. */
#define MASQUE_LIMITS(X)                                                                                               \
    /* Header fields of a request; a CONNECT needs fewer than ten (CVE-2026-49975). */                                 \
    X(header_fields_max, "header-fields", 64, 4, 1000)                                                                 \
    /* Decoded bytes of a request head, 32 added for each field (RFC 9113 6.5.2). */                                   \
    X(header_bytes_max, "header-bytes", 16384, 512, 1048576)                                                           \
    /* HTTP/2: CONTINUATION frames in one header block (CVE-2024-28182). */                                            \
    X(continuations_max, "continuations", 4, 1, 64)                                                                    \
    /* HTTP/2: answers to SETTINGS and PING that wait to be written (CVE-2019-9512). */                                \
    X(control_frames_max, "control-frames", 200, 10, 100000)                                                           \
    /* HTTP/2: streams ended by a reset, theirs and ours (CVE-2023-44487, CVE-2025-8671). */                           \
    X(resets_burst, "resets-burst", 100, 1, 1000000)                                                                   \
    X(resets_rate, "resets-rate", 20, 1, 1000000)                                                                      \
    /* HTTP/2: frames that are legal but useless. GOAWAY at 75 % of the burst: live tunnels go on. */                  \
    X(glitches_burst, "glitches-burst", 500, 1, 1000000)                                                               \
    X(glitches_rate, "glitches-rate", 10, 1, 1000000)                                                                  \
    /* Tunnels at once on one connection. */                                                                           \
    X(tunnels_per_connection_max, "tunnels-per-connection", 100, 1, 100000)                                            \
    /* Dials under way at once for one connection; more wait for their turn. */                                        \
    X(dials_per_connection_max, "dials-per-connection", 32, 1, 100000)                                                 \
    /* Requests on one connection, and of one source (IPv4 address or IPv6 /64). */                                    \
    X(requests_burst, "requests-burst", 300, 1, 1000000)                                                               \
    X(requests_rate, "requests-rate", 100, 1, 1000000)                                                                 \
    /* Connections at once of one source, in one engine. */                                                            \
    X(connections_per_source_max, "connections-per-source", 100, 1, 1000000)                                           \
    /* Connections and tunnels at once in one engine. */                                                               \
    X(connections_max, "connections", 100000, 1, 10000000)                                                             \
    X(tunnels_max, "tunnels", 200000, 1, 10000000)                                                                     \
    /* HTTP/3: connections before the end of their handshake. From the first number on a client must show its          \
       address by a Retry (RFC 9000 8.1.2; 0: always); beyond the second its packets are dropped. */                   \
    X(half_open_before_retry, "half-open-before-retry", 256, 0, 10000000)                                              \
    X(half_open_max, "half-open", 4096, 1, 10000000)                                                                   \
    /* Bytes held for one tunnel in each direction before its sender must wait. 256 KiB because one                    \
       read and one write of that size cost the fewest system calls a byte; 64 KiB costs two more. */                  \
    X(tunnel_buffer_max, "tunnel-buffer", 262144, 16384, 16777216)                                                     \
    /* CONNECT-UDP: bytes of datagrams that wait in each direction; the oldest makes room. A read brings 64 KiB. */    \
    X(datagram_queue_max, "datagram-queue", 131072, 16384, 16777216)                                                   \
    /* CONNECT-UDP: datagrams to a target that never sent one, then one a second (each 1,200 bytes count               \
       as one): a proxy must not help to flood. */                                                                     \
    X(unanswered_datagrams_max, "unanswered-datagrams", 10, 1, 1000000)                                                \
    /* HTTP/2: the largest window a stream grows to when its target keeps up: 100 ms at 1 Gbit/s. */                   \
    X(stream_window_max, "stream-window", 12582912, 65535, 1073741824)                                                 \
    /* Bytes held for all tunnels of one connection, in each direction: the sum of all HTTP/2 windows. */              \
    X(connection_buffer_max, "connection-buffer", 20971520, 65535, 1073741824)                                         \
    /* Memory that holds bytes on their way in one engine: tunnel data, and TLS records not yet taken or written.      \
       At 80 % windows stop growing, at 92 % new tunnels get 503. At 100 %                                             \
       nothing is read from targets, and a client's tunnel that holds 16 KiB its target hasn't taken ends if more      \
       comes. */                                                                                                       \
    X(engine_buffer_max, "engine-buffer", 1073741824, 1048576, 1099511627776)                                          \
    /* Failed authentications on one connection, and of one source before it is penalised. */                          \
    X(auth_failures_max, "auth-failures", 8, 1, 1000)                                                                  \
    /* First penalty of a source; doubles up to the last one. While it lasts every request gets 403. */                \
    X(penalty_first_ms, "penalty-first-ms", 5000, 0, 86400000)                                                         \
    X(penalty_last_ms, "penalty-last-ms", 900000, 0, 86400000)                                                         \
    /* Sources remembered at once. */                                                                                  \
    X(sources_max, "sources", 65536, 16, 16777216)                                                                     \
    /* Identities whose quotas are counted at once; 128 bytes each, once a quota is set (quota.h). */                  \
    X(quota_identities_max, "quota-identities", 16384, 16, 16777216)                                                   \
    /* Addresses of one name that are tried. */                                                                        \
    X(addresses_per_name_max, "addresses-per-name", 16, 1, 64)                                                         \
    /* TLS handshake; a request head, from its first byte; no tunnel and nothing to do. */                             \
    X(handshake_timeout_ms, "handshake-timeout-ms", 10000, 100, 3600000)                                               \
    X(headers_timeout_ms, "headers-timeout-ms", 10000, 100, 3600000)                                                   \
    X(idle_timeout_ms, "idle-timeout-ms", 56000, 100, 86400000)                                                        \
    /* CONNECT-UDP: no datagram either way (RFC 9298 3.1: two minutes or more). */                                     \
    X(datagram_idle_timeout_ms, "datagram-idle-timeout-ms", 120000, 1000, 86400000)                                    \
    /* Bytes wait for the client and it takes none (TCP, or a closed HTTP/2 window). A target may be slow: none. */    \
    X(write_stall_timeout_ms, "write-stall-timeout-ms", 30000, 100, 86400000)                                          \
    /* A name's addresses; all dials of a request together. */                                                         \
    X(resolve_timeout_ms, "resolve-timeout-ms", 10000, 100, 3600000)                                                   \
    X(dial_timeout_ms, "dial-timeout-ms", 10000, 100, 3600000)                                                         \
    /* An outside authentication check. */                                                                             \
    X(auth_timeout_ms, "auth-timeout-ms", 10000, 100, 3600000)                                                         \
    /* Happy Eyeballs (RFC 8305 5 and 3): next attempt; wait for AAAA after A came. */                                 \
    X(dial_stagger_ms, "dial-stagger-ms", 250, 10, 2000)                                                               \
    X(resolution_delay_ms, "resolution-delay-ms", 50, 0, 1000)                                                         \
    /* Reading and discarding after a refusal, so that its answer isn't lost to a TCP reset. */                        \
    X(linger_timeout_ms, "linger-timeout-ms", 2000, 0, 60000)

typedef struct masque_limits {
#define MASQUE_X(field, key, standard, least, most) uint64_t field;
    MASQUE_LIMITS(MASQUE_X)
#undef MASQUE_X
} masque_limits;

/* Sets every field to its default. Any thread. */
MASQUE_EXTERN void masque_limits_init(masque_limits *limits);

/* Sets the limit with the configuration key KEY, e.g. "header-fields". Returns
   0; MASQUE_ERR_INVALID when there is no such key (*LEAST and *MOST become 0)
   or the value is outside *LEAST..*MOST; nothing is changed then. */
MASQUE_EXTERN int masque_limits_set(masque_limits *limits, const char *key, uint64_t value, uint64_t *least,
                                    uint64_t *most);

/* What connection_buffer_max must have for each of tunnels_per_connection_max, in bytes. */
#define MASQUE_TUNNEL_SHARE_MIN 1024u

/* Returns NULL, or the configuration key of the first field that is out of range, or
   "connection-buffer" when it is too small for that many tunnels. Any thread. */
MASQUE_EXTERN const char *masque_limits_check(const masque_limits *limits);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_LIMITS_H */
