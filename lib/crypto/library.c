#include "crypto/library.h"

#include "crypto/wolfssl.h"

const char *mq_crypto_version(void) {
    return wolfSSL_lib_version();
}

uint32_t mq_crypto_version_number(void) {
    return wolfSSL_lib_version_hex();
}

const char *mq_crypto_path(void) {
#if defined(WOLFSSL_AESNI) && defined(__x86_64__)
    /* wolfSSL asks the same question of CPUID, in a function it does not export. */
    if (__builtin_cpu_supports("aes")) {
        return __builtin_cpu_supports("avx2") ? "AES-NI, AVX2" : "AES-NI";
    }
    return "C";
#elif defined(WOLFSSL_ARMASM)
    return "ARMv8";
#else
    return "C";
#endif
}

bool mq_crypto_is_accelerated(void) {
    return mq_crypto_path()[0] == 'A';
}
