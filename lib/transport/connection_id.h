/*
 * transport/connection_id.h: the connection IDs we give to QUIC clients, and the keys that
 * they and QUIC's tokens are made with (masqueproxy/quic.h gives the layout).
 *
 * An ID is one AES block: who doesn't have the key can't link two of them, and who has
 * it knows the server, the worker and the process that hold the connection.
 */
#ifndef MQ_TRANSPORT_CONNECTION_ID_H
#define MQ_TRANSPORT_CONNECTION_ID_H

#include <masqueproxy/quic.h>

#include "base/memory.h"
#include "crypto/block_cipher.h"
#include "crypto/secret.h"

/* RFC 9000 17.2: the longest of version 1 and 2, a client's included. */
#define MQ_CID_MAX 20u
#define MQ_QUIC_KEYS_MAX 3

typedef struct mq_cid {
    uint8_t length;
    uint8_t bytes[MQ_CID_MAX];
} mq_cid;

/* The configuration's part: plain bytes, read-only after sealing. */
typedef struct mq_quic_secret {
    uint8_t id;
    uint8_t key[MASQUE_QUIC_KEY_LENGTH];
} mq_quic_secret;

/* What is derived of one. */
typedef struct mq_quic_key {
    uint8_t id;
    mq_block_cipher cipher;
    uint8_t token[MQ_SECRET_DIGEST_LENGTH];
    uint8_t reset[MQ_SECRET_DIGEST_LENGTH];
} mq_quic_key;

typedef struct mq_quic_keys {
    mq_quic_key keys[MQ_QUIC_KEYS_MAX]; /* the first one makes new ones */
    size_t count;
} mq_quic_keys;

/* 0 or MASQUE_ERR_CRYPTO; to be freed in both cases. */
int mq_quic_keys_init(mq_quic_keys *keys, const mq_quic_secret *secrets, size_t count);
void mq_quic_keys_free(mq_quic_keys *keys);

/* A new ID of OWNER's. 0 or MASQUE_ERR_CRYPTO. */
int mq_cid_make(mq_quic_keys *keys, const masque_route *owner, const masque_runtime *runtime, mq_cid *cid);

/* Reads whose the ID that begins at BYTES is. False: it is none of ours, by its first byte;
   a client's own choice may look like one of anybody's. */
bool mq_cid_read(mq_quic_keys *keys, const uint8_t *bytes, size_t length, masque_route *owner);

/* The key that CID says it was made with, or the first. */
const mq_quic_key *mq_quic_key_of(const mq_quic_keys *keys, const mq_cid *cid);

#endif
