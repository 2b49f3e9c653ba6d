/*
 * crypto/der.h: reading DER (X.690 10): what certificates and keys are made of, as far as we look into them ourselves.
 */
#ifndef MQ_CRYPTO_DER_H
#define MQ_CRYPTO_DER_H

#include "base/memory.h"

enum {
    MQ_DER_INTEGER = 0x02,
    MQ_DER_BIT_STRING = 0x03,
    MQ_DER_OCTET_STRING = 0x04,
    MQ_DER_OID = 0x06,
    MQ_DER_SEQUENCE = 0x30,
    MQ_DER_SET = 0x31
};

typedef struct mq_der {
    const uint8_t *at;
    size_t left;
} mq_der;

/* Enters an element of this TAG: *INSIDE is its value, IN goes behind it. Lengths are in the shortest form, and below
   65,536. False: there is none. */
bool mq_der_enter(mq_der *in, uint8_t tag, mq_der *inside);

/* The next element, whatever its tag, which *TAG becomes. */
bool mq_der_next(mq_der *in, uint8_t *tag, mq_der *inside);

/* Goes behind EXPECTED, if that comes. */
bool mq_der_skip(mq_der *in, const uint8_t *expected, size_t length);

#endif
