/*
 * tests/fuzz/engine_http2.c: what a client says in TLS with ALPN h2, behind a correct
 * beginning or instead of it. What comes back must be HTTP/2 frames, SETTINGS first, of
 * the kinds we send and of a size that every client takes.
 *
 * Input: two bytes for exchange_setup_read(), one for the beginning, then the plaintext.
 */
#include <string.h>

#include "exchange.h"

#define FRAME_HEADER 9
#define FRAME_PAYLOAD_MAX 16384
#define PLAINTEXT_MAX 65536

/* RFC 9113 6: DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE. */
static const uint8_t SENT_TYPES[] = {0, 1, 3, 4, 6, 7, 8};
/* The preface (RFC 9113 3.4) and empty SETTINGS. */
static const char BEGINNING[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

static void check_frames(const uint8_t *received, size_t length) {
    for (size_t at = 0; at + FRAME_HEADER <= length;) {
        size_t payload = (size_t)received[at] << 16 | (size_t)received[at + 1] << 8 | received[at + 2];
        uint8_t type = received[at + 3];
        FUZZ_REQUIRE(payload <= FRAME_PAYLOAD_MAX);
        FUZZ_REQUIRE(memchr(SENT_TYPES, type, sizeof SENT_TYPES));
        FUZZ_REQUIRE(at > 0 || (type == 4 && received[4] == 0));
        at += FRAME_HEADER + payload;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t received[EXCHANGE_RECEIVED_MAX], plaintext[PLAINTEXT_MAX];
    fuzz_input input = {data, size};
    exchange_setup setup = exchange_setup_read(&input);
    setup.protocol = "h2";
    size_t length = fuzz_byte(&input) & 1 ? 0 : sizeof BEGINNING - 1;
    memcpy(plaintext, BEGINNING, length);
    size_t rest = PLAINTEXT_MAX - length;
    const uint8_t *bytes = fuzz_bytes(&input, &rest);
    memcpy(plaintext + length, bytes, rest);
    check_frames(received, exchange_run(&setup, (fuzz_input){plaintext, length + rest}, received));
    return 0;
}
