/* auth/scheme.c: names of authentication schemes (auth.h). */
#include <masqueproxy/auth.h>

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool masque_auth_is_scheme(const masque_auth_request *request, const char *scheme) {
    size_t i = 0;
    while (i < request->scheme_length && scheme[i] != 0 && lower(request->scheme[i]) == lower(scheme[i])) {
        i++;
    }
    return i == request->scheme_length && scheme[i] == 0;
}
