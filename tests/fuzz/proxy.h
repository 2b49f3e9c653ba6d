/*
 * tests/fuzz/proxy.h: what the targets that drive a whole engine share: a configuration
 * with tight limits and a method whose verdict a credential names, and TLS clients on
 * memory, which resume one session so that an input costs no signature.
 */
#ifndef FUZZ_PROXY_H
#define FUZZ_PROXY_H

#include <masqueproxy/masqueproxy.h>

#include "fuzz.h"

/* The scheme `Fuzz`; the credential's first letter is the verdict:
   a allow, p pending, u unavailable, n next, anything else deny. */
#define PROXY_SCHEME "Fuzz"

/* A new engine; nothing is allowed in it yet. ALLOCATOR may be NULL; else it may fail, and
   NULL is returned then. */
masque_engine *proxy_engine_new(const masque_allocator *allocator);

/* The one configuration of the process, sealed. */
masque_config *proxy_config(void);

/* Was TUNNEL allowed, by the method or by proxy_allow()? Nothing else may be dialed. */
bool proxy_is_allowed(masque_tunnel_id tunnel);
void proxy_allow(masque_tunnel_id tunnel);

/* Fields are private but conn. */
typedef struct proxy_client {
    masque_engine *engine;
    const masque_time *now;
    masque_conn_id conn; /* 0: not accepted */
    void *tls;           /* WOLFSSL */
} proxy_client;

/* Accepted and through with the handshake, or false: a limit or no memory. client->conn
   tells whether it was accepted; free the client in any case. */
bool proxy_client_open(proxy_client *client, masque_engine *engine, const masque_time *now, void *user,
                       const char *protocol);

/* Sends as one record or more. False: the proxy doesn't take it, now or ever; the same
   bytes must be tried again before others. */
bool proxy_client_send(proxy_client *client, const uint8_t *bytes, size_t length);

/* Takes plaintext that came; 0: there is none. */
size_t proxy_client_receive(proxy_client *client, uint8_t *bytes, size_t size);

/* close_notify. */
void proxy_client_finish(proxy_client *client);

/* Frees the client's side; the engine is told nothing. */
void proxy_client_free(proxy_client *client);

#endif
