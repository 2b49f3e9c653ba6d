/* VOPRF(P-384, SHA-384): its three sides together, what is no point, scalar or proof, and the vectors of RFC 9497. */
#include <stdlib.h>
#include <string.h>

#include "crypto/voprf.h"
#include "vectors.h"

#define BATCH_MAX 4u

static const uint8_t INPUT[] = "nonce and challenge";

static masque_runtime runtime_of(unit_random *random) {
    return (masque_runtime){.random = unit_random_source, .context = random};
}

static void test_all_of_it(void **state) {
    unit_random random = {.state = 7};
    const masque_runtime runtime = runtime_of(&random);
    mq_voprf_private key;
    mq_voprf_public public;
    mq_voprf_state kept[2];
    uint8_t evaluated[MQ_P384_POINT], proof[MQ_VOPRF_PROOF], output[MQ_VOPRF_OUTPUT], wanted[MQ_VOPRF_OUTPUT];
    (void)state;
    assert_int_equal(mq_voprf_generate(&key, &runtime), 0);
    assert_int_equal(mq_voprf_public_init(&public, key.public.bytes), 0);
    assert_int_equal(mq_voprf_evaluate(&key, INPUT, sizeof INPUT, wanted), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mq_voprf_blind(&kept[i], &runtime, INPUT, sizeof INPUT), 0);
        assert_int_equal(mq_voprf_evaluate_blinded(&key, &runtime, kept[i].blinded, 1, evaluated, proof), 0);
        assert_int_equal(mq_voprf_finalize(&public, &kept[i], evaluated, proof, INPUT, sizeof INPUT, output), 0);
        assert_memory_equal(output, wanted, sizeof output);
    }
    /* The issuer sees other points for the same input. */
    assert_memory_not_equal(kept[0].blinded, kept[1].blinded, MQ_P384_POINT);
    /* With another key, another output. */
    assert_int_equal(mq_voprf_generate(&key, &runtime), 0);
    assert_int_equal(mq_voprf_evaluate(&key, INPUT, sizeof INPUT, output), 0);
    assert_memory_not_equal(output, wanted, sizeof output);
}

/* An issuer that marks a client by a key of its own is found out: nothing in answer or proof may be another. */
static void test_every_bit_counts(void **state) {
    unit_random random = {.state = 8};
    const masque_runtime runtime = runtime_of(&random);
    uint8_t answer[MQ_P384_POINT + MQ_VOPRF_PROOF], output[MQ_VOPRF_OUTPUT];
    mq_voprf_private key, other;
    mq_voprf_state kept;
    (void)state;
    assert_int_equal(mq_voprf_generate(&key, &runtime), 0);
    assert_int_equal(mq_voprf_generate(&other, &runtime), 0);
    assert_int_equal(mq_voprf_blind(&kept, &runtime, INPUT, sizeof INPUT), 0);
    assert_int_equal(mq_voprf_evaluate_blinded(&key, &runtime, kept.blinded, 1, answer, answer + MQ_P384_POINT), 0);
    for (size_t bit = 0; bit < 8 * sizeof answer; bit++) {
        answer[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(
            mq_voprf_finalize(&key.public, &kept, answer, answer + MQ_P384_POINT, INPUT, sizeof INPUT, output),
            MASQUE_ERR_INVALID);
        answer[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(mq_voprf_evaluate_blinded(&other, &runtime, kept.blinded, 1, answer, answer + MQ_P384_POINT), 0);
    assert_int_equal(mq_voprf_finalize(&key.public, &kept, answer, answer + MQ_P384_POINT, INPUT, sizeof INPUT, output),
                     MASQUE_ERR_INVALID);
}

static void test_no_points_and_scalars(void **state) {
    static const char *const prime = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe"
                                     "ffffffff0000000000000000ffffffff";
    static const char *const order = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf"
                                     "581a0db248b0a77aecec196accc52973";
    uint8_t point[MQ_P384_POINT] = {0}, scalar[MQ_P384_SCALAR] = {0};
    mq_voprf_public public;
    mq_voprf_private private;
    (void)state;
    assert_int_equal(mq_voprf_public_init(&public, point), MASQUE_ERR_INVALID); /* the identity's first byte */
    point[0] = 2;
    point[48] = 1; /* on the twist */
    assert_int_equal(mq_voprf_public_init(&public, point), MASQUE_ERR_INVALID);
    point[48] = 2; /* on the curve */
    assert_int_equal(mq_voprf_public_init(&public, point), 0);
    for (unsigned first = 0; first < 256; first++) {
        point[0] = (uint8_t)first;
        assert_int_equal(mq_voprf_public_init(&public, point), first == 2 || first == 3 ? 0 : MASQUE_ERR_INVALID);
    }
    point[0] = 2;
    unit_hex(point + 1, prime);
    assert_int_equal(mq_voprf_public_init(&public, point), MASQUE_ERR_INVALID);
    assert_int_equal(mq_voprf_private_init(&private, scalar), MASQUE_ERR_INVALID);
    unit_hex(scalar, order);
    assert_int_equal(mq_voprf_private_init(&private, scalar), MASQUE_ERR_INVALID);
    scalar[47]--;
    assert_int_equal(mq_voprf_private_init(&private, scalar), 0);
}

/* --- vectors ------------------------------------------------------------------------------------------------------ */

/* The random numbers of a vector: its scalar behind zeros, and then anything. */
typedef struct script {
    uint8_t scalar[MQ_P384_SCALAR];
    bool used;
} script;

static void scripted(void *context, uint8_t *buffer, size_t size) {
    script *s = context;
    assert_true(size >= sizeof s->scalar);
    memset(buffer, 0, size);
    memcpy(buffer + size - sizeof s->scalar, s->scalar, sizeof s->scalar);
    s->scalar[0] = s->used ? s->scalar[0] : 0x55;
    s->used = true;
}

/* Number INDEX of a list with commas. */
static size_t part(const json_t *vector, const char *key, size_t index, uint8_t *bytes) {
    const char *text = json_string_value(json_object_get(vector, key));
    char hex[256] = "";
    assert_non_null(text);
    while (index-- > 0) {
        text = strchr(text, ',') + 1;
    }
    strncat(hex, text, strcspn(text, ","));
    return unit_hex(bytes, hex);
}

static void check_vector(const mq_voprf_private *key, const json_t *vector) {
    size_t count = (size_t)json_integer_value(json_object_get(vector, "Batch"));
    uint8_t blinded[BATCH_MAX * MQ_P384_POINT], wanted[BATCH_MAX * MQ_P384_POINT];
    uint8_t evaluated[BATCH_MAX * MQ_P384_POINT], proof[MQ_VOPRF_PROOF], wanted_proof[MQ_VOPRF_PROOF];
    uint8_t input[64], blind[MQ_P384_SCALAR], output[MQ_VOPRF_OUTPUT], wanted_output[MQ_VOPRF_OUTPUT];
    mq_voprf_state kept[BATCH_MAX];
    script random = {.used = false};
    const masque_runtime runtime = {.random = scripted, .context = &random};
    assert_in_range(count, 1, BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t length = part(vector, "Input", i, input);
        part(vector, "Blind", i, blind);
        part(vector, "BlindedElement", i, blinded + i * MQ_P384_POINT);
        part(vector, "EvaluationElement", i, wanted + i * MQ_P384_POINT);
        assert_int_equal(mq_voprf_blind_with(&kept[i], blind, input, length), 0);
        assert_memory_equal(kept[i].blinded, blinded + i * MQ_P384_POINT, MQ_P384_POINT);
    }
    part(json_object_get(vector, "Proof"), "r", 0, random.scalar);
    part(json_object_get(vector, "Proof"), "proof", 0, wanted_proof);
    assert_int_equal(mq_voprf_evaluate_blinded(key, &runtime, blinded, count, evaluated, proof), 0);
    assert_memory_equal(evaluated, wanted, count * MQ_P384_POINT);
    assert_memory_equal(proof, wanted_proof, sizeof proof);
    assert_int_equal(mq_voprf_verify(&key->public, blinded, evaluated, count, proof), 0);
    for (size_t i = 0; i < count; i++) {
        size_t length = part(vector, "Input", i, input);
        part(vector, "Output", i, wanted_output);
        assert_int_equal(mq_voprf_unblind(&kept[i], evaluated + i * MQ_P384_POINT, input, length, output), 0);
        assert_memory_equal(output, wanted_output, sizeof output);
        assert_int_equal(mq_voprf_evaluate(key, input, length, output), 0);
        assert_memory_equal(output, wanted_output, sizeof output);
    }
}

static void test_rfc9497(void **state) {
    json_t *suites = unit_vectors("voprf/rfc9497.json");
    size_t checked = 0, i, k;
    json_t *suite, *vector;
    (void)state;
    json_array_foreach(suites, i, suite) {
        const char *name = json_string_value(json_object_get(suite, "identifier"));
        if (strcmp(name, "P384-SHA384") != 0 || json_integer_value(json_object_get(suite, "mode")) != 1) {
            continue;
        }
        uint8_t scalar[MQ_P384_SCALAR], point[MQ_P384_POINT];
        mq_voprf_private key;
        part(suite, "skSm", 0, scalar);
        part(suite, "pkSm", 0, point);
        assert_int_equal(mq_voprf_private_init(&key, scalar), 0);
        assert_memory_equal(key.public.bytes, point, sizeof point);
        json_array_foreach(json_object_get(suite, "vectors"), k, vector) {
            check_vector(&key, vector);
            checked++;
        }
    }
    json_decref(suites);
    assert_int_equal(checked, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_of_it),
        cmocka_unit_test(test_every_bit_counts),
        cmocka_unit_test(test_no_points_and_scalars),
        cmocka_unit_test(test_rfc9497),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
