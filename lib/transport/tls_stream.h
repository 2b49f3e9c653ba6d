/*
 * transport/tls_stream.h: one TLS connection on memory, as its server or its client.
 *
 * Ciphertext comes in as a window on the caller's memory and goes out through a
 * buffer that exists only while something waits to be written. The output's
 * size follows the reader: it doubles while everything is taken at once and
 * halves when not, between MQ_OUTPUT_MIN and MQ_OUTPUT_MAX. Knows nothing of
 * HTTP.
 */
#ifndef MQ_TRANSPORT_TLS_STREAM_H
#define MQ_TRANSPORT_TLS_STREAM_H

#include <masqueproxy/engine.h>

#include "base/block.h"
#include "crypto/tls_context.h"

/* Plaintext of the largest record, RFC 8446 5.1. */
#define MQ_RECORD_MAX 16384u
/* How much one record may add to its plaintext: header, content type, tag
   (TLS 1.2: header, explicit nonce, tag), rounded up. */
#define MQ_RECORD_OVERHEAD 64u
#define MQ_OUTPUT_MIN (2 * (MQ_RECORD_MAX + MQ_RECORD_OVERHEAD))
#define MQ_OUTPUT_MAX (16 * (MQ_RECORD_MAX + MQ_RECORD_OVERHEAD))
/* What TLS itself answers (KeyUpdate, alerts) comes on top while the client doesn't
   read; beyond this it is a flood. */
#define MQ_OUTPUT_CAP (MQ_OUTPUT_MAX + 2 * (MQ_RECORD_MAX + MQ_RECORD_OVERHEAD))

/* KeyUpdates, empty records and warnings in a row; each costs key schedules or answers. */
#define MQ_EMPTY_RECORDS_MAX 32u

typedef enum mq_tls_state {
    MQ_TLS_HANDSHAKE,
    MQ_TLS_OPEN,
    MQ_TLS_PEER_CLOSED, /* close_notify came; we can still write */
    MQ_TLS_FAILED       /* an alert may wait to be written */
} mq_tls_state;

typedef struct mq_tls_stream {
    void *ssl;     /* WOLFSSL */
    mq_pool *pool; /* of the output */
    mq_tls_state state;
    bool is_client;
    bool first_bytes_seen;
    unsigned protocols; /* MASQUE_PROTOCOL_…; may be changed before the first bytes */
    bool close_sent;
    int output_error;  /* why the output could not grow: everything fails from then on */
    const uint8_t *in; /* the window, during input only */
    size_t in_length;
    uint8_t record_header[5]; /* of the record being taken, as far as it came */
    size_t record_header_length;
    size_t record_left;     /* its bytes that wolfSSL hasn't taken */
    bool record_done;       /* in a read: one was taken, the next has to wait */
    uint32_t empty_records; /* in a row, without plaintext */
    uint8_t *out;           /* NULL while nothing waits */
    size_t out_capacity;
    size_t out_start;
    size_t out_end;
    size_t out_limit; /* no more records are begun beyond; MQ_OUTPUT_MIN..MQ_OUTPUT_MAX */
} mq_tls_stream;

/* 0, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_CRYPTO. */
int mq_tls_stream_init(mq_tls_stream *stream, mq_tls_context *context, mq_pool *pool);
/* The same as the client of SERVER, see mq_tls_expect(), which is offered PROTOCOLS. */
int mq_tls_stream_init_client(mq_tls_stream *stream, mq_tls_context *context, mq_pool *pool, const char *server,
                              unsigned protocols);
void mq_tls_stream_free(mq_tls_stream *stream);

/* Sets the window of ciphertext that handshake and read take from. What they
   leave, in_length bytes at in, is the caller's to keep. */
void mq_tls_stream_input(mq_tls_stream *stream, const uint8_t *bytes, size_t length);

/* Goes on with the handshake. 0: state tells how far; MASQUE_ERR_TLS_HANDSHAKE, MASQUE_ERR_UNTRUSTED
   (the server's certificate) or MASQUE_ERR_NO_MEMORY: state is FAILED. */
int mq_tls_stream_handshake(mq_tls_stream *stream);

/* Decrypts at most one record of up to CAPACITY bytes into BUFFER. *LENGTH 0 with result
   0: it had no plaintext, the window is empty, or state is PEER_CLOSED. MASQUE_ERR_TLS_RECORD, MASQUE_ERR_NO_MEMORY,
   MASQUE_ERR_FLOOD (more than MQ_OUTPUT_CAP to answer, or MQ_EMPTY_RECORDS_MAX records
   in a row without plaintext): state is FAILED. */
int mq_tls_stream_read(mq_tls_stream *stream, uint8_t *buffer, size_t capacity, size_t *length);

/* Encrypts LENGTH <= MQ_RECORD_MAX bytes as one record. 0, MASQUE_ERR_NO_MEMORY or
   MASQUE_ERR_TLS_RECORD. */
int mq_tls_stream_write(mq_tls_stream *stream, const void *bytes, size_t length);

/* True while another record may be begun. */
static inline bool mq_tls_stream_has_room(const mq_tls_stream *stream) {
    return stream->out_end - stream->out_start + MQ_RECORD_MAX + MQ_RECORD_OVERHEAD <= stream->out_limit;
}

static inline size_t mq_tls_stream_waiting(const mq_tls_stream *stream) {
    return stream->out_end - stream->out_start;
}

/* Sends close_notify, once. */
void mq_tls_stream_close(mq_tls_stream *stream);
/* None will be sent: what comes to the client is to look cut. */
static inline void mq_tls_stream_forgo_close(mq_tls_stream *stream) {
    stream->close_sent = true;
}

/* LENGTH bytes of the output were written to the transport. */
void mq_tls_stream_pulled(mq_tls_stream *stream, size_t length);

/* What was negotiated, once OPEN. */
bool mq_tls_stream_is_h2(const mq_tls_stream *stream);
bool mq_tls_stream_is_resumed(const mq_tls_stream *stream);

#endif
