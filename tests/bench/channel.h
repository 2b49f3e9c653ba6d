/*
 * A byte channel of the load client: one TCP connection, with TLS 1.3 over it
 * or bare. Reads and writes go through memory, so that one system call moves
 * many TLS records and the client costs as little as it can beside the proxy.
 *
 * The certificate is NOT verified: this is a load generator on loopback.
 */
#ifndef BENCH_CHANNEL_H
#define BENCH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct WOLFSSL;
struct WOLFSSL_CTX;

enum {
    /* No more is written to a channel that holds this much unsent. */
    CHANNEL_QUEUE_BYTES = 256 * 1024,
};

enum channel_status {
    CHANNEL_OK,
    CHANNEL_PENDING, /* needs the socket to be readable (or writable, if bytes are queued) */
    CHANNEL_ENDED,   /* the other end closed in an orderly way */
    CHANNEL_FAILED,
};

struct channel {
    struct WOLFSSL *tls; /* NULL: bare */
    int fd;              /* not owned */
    uint8_t *in;         /* received, not yet decrypted: in_start to in_end */
    size_t in_start;
    size_t in_end;
    uint8_t *out; /* ready for the socket: out_start to out_end */
    size_t out_start;
    size_t out_end;
    size_t out_capacity;
    bool ended; /* the socket has seen its end */
    bool shut;  /* ours is to follow what is queued */
};

/* The client's TLS settings: TLS 1.3, TLS_AES_128_GCM_SHA256, X25519 for every subject. NULL on failure. */
struct WOLFSSL_CTX *channel_tls_new(void);
void channel_tls_free(struct WOLFSSL_CTX *context);

/* context NULL makes a bare channel; alpn is its one protocol. */
bool channel_init(struct channel *channel, int fd, struct WOLFSSL_CTX *context, const char *alpn);
void channel_free(struct channel *channel);

/* OK once the handshake is through and the other end agreed to our ALPN. */
enum channel_status channel_handshake(struct channel *channel);

/* One recv() into memory. FAILED when the connection broke; its end shows in channel_read(). */
enum channel_status channel_receive(struct channel *channel);

/* Plain bytes out of memory. OK when length was set. */
enum channel_status channel_read(struct channel *channel, uint8_t *bytes, size_t capacity, size_t *length);

/* Takes all bytes, into memory. False when memory or TLS failed. */
bool channel_write(struct channel *channel, const uint8_t *bytes, size_t length);

size_t channel_queued(const struct channel *channel);

/* Sends what is queued until the socket is full. False when the connection broke. */
bool channel_flush(struct channel *channel);

/* No more of ours follows: close_notify and FIN, after what is queued. */
void channel_shutdown(struct channel *channel);

#endif
