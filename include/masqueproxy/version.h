/*
 * masqueproxy/version.h: what this is and what it is linked with.
 */
#ifndef MASQUE_VERSION_H
#define MASQUE_VERSION_H

#include <masqueproxy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MASQUE_VERSION_TEXT "0.1.0"
#define MASQUE_VERSION_NUMBER 0x000100

/* What the running library is made of. Static texts. */
typedef struct masque_version_info {
    const char *masqueproxy;
    const char *wolfssl;
    const char *nghttp2;
    const char *ngtcp2;
    const char *nghttp3;
    /* How AES-GCM is computed, e.g. "AES-NI, AVX2"; "C" is about twenty times
       slower and worth a warning. */
    const char *crypto_path;
    bool crypto_accelerated;
    /* NULL, or which linked library is older than the least we can answer for
       (known holes), and which version that is. */
    const char *too_old;
} masque_version_info;

/* Any thread. */
MASQUE_EXTERN masque_version_info masque_version(void);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_VERSION_H */
