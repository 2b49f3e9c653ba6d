#include "crypto/crl.h"

#include <string.h>

#include "crypto/date.h"
#include "crypto/der.h"
#include "crypto/wolfssl.h"

enum { UTC_TIME = 0x17, GENERALIZED_TIME = 0x18 };

bool mq_crl_each(const uint8_t *text, size_t length, mq_crl_taker take, void *context) {
    static const char begin[] = "-----BEGIN X509 CRL-----";
    const char *end = (const char *)text + length;
    size_t count = 0;
    if (text[0] == MQ_DER_SEQUENCE) {
        return take(context, text, length, false);
    }
    for (const char *at = strstr((const char *)text, begin); at; at = strstr(at + 1, begin)) {
        if (!take(context, (const uint8_t *)at, (size_t)(end - at), true)) {
            return false;
        }
        count++;
    }
    return count > 0;
}

/* Enters a SEQUENCE of any length, and doesn't ask where it ends. */
static bool enter_long(mq_der *in) {
    if (in->left < 2 || in->at[0] != MQ_DER_SEQUENCE) {
        return false;
    }
    size_t head = in->at[1] < 0x80 ? 2 : 2 + (size_t)(in->at[1] & 0x7f);
    if (in->left < head) {
        return false;
    }
    in->at += head;
    in->left -= head;
    return true;
}

/* 5.1: of a CertificateList its TBSCertList, and there what stands before the revoked ones. */
static uint64_t until(mq_der list) {
    mq_der ignored, next;
    uint8_t tag;
    if (!enter_long(&list) || !enter_long(&list)) {
        return 0;
    }
    (void)mq_der_enter(&list, MQ_DER_INTEGER, &ignored);          /* version */
    bool good = mq_der_enter(&list, MQ_DER_SEQUENCE, &ignored) && /* signature */
                mq_der_enter(&list, MQ_DER_SEQUENCE, &ignored) && /* issuer */
                mq_der_next(&list, &tag, &ignored);               /* thisUpdate */
    if (!good) {
        return 0;
    }
    bool says = list.left > 0 && (list.at[0] == UTC_TIME || list.at[0] == GENERALIZED_TIME);
    return !says ? UINT64_MAX : mq_der_next(&list, &tag, &next) ? mq_date_seconds(tag, next.at, next.left) : 0;
}

static bool note_until(void *context, const uint8_t *bytes, size_t length, bool pem) {
    uint64_t *first = context;
    DerBuffer *der = NULL;
    mq_der list = {.at = bytes, .left = length};
    if (pem) {
        bool decoded = wc_PemToDer(bytes, (long)length, CRL_TYPE, &der, NULL, NULL, NULL) == 0;
        list = decoded ? (mq_der){.at = der->buffer, .left = der->length} : (mq_der){.left = 0};
    }
    uint64_t then = until(list);
    wc_FreeDer(&der);
    *first = then < *first ? then : *first;
    return true;
}

uint64_t mq_crl_until(const uint8_t *text, size_t length) {
    uint64_t first = UINT64_MAX;
    return mq_crl_each(text, length, note_until, &first) ? first : 0;
}
