/*
 * crypto/voprf.h: the verifiable oblivious pseudorandom function VOPRF(P-384, SHA-384) (RFC 9497, mode 1), which
 * Privacy Pass tokens of type 1 are (RFC 9578 5):
 *
 *   client   mq_voprf_blind()   ---->  issuer   mq_voprf_evaluate_blinded()
 *            mq_voprf_finalize()  <-----------
 *   origin   mq_voprf_evaluate(), which needs the issuer's private key
 *
 * The issuer sees points that tell nothing of the input. Its proof shows that it used the key that all others get.
 */
#ifndef MQ_CRYPTO_VOPRF_H
#define MQ_CRYPTO_VOPRF_H

#include "crypto/p384.h"

#define MQ_VOPRF_OUTPUT MQ_SHA384_LENGTH
#define MQ_VOPRF_PROOF (2 * MQ_P384_SCALAR)

typedef struct mq_voprf_public {
    mq_p384_point point;
    uint8_t bytes[MQ_P384_POINT];
} mq_voprf_public;

/* To be wiped. */
typedef struct mq_voprf_private {
    mq_p384_scalar scalar;
    mq_voprf_public public;
} mq_voprf_private;

/* What the client keeps between blinding and finalizing. To be wiped. */
typedef struct mq_voprf_state {
    mq_p384_scalar blind;
    uint8_t blinded[MQ_P384_POINT];
} mq_voprf_state;

/* MASQUE_ERR_INVALID: it is no key. Else 0 or MASQUE_ERR_CRYPTO, as of all that follow; NO_MEMORY never happens today.
 */
int mq_voprf_public_init(mq_voprf_public *key, const uint8_t bytes[MQ_P384_POINT]);
int mq_voprf_private_init(mq_voprf_private *key, const uint8_t bytes[MQ_P384_SCALAR]);
int mq_voprf_generate(mq_voprf_private *key, const masque_runtime *runtime);

int mq_voprf_blind(mq_voprf_state *state, const masque_runtime *runtime, const uint8_t *input, size_t length);
/* The same with the blind chosen. MASQUE_ERR_INVALID: it is none. */
int mq_voprf_blind_with(mq_voprf_state *state, const uint8_t blind[MQ_P384_SCALAR], const uint8_t *input,
                        size_t length);

/* For COUNT points, which are 49 bytes each, as many and one proof for all. MASQUE_ERR_INVALID: one is no point. */
int mq_voprf_evaluate_blinded(const mq_voprf_private *key, const masque_runtime *runtime, const uint8_t *blinded,
                              size_t count, uint8_t *evaluated, uint8_t proof[MQ_VOPRF_PROOF]);

/* MASQUE_ERR_INVALID: the proof does not hold. */
int mq_voprf_verify(const mq_voprf_public *key, const uint8_t *blinded, const uint8_t *evaluated, size_t count,
                    const uint8_t proof[MQ_VOPRF_PROOF]);
/* Of what was verified, or of one point with its proof. */
int mq_voprf_unblind(const mq_voprf_state *state, const uint8_t evaluated[MQ_P384_POINT], const uint8_t *input,
                     size_t length, uint8_t output[MQ_VOPRF_OUTPUT]);
int mq_voprf_finalize(const mq_voprf_public *key, const mq_voprf_state *state, const uint8_t evaluated[MQ_P384_POINT],
                      const uint8_t proof[MQ_VOPRF_PROOF], const uint8_t *input, size_t length,
                      uint8_t output[MQ_VOPRF_OUTPUT]);

/* The output without blinding. Any thread. */
int mq_voprf_evaluate(const mq_voprf_private *key, const uint8_t *input, size_t length,
                      uint8_t output[MQ_VOPRF_OUTPUT]);

#endif
