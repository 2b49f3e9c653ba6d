/*
 * crypto/crl.h: lists of revoked certificates (RFC 5280 5), of which we look at the date only. wolfSSL reads the first
 * of several alone, and its own way to that date takes a time that grows with the square of a list's length.
 */
#ifndef MQ_CRYPTO_CRL_H
#define MQ_CRYPTO_CRL_H

#include "base/memory.h"

/* One list in DER, or in PEM what begins with one. False: it isn't wanted, and no other is. */
typedef bool (*mq_crl_taker)(void *context, const uint8_t *bytes, size_t length, bool pem);

/* Hands on each list of TEXT, which is one in DER or any number in PEM, with a zero behind it. False: there is none, or
   TAKE said so. */
bool mq_crl_each(const uint8_t *text, size_t length, mq_crl_taker take, void *context);

/* Seconds since 1970 when the first of them is due to be replaced (5.1.2.5), which TLS lets nobody in behind.
   UINT64_MAX: none says; 0: one can't be read. */
uint64_t mq_crl_until(const uint8_t *text, size_t length);

#endif
