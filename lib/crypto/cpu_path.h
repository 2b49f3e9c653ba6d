/*
 * crypto/cpu_path.h: which of wolfSSL's implementations this processor runs.
 */
#ifndef MQ_CRYPTO_CPU_PATH_H
#define MQ_CRYPTO_CPU_PATH_H

#include <stdbool.h>

/* "AES-NI, AVX2", "ARMv8", "C". Static. */
const char *mq_crypto_path(void);
bool mq_crypto_is_accelerated(void);

#endif
