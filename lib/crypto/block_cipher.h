/*
 * crypto/block_cipher.h: AES-128 on single blocks, for connection IDs: a permutation of 16
 * bytes that only the holder of the key can go through. Not a way to encrypt messages.
 */
#ifndef MQ_CRYPTO_BLOCK_CIPHER_H
#define MQ_CRYPTO_BLOCK_CIPHER_H

#include "base/memory.h"

#define MQ_CIPHER_KEY 16u
#define MQ_CIPHER_BLOCK 16u

typedef struct mq_block_cipher {
    void *encrypt; /* Aes, wolfSSL's, so that no other header needs theirs */
    void *decrypt;
} mq_block_cipher;

/* 0 or MASQUE_ERR_CRYPTO; to be freed in both cases. */
int mq_block_cipher_init(mq_block_cipher *cipher, const uint8_t key[MQ_CIPHER_KEY]);
/* One of all zero is fine. */
void mq_block_cipher_free(mq_block_cipher *cipher);

/* 0 or MASQUE_ERR_CRYPTO. */
int mq_block_encrypt(mq_block_cipher *cipher, const uint8_t from[MQ_CIPHER_BLOCK], uint8_t to[MQ_CIPHER_BLOCK]);
int mq_block_decrypt(mq_block_cipher *cipher, const uint8_t from[MQ_CIPHER_BLOCK], uint8_t to[MQ_CIPHER_BLOCK]);

#endif
