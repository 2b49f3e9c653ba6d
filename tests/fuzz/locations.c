/* tests/fuzz/locations.c: MaxMind databases, as masqueproxyd reads them, and addresses that are looked up in them. */
#include "geo/locations.h"

#include <string.h>

#include "fuzz.h"

/* The library's, of a database that it refuses at the end: 5 KB. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libmaxminddb\n";
}

static void look_up(const masque_locator *locator, const char *text) {
    masque_address address;
    masque_place place = {.country = ""}, again;
    char written[MASQUE_GEOHASH_MAX + 4];
    FUZZ_REQUIRE(masque_address_parse(&address, text, strlen(text)) == 0);
    if (!locator->locate(locator->context, &address, &place)) {
        return;
    }
    FUZZ_REQUIRE(strlen(place.country) == 2);
    if (place.geohash[0]) {
        int length = snprintf(written, sizeof written, "%s-%s", place.geohash, place.country);
        FUZZ_REQUIRE(masque_place_parse(&again, written, (size_t)length));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    masque_locator locator;
    mqd_message message;
    if (!locations_read_database((const char *)data, size, &locator, &message)) {
        FUZZ_REQUIRE(memchr(message.text, 0, sizeof message.text));
        return 0;
    }
    look_up(&locator, "192.0.2.1");
    look_up(&locator, "127.0.0.1");
    look_up(&locator, "2001:db8::1");
    look_up(&locator, "::");
    locator.release(locator.context);
    return 0;
}
