#include "wire/client_hello.h"

#define RECORD_HEADER 5
#define HANDSHAKE_HEADER 4
#define SESSION_ID_AT (RECORD_HEADER + HANDSHAKE_HEADER + 2 + 32) /* legacy_version, random */

static unsigned u16_at(const uint8_t *bytes, size_t at) {
    return (unsigned)bytes[at] << 8 | bytes[at + 1];
}

/* RFC 8701: 0x0a0a, 0x1a1a, … 0xfafa. */
static bool is_grease(unsigned suite) {
    return (suite & 0x0f0f) == 0x0a0a && suite >> 8 == (suite & 0xff);
}

static bool is_chacha(unsigned suite) {
    return suite == 0x1303 || suite == 0xcca8 || suite == 0xcca9;
}

bool mq_client_hello_prefers_chacha(const uint8_t *bytes, size_t length) {
    if (length <= SESSION_ID_AT || bytes[0] != 22 || bytes[RECORD_HEADER] != 1) {
        return false;
    }
    size_t suites_at = SESSION_ID_AT + 1 + (size_t)bytes[SESSION_ID_AT];
    if (suites_at + 2 > length) {
        return false;
    }
    size_t end = suites_at + 2 + u16_at(bytes, suites_at);
    for (size_t at = suites_at + 2; at + 2 <= end && at + 2 <= length; at += 2) {
        unsigned suite = u16_at(bytes, at);
        if (!is_grease(suite)) {
            return is_chacha(suite);
        }
    }
    return false;
}
