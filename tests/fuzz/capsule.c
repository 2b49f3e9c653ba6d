/*
 * tests/fuzz/capsule.c: capsules (RFC 9297 3.2) however a stream cuts them. Bytes read at once and in pieces give
 * the same datagrams, and the same end; nothing is reported that wasn't there.
 *
 * Input: three bytes for the lengths of pieces, then the stream.
 */
#include "wire/capsule.h"

#include <string.h>

#include "fuzz.h"

#define PIECES 3

/* What a reading comes to: a sum over all that was reported. */
typedef struct reading {
    uint64_t sum;
    size_t bytes;
    size_t datagrams;
    bool too_long;
    bool inside;
    bool open;   /* a datagram has begun */
    size_t left; /* of it */
} reading;

static void add(reading *r, uint8_t byte) {
    r->sum = (r->sum ^ byte) * UINT64_C(0x100000001b3) + 1;
}

static void take(reading *r, const mq_capsule_piece *piece) {
    FUZZ_REQUIRE(piece->first == !r->open && piece->whole <= MQ_HTTP_DATAGRAM_MAX);
    r->left = piece->first ? piece->whole : r->left;
    FUZZ_REQUIRE(piece->length <= r->left);
    r->left -= piece->length;
    for (size_t i = 0; i < piece->length; i++) {
        add(r, piece->bytes[i]);
    }
    r->bytes += piece->length;
    r->open = !piece->last;
    FUZZ_REQUIRE(piece->last == (r->left == 0));
    if (piece->last) {
        r->datagrams++;
        add(r, 0xff);
    }
}

static reading read_in_pieces(const uint8_t *bytes, size_t length, const uint8_t sizes[PIECES]) {
    reading r = {.sum = 1};
    mq_capsule_reader reader = {.left = 0};
    for (size_t at = 0, turn = 0; at < length && !r.too_long; turn++) {
        size_t size = sizes ? sizes[turn % PIECES] + 1u : length;
        size_t left = length - at < size ? length - at : size;
        const uint8_t *from = bytes + at;
        at += left;
        mq_capsule_piece piece;
        mq_capsule_step step;
        while ((step = mq_capsule_read(&reader, &from, &left, &piece)) == MQ_CAPSULE_PIECE) {
            FUZZ_REQUIRE(piece.bytes >= bytes && piece.bytes + piece.length <= bytes + at);
            take(&r, &piece);
        }
        r.too_long = step == MQ_CAPSULE_TOO_LONG;
        FUZZ_REQUIRE(r.too_long || left == 0);
    }
    r.inside = mq_capsule_is_inside(&reader);
    return r;
}

static void require_same(const reading *a, const reading *b) {
    FUZZ_REQUIRE(a->sum == b->sum && a->bytes == b->bytes && a->datagrams == b->datagrams);
    FUZZ_REQUIRE(a->too_long == b->too_long && (a->too_long || a->inside == b->inside));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t ones[PIECES];
    fuzz_input input = {data, size};
    uint8_t sizes[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        sizes[i] = fuzz_byte(&input);
    }
    const reading whole = read_in_pieces(input.at, input.left, NULL);
    const reading cut = read_in_pieces(input.at, input.left, sizes);
    const reading bytewise = read_in_pieces(input.at, input.left, ones);
    require_same(&whole, &cut);
    require_same(&whole, &bytewise);
    return 0;
}
