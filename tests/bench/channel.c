/* The load client's byte channel; see channel.h. */
#include "channel.h"

#include "loop.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    RECORD_BYTES = 17 * 1024, /* a TLS record with its overhead: what may be left over when the next read comes */
    IN_BYTES = IO_BYTES + RECORD_BYTES,
};

static int on_tls_receive(WOLFSSL *tls, char *buffer, int size, void *context) {
    (void)tls;
    struct channel *channel = context;
    size_t have = channel->in_end - channel->in_start;
    if (have == 0) {
        return channel->ended ? WOLFSSL_CBIO_ERR_CONN_CLOSE : WOLFSSL_CBIO_ERR_WANT_READ;
    }
    size_t taken = have < (size_t)size ? have : (size_t)size;
    memcpy(buffer, channel->in + channel->in_start, taken);
    channel->in_start += taken;
    return (int)taken;
}

static bool queue_bytes(struct channel *channel, const uint8_t *bytes, size_t length) {
    if (channel->out_start > 0 && channel->out_end + length > channel->out_capacity) {
        memmove(channel->out, channel->out + channel->out_start, channel_queued(channel));
        channel->out_end -= channel->out_start;
        channel->out_start = 0;
    }
    if (channel->out_end + length > channel->out_capacity) {
        size_t capacity = 2 * (channel->out_end + length);
        uint8_t *out = realloc(channel->out, capacity);
        if (out == NULL) {
            return false;
        }
        channel->out = out;
        channel->out_capacity = capacity;
    }
    memcpy(channel->out + channel->out_end, bytes, length);
    channel->out_end += length;
    return true;
}

static int on_tls_send(WOLFSSL *tls, char *buffer, int size, void *context) {
    (void)tls;
    return queue_bytes(context, (const uint8_t *)buffer, (size_t)size) ? size : WOLFSSL_CBIO_ERR_GENERAL;
}

WOLFSSL_CTX *channel_tls_new(void) {
    int groups[] = {WOLFSSL_ECC_X25519};
    WOLFSSL_CTX *context = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    if (context == NULL || wolfSSL_CTX_set_cipher_list(context, "TLS13-AES128-GCM-SHA256") != WOLFSSL_SUCCESS ||
        wolfSSL_CTX_set_groups(context, groups, 1) != WOLFSSL_SUCCESS) {
        wolfSSL_CTX_free(context);
        return NULL;
    }
    wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, NULL);
    wolfSSL_CTX_set_session_cache_mode(context, WOLFSSL_SESS_CACHE_OFF); /* every handshake is a full one */
    wolfSSL_CTX_SetIORecv(context, on_tls_receive);
    wolfSSL_CTX_SetIOSend(context, on_tls_send);
    return context;
}

void channel_tls_free(WOLFSSL_CTX *context) {
    wolfSSL_CTX_free(context);
}

bool channel_init(struct channel *channel, int fd, WOLFSSL_CTX *context, const char *alpn) {
    *channel = (struct channel){.fd = fd, .in = malloc(IN_BYTES)};
    if (channel->in == NULL || context == NULL) {
        return channel->in != NULL;
    }
    char protocols[16];
    size_t length = strlen(alpn);
    if (length >= sizeof(protocols)) {
        return false;
    }
    memcpy(protocols, alpn, length + 1); /* wolfSSL cuts the list up in place */
    channel->tls = wolfSSL_new(context);
    if (channel->tls == NULL || wolfSSL_UseALPN(channel->tls, protocols, (unsigned)length,
                                                WOLFSSL_ALPN_FAILED_ON_MISMATCH) != WOLFSSL_SUCCESS) {
        return false;
    }
    wolfSSL_SetIOReadCtx(channel->tls, channel);
    wolfSSL_SetIOWriteCtx(channel->tls, channel);
    return true;
}

void channel_free(struct channel *channel) {
    wolfSSL_free(channel->tls);
    free(channel->in);
    free(channel->out);
    *channel = (struct channel){.fd = -1};
}

static bool alpn_agreed(struct channel *channel) {
    char *name = NULL;
    unsigned short length = 0;
    return wolfSSL_ALPN_GetProtocol(channel->tls, &name, &length) == WOLFSSL_SUCCESS && length > 0;
}

enum channel_status channel_handshake(struct channel *channel) {
    if (channel->tls == NULL) {
        return CHANNEL_OK;
    }
    int result = wolfSSL_connect(channel->tls);
    if (result == WOLFSSL_SUCCESS) {
        return alpn_agreed(channel) ? CHANNEL_OK : CHANNEL_FAILED;
    }
    return wolfSSL_get_error(channel->tls, result) == WOLFSSL_ERROR_WANT_READ ? CHANNEL_PENDING : CHANNEL_FAILED;
}

enum channel_status channel_receive(struct channel *channel) {
    size_t left = channel->in_end - channel->in_start;
    if (channel->in_start > 0 && left > 0) {
        memmove(channel->in, channel->in + channel->in_start, left);
    }
    channel->in_start = 0;
    channel->in_end = left;
    size_t room = IN_BYTES - left;
    ssize_t got = recv(channel->fd, channel->in + left, room < IO_BYTES ? room : IO_BYTES, 0);
    if (got < 0) {
        return errno == EAGAIN ? CHANNEL_PENDING : CHANNEL_FAILED;
    }
    channel->in_end += (size_t)got;
    channel->ended = channel->ended || got == 0;
    return CHANNEL_OK;
}

static enum channel_status read_bare(struct channel *channel, uint8_t *bytes, size_t capacity, size_t *length) {
    size_t have = channel->in_end - channel->in_start;
    if (have == 0) {
        return channel->ended ? CHANNEL_ENDED : CHANNEL_PENDING;
    }
    *length = have < capacity ? have : capacity;
    memcpy(bytes, channel->in + channel->in_start, *length);
    channel->in_start += *length;
    return CHANNEL_OK;
}

enum channel_status channel_read(struct channel *channel, uint8_t *bytes, size_t capacity, size_t *length) {
    if (channel->tls == NULL) {
        return read_bare(channel, bytes, capacity, length);
    }
    int got = wolfSSL_read(channel->tls, bytes, (int)capacity);
    if (got > 0) {
        *length = (size_t)got;
        return CHANNEL_OK;
    }
    switch (wolfSSL_get_error(channel->tls, got)) {
    case WOLFSSL_ERROR_WANT_READ:
        return CHANNEL_PENDING;
    case WOLFSSL_ERROR_ZERO_RETURN:
        return CHANNEL_ENDED;
    default:
        /* Many servers leave close_notify out; digests and lengths are checked above this layer. */
        return channel->ended ? CHANNEL_ENDED : CHANNEL_FAILED;
    }
}

bool channel_write(struct channel *channel, const uint8_t *bytes, size_t length) {
    if (channel->tls == NULL) {
        return queue_bytes(channel, bytes, length);
    }
    return wolfSSL_write(channel->tls, bytes, (int)length) == (int)length;
}

size_t channel_queued(const struct channel *channel) {
    return channel->out_end - channel->out_start;
}

bool channel_flush(struct channel *channel) {
    while (channel_queued(channel) > 0) {
        ssize_t sent = send(channel->fd, channel->out + channel->out_start, channel_queued(channel), MSG_NOSIGNAL);
        if (sent < 0) {
            return errno == EAGAIN;
        }
        channel->out_start += (size_t)sent;
    }
    channel->out_start = 0;
    channel->out_end = 0;
    if (channel->shut) {
        channel->shut = false;
        shutdown(channel->fd, SHUT_WR);
    }
    return true;
}

void channel_shutdown(struct channel *channel) {
    if (channel->tls != NULL) {
        wolfSSL_shutdown(channel->tls);
    }
    channel->shut = true;
}
