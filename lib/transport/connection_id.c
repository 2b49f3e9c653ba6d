#include "transport/connection_id.h"

#include <string.h>

#define ID_SHIFT 5
#define LENGTH_BITS 0x1fu

static int derive(uint8_t out[MQ_SECRET_DIGEST_LENGTH], const uint8_t key[MASQUE_QUIC_KEY_LENGTH], const char *label) {
    return mq_secret_digest(out, key, label, strlen(label));
}

int masque_connection_id_key(const uint8_t key[MASQUE_QUIC_KEY_LENGTH], uint8_t aes_key[16]) {
    uint8_t derived[MQ_SECRET_DIGEST_LENGTH];
    int error = derive(derived, key, "masqueproxy quic connection id");
    memcpy(aes_key, derived, 16);
    mq_wipe(derived, sizeof derived);
    return error;
}

static int key_init(mq_quic_key *key, const mq_quic_secret *secret) {
    uint8_t aes_key[MQ_CIPHER_KEY];
    key->id = secret->id;
    int error = masque_connection_id_key(secret->key, aes_key);
    if (!error) {
        error = mq_block_cipher_init(&key->cipher, aes_key);
    }
    mq_wipe(aes_key, sizeof aes_key);
    if (!error) {
        error = derive(key->token, secret->key, "masqueproxy quic address token");
    }
    return error ? error : derive(key->reset, secret->key, "masqueproxy quic stateless reset");
}

int mq_quic_keys_init(mq_quic_keys *keys, const mq_quic_secret *secrets, size_t count) {
    memset(keys, 0, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        int error = key_init(&keys->keys[keys->count++], &secrets[i]);
        if (error) {
            return error;
        }
    }
    return 0;
}

void mq_quic_keys_free(mq_quic_keys *keys) {
    for (size_t i = 0; i < keys->count; i++) {
        mq_block_cipher_free(&keys->keys[i].cipher);
    }
    mq_wipe(keys, sizeof *keys);
}

int mq_cid_make(mq_quic_keys *keys, const masque_route *owner, const masque_runtime *runtime, mq_cid *cid) {
    uint8_t plain[MQ_CIPHER_BLOCK];
    mq_quic_key *key = &keys->keys[0];
    runtime->random(runtime->context, plain, sizeof plain);
    plain[0] = (uint8_t)(owner->server >> 16);
    plain[1] = (uint8_t)(owner->server >> 8);
    plain[2] = (uint8_t)owner->server;
    plain[3] = owner->worker;
    plain[4] = owner->generation;
    cid->length = MASQUE_CONNECTION_ID_LENGTH;
    cid->bytes[0] = (uint8_t)(key->id << ID_SHIFT | (MASQUE_CONNECTION_ID_LENGTH - 1));
    return mq_block_encrypt(&key->cipher, plain, cid->bytes + 1);
}

bool mq_cid_read(mq_quic_keys *keys, const uint8_t *bytes, size_t length, masque_route *owner) {
    uint8_t plain[MQ_CIPHER_BLOCK];
    if (length < MASQUE_CONNECTION_ID_LENGTH || (bytes[0] & LENGTH_BITS) != MASQUE_CONNECTION_ID_LENGTH - 1) {
        return false;
    }
    for (size_t i = 0; i < keys->count; i++) {
        mq_quic_key *key = &keys->keys[i];
        if (key->id == bytes[0] >> ID_SHIFT && mq_block_decrypt(&key->cipher, bytes + 1, plain) == 0) {
            *owner = (masque_route){.server = (uint32_t)plain[0] << 16 | (uint32_t)plain[1] << 8 | plain[2],
                                    .worker = plain[3],
                                    .generation = plain[4]};
            return true;
        }
    }
    return false;
}

const mq_quic_key *mq_quic_key_of(const mq_quic_keys *keys, const mq_cid *cid) {
    for (size_t i = 0; i < keys->count && cid->length > 0; i++) {
        if (keys->keys[i].id == cid->bytes[0] >> ID_SHIFT) {
            return &keys->keys[i];
        }
    }
    return &keys->keys[0];
}
