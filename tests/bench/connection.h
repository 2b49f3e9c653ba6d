/*
 * A client connection to the subject (a proxy, or the bare relay) and the
 * tunnels in it. Three protocols behind one interface: HTTP/2 CONNECT with
 * many tunnels, HTTP/1.1 CONNECT with one, and direct: no TLS, no CONNECT.
 * The workloads (workload.h) sit on top and never see a protocol.
 *
 * Callbacks of one connection come in this order: on_ready once; for each
 * tunnel on_open, on_data and on_end as they come, on_close last; on_close of
 * the connection after those of its tunnels. A handler may open tunnels and
 * resume or end its own from any callback.
 */
#ifndef BENCH_CONNECTION_H
#define BENCH_CONNECTION_H

#include "channel.h"
#include "loop.h"

#include <nghttp2/nghttp2.h>

struct connection;
struct tunnel;

struct tunnel_handler {
    void (*on_open)(struct tunnel *tunnel);
    void (*on_data)(struct tunnel *tunnel, const uint8_t *bytes, size_t length);
    void (*on_end)(struct tunnel *tunnel);
    /* Fills the buffer with what is to be sent; 0 without end: nothing now, tunnel_resume() asks again. */
    size_t (*pull)(struct tunnel *tunnel, uint8_t *buffer, size_t capacity, bool *end);
    /* Why it wasn't clean, or NULL when both ends had ended. The tunnel's memory is its owner's again. */
    void (*on_close)(struct tunnel *tunnel, const char *failure);
};

/* Embedded in what a workload keeps for a tunnel. */
struct tunnel {
    const struct tunnel_handler *handler;
    struct connection *connection;
    int32_t stream_id;
    bool opened;
    bool ended_here;
    bool ended_there;
};

struct connection_handler {
    void (*on_ready)(struct connection *connection);
    /* Why, or NULL for an orderly end. The connection is freed by itself afterwards. */
    void (*on_close)(struct connection *connection, const char *failure);
};

struct protocol {
    const char *name; /* as the command line says it */
    const char *alpn;
    bool secure;
    bool (*start)(struct connection *connection);
    bool (*open_tunnel)(struct connection *connection, struct tunnel *tunnel, uint16_t target_port);
    bool (*on_bytes)(struct connection *connection, const uint8_t *bytes, size_t length);
    /* The other end closed: ends what that ends. */
    void (*on_end)(struct connection *connection);
    /* Writes to the channel while there is something to send and room. False on failure. */
    bool (*produce)(struct connection *connection);
    void (*resume)(struct tunnel *tunnel);
    void (*stop)(struct connection *connection, const char *failure);
};

/* What all connections of a run share. */
struct connection_settings {
    struct loop *loop;
    const struct protocol *protocol;
    struct WOLFSSL_CTX *tls;
    uint16_t port;             /* the subject's */
    const char *authorization; /* the proxy-authorization value, or NULL */
};

struct connection {
    struct watcher watcher; /* first */
    const struct connection_settings *settings;
    const struct connection_handler *handler;
    void *context; /* the workload's */
    struct channel channel;
    enum { CONNECTION_CONNECTING, CONNECTION_HANDSHAKE, CONNECTION_READY, CONNECTION_CLOSED } state;
    bool busy;             /* inside an event: sends happen at its end */
    bool shut;             /* our end is sent: the protocol writes no more */
    bool served;           /* it carried a tunnel */
    nghttp2_session *h2;   /* HTTP/2 only */
    struct tunnel *tunnel; /* HTTP/1.1 and direct only */
    char answer[4096];     /* HTTP/1.1: the answer's head so far */
    size_t answer_length;
    const char *failure; /* the first reason of a failure */
};

extern const struct protocol protocol_h2;
extern const struct protocol protocol_h1;
extern const struct protocol protocol_direct;

/* NULL when the name is none of h2, h1, direct. */
const struct protocol *protocol_find(const char *name);

/* NULL on failure; otherwise handler->on_ready or on_close follows. */
struct connection *connection_open(const struct connection_settings *settings, const struct connection_handler *handler,
                                   void *context);

/* False when the connection can take no (more) tunnel. handler and owner stay until on_close. */
bool connection_open_tunnel(struct connection *connection, struct tunnel *tunnel, const struct tunnel_handler *handler,
                            uint16_t target_port);

/* Sends our end of the connection; on_close follows when the other end's is there. */
void connection_shutdown(struct connection *connection);

/* The tunnel has something to send, or its end: pull is called again. */
void tunnel_resume(struct tunnel *tunnel);

/* For the protocols: marks the tunnel open, passes on events, keeps the order promised above. */
void tunnel_opened(struct tunnel *tunnel);
void tunnel_ended(struct tunnel *tunnel);
void tunnel_closed(struct tunnel *tunnel, const char *failure);

#endif
