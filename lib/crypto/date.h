/*
 * crypto/date.h: dates of certificates and lists of revoked ones (RFC 5280 4.1.2.5) as numbers. wolfSSL's own way to
 * compare them asks libc for a time zone.
 */
#ifndef MQ_CRYPTO_DATE_H
#define MQ_CRYPTO_DATE_H

#include "base/memory.h"

/* Seconds since 1970 of a UTCTime or GeneralizedTime, as the DER TYPE is; 0: it can't be read, or was before. */
uint64_t mq_date_seconds(uint8_t type, const uint8_t *text, size_t length);

#endif
