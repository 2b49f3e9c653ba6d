/*
 * crypto/wolfssl.h: wolfSSL's headers in the one order that works, for crypto/
 * and transport/ only.
 */
#ifndef MQ_CRYPTO_WOLFSSL_H
#define MQ_CRYPTO_WOLFSSL_H

/* Their headers aren't clean under our warnings. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <wolfssl/options.h>

#include <wolfssl/quic.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/aes.h>
#include <wolfssl/wolfcrypt/chacha.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/hmac.h>
#include <wolfssl/wolfcrypt/kdf.h>
#include <wolfssl/wolfcrypt/rsa.h>
#include <wolfssl/wolfcrypt/sha256.h>
#include <wolfssl/wolfcrypt/sha512.h>
#include <wolfssl/wolfcrypt/sp.h>
#pragma GCC diagnostic pop

#endif
