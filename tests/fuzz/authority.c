/*
 * tests/fuzz/authority.c: the target of a CONNECT. What is taken has one canonical form,
 * which reads back to the same and holds nothing a resolver could understand otherwise.
 */
#include "wire/authority.h"

#include <ctype.h>
#include <string.h>

#include "fuzz.h"

/* Brackets, colons and a port around the longest name. */
#define TEXT_MAX (MQ_HOST_NAME_MAX + 16)

static void check_name(const mq_authority *authority) {
    const char *name = authority->name;
    FUZZ_REQUIRE(authority->name_length > 0 && strlen(name) == authority->name_length);
    FUZZ_REQUIRE(name[authority->name_length - 1] != '.');
    for (const char *at = name; *at; at++) {
        FUZZ_REQUIRE(
            (islower((unsigned char)*at) || isdigit((unsigned char)*at) || *at == '-' || *at == '_' || *at == '.'));
    }
    masque_address address;
    FUZZ_REQUIRE(masque_address_parse(&address, name, strlen(name)) == MASQUE_ERR_INVALID);
    /* inet_aton() and its kin read "1", "0x7f" and "a.1" as numbers: the last label must hold a letter beyond. */
    const char *last = strrchr(name, '.') ? strrchr(name, '.') + 1 : name;
    FUZZ_REQUIRE(strspn(last, "0123456789") != strlen(last));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mq_authority first, second;
    char text[TEXT_MAX], again[TEXT_MAX];
    if (mq_authority_parse(&first, (const char *)data, size) != 0) {
        return 0;
    }
    FUZZ_REQUIRE(first.port > 0);
    size_t length = mq_authority_format(&first, text, sizeof text);
    FUZZ_REQUIRE(length < sizeof text && strlen(text) == length);
    FUZZ_REQUIRE(mq_authority_parse(&second, text, length) == 0);
    FUZZ_REQUIRE(memcmp(&first, &second, sizeof first) == 0);
    FUZZ_REQUIRE(mq_authority_format(&second, again, sizeof again) == length && strcmp(text, again) == 0);
    FUZZ_REQUIRE((first.address.family == MASQUE_FAMILY_NONE) == (first.name_length > 0));
    if (first.name_length > 0) {
        check_name(&first);
    } else {
        FUZZ_REQUIRE(first.address.port == first.port);
    }
    return 0;
}
