/* auth/scheme.c: names of authentication schemes (auth.h). */
#include <masqueproxy/auth.h>

#include "base/ascii.h"

bool masque_auth_is_scheme(const masque_auth_request *request, const char *scheme) {
    size_t i = 0;
    while (i < request->scheme_length && scheme[i] != 0 && mq_lower(request->scheme[i]) == mq_lower(scheme[i])) {
        i++;
    }
    return i == request->scheme_length && scheme[i] == 0;
}
