#include "crypto/p384.h"

#include <string.h>

#include "crypto/wolfssl.h"

#ifndef WOLFSSL_SP_384
#error "wolfSSL needs --enable-sp=yes: P-384 of its own takes a fraction of the time"
#endif

#define FIELD MQ_P384_SCALAR
/* RFC 9380 5.1: 384 bits and 192 more, so that what is left of the division is as good as even. */
#define WIDE 72u
#define SHA384_BLOCK 128u

static const uint8_t PRIME[FIELD] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff,
                                     0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff};
static const uint8_t ORDER[FIELD] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
                                     0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};
/* Of the curve y^2 = x^3 + A x + B with A = -3: B / -A. */
static const uint8_t B_BY_3[FIELD] = {0xe6, 0x65, 0xba, 0x8d, 0x4b, 0x6a, 0x4d, 0x4c, 0x32, 0xda, 0x01, 0xce,
                                      0xa1, 0x52, 0xb9, 0xb3, 0x08, 0x09, 0xde, 0xcf, 0xaa, 0x2b, 0x15, 0xb0,
                                      0xab, 0xb1, 0x58, 0x2f, 0xc5, 0x5b, 0xd7, 0xc8, 0x42, 0x1c, 0xbd, 0xd9,
                                      0x2e, 0x0f, 0x9b, 0x34, 0x63, 0x81, 0xed, 0xa5, 0x46, 0xa4, 0x0e, 0x4f};

/* --- numbers ------------------------------------------------------------------------------------------------------ */

/* wolfCrypt's calls one behind the other: none is made once one failed. */
#define THEN(code, call) ((code) = (code) ? (code) : (call))

static int error_of(int code) {
    return code == 0 ? 0 : code == MEMORY_E || code == MP_MEM ? MASQUE_ERR_NO_MEMORY : MASQUE_ERR_CRYPTO;
}

static int read_number(mp_int *number, const uint8_t *bytes, size_t length) {
    int code = mp_init(number);
    return THEN(code, mp_read_unsigned_bin(number, bytes, (word32)length));
}

static int write_number(mp_int *number, uint8_t *bytes) {
    return mp_to_unsigned_bin_len(number, bytes, FIELD);
}

static bool is_zero(const uint8_t bytes[FIELD]) {
    uint8_t all = 0;
    for (size_t i = 0; i < FIELD; i++) {
        all |= bytes[i];
    }
    return all == 0;
}

/* BYTES, however many, modulo MODULUS. */
static int reduce(uint8_t out[FIELD], const uint8_t *bytes, size_t length, const uint8_t modulus[FIELD]) {
    mp_int number, m;
    int code = read_number(&number, bytes, length);
    THEN(code, read_number(&m, modulus, FIELD));
    THEN(code, mp_mod(&number, &m, &number));
    THEN(code, write_number(&number, out));
    mp_forcezero(&number);
    return error_of(code);
}

bool mq_p384_scalar_read(mq_p384_scalar *scalar, const uint8_t bytes[MQ_P384_SCALAR]) {
    memcpy(scalar->bytes, bytes, sizeof scalar->bytes);
    return !is_zero(bytes) && memcmp(bytes, ORDER, sizeof ORDER) < 0;
}

int mq_p384_scalar_random(mq_p384_scalar *scalar, const masque_runtime *runtime) {
    uint8_t wide[WIDE];
    int error;
    do {
        runtime->random(runtime->context, wide, sizeof wide);
        error = reduce(scalar->bytes, wide, sizeof wide, ORDER);
    } while (!error && is_zero(scalar->bytes));
    mq_wipe(wide, sizeof wide);
    return error;
}

/* A random number and what it lacks to SECRET are as good as it, and each alone tells nothing: wolfCrypt's division,
   whose time varies, gets only them. */
int mq_p384_scalar_less(mq_p384_scalar *out, const mq_p384_scalar *a, const mq_p384_scalar *b,
                        const mq_p384_scalar *secret, const masque_runtime *runtime) {
    mq_p384_scalar share;
    mp_int first, second, factor, result, order;
    int error = mq_p384_scalar_random(&share, runtime);
    if (error) {
        return error;
    }
    int code = read_number(&order, ORDER, sizeof ORDER);
    THEN(code, read_number(&first, share.bytes, sizeof share.bytes));
    THEN(code, read_number(&second, secret->bytes, sizeof secret->bytes));
    THEN(code, read_number(&factor, b->bytes, sizeof b->bytes));
    THEN(code, read_number(&result, a->bytes, sizeof a->bytes));
    THEN(code, mp_submod(&second, &first, &order, &second));
    THEN(code, mp_mulmod(&first, &factor, &order, &first));
    THEN(code, mp_mulmod(&second, &factor, &order, &second));
    THEN(code, mp_submod(&result, &first, &order, &result));
    THEN(code, mp_submod(&result, &second, &order, &result));
    THEN(code, write_number(&result, out->bytes));
    mp_forcezero(&first);
    mp_forcezero(&second);
    mq_wipe(&share, sizeof share);
    return code ? error_of(code) : is_zero(out->bytes) ? MASQUE_ERR_INVALID : 0;
}

int mq_p384_scalar_invert(mq_p384_scalar *out, const mq_p384_scalar *scalar) {
    mp_int number, order;
    int code = read_number(&number, scalar->bytes, sizeof scalar->bytes);
    THEN(code, read_number(&order, ORDER, sizeof ORDER));
    THEN(code, mp_invmod(&number, &order, &number));
    THEN(code, write_number(&number, out->bytes));
    mp_forcezero(&number);
    return error_of(code);
}

/* --- points ------------------------------------------------------------------------------------------------------- */

static int load(ecc_point *to, const mq_p384_point *point) {
    memset(to, 0, sizeof *to);
    int code = read_number(to->x, point->x, FIELD);
    THEN(code, read_number(to->y, point->y, FIELD));
    THEN(code, mp_init(to->z));
    return THEN(code, mp_set(to->z, 1));
}

/* As wolfCrypt left it: affine, or nothing but zeros. */
static int store(mq_p384_point *point, ecc_point *from) {
    int code = write_number(from->x, point->x);
    THEN(code, write_number(from->y, point->y));
    return code ? error_of(code) : is_zero(point->x) && is_zero(point->y) ? MASQUE_ERR_INVALID : 0;
}

/* The y of x that is odd or not. False: there is none. */
static bool solve(mp_int *x, bool odd, mp_int *y) {
    return sp_ecc_uncompress_384(x, odd, y) == MP_OKAY && sp_ecc_is_point_384(x, y) == MP_OKAY;
}

bool mq_p384_point_read(mq_p384_point *point, const uint8_t bytes[MQ_P384_POINT]) {
    mp_int x, y;
    if ((bytes[0] != 2 && bytes[0] != 3) || memcmp(bytes + 1, PRIME, sizeof PRIME) >= 0) {
        return false;
    }
    memcpy(point->x, bytes + 1, FIELD);
    return read_number(&x, point->x, FIELD) == 0 && mp_init(&y) == 0 && solve(&x, bytes[0] & 1, &y) &&
           write_number(&y, point->y) == 0;
}

void mq_p384_point_write(const mq_p384_point *point, uint8_t bytes[MQ_P384_POINT]) {
    bytes[0] = 2 | (point->y[FIELD - 1] & 1);
    memcpy(bytes + 1, point->x, FIELD);
}

int mq_p384_multiply(mq_p384_point *out, const mq_p384_scalar *by, const mq_p384_point *point) {
    ecc_point p;
    mp_int k;
    int code = load(&p, point);
    THEN(code, read_number(&k, by->bytes, sizeof by->bytes));
    THEN(code, sp_ecc_mulmod_384(&k, &p, &p, 1, NULL));
    mp_forcezero(&k);
    return code ? error_of(code) : store(out, &p);
}

int mq_p384_multiply_base(mq_p384_point *out, const mq_p384_scalar *by) {
    ecc_point p = {.x = {{.used = 0}}};
    mp_int k;
    int code = mp_init_multi(p.x, p.y, p.z, &k, NULL, NULL);
    THEN(code, mp_read_unsigned_bin(&k, by->bytes, sizeof by->bytes));
    THEN(code, sp_ecc_mulmod_base_384(&k, &p, 1, NULL));
    mp_forcezero(&k);
    return code ? error_of(code) : store(out, &p);
}

int mq_p384_multiply_two(mq_p384_point *out, const mq_p384_scalar *a, const mq_p384_point *p, const mq_p384_scalar *b,
                         const mq_p384_point *q) {
    mq_p384_point second;
    ecc_point first, other;
    mp_int k;
    int error = mq_p384_multiply(&second, b, q);
    if (error) {
        return error;
    }
    int code = load(&first, p);
    THEN(code, load(&other, &second));
    THEN(code, read_number(&k, a->bytes, sizeof a->bytes));
    THEN(code, sp_ecc_mulmod_add_384(&k, &first, &other, 0, &first, 1, NULL));
    return code ? error_of(code) : store(out, &first);
}

/* --- hashing ------------------------------------------------------------------------------------------------------ */

int mq_sha384(uint8_t digest[MQ_SHA384_LENGTH], const mq_piece *pieces, size_t count) {
    wc_Sha384 sha;
    int code = wc_InitSha384(&sha);
    for (size_t i = 0; i < count; i++) {
        THEN(code, wc_Sha384Update(&sha, pieces[i].bytes, (word32)pieces[i].length));
    }
    THEN(code, wc_Sha384Final(&sha, digest));
    wc_Sha384Free(&sha);
    return code ? MASQUE_ERR_CRYPTO : 0;
}

#define PIECES_MAX 24u

/* expand_message_xmd (RFC 9380 5.3.1). LENGTH is at most 255. */
static int expand(uint8_t *out, size_t length, const mq_piece *message, size_t count, const char *dst) {
    static const uint8_t zeros[SHA384_BLOCK];
    const uint8_t size[3] = {0, (uint8_t)length, 0};
    const uint8_t dst_length = (uint8_t)strlen(dst);
    uint8_t first[MQ_SHA384_LENGTH], mixed[MQ_SHA384_LENGTH], number = 1;
    mq_piece pieces[PIECES_MAX] = {{zeros, sizeof zeros}};
    if (count + 4 > PIECES_MAX || dst_length > MQ_P384_DST_MAX) {
        return MASQUE_ERR_CRYPTO;
    }
    memcpy(pieces + 1, message, count * sizeof *message);
    pieces[count + 1] = (mq_piece){size, sizeof size};
    pieces[count + 2] = (mq_piece){dst, dst_length};
    pieces[count + 3] = (mq_piece){&dst_length, 1};
    int error = mq_sha384(first, pieces, count + 4);
    memcpy(mixed, first, sizeof mixed);
    for (size_t at = 0; at < length && !error; number++) {
        const mq_piece next[] = {{mixed, sizeof mixed}, {&number, 1}, {dst, dst_length}, {&dst_length, 1}};
        uint8_t block[MQ_SHA384_LENGTH];
        error = mq_sha384(block, next, 4);
        for (size_t i = 0; i < sizeof block && at < length; i++) {
            out[at++] = block[i];
        }
        for (size_t i = 0; i < sizeof mixed; i++) {
            mixed[i] = first[i] ^ block[i];
        }
    }
    return error;
}

int mq_p384_hash_to_scalar(mq_p384_scalar *out, const mq_piece *message, size_t count, const char *dst) {
    uint8_t wide[WIDE];
    int error = expand(wide, sizeof wide, message, count, dst);
    error = error ? error : reduce(out->bytes, wide, sizeof wide, ORDER);
    return error ? error : is_zero(out->bytes) ? MASQUE_ERR_INVALID : 0;
}

/* One of the two numbers that are mapped (RFC 9380 6.6.2). */
typedef struct mapping {
    mp_int u;
    mp_int tv1; /* Z u^2 */
    mp_int tv2; /* tv1^2 + tv1; then what inverts it */
    mp_int x;
    mp_int y;
} mapping;

static int begin_map(mapping *m, const uint8_t *wide, mp_int *p) {
    int code = read_number(&m->u, wide, WIDE);
    THEN(code, mp_init_multi(&m->tv1, &m->tv2, &m->x, &m->y, NULL, NULL));
    THEN(code, mp_mod(&m->u, p, &m->u));
    THEN(code, mp_sqrmod(&m->u, p, &m->tv1));
    THEN(code, mp_mul_d(&m->tv1, 12, &m->tv1));
    THEN(code, mp_mod(&m->tv1, p, &m->tv1));
    THEN(code, mp_submod(p, &m->tv1, p, &m->tv1)); /* Z is -12 */
    THEN(code, mp_sqrmod(&m->tv1, p, &m->tv2));
    return THEN(code, mp_addmod(&m->tv2, &m->tv1, p, &m->tv2));
}

/* Both at once, as inverting costs as much as 70 multiplications. */
static int invert_both(mapping m[2], mp_int *p) {
    mp_int product, first;
    int code = mp_init_multi(&product, &first, NULL, NULL, NULL, NULL);
    if (code || mp_iszero(&m[0].tv2) || mp_iszero(&m[1].tv2)) {
        return code ? code : MP_VAL; /* of 2^384 numbers two or three are so */
    }
    THEN(code, mp_mulmod(&m[0].tv2, &m[1].tv2, p, &product));
    THEN(code, mp_invmod(&product, p, &product));
    THEN(code, mp_mulmod(&product, &m[1].tv2, p, &first));
    THEN(code, mp_mulmod(&product, &m[0].tv2, p, &m[1].tv2));
    return THEN(code, mp_copy(&first, &m[0].tv2));
}

static int end_map(mapping *m, mp_int *p) {
    mp_int b;
    int code = read_number(&b, B_BY_3, sizeof B_BY_3);
    THEN(code, mp_add_d(&m->tv2, 1, &m->x));
    THEN(code, mp_mulmod(&m->x, &b, p, &m->x));
    if (!code && !solve(&m->x, mp_isodd(&m->u), &m->y)) {
        code = mp_mulmod(&m->x, &m->tv1, p, &m->x);
        code = code ? code : solve(&m->x, mp_isodd(&m->u), &m->y) ? 0 : MP_VAL;
    }
    return code;
}

/* The sum of two points that are neither each other nor opposite, in Jacobian coordinates, for which nothing is
   inverted: Z = x2 - x1, r = y2 - y1, X = r^2 - Z^3 - 2 x1 Z^2, Y = r (x1 Z^2 - X) - y1 Z^3. */
static int sum(ecc_point *out, mapping m[2], mp_int *p) {
    mp_int r, zz, zzz;
    memset(out, 0, sizeof *out);
    int code = mp_init_multi(out->x, out->y, out->z, &r, &zz, &zzz);
    THEN(code, mp_submod(&m[1].x, &m[0].x, p, out->z));
    THEN(code, mp_submod(&m[1].y, &m[0].y, p, &r));
    THEN(code, mp_sqrmod(out->z, p, &zz));
    THEN(code, mp_mulmod(&zz, out->z, p, &zzz));
    THEN(code, mp_mulmod(&zz, &m[0].x, p, &zz)); /* x1 Z^2 from here */
    THEN(code, mp_sqrmod(&r, p, out->x));
    THEN(code, mp_submod(out->x, &zzz, p, out->x));
    THEN(code, mp_submod(out->x, &zz, p, out->x));
    THEN(code, mp_submod(out->x, &zz, p, out->x));
    THEN(code, mp_submod(&zz, out->x, p, &zz));
    THEN(code, mp_mulmod(&zz, &r, p, out->y));
    THEN(code, mp_mulmod(&zzz, &m[0].y, p, &zzz));
    THEN(code, mp_submod(out->y, &zzz, p, out->y));
    return code ? code : mp_iszero(out->z) ? MP_VAL : 0;
}

int mq_p384_multiply_hash(mq_p384_point *out, const mq_p384_scalar *by, const mq_piece *message, size_t count,
                          const char *dst) {
    uint8_t wide[2 * WIDE];
    mapping m[2];
    ecc_point point;
    mp_int p, k;
    int error = expand(wide, sizeof wide, message, count, dst);
    if (error) {
        return error;
    }
    int code = read_number(&p, PRIME, sizeof PRIME);
    THEN(code, begin_map(&m[0], wide, &p));
    THEN(code, begin_map(&m[1], wide + WIDE, &p));
    THEN(code, invert_both(m, &p));
    THEN(code, end_map(&m[0], &p));
    THEN(code, end_map(&m[1], &p));
    THEN(code, sum(&point, m, &p));
    THEN(code, read_number(&k, by->bytes, sizeof by->bytes));
    THEN(code, sp_ecc_mulmod_384(&k, &point, &point, 1, NULL));
    mp_forcezero(&k);
    return code ? error_of(code) : store(out, &point);
}
