#include "transport/tls_stream.h"

#include <assert.h>
#include <string.h>

#include "crypto/wolfssl.h"
#include "wire/client_hello.h"

/* Follows the records' boundaries through what wolfSSL takes (RFC 8446 5.1). */
static void follow_records(mq_tls_stream *stream, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        if (stream->record_left == 0) {
            stream->record_header[stream->record_header_length++] = *bytes++;
            length--;
            if (stream->record_header_length == sizeof stream->record_header) {
                stream->record_header_length = 0;
                stream->record_left = (size_t)stream->record_header[3] << 8 | stream->record_header[4];
                stream->record_done = stream->record_left == 0;
            }
            continue;
        }
        size_t take = length < stream->record_left ? length : stream->record_left;
        stream->record_left -= take;
        stream->record_done = stream->record_left == 0;
        bytes += take;
        length -= take;
    }
}

static int take_input(WOLFSSL *ssl, char *buffer, int size, void *context) {
    mq_tls_stream *stream = context;
    (void)ssl;
    /* wolfSSL would go on through any number of records that have no plaintext. */
    bool enough = stream->state == MQ_TLS_OPEN && stream->record_done;
    if (stream->in_length == 0 || enough) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    size_t length = stream->in_length < (size_t)size ? stream->in_length : (size_t)size;
    memcpy(buffer, stream->in, length);
    follow_records(stream, stream->in, length);
    stream->in += length;
    stream->in_length -= length;
    return (int)length;
}

/* Makes room for LENGTH more bytes; a bulk writer gets all it may use at once. */
static bool output_grow(mq_tls_stream *stream, size_t length) {
    size_t needed = stream->out_end + length;
    if (needed <= stream->out_capacity) {
        return true;
    }
    if (needed > MQ_OUTPUT_CAP) {
        stream->output_error = MASQUE_ERR_FLOOD;
        return false;
    }
    size_t capacity = needed > MQ_RECORD_MAX && needed < stream->out_limit ? stream->out_limit : needed;
    /* A row of small answers would else be moved each time. */
    capacity = stream->out_capacity > 0 && capacity < 2 * stream->out_capacity ? 2 * stream->out_capacity : capacity;
    uint8_t *out = mq_pool_resize(stream->pool, stream->out, stream->out_capacity, capacity);
    if (!out) {
        stream->output_error = MASQUE_ERR_NO_MEMORY;
        return false;
    }
    stream->out = out;
    stream->out_capacity = capacity;
    return true;
}

static int put_output(WOLFSSL *ssl, char *buffer, int size, void *context) {
    mq_tls_stream *stream = context;
    (void)ssl;
    if (!output_grow(stream, (size_t)size)) {
        return WOLFSSL_CBIO_ERR_GENERAL;
    }
    memcpy(stream->out + stream->out_end, buffer, (size_t)size);
    stream->out_end += (size_t)size;
    return size;
}

static void free_output(mq_tls_stream *stream) {
    if (stream->out) {
        mq_pool_resize(stream->pool, stream->out, stream->out_capacity, 0);
    }
    stream->out = NULL;
    stream->out_capacity = stream->out_start = stream->out_end = 0;
}

static int init(mq_tls_stream *stream, WOLFSSL_CTX *ctx, mq_pool *pool, unsigned protocols) {
    *stream = (mq_tls_stream){.pool = pool, .out_limit = MQ_OUTPUT_MIN, .protocols = protocols};
    WOLFSSL *ssl = wolfSSL_new(ctx);
    if (!ssl) {
        return MASQUE_ERR_NO_MEMORY;
    }
    stream->ssl = ssl;
    wolfSSL_SSLSetIORecv(ssl, take_input);
    wolfSSL_SSLSetIOSend(ssl, put_output);
    wolfSSL_SetIOReadCtx(ssl, stream);
    wolfSSL_SetIOWriteCtx(ssl, stream);
    return 0;
}

static int offer_protocols(mq_tls_stream *stream) {
    static char all[] = "h2,http/1.1";
    static char h2[] = "h2";
    static char http11[] = "http/1.1";
    char *names = stream->protocols == MASQUE_PROTOCOL_ALL  ? all
                  : stream->protocols == MASQUE_PROTOCOL_H2 ? h2
                                                            : http11;
    /* A server that knows none of a client's may go on without (RFC 7301 3.2): HTTP/1.1. */
    unsigned char options = stream->is_client ? WOLFSSL_ALPN_CONTINUE_ON_MISMATCH : WOLFSSL_ALPN_FAILED_ON_MISMATCH;
    int done = wolfSSL_UseALPN(stream->ssl, names, (unsigned)strlen(names), options);
    return done == WOLFSSL_SUCCESS ? 0 : MASQUE_ERR_NO_MEMORY;
}

int mq_tls_stream_init(mq_tls_stream *stream, mq_tls_context *context, mq_pool *pool) {
    return init(stream, mq_tls_context_handle(context), pool, MASQUE_PROTOCOL_ALL);
}

int mq_tls_stream_init_client(mq_tls_stream *stream, mq_tls_context *context, mq_pool *pool, const char *server,
                              unsigned protocols) {
    int error = init(stream, mq_tls_context_client_handle(context), pool, protocols);
    if (!error) {
        stream->is_client = true;
        error = mq_tls_expect(context, stream->ssl, server);
    }
    return error ? error : offer_protocols(stream);
}

void mq_tls_stream_free(mq_tls_stream *stream) {
    if (stream->ssl) {
        mq_tls_free(stream->ssl);
        free_output(stream);
    }
    *stream = (mq_tls_stream){.state = MQ_TLS_FAILED};
}

/* The first bytes are here: what depends on the client or the host is settled. */
static void begin(mq_tls_stream *stream) {
    if (stream->is_client) {
        return;
    }
    if (mq_client_hello_prefers_chacha(stream->in, stream->in_length)) {
        wolfSSL_UseClientSuites(stream->ssl);
    }
    int error = offer_protocols(stream);
    stream->output_error = error ? error : stream->output_error;
}

void mq_tls_stream_input(mq_tls_stream *stream, const uint8_t *bytes, size_t length) {
    stream->in = bytes;
    stream->in_length = length;
    if (!stream->first_bytes_seen && length > 0) {
        stream->first_bytes_seen = true;
        begin(stream);
    }
}

static int fail(mq_tls_stream *stream, int error) {
    stream->state = MQ_TLS_FAILED;
    return stream->output_error ? stream->output_error : error;
}

static bool is_blocked(int error) {
    return error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE;
}

static int handshake_error(const mq_tls_stream *stream) {
    WOLFSSL_ALERT_HISTORY alerts;
    bool untrusted = stream->is_client && wolfSSL_get_alert_history(stream->ssl, &alerts) == WOLFSSL_SUCCESS &&
                     mq_tls_alert_is_of_certificate(alerts.last_tx.code);
    return untrusted ? MASQUE_ERR_UNTRUSTED : MASQUE_ERR_TLS_HANDSHAKE;
}

int mq_tls_stream_handshake(mq_tls_stream *stream) {
    assert(stream->state == MQ_TLS_HANDSHAKE);
    if (stream->output_error) {
        return fail(stream, stream->output_error);
    }
    int result = stream->is_client ? wolfSSL_connect(stream->ssl) : wolfSSL_accept(stream->ssl);
    if (result != WOLFSSL_SUCCESS) {
        int error = wolfSSL_get_error(stream->ssl, result);
        return is_blocked(error) ? 0 : fail(stream, handshake_error(stream));
    }
    stream->state = MQ_TLS_OPEN;
    wolfSSL_FreeHandshakeResources(stream->ssl);
    return 0;
}

int mq_tls_stream_read(mq_tls_stream *stream, uint8_t *buffer, size_t capacity, size_t *length) {
    *length = 0;
    if (stream->state != MQ_TLS_OPEN) {
        return stream->state == MQ_TLS_PEER_CLOSED ? 0 : MASQUE_ERR_TLS_RECORD;
    }
    stream->record_done = false;
    int result = wolfSSL_read(stream->ssl, buffer, (int)capacity);
    if (result > 0) {
        *length = (size_t)result;
        stream->empty_records = 0;
        return 0;
    }
    int error = wolfSSL_get_error(stream->ssl, result);
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        stream->state = MQ_TLS_PEER_CLOSED;
        return 0;
    }
    if (!is_blocked(error)) {
        return fail(stream, MASQUE_ERR_TLS_RECORD);
    }
    stream->empty_records += stream->record_done;
    return stream->empty_records > MQ_EMPTY_RECORDS_MAX ? fail(stream, MASQUE_ERR_FLOOD) : 0;
}

int mq_tls_stream_write(mq_tls_stream *stream, const void *bytes, size_t length) {
    assert(length > 0 && length <= MQ_RECORD_MAX);
    if (stream->state == MQ_TLS_FAILED || stream->close_sent || stream->output_error) {
        return stream->output_error ? stream->output_error : MASQUE_ERR_TLS_RECORD;
    }
    int result = wolfSSL_write(stream->ssl, bytes, (int)length);
    return result == (int)length ? 0 : fail(stream, MASQUE_ERR_TLS_RECORD);
}

void mq_tls_stream_close(mq_tls_stream *stream) {
    bool usable = stream->state == MQ_TLS_OPEN || stream->state == MQ_TLS_PEER_CLOSED;
    if (usable && !stream->close_sent && !stream->output_error) {
        stream->close_sent = true;
        wolfSSL_shutdown(stream->ssl);
    }
}

void mq_tls_stream_pulled(mq_tls_stream *stream, size_t length) {
    assert(length <= mq_tls_stream_waiting(stream));
    stream->out_start += length;
    if (stream->out_start < stream->out_end) {
        /* The reader is slower than we: hold less for it. */
        stream->out_limit = stream->out_limit / 2 > MQ_OUTPUT_MIN ? stream->out_limit / 2 : MQ_OUTPUT_MIN;
        return;
    }
    if (stream->out_end * 2 > stream->out_limit) {
        stream->out_limit = stream->out_limit * 2 < MQ_OUTPUT_MAX ? stream->out_limit * 2 : MQ_OUTPUT_MAX;
    }
    free_output(stream);
}

bool mq_tls_stream_is_h2(const mq_tls_stream *stream) {
    char *name = NULL;
    unsigned short length = 0;
    return wolfSSL_ALPN_GetProtocol(stream->ssl, &name, &length) == WOLFSSL_SUCCESS && length == 2 &&
           memcmp(name, "h2", 2) == 0;
}

bool mq_tls_stream_is_resumed(const mq_tls_stream *stream) {
    return wolfSSL_session_reused(stream->ssl) == 1;
}
