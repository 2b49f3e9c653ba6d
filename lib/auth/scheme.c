/* auth/scheme.c: what methods are helped with: names of schemes, and identities (auth.h). */
#include <masqueproxy/auth.h>

#include <string.h>

#include "base/ascii.h"

bool masque_auth_is_scheme(const masque_auth_request *request, const char *scheme) {
    size_t i = 0;
    while (i < request->scheme_length && scheme[i] != 0 && mq_lower(request->scheme[i]) == mq_lower(scheme[i])) {
        i++;
    }
    return i == request->scheme_length && scheme[i] == 0;
}

void masque_auth_identify(const masque_auth_request *request, const char *name, const uint8_t *mark) {
    masque_identity *identity = request->identity;
    size_t length = strnlen(name, MASQUE_IDENTITY_MAX);
    if (!identity) {
        return; /* who asks doesn't want to know */
    }
    *identity = (masque_identity){.name = ""};
    memcpy(identity->name, name, length);
    if (mark) {
        memcpy(identity->mark, mark, sizeof identity->mark);
    }
}
