/* base/error.c: the texts of masque_error (base.h has the list). */
#include <masqueproxy/base.h>

const char *masque_error_text(int error) {
    switch (error) {
#define MASQUE_X(name, value, text)                                                                                    \
    case (value):                                                                                                      \
        return (text);
        MASQUE_ERRORS(MASQUE_X)
#undef MASQUE_X
    default:
        return "unknown error";
    }
}

const char *masque_error_name(int error) {
    switch (error) {
#define MASQUE_X(name, value, text)                                                                                    \
    case (value):                                                                                                      \
        return "MASQUE_ERR_" #name;
        MASQUE_ERRORS(MASQUE_X)
#undef MASQUE_X
    default:
        return "MASQUE_ERR_UNKNOWN";
    }
}
