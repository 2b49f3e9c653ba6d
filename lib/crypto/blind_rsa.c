#include "crypto/blind_rsa.h"

#include <string.h>

#include "crypto/wolfssl.h"

#define HASH_LENGTH 48u
#define BLOCK_MAX (MQ_RSA_MAX - HASH_LENGTH - 1)
/* Of numbers below 2 to the modulus' length one in two is below the modulus. */
#define BLIND_TRIES 128u

/* --- EMSA-PSS with SHA-384 (RFC 8017 9.1), for a modulus of whole bytes ----------------------------------------- */

static int hash(uint8_t digest[HASH_LENGTH], const uint8_t *a, size_t a_length, const uint8_t *b, size_t b_length) {
    wc_Sha384 sha;
    int code = wc_InitSha384(&sha);
    code = code ? code : wc_Sha384Update(&sha, a, (word32)a_length);
    code = code ? code : wc_Sha384Update(&sha, b, (word32)b_length);
    code = code ? code : wc_Sha384Final(&sha, digest);
    wc_Sha384Free(&sha);
    return code ? MASQUE_ERR_CRYPTO : 0;
}

/* MGF1 (B.2.1): BLOCK is XORed with what follows from SEED. */
static int mask(uint8_t *block, size_t length, const uint8_t seed[HASH_LENGTH]) {
    uint8_t counter[4] = {0};
    uint8_t digest[HASH_LENGTH];
    int error = 0;
    for (size_t at = 0; at < length && !error; at += HASH_LENGTH) {
        counter[3] = (uint8_t)(at / HASH_LENGTH);
        error = hash(digest, seed, HASH_LENGTH, counter, sizeof counter);
        for (size_t i = 0; i < HASH_LENGTH && at + i < length; i++) {
            block[at + i] ^= digest[i];
        }
    }
    return error;
}

/* H of 9.1.1 step 6: of eight zeros, the message's hash, and SALT. */
static int salted_hash(uint8_t digest[HASH_LENGTH], const uint8_t *message, size_t length,
                       const uint8_t salt[MQ_BLIND_RSA_SALT]) {
    uint8_t prefix[8 + HASH_LENGTH] = {0};
    int error = hash(prefix + 8, message, length, NULL, 0);
    return error ? error : hash(digest, prefix, sizeof prefix, salt, MQ_BLIND_RSA_SALT);
}

/* maskedDB, H and 0xbc, of SIZE bytes. */
static int encode(uint8_t *encoded, size_t size, const uint8_t *message, size_t length,
                  const uint8_t salt[MQ_BLIND_RSA_SALT]) {
    size_t block = size - HASH_LENGTH - 1;
    uint8_t *digest = encoded + block;
    int error = salted_hash(digest, message, length, salt);
    memset(encoded, 0, block);
    encoded[block - MQ_BLIND_RSA_SALT - 1] = 1;
    memcpy(encoded + block - MQ_BLIND_RSA_SALT, salt, MQ_BLIND_RSA_SALT);
    error = error ? error : mask(encoded, block, digest);
    encoded[0] &= 0x7f;
    encoded[size - 1] = 0xbc;
    return error;
}

/* 9.1.2. MASQUE_ERR_INVALID: it is not of this message. */
static int check(const uint8_t *encoded, size_t size, const uint8_t *message, size_t length) {
    uint8_t block[BLOCK_MAX];
    uint8_t expected[HASH_LENGTH];
    size_t block_length = size - HASH_LENGTH - 1;
    const uint8_t *digest = encoded + block_length;
    const uint8_t *salt = block + block_length - MQ_BLIND_RSA_SALT;
    if (encoded[size - 1] != 0xbc || encoded[0] & 0x80) {
        return MASQUE_ERR_INVALID;
    }
    memcpy(block, encoded, block_length);
    int error = mask(block, block_length, digest);
    if (error) {
        return error;
    }
    block[0] &= 0x7f;
    unsigned wrong = block[block_length - MQ_BLIND_RSA_SALT - 1] ^ 1u;
    for (size_t i = 0; i < block_length - MQ_BLIND_RSA_SALT - 1; i++) {
        wrong |= block[i];
    }
    error = salted_hash(expected, message, length, salt);
    return error ? error : wrong || memcmp(expected, digest, HASH_LENGTH) != 0 ? MASQUE_ERR_INVALID : 0;
}

/* --- numbers ------------------------------------------------------------------------------------------------------ */

static int error_of(int code) {
    return code == 0 ? 0 : code == MP_MEM ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_CRYPTO;
}

/* OUT = A * B below the modulus of KEY. */
static int multiply(const mq_rsa_key *key, uint8_t *out, const uint8_t *a, const uint8_t *b) {
    uint8_t modulus[MQ_RSA_MAX];
    size_t size = mq_rsa_length(key);
    mp_int n, x, y;
    mq_rsa_modulus(key, modulus);
    int code = mp_init_multi(&n, &x, &y, NULL, NULL, NULL);
    if (code) {
        return error_of(code);
    }
    code = mp_read_unsigned_bin(&n, modulus, (word32)size);
    code = code ? code : mp_read_unsigned_bin(&x, a, (word32)size);
    code = code ? code : mp_read_unsigned_bin(&y, b, (word32)size);
    code = code ? code : mp_mulmod(&x, &y, &n, &x);
    code = code ? code : mp_to_unsigned_bin_len(&x, out, (int)size);
    mp_forcezero(&x);
    mp_forcezero(&y);
    mp_clear(&n);
    return error_of(code);
}

/* OUT = 1 / A below the modulus. MASQUE_ERR_INVALID: there is none. */
static int invert(const mq_rsa_key *key, uint8_t *out, const uint8_t *a) {
    uint8_t modulus[MQ_RSA_MAX];
    size_t size = mq_rsa_length(key);
    mp_int n, x;
    mq_rsa_modulus(key, modulus);
    int code = mp_init_multi(&n, &x, NULL, NULL, NULL, NULL);
    if (code) {
        return error_of(code);
    }
    code = mp_read_unsigned_bin(&n, modulus, (word32)size);
    code = code ? code : mp_read_unsigned_bin(&x, a, (word32)size);
    int error = error_of(code);
    if (!error) {
        bool fits = !mp_iszero(&x) && mp_cmp(&x, &n) == MP_LT;
        code = fits ? mp_invmod(&x, &n, &x) : MP_VAL;
        error = code == MP_MEM ? MASQUE_ERR_NO_MEMORY : code ? MASQUE_ERR_INVALID : 0;
    }
    if (!error) {
        error = error_of(mp_to_unsigned_bin_len(&x, out, (int)size));
    }
    mp_forcezero(&x);
    mp_clear(&n);
    return error;
}

/* --- the protocol (RFC 9474 4) ------------------------------------------------------------------------------------ */

int mq_blind_rsa_blind_with(const mq_rsa_key *key, const uint8_t salt[MQ_BLIND_RSA_SALT], const uint8_t *blind,
                            const uint8_t *message, size_t length, uint8_t *blinded, mq_blind_rsa_state *state) {
    uint8_t encoded[MQ_RSA_MAX];
    uint8_t power[MQ_RSA_MAX];
    size_t size = mq_rsa_length(key);
    int error = invert(key, state->inverse, blind);
    error = error ? error : encode(encoded, size, message, length, salt);
    error = error ? error : mq_rsa_public_op(key, power, blind);
    error = error ? error : multiply(key, blinded, encoded, power);
    mq_wipe(encoded, sizeof encoded);
    mq_wipe(power, sizeof power);
    return error;
}

int mq_blind_rsa_blind(const mq_rsa_key *key, const masque_runtime *runtime, const uint8_t *message, size_t length,
                       uint8_t *blinded, mq_blind_rsa_state *state) {
    uint8_t salt[MQ_BLIND_RSA_SALT];
    uint8_t blind[MQ_RSA_MAX];
    int error = MASQUE_ERR_INVALID;
    runtime->random(runtime->context, salt, sizeof salt);
    for (unsigned i = 0; i < BLIND_TRIES && error == MASQUE_ERR_INVALID; i++) {
        runtime->random(runtime->context, blind, mq_rsa_length(key));
        error = mq_blind_rsa_blind_with(key, salt, blind, message, length, blinded, state);
    }
    mq_wipe(blind, sizeof blind);
    return error == MASQUE_ERR_INVALID ? MASQUE_ERR_CRYPTO : error;
}

int mq_blind_rsa_sign(mq_rsa_key *key, const uint8_t *blinded, uint8_t *blind_signature) {
    return mq_rsa_private_op(key, blind_signature, blinded);
}

int mq_blind_rsa_finalize(const mq_rsa_key *key, const mq_blind_rsa_state *state, const uint8_t *blind_signature,
                          const uint8_t *message, size_t length, uint8_t *signature) {
    int error = multiply(key, signature, blind_signature, state->inverse);
    return error ? error : mq_blind_rsa_verify(key, message, length, signature);
}

int mq_blind_rsa_verify(const mq_rsa_key *key, const uint8_t *message, size_t length, const uint8_t *signature) {
    uint8_t encoded[MQ_RSA_MAX];
    int error = mq_rsa_public_op(key, encoded, signature);
    return error ? error : check(encoded, mq_rsa_length(key), message, length);
}
