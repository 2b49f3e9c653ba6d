/*
 * auth/preshared.h: the Preshared scheme, built on the same table that vendors
 * use. Keys are kept as HMACs under a random key of this configuration: what is
 * compared has a fixed length, and a memory dump holds no key.
 */
#ifndef MQ_AUTH_PRESHARED_H
#define MQ_AUTH_PRESHARED_H

#include <masqueproxy/auth.h>

#include "crypto/secret.h"

typedef struct mq_preshared_key {
    char name[MASQUE_PRESHARED_NAME_MAX + 1];
    uint8_t digest[MQ_SECRET_DIGEST_LENGTH];
    uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH];
} mq_preshared_key;

typedef struct mq_preshared {
    const masque_allocator *allocator;
    uint8_t hmac_key[MQ_SECRET_DIGEST_LENGTH];
    mq_preshared_key *keys;
    size_t count;
    size_t capacity;
} mq_preshared;

/* HMAC_KEY is random. */
void mq_preshared_init(mq_preshared *preshared, const masque_allocator *allocator,
                       const uint8_t hmac_key[MQ_SECRET_DIGEST_LENGTH]);
void mq_preshared_free(mq_preshared *preshared);

/* Errors as masque_config_add_preshared(). */
int mq_preshared_add(mq_preshared *preshared, const char *name, const char *key, size_t length);

/* The `check` of a masque_auth_method whose context is a mq_preshared. Compares
   with every key, whether or not one fitted. */
masque_verdict mq_preshared_check(void *context, const masque_auth_request *request);
/* Its `still`. */
bool mq_preshared_still(void *context, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]);

#endif
