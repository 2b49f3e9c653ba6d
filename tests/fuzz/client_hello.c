/*
 * tests/fuzz/client_hello.c: the first bytes of a TLS connection, cut anywhere. Never
 * reads behind them; more bytes never take a yes back.
 */
#include "wire/client_hello.h"

#include <string.h>

#include "fuzz.h"

/* Longer hellos hold extensions there, which nobody looks at. */
#define PREFIX_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool before = false;
    for (size_t length = 0; length <= size && length <= PREFIX_MAX; length++) {
        uint8_t *bytes = malloc(length ? length : 1);
        FUZZ_REQUIRE(bytes);
        memcpy(bytes, data, length);
        bool now = mq_client_hello_prefers_chacha(bytes, length);
        FUZZ_REQUIRE(now || !before);
        before = now;
        free(bytes);
    }
    return 0;
}
