/*
 * tests/fuzz/packet.c: QUIC packets of nobody: heads, connection IDs, tokens, and what answers them. No answer is
 * longer than its cause, none needs a head that is bad, and no token is good that we did not make.
 */
#include <string.h>

#include "fuzz.h"
#include "transport/quic_packet.h"

#define NOW (1000 * MASQUE_SECOND)

static void not_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    memset(buffer, 0x37, size);
}

static masque_runtime *runtime(void) {
    static masque_runtime made = {.random = not_random};
    if (!made.allocator.allocate) {
        mq_allocator_init(&made.allocator, &(masque_allocator){.allocate = NULL});
    }
    return &made;
}

static mq_quic_keys *keys(void) {
    static const mq_quic_secret secrets[] = {{.id = 2, .key = {1, 2, 3}}, {.id = 5, .key = {4}}};
    static mq_quic_keys made;
    if (made.count == 0) {
        FUZZ_REQUIRE(mq_quic_keys_init(&made, secrets, 2) == 0);
    }
    return &made;
}

static void check_head(const mq_packet_head *head, const uint8_t *bytes, size_t length) {
    FUZZ_REQUIRE(head->dcid >= bytes && head->dcid + head->dcid_length <= bytes + length);
    if (head->kind != MQ_PACKET_SHORT) {
        FUZZ_REQUIRE(head->scid >= bytes && head->scid + head->scid_length <= bytes + length);
        FUZZ_REQUIRE((head->version == 0) == (head->kind == MQ_PACKET_NEGOTIATION));
    }
    masque_route route = {.server = 0};
    if (mq_cid_read(keys(), head->dcid, head->dcid_length, &route)) {
        FUZZ_REQUIRE(head->dcid_length >= MASQUE_CONNECTION_ID_LENGTH && route.server <= 0xffffff);
    }
}

static void check_initial(const uint8_t *bytes, size_t length) {
    const masque_address from = {.family = MASQUE_IPV4, .ip = {192, 0, 2, 1}, .port = 4433};
    const mq_cid scid = {MASQUE_CONNECTION_ID_LENGTH, {1, 2, 3}};
    uint8_t answer[MQ_INITIAL_MIN];
    mq_quic_initial initial;
    if (!mq_quic_read_initial(&initial, keys(), &from, bytes, length, NOW)) {
        return;
    }
    FUZZ_REQUIRE(length >= MQ_INITIAL_MIN && !mq_initial_is_validated(&initial));
    FUZZ_REQUIRE(initial.dcid.length <= MQ_CID_MAX && initial.scid.length <= MQ_CID_MAX);
    size_t retry = mq_write_retry(answer, &initial, &scid, keys(), runtime(), &from, NOW);
    /* RFC 9000 7.2: a first choice has 8 bytes at least. */
    bool good = initial.dcid.length >= 8;
    FUZZ_REQUIRE((retry > 0 || !good) && retry <= length);
    size_t refusal = mq_write_refusal(answer, &initial, runtime(), 2);
    FUZZ_REQUIRE((refusal > 0 || !good) && refusal <= length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t answer[MQ_INITIAL_MIN];
    if (size == 0) {
        return 0; /* the engine has no such packets */
    }
    const mq_packet_head head = mq_packet_read(data, size);
    if (head.kind == MQ_PACKET_BAD) {
        return 0;
    }
    check_head(&head, data, size);
    mq_cid cid = {.length = MASQUE_CONNECTION_ID_LENGTH};
    if (head.kind == MQ_PACKET_SHORT) {
        memcpy(cid.bytes, head.dcid, cid.length);
        size_t reset = mq_write_stateless_reset(answer, &cid, keys(), runtime(), size);
        FUZZ_REQUIRE(reset == 0 || reset < size);
    } else if (head.kind == MQ_PACKET_VERSION && size >= MQ_INITIAL_MIN) {
        FUZZ_REQUIRE(mq_write_version_negotiation(answer, &head, runtime()) <= size);
    } else if (head.kind != MQ_PACKET_NEGOTIATION) { /* which nobody answers */
        check_initial(data, size);
    }
    return 0;
}
