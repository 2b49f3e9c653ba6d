/*
 * geo/hint.h: where a hint's signature is (masqueproxy/hint.h), and keys that are read once.
 */
#ifndef MQ_GEO_HINT_H
#define MQ_GEO_HINT_H

#include <masqueproxy/base64.h>
#include <masqueproxy/hint.h>

#include "crypto/p256.h"

/* What of a field value was signed, and by what. */
typedef struct mq_hint_signature {
    size_t signed_length; /* up to ";sig" */
    uint8_t bytes[MQ_P256_SIGNATURE_LENGTH];
} mq_hint_signature;

/* masque_hint_read(), and the signature if the hint is signed. */
bool mq_hint_read(masque_hint *hint, mq_hint_signature *signature, const char *text, size_t length);

bool mq_hint_is_signed_by(const char *text, const mq_hint_signature *signature, const mq_p256_key *key);

#endif
