/*
 * transport/quic_keys.h: the secrets of a QUIC connection and the keys that follow from them (RFC 9001 5.1, 5.2 and
 * 6.1; RFC 9369 3.3 for version 2). ngtcp2's helper seeds a random generator for each key that it derives, which
 * was half the cost of a handshake.
 */
#ifndef MQ_TRANSPORT_QUIC_KEYS_H
#define MQ_TRANSPORT_QUIC_KEYS_H

#include "transport/quic_aead.h"

#define MQ_INITIAL_SECRET 32u

/* What a cipher suite of TLS 1.3 means for QUIC. */
typedef struct mq_quic_suite {
    int number; /* TLS_AES_128_GCM_SHA256 is 0x1301 */
    mq_aead aead;
    int hash; /* wolfCrypt's */
    size_t secret_length;
    uint64_t packets_max;  /* RFC 9001 6.6: with one key */
    uint64_t failures_max; /* and such that didn't open */
} mq_quic_suite;

/* NULL: none that QUIC can be protected with. */
const mq_quic_suite *mq_quic_suite_of(int number);
/* That of Initial packets. */
const mq_quic_suite *mq_quic_suite_initial(void);

/* How ngtcp2 is told of SUITE, and back. */
ngtcp2_crypto_ctx mq_quic_crypto(const mq_quic_suite *suite);
const mq_quic_suite *mq_quic_suite_told(const ngtcp2_crypto_ctx *crypto);

/* All that protects packets in one direction. */
typedef struct mq_protection {
    ngtcp2_crypto_aead_ctx aead;
    ngtcp2_crypto_cipher_ctx hp;
    uint8_t iv[12];
} mq_protection;

/* Of SECRET, suite->secret_length bytes; without HEADERS it is for a key update, which has the old `hp`.
   0, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_CRYPTO; PROTECTION is empty then. */
int mq_protection_init(mq_protection *protection, const masque_allocator *allocator, const mq_quic_suite *suite,
                       uint32_t version, const uint8_t *secret, bool headers);
void mq_protection_free(mq_protection *protection, const masque_allocator *allocator);

/* Those of a client's first packet to DCID. 0 or MASQUE_ERR_CRYPTO. */
int mq_initial_secrets(uint8_t client[MQ_INITIAL_SECRET], uint8_t server[MQ_INITIAL_SECRET], uint32_t version,
                       const ngtcp2_cid *dcid);

/* The one behind SECRET, after a key update. 0 or MASQUE_ERR_CRYPTO. */
int mq_next_secret(uint8_t *next, const mq_quic_suite *suite, uint32_t version, const uint8_t *secret);

/* For the tag of a Retry (5.8). As mq_packet_key_new(). */
int mq_retry_key(mq_packet_key **out, const masque_allocator *allocator, uint32_t version);

#endif
