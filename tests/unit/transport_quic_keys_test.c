/* Packet protection against the published examples: RFC 9001 appendix A, RFC 9369 appendix A. */
#include <string.h>

#include "transport/quic_keys.h"
#include "unit.h"

static masque_allocator allocator;

static int set_up(void **state) {
    (void)state;
    mq_allocator_init(&allocator, &(masque_allocator){.allocate = NULL});
    return 0;
}

static void check(const uint8_t *bytes, const char *hex) {
    uint8_t expected[64];
    size_t length = unit_hex(expected, hex);
    assert_memory_equal(bytes, expected, length);
}

/* What PROTECTION makes of a packet of the examples' tells whether its keys are theirs. */
static void check_packet(const mq_protection *protection, const char *nonce, const char *head, const char *plain,
                         const char *sealed) {
    uint8_t n[12], aad[16], text[64], out[80];
    size_t aad_length = unit_hex(aad, head);
    size_t length = unit_hex(text, plain);
    unit_hex(n, nonce);
    assert_int_equal(mq_quic_encrypt(out, NULL, &protection->aead, text, length, n, sizeof n, aad, aad_length), 0);
    check(out, sealed);
    assert_int_equal(
        mq_quic_decrypt(text, NULL, &protection->aead, out, length + MQ_AEAD_TAG, n, sizeof n, aad, aad_length), 0);
    check(text, plain);
    out[0] ^= 1;
    assert_int_equal(
        mq_quic_decrypt(text, NULL, &protection->aead, out, length + MQ_AEAD_TAG, n, sizeof n, aad, aad_length),
        NGTCP2_ERR_DECRYPT);
    assert_int_equal(mq_quic_decrypt(text, NULL, &protection->aead, out, MQ_AEAD_TAG - 1, n, sizeof n, aad, aad_length),
                     NGTCP2_ERR_DECRYPT);
}

static void check_mask(const mq_protection *protection, const char *sample, const char *mask) {
    uint8_t bytes[16], out[NGTCP2_HP_MASKLEN];
    unit_hex(bytes, sample);
    assert_int_equal(mq_quic_mask(out, NULL, &protection->hp, bytes), 0);
    check(out, mask);
}

/* RFC 9001 A.1 to A.3; RFC 9369 A.1. */
static void test_initial(void **state) {
    static const struct {
        uint32_t version;
        const char *client, *server, *server_iv, *client_iv;
    } versions[] = {
        {NGTCP2_PROTO_VER_V1, "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea",
         "3c199828fd139efd216c155ad844cc81fb82fa8d7446fa7d78be803acdda951b", "0ac1493ca1905853b0bba03e",
         "fa044b2f42a3fd3b46fb255c"},
        {NGTCP2_PROTO_VER_V2, "14ec9d6eb9fd7af83bf5a668bc17a7e283766aade7ecd0891f70f9ff7f4bf47b",
         "0263db1782731bf4588e7e4d93b7463907cb8cd8200b5da55a8bd488eafc37c1", "dd13c276499c0249d3310652",
         "91f73e2351d8fa91660e909f"},
    };
    ngtcp2_cid dcid;
    (void)state;
    uint8_t id[8];
    ngtcp2_cid_init(&dcid, id, unit_hex(id, "8394c8f03e515708"));
    for (size_t i = 0; i < 2; i++) {
        uint8_t client[MQ_INITIAL_SECRET], server[MQ_INITIAL_SECRET];
        mq_protection ours, theirs;
        const mq_quic_suite *suite = mq_quic_suite_initial();
        assert_int_equal(mq_initial_secrets(client, server, versions[i].version, &dcid), 0);
        check(client, versions[i].client);
        check(server, versions[i].server);
        assert_int_equal(mq_protection_init(&ours, &allocator, suite, versions[i].version, server, true), 0);
        assert_int_equal(mq_protection_init(&theirs, &allocator, suite, versions[i].version, client, true), 0);
        check(ours.iv, versions[i].server_iv);
        check(theirs.iv, versions[i].client_iv);
        if (i == 0) {
            check_mask(&theirs, "d1b1c98dd7689fb8ec11d242b123dc9b", "437b9aec36");
            check_mask(&ours, "2cd0991cd25b0aac406a5816b6394100", "2ec0d8356a");
        }
        mq_protection_free(&ours, &allocator);
        mq_protection_free(&theirs, &allocator);
    }
}

/* RFC 9001 A.5: a short header under ChaCha20-Poly1305, and the secret behind a key update. */
static void test_chacha20(void **state) {
    uint8_t secret[32], next[32];
    mq_protection protection, updated;
    const mq_quic_suite *suite = mq_quic_suite_of(0x1303);
    (void)state;
    assert_non_null(suite);
    unit_hex(secret, "9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
    assert_int_equal(mq_protection_init(&protection, &allocator, suite, NGTCP2_PROTO_VER_V1, secret, true), 0);
    check(protection.iv, "e0459b3474bdd0e44a41c144");
    check_packet(&protection, "e0459b3474bdd0e46d417eb0", "4200bff4", "01", "655e5cd55c41f69080575d7999c25a5bfb");
    check_mask(&protection, "5e5cd55c41f69080575d7999c25a5bfb", "aefefe7d03");
    assert_int_equal(mq_next_secret(next, suite, NGTCP2_PROTO_VER_V1, secret), 0);
    check(next, "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9");
    assert_int_equal(mq_protection_init(&updated, &allocator, suite, NGTCP2_PROTO_VER_V1, next, false), 0);
    assert_null(updated.hp.native_handle);
    mq_protection_free(&updated, &allocator);
    mq_protection_free(&protection, &allocator);
}

/* What is known of the suites of TLS 1.3, and that one that isn't gives none. */
static void test_suites(void **state) {
    (void)state;
    for (int number = 0x1301; number <= 0x1303; number++) {
        uint8_t secret[48] = {1};
        mq_protection protection;
        const mq_quic_suite *suite = mq_quic_suite_of(number);
        const ngtcp2_crypto_ctx crypto = mq_quic_crypto(suite);
        assert_ptr_equal(mq_quic_suite_told(&crypto), suite);
        assert_int_equal(crypto.aead.max_overhead, 16);
        assert_int_equal(suite->secret_length, number == 0x1302 ? 48 : 32);
        assert_int_equal(mq_protection_init(&protection, &allocator, suite, NGTCP2_PROTO_VER_V2, secret, true), 0);
        mq_protection_free(&protection, &allocator);
    }
    assert_null(mq_quic_suite_of(0x1304)); /* AES-128-CCM */
}

/* A key for an update takes its memory with its first packet, and seals as any other; without memory it fails, and
   may be tried again. */
static void test_late_key(void **state) {
    static const uint8_t nonce[12], text[16];
    uint8_t secret[48] = {1}, now[32], late[32];
    mq_protection protection[2];
    unit_memory memory;
    (void)state;
    for (int number = 0x1301; number <= 0x1303; number++) {
        const mq_quic_suite *suite = mq_quic_suite_of(number);
        unit_memory_init(&memory);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(
                mq_protection_init(&protection[i], &memory.allocator, suite, NGTCP2_PROTO_VER_V1, secret, i == 0), 0);
        }
        assert_null(protection[1].hp.native_handle);
        assert_int_equal(mq_quic_encrypt(now, NULL, &protection[0].aead, text, sizeof text, nonce, 12, NULL, 0), 0);
        if (number != 0x1303) {
            memory.left = 0;
            assert_int_equal(mq_quic_encrypt(late, NULL, &protection[1].aead, text, sizeof text, nonce, 12, NULL, 0),
                             NGTCP2_ERR_CALLBACK_FAILURE);
            assert_int_equal(mq_quic_decrypt(late, NULL, &protection[1].aead, now, sizeof now, nonce, 12, NULL, 0),
                             NGTCP2_ERR_CALLBACK_FAILURE);
        }
        memory.left = SIZE_MAX;
        assert_int_equal(mq_quic_decrypt(late, NULL, &protection[1].aead, now, sizeof now, nonce, 12, NULL, 0), 0);
        assert_memory_equal(late, text, sizeof text);
        assert_int_equal(mq_quic_encrypt(late, NULL, &protection[1].aead, text, sizeof text, nonce, 12, NULL, 0), 0);
        assert_memory_equal(late, now, sizeof now);
        mq_protection_free(&protection[0], &memory.allocator);
        mq_protection_free(&protection[1], &memory.allocator);
        assert_int_equal(memory.pieces, 0);
    }
}

/* A host's allocator that puts block behind block, with nothing between. */
typedef struct arena {
    _Alignas(16) uint8_t bytes[16384];
    size_t used;
    size_t live;
} arena;

static void *arena_take(void *context, size_t size) {
    arena *a = context;
    void *block = a->bytes + a->used;
    a->used += (size + 15) / 16 * 16;
    assert_true(a->used <= sizeof a->bytes);
    a->live++;
    return block;
}

static void arena_give(void *context, void *block) {
    arena *a = context;
    a->live -= block != NULL;
}

/* What a key takes late may lie right behind it, and is given back all the same. */
static void test_late_key_beside_its_own(void **state) {
    static const uint8_t nonce[12], text[16];
    static arena a;
    const masque_allocator dense = {.allocate = arena_take, .release = arena_give, .context = &a};
    uint8_t bytes[16] = {1}, out[32];
    mq_packet_key *key;
    (void)state;
    assert_int_equal(mq_packet_key_new(&key, &dense, MQ_AES_128_GCM, MQ_KEY_LATER, bytes), 0);
    const ngtcp2_crypto_aead_ctx context = {.native_handle = key};
    assert_int_equal(mq_quic_encrypt(out, NULL, &context, text, sizeof text, nonce, 12, NULL, 0), 0);
    assert_int_equal(a.live, 2);
    mq_packet_key_del(&dense, key);
    assert_int_equal(a.live, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_initial), cmocka_unit_test(test_chacha20),
                                       cmocka_unit_test(test_suites), cmocka_unit_test(test_late_key),
                                       cmocka_unit_test(test_late_key_beside_its_own)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
