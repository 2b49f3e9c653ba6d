/*
 * wire/capsule.h: the capsules of RFC 9297 3.2, as a stream brings them in pieces, and the
 * one form in which we write DATAGRAM capsules.
 *
 * The reader gathers nothing: it says, piece by piece, what the bytes are. Capsules of
 * other types are skipped whatever length they claim.
 */
#ifndef MQ_WIRE_CAPSULE_H
#define MQ_WIRE_CAPSULE_H

#include "wire/varint.h"

#define MQ_CAPSULE_DATAGRAM 0x00u
/* RFC 9298 5: context 0 is a UDP payload, of at most so many bytes. */
#define MQ_UDP_PAYLOAD_MAX 65527u
/* A context ID and the payload behind it. */
#define MQ_HTTP_DATAGRAM_MAX (MQ_VARINT_LENGTH_MAX + MQ_UDP_PAYLOAD_MAX)

typedef enum mq_capsule_step {
    MQ_CAPSULE_NEEDS_MORE, /* all bytes were taken */
    MQ_CAPSULE_PIECE,      /* *PIECE are the next bytes of a DATAGRAM capsule's value */
    MQ_CAPSULE_TOO_LONG    /* a DATAGRAM that can't be one: end the stream */
} mq_capsule_step;

/* All zero: at the beginning of a stream. */
typedef struct mq_capsule_reader {
    uint8_t header[2 * MQ_VARINT_LENGTH_MAX]; /* type and length, as far as they came */
    uint8_t header_length;
    bool in_value;
    bool is_datagram;
    bool is_first; /* of the next piece: nothing of this value was reported */
    uint64_t left; /* of the value */
} mq_capsule_reader;

/* What of a DATAGRAM's value a piece is. */
typedef struct mq_capsule_piece {
    const uint8_t *bytes;
    size_t length;
    bool first;
    bool last;
    size_t whole; /* of the first one: the value's length */
} mq_capsule_piece;

/* Takes bytes from *BYTES, of which there are *LENGTH, and moves both on. */
mq_capsule_step mq_capsule_read(mq_capsule_reader *reader, const uint8_t **bytes, size_t *length,
                                mq_capsule_piece *piece);

/* Is the reader inside of a capsule? A stream that ends there is malformed (RFC 9297 3.3). */
static inline bool mq_capsule_is_inside(const mq_capsule_reader *reader) {
    return reader->header_length > 0 || reader->in_value;
}

/*
 * How we write one: type 0, the length always in two bytes, or four beyond 16383, context 0,
 * payload. So what precedes a payload has a fixed length for its size, and the value can be
 * found behind it.
 */
#define MQ_CAPSULE_HEAD_MAX 6u /* with the context */

/* What precedes a payload of LENGTH bytes, context and all. */
static inline size_t mq_capsule_head_length(size_t length) {
    return length + 1 < 1u << 14 ? 4 : MQ_CAPSULE_HEAD_MAX;
}

/* Writes mq_capsule_head_length(LENGTH) bytes. */
void mq_capsule_write_head(uint8_t *bytes, size_t length);

/* The length of a capsule that was written so and begins at BYTES; *VALUE is where its value
   begins. */
size_t mq_capsule_own_length(const uint8_t *bytes, size_t *value);

#endif
