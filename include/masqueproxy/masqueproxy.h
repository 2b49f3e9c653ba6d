/*
 * masqueproxy/masqueproxy.h: the whole of libmasqueproxy.
 *
 * A forward proxy as a library: HTTP CONNECT (RFC 9110 9.3.6) over HTTP/2
 * (RFC 9113) and HTTP/1.1 (RFC 9112) in TLS, and over HTTP/3 (RFC 9114) on QUIC. It opens no socket, starts no
 * thread and reads no clock, file, environment variable or random source: the
 * host feeds it what it read and does what events ask for. (wolfSSL beneath it does
 * two of these by itself: it seeds handshakes from the system's random source, and
 * reads the system's time for the age of session tickets and certificates.)
 *
 * Conventions
 *
 *   Errors     0 is success, negative values are masque_error.
 *   Pointers   must not be NULL unless a comment says that NULL is fine.
 *   Ownership  what is passed in stays the caller's and is copied when it must
 *              outlive the call; what is handed out stays the library's.
 *   Texts      end with a zero unless a length stands beside them.
 *   Threads    each header says it; nothing mutable is global.
 *   Time       see masque_time; the host passes it in.
 *
 * Topics
 *
 *   base.h     errors, addresses, handles, the runtime      limits.h   every limit
 *   auth.h     authentication methods                       policy.h   allowed targets
 *   config.h   configuration                                engine.h   the proxy
 *   quic.h     UDP packets for HTTP/3                       client.h   the client of a proxy
 *   base64.h   Base64                                       quota.h    what identities may use
 *   privacy_pass.h  Privacy Pass tokens, their origin       version.h  versions
 *   token_issuer.h  their issuer                            token_client.h  who gets them
 *   token_attester.h  who vouches for accounts              geo.h      places, and addresses to leave from
 *   hint.h     places that somebody vouches for
 */
#ifndef MASQUE_MASQUEPROXY_H
#define MASQUE_MASQUEPROXY_H

#include <masqueproxy/auth.h>
#include <masqueproxy/base.h>
#include <masqueproxy/base64.h>
#include <masqueproxy/client.h>
#include <masqueproxy/config.h>
#include <masqueproxy/engine.h>
#include <masqueproxy/geo.h>
#include <masqueproxy/hint.h>
#include <masqueproxy/limits.h>
#include <masqueproxy/policy.h>
#include <masqueproxy/privacy_pass.h>
#include <masqueproxy/quic.h>
#include <masqueproxy/quota.h>
#include <masqueproxy/token_attester.h>
#include <masqueproxy/token_client.h>
#include <masqueproxy/token_issuer.h>
#include <masqueproxy/version.h>

#endif /* MASQUE_MASQUEPROXY_H */
