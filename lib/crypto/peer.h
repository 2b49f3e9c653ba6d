/*
 * crypto/peer.h: who somebody is by their certificate, which TLS has verified, or their raw public key: what
 * masque_peer tells.
 */
#ifndef MQ_CRYPTO_PEER_H
#define MQ_CRYPTO_PEER_H

#include <masqueproxy/auth.h>

#include "base/memory.h"

#define MQ_PEER_NAMES_MAX 32u

/* Owns all that `told` points to. */
typedef struct mq_peer {
    masque_peer told;
    const char *names[MQ_PEER_NAMES_MAX];
    char *text; /* subject and names, a zero behind each */
    size_t length;
} mq_peer;

/* Of the certificate, or SubjectPublicKeyInfo, in DER. *PEER is NULL unless 0 is returned: MASQUE_ERR_NO_MEMORY,
   MASQUE_ERR_CRYPTO, or MASQUE_ERR_CERTIFICATE: it can't be read, though it was verified. */
int mq_peer_new(mq_peer **peer, const masque_allocator *allocator, const uint8_t *certificate, size_t length);
/* The same of what an mq_peer was: TEXT is its text, which ends with a zero. 0 or MASQUE_ERR_NO_MEMORY, or
   MASQUE_ERR_CERTIFICATE: TEXT is no such thing. */
int mq_peer_restore(mq_peer **peer, const masque_allocator *allocator, bool is_raw_key, const uint8_t key_hash[32],
                    const char *text, size_t length);
/* Of the WOLFSSL's peer, by what it showed in this very handshake; *PEER stays NULL, and the result 0, when that was
   nothing. */
int mq_peer_of_tls(mq_peer **peer, const masque_allocator *allocator, void *ssl);
/* Has the WOLFSSL's peer shown a certificate, and no raw public key? */
bool mq_peer_has_certificate(void *ssl);
/* PEER may be NULL. */
void mq_peer_del(mq_peer *peer, const masque_allocator *allocator);

#endif
