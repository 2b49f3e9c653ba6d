/*
 * crypto/date.h: dates of certificates and lists of revoked ones (RFC 5280 4.1.2.5) as numbers. wolfSSL's own way to
 * compare them asks libc for a time zone.
 */
#ifndef MQ_CRYPTO_DATE_H
#define MQ_CRYPTO_DATE_H

#include "base/memory.h"

/* Seconds since 1970 of DATE, a WOLFSSL_ASN1_TIME; 0: it can't be read, is NULL, or was before. */
uint64_t mq_date_seconds(const void *date);

#endif
