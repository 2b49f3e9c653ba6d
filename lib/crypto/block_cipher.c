#include "crypto/block_cipher.h"

#include "crypto/wolfssl.h"

static Aes *aes_new(const uint8_t key[MQ_CIPHER_KEY], int direction) {
    Aes *aes = wc_AesNew(NULL, INVALID_DEVID, NULL);
    if (aes && wc_AesSetKeyDirect(aes, key, MQ_CIPHER_KEY, NULL, direction) != 0) {
        wc_AesDelete(aes, NULL);
        aes = NULL;
    }
    return aes;
}

int mq_block_cipher_init(mq_block_cipher *cipher, const uint8_t key[MQ_CIPHER_KEY]) {
    cipher->encrypt = aes_new(key, AES_ENCRYPTION);
    cipher->decrypt = aes_new(key, AES_DECRYPTION);
    return cipher->encrypt && cipher->decrypt ? 0 : MASQUE_ERR_CRYPTO;
}

void mq_block_cipher_free(mq_block_cipher *cipher) {
    if (cipher->encrypt) {
        wc_AesDelete(cipher->encrypt, NULL);
    }
    if (cipher->decrypt) {
        wc_AesDelete(cipher->decrypt, NULL);
    }
    *cipher = (mq_block_cipher){.encrypt = NULL};
}

int mq_block_encrypt(mq_block_cipher *cipher, const uint8_t from[MQ_CIPHER_BLOCK], uint8_t to[MQ_CIPHER_BLOCK]) {
    return wc_AesEncryptDirect(cipher->encrypt, to, from) == 0 ? 0 : MASQUE_ERR_CRYPTO;
}

int mq_block_decrypt(mq_block_cipher *cipher, const uint8_t from[MQ_CIPHER_BLOCK], uint8_t to[MQ_CIPHER_BLOCK]) {
    return wc_AesDecryptDirect(cipher->decrypt, to, from) == 0 ? 0 : MASQUE_ERR_CRYPTO;
}
