/* engine/version.c: versions of ourselves and of what we are linked with. */
#include <masqueproxy/version.h>
#include <nghttp2/nghttp2.h>
#include <nghttp3/nghttp3.h>
#include <ngtcp2/ngtcp2.h>

#include "crypto/library.h"

/* The least with every hole closed that we know of (SECURITY.md). */
#define NGHTTP2_FLOOR 0x014401   /* 1.68.1, CVE-2026-27135 */
#define NGTCP2_FLOOR 0x011601    /* 1.22.1, CVE-2026-40170 */
#define WOLFSSL_FLOOR 0x05009001 /* 5.9.1, CVE-2026-5194 */

masque_version_info masque_version(void) {
    const nghttp2_info *nghttp2 = nghttp2_version(0);
    const ngtcp2_info *ngtcp2 = ngtcp2_version(0);
    const nghttp3_info *nghttp3 = nghttp3_version(0);
    masque_version_info info = {.masqueproxy = MASQUE_VERSION_TEXT,
                                .wolfssl = mq_crypto_version(),
                                .nghttp2 = nghttp2->version_str,
                                .ngtcp2 = ngtcp2->version_str,
                                .nghttp3 = nghttp3->version_str,
                                .crypto_path = mq_crypto_path(),
                                .crypto_accelerated = mq_crypto_is_accelerated()};
    if (nghttp2->version_num < NGHTTP2_FLOOR) {
        info.too_old = "nghttp2 is older than 1.68.1";
    } else if (ngtcp2->version_num < NGTCP2_FLOOR) {
        info.too_old = "ngtcp2 is older than 1.22.1";
    } else if (mq_crypto_version_number() < WOLFSSL_FLOOR) {
        info.too_old = "wolfSSL is older than 5.9.1";
    }
    return info;
}
