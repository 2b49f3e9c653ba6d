/*
 * crypto/blind_rsa.h: blind signatures by RSABSSA-SHA384-PSS-Deterministic (RFC 9474 5), which Privacy Pass tokens of
 * type 2 are (RFC 9578 6):
 *
 *   client   mq_blind_rsa_blind()  ---->  issuer   mq_blind_rsa_sign()
 *            mq_blind_rsa_finalize()  <-----------
 *   origin   mq_blind_rsa_verify()
 *
 * The issuer sees numbers that tell nothing of the message, and later not which of them a signature came of.
 */
#ifndef MQ_CRYPTO_BLIND_RSA_H
#define MQ_CRYPTO_BLIND_RSA_H

#include "crypto/rsa_key.h"

#define MQ_BLIND_RSA_SALT 48u

/* What the client keeps between blinding and finalizing. To be wiped. */
typedef struct mq_blind_rsa_state {
    uint8_t inverse[MQ_RSA_MAX];
} mq_blind_rsa_state;

/* BLINDED has mq_rsa_length() bytes. 0, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_CRYPTO. */
int mq_blind_rsa_blind(const mq_rsa_key *key, const masque_runtime *runtime, const uint8_t *message, size_t length,
                       uint8_t *blinded, mq_blind_rsa_state *state);
/* The same with SALT and BLIND, of mq_rsa_length() bytes, chosen. MASQUE_ERR_INVALID: BLIND is not below the modulus,
   0, or has no inverse. */
int mq_blind_rsa_blind_with(const mq_rsa_key *key, const uint8_t salt[MQ_BLIND_RSA_SALT], const uint8_t *blind,
                            const uint8_t *message, size_t length, uint8_t *blinded, mq_blind_rsa_state *state);

/* The issuer's: as mq_rsa_private_op(). */
int mq_blind_rsa_sign(mq_rsa_key *key, const uint8_t *blinded, uint8_t *blind_signature);

/* SIGNATURE has mq_rsa_length() bytes. MASQUE_ERR_INVALID: what the issuer sent makes no signature of it. */
int mq_blind_rsa_finalize(const mq_rsa_key *key, const mq_blind_rsa_state *state, const uint8_t *blind_signature,
                          const uint8_t *message, size_t length, uint8_t *signature);

/* 0, MASQUE_ERR_INVALID: it is no signature of it, MASQUE_ERR_NO_MEMORY or MASQUE_ERR_CRYPTO. Any thread. */
int mq_blind_rsa_verify(const mq_rsa_key *key, const uint8_t *message, size_t length, const uint8_t *signature);

#endif
