/*
 * crypto/library.h: which wolfSSL is linked, and which of its implementations this
 * processor runs.
 */
#ifndef MQ_CRYPTO_LIBRARY_H
#define MQ_CRYPTO_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

/* "5.9.2", and as 0x05009002. */
const char *mq_crypto_version(void);
uint32_t mq_crypto_version_number(void);

/* "AES-NI, AVX2", "ARMv8", "C". Static. */
const char *mq_crypto_path(void);
bool mq_crypto_is_accelerated(void);

#endif
