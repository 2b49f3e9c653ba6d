#include "crypto/ticket.h"

#include <string.h>

#define NONCE_LENGTH 12
#define TAG_LENGTH 16

static int key_init(mq_ticket_key *key, const uint8_t bytes[MASQUE_TICKET_KEY_LENGTH]) {
    static const uint8_t label[] = "masqueproxy ticket key name";
    uint8_t input[sizeof label + MASQUE_TICKET_KEY_LENGTH];
    uint8_t digest[WC_SHA256_DIGEST_SIZE];
    memcpy(input, label, sizeof label);
    memcpy(input + sizeof label, bytes, MASQUE_TICKET_KEY_LENGTH);
    bool hashed = wc_Sha256Hash(input, sizeof input, digest) == 0;
    mq_wipe(input, sizeof input);
    if (!hashed || wc_AesInit(&key->aes, NULL, INVALID_DEVID) != 0) {
        return MASQUE_ERR_CRYPTO;
    }
    key->ready = true;
    memcpy(key->name, digest, sizeof key->name);
    return wc_AesGcmSetKey(&key->aes, bytes, MASQUE_TICKET_KEY_LENGTH) == 0 ? 0 : MASQUE_ERR_CRYPTO;
}

int mq_ticket_sealer_init(mq_ticket_sealer *sealer, const mq_credentials *credentials, const masque_runtime *runtime) {
    memset(sealer, 0, sizeof *sealer);
    sealer->runtime = *runtime;
    sealer->opens_none = credentials->asks_clients;
    for (size_t i = 0; i < credentials->ticket_key_count; i++) {
        int error = key_init(&sealer->keys[i], credentials->ticket_keys[i]);
        if (error) {
            return error;
        }
        sealer->key_count++;
    }
    return 0;
}

void mq_ticket_sealer_free(mq_ticket_sealer *sealer) {
    for (size_t i = 0; i < MQ_TICKET_KEYS_MAX; i++) {
        if (sealer->keys[i].ready) {
            wc_AesFree(&sealer->keys[i].aes);
        }
    }
    mq_wipe(sealer->keys, sizeof sealer->keys);
}

static int seal_ticket(mq_ticket_sealer *sealer, uint8_t *name, uint8_t *iv, uint8_t *mac, uint8_t *ticket,
                       word32 length) {
    mq_ticket_key *key = &sealer->keys[0];
    if (sealer->key_count == 0) {
        return WOLFSSL_TICKET_RET_FATAL;
    }
    memcpy(name, key->name, sizeof key->name);
    memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
    sealer->runtime.random(sealer->runtime.context, iv, WOLFSSL_TICKET_IV_SZ);
    int error =
        wc_AesGcmEncrypt(&key->aes, ticket, ticket, length, iv, NONCE_LENGTH, mac, TAG_LENGTH, name, sizeof key->name);
    return error ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_OK;
}

static int open_ticket(mq_ticket_sealer *sealer, const uint8_t *name, const uint8_t *iv, const uint8_t *mac,
                       uint8_t *ticket, word32 length, bool is_tls13) {
    for (size_t i = 0; i < sealer->key_count && !sealer->opens_none; i++) {
        mq_ticket_key *key = &sealer->keys[i];
        if (memcmp(name, key->name, sizeof key->name) != 0) {
            continue;
        }
        int error = wc_AesGcmDecrypt(&key->aes, ticket, ticket, length, iv, NONCE_LENGTH, mac, TAG_LENGTH, name,
                                     sizeof key->name);
        if (error) {
            return WOLFSSL_TICKET_RET_REJECT;
        }
        /* Under an old key: good, and the client gets a new one. With TLS 1.3 it gets
           one anyway, and wolfSSL takes only OK. */
        return i == 0 || is_tls13 ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_CREATE;
    }
    return WOLFSSL_TICKET_RET_REJECT;
}

int mq_ticket_callback(WOLFSSL *ssl, unsigned char key_name[WOLFSSL_TICKET_NAME_SZ],
                       unsigned char iv[WOLFSSL_TICKET_IV_SZ], unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int encrypt,
                       unsigned char *ticket, int length, int *out_length, void *context) {
    *out_length = length;
    if (encrypt) {
        return seal_ticket(context, key_name, iv, mac, ticket, (word32)length);
    }
    return open_ticket(context, key_name, iv, mac, ticket, (word32)length, wolfSSL_version(ssl) == TLS1_3_VERSION);
}
