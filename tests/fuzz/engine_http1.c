/*
 * tests/fuzz/engine_http1.c: what a client says in TLS with ALPN http/1.1, as it is and
 * cut into records: the answers must be the same, and begin with a status of ours.
 *
 * Input: two bytes for exchange_setup_read(), then the plaintext.
 */
#include <string.h>

#include "exchange.h"

static const char *const STATUSES[] = {"101", "200", "400", "403", "405", "431", "500", "501", "502", "503", "504"};

static void check_answer(const uint8_t *received, size_t length) {
    bool known = length == 0;
    for (size_t i = 0; length > 0 && i < sizeof STATUSES / sizeof STATUSES[0]; i++) {
        char start[16];
        snprintf(start, sizeof start, "HTTP/1.1 %s ", STATUSES[i]);
        known = known || (length > strlen(start) && memcmp(received, start, strlen(start)) == 0);
    }
    FUZZ_REQUIRE(known);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static uint8_t cut[EXCHANGE_RECEIVED_MAX], whole[EXCHANGE_RECEIVED_MAX];
    fuzz_input input = {data, size};
    exchange_setup setup = exchange_setup_read(&input);
    setup.protocol = "http/1.1";
    size_t cut_length = exchange_run(&setup, input, cut);
    check_answer(cut, cut_length);
    /* Where neither time nor an early end plays a part. */
    bool comparable = !setup.time_passes && !setup.drains && !setup.target_resets && !setup.target_finishes &&
                      !setup.target_is_slow && !setup.transport_fails;
    if (comparable && setup.chunk > 0) {
        setup.chunk = 0;
        FUZZ_REQUIRE(exchange_run(&setup, input, whole) == cut_length && memcmp(cut, whole, cut_length) == 0);
    }
    return 0;
}
