#include "crypto/rsa_key.h"

#include <string.h>

#include "crypto/der.h"
#include "crypto/wolfssl.h"

#define EXPONENT_MAX 8u

struct mq_rsa_key {
    const masque_allocator *allocator;
    RsaKey rsa;
    WC_RNG rng; /* of a private key */
    bool is_private;
};

/* --- SubjectPublicKeyInfo (RFC 5280 4.1, RFC 4055 1.2 and 3.1) ---------------------------------------------------- */

/* AlgorithmIdentifier: id-RSASSA-PSS, SHA-384, MGF1 with SHA-384, salt 48. Hash identifiers may have a NULL. */
static const uint8_t ALGORITHM[] = {0x30, 0x3d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a,
                                    0x30, 0x30, 0xa0, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65,
                                    0x03, 0x04, 0x02, 0x02, 0xa1, 0x1a, 0x30, 0x18, 0x06, 0x09, 0x2a, 0x86, 0x48,
                                    0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48,
                                    0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0xa2, 0x03, 0x02, 0x01, 0x30};
static const uint8_t ALGORITHM_WITH_NULLS[] = {
    0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f,
    0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa1, 0x1c,
    0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
    0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, 0x30};

/* A positive number, without its sign byte. */
static bool enter_number(mq_der *in, mq_der *number) {
    if (!mq_der_enter(in, MQ_DER_INTEGER, number) || number->left == 0 || number->at[0] & 0x80) {
        return false;
    }
    if (number->at[0] == 0) {
        number->at++;
        number->left--;
    }
    return number->left > 0 && number->at[0] != 0;
}

static bool read_spki(mq_der spki, mq_der *modulus, mq_der *exponent) {
    static const uint8_t no_unused_bits[] = {0};
    mq_der info, bits, key;
    return mq_der_enter(&spki, MQ_DER_SEQUENCE, &info) && spki.left == 0 &&
           (mq_der_skip(&info, ALGORITHM, sizeof ALGORITHM) ||
            mq_der_skip(&info, ALGORITHM_WITH_NULLS, sizeof ALGORITHM_WITH_NULLS)) &&
           mq_der_enter(&info, MQ_DER_BIT_STRING, &bits) && info.left == 0 && mq_der_skip(&bits, no_unused_bits, 1) &&
           mq_der_enter(&bits, MQ_DER_SEQUENCE, &key) && bits.left == 0 && enter_number(&key, modulus) &&
           enter_number(&key, exponent) && key.left == 0;
}

/* --- life ------------------------------------------------------------------------------------------------------- */

static int key_new(mq_rsa_key **out, const masque_allocator *allocator) {
    mq_rsa_key *key = mq_zalloc(allocator, sizeof *key);
    *out = NULL;
    if (!key) {
        return MASQUE_ERR_NO_MEMORY;
    }
    key->allocator = allocator;
    if (wc_InitRsaKey(&key->rsa, NULL) != 0) {
        mq_free(allocator, key);
        return MASQUE_ERR_CRYPTO;
    }
    *out = key;
    return 0;
}

static int error_of(int code) {
    return code == MEMORY_E ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_INVALID;
}

int mq_rsa_public_new(mq_rsa_key **out, const masque_allocator *allocator, const uint8_t *spki, size_t length) {
    mq_der modulus, exponent;
    mq_rsa_key *key;
    *out = NULL;
    if (!read_spki((mq_der){.at = spki, .left = length}, &modulus, &exponent) || modulus.left < MQ_RSA_MIN ||
        modulus.left > MQ_RSA_MAX || !(modulus.at[0] & 0x80) || !(modulus.at[modulus.left - 1] & 1) ||
        exponent.left > EXPONENT_MAX || !(exponent.at[exponent.left - 1] & 1) ||
        (exponent.left == 1 && exponent.at[0] < 3)) {
        return MASQUE_ERR_INVALID;
    }
    int error = key_new(&key, allocator);
    if (error) {
        return error;
    }
    int code =
        wc_RsaPublicKeyDecodeRaw(modulus.at, (word32)modulus.left, exponent.at, (word32)exponent.left, &key->rsa);
    if (code) {
        mq_rsa_del(key);
        return error_of(code);
    }
    *out = key;
    return 0;
}

int mq_rsa_private_new(mq_rsa_key **out, const masque_allocator *allocator, const uint8_t *der, size_t length) {
    mq_rsa_key *key;
    word32 at = 0;
    int error = key_new(&key, allocator);
    *out = NULL;
    if (error) {
        return error;
    }
    int code = wc_InitRng(&key->rng);
    key->is_private = code == 0;
    error = code ? MASQUE_ERR_CRYPTO : 0;
    if (!error) {
        code = wc_RsaPrivateKeyDecode(der, &at, &key->rsa, (word32)length);
        code = code ? code : wc_RsaSetRNG(&key->rsa, &key->rng);
        int bits = code ? 0 : mp_count_bits(&key->rsa.n);
        bool fits = bits % 8 == 0 && mq_rsa_length(key) >= MQ_RSA_MIN && mq_rsa_length(key) <= MQ_RSA_MAX;
        error = code ? error_of(code) : fits ? 0 : MASQUE_ERR_INVALID;
    }
    if (error) {
        mq_rsa_del(key);
        return error;
    }
    *out = key;
    return 0;
}

void mq_rsa_del(mq_rsa_key *key) {
    if (!key) {
        return;
    }
    const masque_allocator *allocator = key->allocator;
    wc_FreeRsaKey(&key->rsa);
    if (key->is_private) {
        wc_FreeRng(&key->rng);
    }
    mq_wipe(key, sizeof *key);
    mq_free(allocator, key);
}

/* --- what it is --------------------------------------------------------------------------------------------------- */

size_t mq_rsa_length(const mq_rsa_key *key) {
    return (size_t)mp_unsigned_bin_size(&key->rsa.n);
}

void mq_rsa_modulus(const mq_rsa_key *key, uint8_t *modulus) {
    mp_to_unsigned_bin(&key->rsa.n, modulus);
}

/* Writes from the end, as lengths come before what they are of. */
static uint8_t *put_head(uint8_t *at, uint8_t tag, size_t length) {
    *--at = (uint8_t)length;
    if (length >= 0x100) {
        *--at = (uint8_t)(length >> 8);
        *--at = 0x82;
    } else if (length >= 0x80) {
        *--at = 0x81;
    }
    *--at = tag;
    return at;
}

static uint8_t *put_number(uint8_t *at, const uint8_t *bytes, size_t length) {
    at -= length;
    memcpy(at, bytes, length);
    if (bytes[0] & 0x80) {
        *--at = 0;
        length++;
    }
    return put_head(at, MQ_DER_INTEGER, length);
}

size_t mq_rsa_write_spki(const mq_rsa_key *key, uint8_t spki[MQ_RSA_SPKI_MAX]) {
    uint8_t modulus[MQ_RSA_MAX], exponent[MQ_RSA_MAX], room[MQ_RSA_SPKI_MAX];
    word32 modulus_length = sizeof modulus;
    word32 exponent_length = sizeof exponent;
    uint8_t *end = room + sizeof room;
    if (wc_RsaFlattenPublicKey(&key->rsa, exponent, &exponent_length, modulus, &modulus_length) != 0 ||
        exponent_length > EXPONENT_MAX) {
        return 0;
    }
    uint8_t *at = put_number(end, exponent, exponent_length);
    at = put_number(at, modulus, modulus_length);
    at = put_head(at, MQ_DER_SEQUENCE, (size_t)(end - at));
    *--at = 0; /* no unused bits */
    at = put_head(at, MQ_DER_BIT_STRING, (size_t)(end - at));
    at -= sizeof ALGORITHM;
    memcpy(at, ALGORITHM, sizeof ALGORITHM);
    at = put_head(at, MQ_DER_SEQUENCE, (size_t)(end - at));
    memcpy(spki, at, (size_t)(end - at));
    return (size_t)(end - at);
}

/* --- the operations ----------------------------------------------------------------------------------------------- */

static bool is_below(const RsaKey *rsa, const uint8_t *number, size_t length) {
    uint8_t modulus[MQ_RSA_MAX];
    return mp_to_unsigned_bin(&rsa->n, modulus) == MP_OKAY && memcmp(number, modulus, length) < 0;
}

static int operate(RsaKey *rsa, WC_RNG *rng, uint8_t *out, const uint8_t *in, size_t length, int type) {
    word32 written = (word32)length;
    if (!is_below(rsa, in, length)) { /* wolfCrypt does not always look */
        return MASQUE_ERR_INVALID;
    }
    int code = wc_RsaFunction(in, (word32)length, out, &written, type, rsa, rng);
    return code ? error_of(code) : written == length ? 0 : MASQUE_ERR_CRYPTO;
}

int mq_rsa_public_op(const mq_rsa_key *key, uint8_t *out, const uint8_t *in) {
    /* It only reads the key, though it does not say so. */
    union {
        const RsaKey *given;
        RsaKey *taken;
    } rsa = {.given = &key->rsa};
    return operate(rsa.taken, NULL, out, in, mq_rsa_length(key), RSA_PUBLIC_DECRYPT);
}

int mq_rsa_private_op(mq_rsa_key *key, uint8_t *out, const uint8_t *in) {
    uint8_t back[MQ_RSA_MAX];
    size_t length = mq_rsa_length(key);
    if (!key->is_private) {
        return MASQUE_ERR_INVALID;
    }
    int error = operate(&key->rsa, &key->rng, out, in, length, RSA_PRIVATE_DECRYPT);
    if (!error) {
        error = mq_rsa_public_op(key, back, out);
    }
    /* A fault in the computation would tell the key (RFC 9474 8.1). */
    if (!error && memcmp(back, in, length) != 0) {
        error = MASQUE_ERR_CRYPTO;
    }
    if (error) {
        mq_wipe(out, length);
    }
    return error;
}
