#include "crypto/voprf.h"

#include <string.h>

/* RFC 9497 3.1: the context string, of mode 1. */
#define CONTEXT "OPRFV1-\001-P384-SHA384"
#define LENGTH_OF(literal) (sizeof(literal) - 1)

/* Two bytes in front of everything that is hashed (I2OSP(len, 2)). */
typedef struct prefix {
    uint8_t bytes[2];
} prefix;

static prefix prefix_of(size_t number) {
    return (prefix){{(uint8_t)(number >> 8), (uint8_t)number}};
}

static const prefix POINT_PREFIX = {{0, MQ_P384_POINT}};

/* --- keys --------------------------------------------------------------------------------------------------------- */

int mq_voprf_public_init(mq_voprf_public *key, const uint8_t bytes[MQ_P384_POINT]) {
    memcpy(key->bytes, bytes, sizeof key->bytes);
    return mq_p384_point_read(&key->point, bytes) ? 0 : MASQUE_ERR_INVALID;
}

static int complete(mq_voprf_private *key) {
    int error = mq_p384_multiply_base(&key->public.point, &key->scalar);
    mq_p384_point_write(&key->public.point, key->public.bytes);
    return error;
}

int mq_voprf_private_init(mq_voprf_private *key, const uint8_t bytes[MQ_P384_SCALAR]) {
    return mq_p384_scalar_read(&key->scalar, bytes) ? complete(key) : MASQUE_ERR_INVALID;
}

int mq_voprf_generate(mq_voprf_private *key, const masque_runtime *runtime) {
    int error = mq_p384_scalar_random(&key->scalar, runtime);
    return error ? error : complete(key);
}

/* --- the client's side of blinding ------------------------------------------------------------------------------ */

/* BY times HashToGroup. */
static int multiply_hash(mq_p384_point *point, const mq_p384_scalar *by, const uint8_t *input, size_t length) {
    const mq_piece piece = {input, length};
    return mq_p384_multiply_hash(point, by, &piece, 1, "HashToGroup-" CONTEXT);
}

static int blind(mq_voprf_state *state, const uint8_t *input, size_t length) {
    mq_p384_point point;
    int error = multiply_hash(&point, &state->blind, input, length);
    if (!error) {
        mq_p384_point_write(&point, state->blinded);
    }
    return error;
}

int mq_voprf_blind(mq_voprf_state *state, const masque_runtime *runtime, const uint8_t *input, size_t length) {
    int error = mq_p384_scalar_random(&state->blind, runtime);
    return error ? error : blind(state, input, length);
}

int mq_voprf_blind_with(mq_voprf_state *state, const uint8_t bytes[MQ_P384_SCALAR], const uint8_t *input,
                        size_t length) {
    return mq_p384_scalar_read(&state->blind, bytes) ? blind(state, input, length) : MASQUE_ERR_INVALID;
}

/* --- proofs (2.2) ------------------------------------------------------------------------------------------------- */

/* The seed of the weights: of the public key. */
static int make_seed(uint8_t seed[MQ_SHA384_LENGTH], const mq_voprf_public *key) {
    static const char dst[] = "Seed-" CONTEXT;
    const prefix dst_prefix = prefix_of(LENGTH_OF(dst));
    const mq_piece pieces[] = {
        {&POINT_PREFIX, 2}, {key->bytes, MQ_P384_POINT}, {&dst_prefix, 2}, {dst, LENGTH_OF(dst)}};
    return mq_sha384(seed, pieces, 4);
}

/* Of pair NUMBER. */
static int weight(mq_p384_scalar *out, const uint8_t seed[MQ_SHA384_LENGTH], size_t number, const uint8_t *blinded,
                  const uint8_t *evaluated) {
    const prefix seed_prefix = prefix_of(MQ_SHA384_LENGTH);
    const prefix index = prefix_of(number);
    const mq_piece pieces[] = {{&seed_prefix, 2},          {seed, MQ_SHA384_LENGTH}, {&index, 2},
                               {&POINT_PREFIX, 2},         {blinded, MQ_P384_POINT}, {&POINT_PREFIX, 2},
                               {evaluated, MQ_P384_POINT}, {"Composite", 9}};
    return mq_p384_hash_to_scalar(out, pieces, 8, "HashToScalar-" CONTEXT);
}

/* SUM becomes, or gets more by, FACTOR times the point in BYTES. */
static int add(mq_p384_point *sum, bool first, const mq_p384_scalar *factor, const uint8_t *bytes) {
    static const mq_p384_scalar one = {.bytes = {[MQ_P384_SCALAR - 1] = 1}};
    mq_p384_point point;
    if (!mq_p384_point_read(&point, bytes)) {
        return MASQUE_ERR_INVALID;
    }
    return first ? mq_p384_multiply(sum, factor, &point) : mq_p384_multiply_two(sum, &one, sum, factor, &point);
}

/* ComputeComposites: M of the blinded points, and Z of the evaluated ones unless it is NULL. */
static int compose(mq_p384_point *m, mq_p384_point *z, const mq_voprf_public *key, const uint8_t *blinded,
                   const uint8_t *evaluated, size_t count) {
    uint8_t seed[MQ_SHA384_LENGTH];
    int error = make_seed(seed, key);
    for (size_t i = 0; i < count && !error; i++) {
        mq_p384_scalar factor;
        const uint8_t *c = blinded + i * MQ_P384_POINT;
        const uint8_t *d = evaluated + i * MQ_P384_POINT;
        error = weight(&factor, seed, i, c, d);
        error = error ? error : add(m, i == 0, &factor, c);
        error = error || !z ? error : add(z, i == 0, &factor, d);
    }
    return error;
}

static int challenge(mq_p384_scalar *out, const mq_voprf_public *key, const mq_p384_point *const points[4]) {
    uint8_t bytes[4][MQ_P384_POINT];
    mq_piece pieces[11] = {{&POINT_PREFIX, 2}, {key->bytes, MQ_P384_POINT}};
    for (size_t i = 0; i < 4; i++) {
        mq_p384_point_write(points[i], bytes[i]);
        pieces[2 + 2 * i] = (mq_piece){&POINT_PREFIX, 2};
        pieces[3 + 2 * i] = (mq_piece){bytes[i], MQ_P384_POINT};
    }
    pieces[10] = (mq_piece){"Challenge", 9};
    return mq_p384_hash_to_scalar(out, pieces, 11, "HashToScalar-" CONTEXT);
}

static int prove(const mq_voprf_private *key, const masque_runtime *runtime, const uint8_t *blinded,
                 const uint8_t *evaluated, size_t count, uint8_t proof[MQ_VOPRF_PROOF]) {
    mq_p384_point m, z, t2, t3;
    mq_p384_scalar r, c, s;
    int error = compose(&m, NULL, &key->public, blinded, evaluated, count);
    error = error ? error : mq_p384_multiply(&z, &key->scalar, &m);
    error = error ? error : mq_p384_scalar_random(&r, runtime);
    error = error ? error : mq_p384_multiply_base(&t2, &r);
    error = error ? error : mq_p384_multiply(&t3, &r, &m);
    error = error ? error : challenge(&c, &key->public, (const mq_p384_point *const[4]){&m, &z, &t2, &t3});
    error = error ? error : mq_p384_scalar_less(&s, &r, &c, &key->scalar, runtime);
    if (!error) {
        memcpy(proof, c.bytes, MQ_P384_SCALAR);
        memcpy(proof + MQ_P384_SCALAR, s.bytes, MQ_P384_SCALAR);
    }
    mq_wipe(&r, sizeof r);
    return error;
}

int mq_voprf_verify(const mq_voprf_public *key, const uint8_t *blinded, const uint8_t *evaluated, size_t count,
                    const uint8_t proof[MQ_VOPRF_PROOF]) {
    static const mq_p384_scalar one = {.bytes = {[MQ_P384_SCALAR - 1] = 1}};
    mq_p384_point m, z, t2, t3, generator;
    mq_p384_scalar c, s, expected;
    if (count == 0 || !mq_p384_scalar_read(&c, proof) || !mq_p384_scalar_read(&s, proof + MQ_P384_SCALAR)) {
        return MASQUE_ERR_INVALID;
    }
    int error = compose(&m, &z, key, blinded, evaluated, count);
    error = error ? error : mq_p384_multiply_base(&generator, &one);
    error = error ? error : mq_p384_multiply_two(&t2, &s, &generator, &c, &key->point);
    error = error ? error : mq_p384_multiply_two(&t3, &s, &m, &c, &z);
    error = error ? error : challenge(&expected, key, (const mq_p384_point *const[4]){&m, &z, &t2, &t3});
    return error ? error : memcmp(expected.bytes, c.bytes, sizeof c.bytes) == 0 ? 0 : MASQUE_ERR_INVALID;
}

/* --- evaluation --------------------------------------------------------------------------------------------------- */

int mq_voprf_evaluate_blinded(const mq_voprf_private *key, const masque_runtime *runtime, const uint8_t *blinded,
                              size_t count, uint8_t *evaluated, uint8_t proof[MQ_VOPRF_PROOF]) {
    int error = count > 0 ? 0 : MASQUE_ERR_INVALID;
    for (size_t i = 0; i < count && !error; i++) {
        mq_p384_point point;
        if (!mq_p384_point_read(&point, blinded + i * MQ_P384_POINT)) {
            return MASQUE_ERR_INVALID;
        }
        error = mq_p384_multiply(&point, &key->scalar, &point);
        mq_p384_point_write(&point, evaluated + i * MQ_P384_POINT);
    }
    return error ? error : prove(key, runtime, blinded, evaluated, count, proof);
}

static int output_of(const uint8_t *input, size_t length, const mq_p384_point *point, uint8_t output[MQ_VOPRF_OUTPUT]) {
    uint8_t bytes[MQ_P384_POINT];
    const prefix input_prefix = prefix_of(length);
    const mq_piece pieces[] = {
        {&input_prefix, 2}, {input, length}, {&POINT_PREFIX, 2}, {bytes, sizeof bytes}, {"Finalize", 8}};
    mq_p384_point_write(point, bytes);
    return mq_sha384(output, pieces, 5);
}

int mq_voprf_unblind(const mq_voprf_state *state, const uint8_t evaluated[MQ_P384_POINT], const uint8_t *input,
                     size_t length, uint8_t output[MQ_VOPRF_OUTPUT]) {
    mq_p384_point point;
    mq_p384_scalar inverse;
    if (!mq_p384_point_read(&point, evaluated)) {
        return MASQUE_ERR_INVALID;
    }
    int error = mq_p384_scalar_invert(&inverse, &state->blind);
    error = error ? error : mq_p384_multiply(&point, &inverse, &point);
    mq_wipe(&inverse, sizeof inverse);
    return error ? error : output_of(input, length, &point, output);
}

int mq_voprf_finalize(const mq_voprf_public *key, const mq_voprf_state *state, const uint8_t evaluated[MQ_P384_POINT],
                      const uint8_t proof[MQ_VOPRF_PROOF], const uint8_t *input, size_t length,
                      uint8_t output[MQ_VOPRF_OUTPUT]) {
    int error = mq_voprf_verify(key, state->blinded, evaluated, 1, proof);
    return error ? error : mq_voprf_unblind(state, evaluated, input, length, output);
}

int mq_voprf_evaluate(const mq_voprf_private *key, const uint8_t *input, size_t length,
                      uint8_t output[MQ_VOPRF_OUTPUT]) {
    mq_p384_point point;
    int error = multiply_hash(&point, &key->scalar, input, length);
    return error ? error : output_of(input, length, &point, output);
}
