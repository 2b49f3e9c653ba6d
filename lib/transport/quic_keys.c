#include "transport/quic_keys.h"

#include <string.h>

/* RFC 9001 6.6, and 2^62 where it sets no bound. */
static const mq_quic_suite SUITES[] = {
    {0x1301, MQ_AES_128_GCM, WC_SHA256, 32, UINT64_C(1) << 23, UINT64_C(1) << 52},
    {0x1302, MQ_AES_256_GCM, WC_SHA384, 48, UINT64_C(1) << 23, UINT64_C(1) << 52},
    {0x1303, MQ_CHACHA20_POLY1305, WC_SHA256, 32, UINT64_C(1) << 62, UINT64_C(1) << 36},
};

/* What the two versions call the same things. */
typedef struct mq_labels {
    const char *key, *iv, *hp, *update;
} mq_labels;

static const mq_labels V1 = {"quic key", "quic iv", "quic hp", "quic ku"};
static const mq_labels V2 = {"quicv2 key", "quicv2 iv", "quicv2 hp", "quicv2 ku"};

static const mq_labels *labels_of(uint32_t version) {
    return version == NGTCP2_PROTO_VER_V2 ? &V2 : &V1;
}

const mq_quic_suite *mq_quic_suite_of(int number) {
    for (size_t i = 0; i < sizeof SUITES / sizeof SUITES[0]; i++) {
        if (SUITES[i].number == number) {
            return &SUITES[i];
        }
    }
    return NULL;
}

const mq_quic_suite *mq_quic_suite_initial(void) {
    return &SUITES[0];
}

ngtcp2_crypto_ctx mq_quic_crypto(const mq_quic_suite *suite) {
    void *handle = (void *)(uintptr_t)suite;
    return (ngtcp2_crypto_ctx){.aead = {.native_handle = handle, .max_overhead = MQ_AEAD_TAG},
                               .md = {.native_handle = handle},
                               .hp = {.native_handle = handle},
                               .max_encryption = suite->packets_max,
                               .max_decryption_failure = suite->failures_max};
}

const mq_quic_suite *mq_quic_suite_told(const ngtcp2_crypto_ctx *crypto) {
    return crypto->aead.native_handle;
}

/* HKDF-Expand-Label of RFC 8446 7.1. */
static int expand(uint8_t *out, size_t length, const mq_quic_suite *suite, const uint8_t *secret, const char *label) {
    static const uint8_t protocol[] = "tls13 ";
    int error = wc_Tls13_HKDF_Expand_Label(out, (word32)length, secret, (word32)suite->secret_length, protocol,
                                           sizeof protocol - 1, (const byte *)label, (word32)strlen(label), NULL, 0,
                                           suite->hash);
    return error ? MASQUE_ERR_CRYPTO : 0;
}

static int make_key(mq_packet_key **out, const masque_allocator *allocator, const mq_quic_suite *suite,
                    const uint8_t *secret, const char *label, mq_key_use use) {
    uint8_t bytes[MQ_AEAD_KEY_MAX];
    int error = expand(bytes, mq_aead_key_length(suite->aead), suite, secret, label);
    if (!error) {
        error = mq_packet_key_new(out, allocator, suite->aead, use, bytes);
    }
    mq_wipe(bytes, sizeof bytes);
    return error;
}

int mq_protection_init(mq_protection *protection, const masque_allocator *allocator, const mq_quic_suite *suite,
                       uint32_t version, const uint8_t *secret, bool headers) {
    const mq_labels *labels = labels_of(version);
    mq_packet_key *packets = NULL;
    mq_packet_key *mask = NULL;
    *protection = (mq_protection){.aead = {NULL}};
    int error = make_key(&packets, allocator, suite, secret, labels->key, headers ? MQ_KEY_PACKETS : MQ_KEY_LATER);
    if (!error) {
        error = expand(protection->iv, sizeof protection->iv, suite, secret, labels->iv);
    }
    if (!error && headers) {
        error = make_key(&mask, allocator, suite, secret, labels->hp, MQ_KEY_HEADERS);
    }
    if (error) {
        mq_packet_key_del(allocator, packets);
        return error;
    }
    protection->aead.native_handle = packets;
    protection->hp.native_handle = mask;
    return 0;
}

void mq_protection_free(mq_protection *protection, const masque_allocator *allocator) {
    mq_packet_key_del(allocator, protection->aead.native_handle);
    mq_packet_key_del(allocator, protection->hp.native_handle);
    *protection = (mq_protection){.aead = {NULL}};
}

int mq_initial_secrets(uint8_t client[MQ_INITIAL_SECRET], uint8_t server[MQ_INITIAL_SECRET], uint32_t version,
                       const ngtcp2_cid *dcid) {
    /* RFC 9001 5.2 and RFC 9369 3.3.1. */
    static const uint8_t salt_v1[20] = {0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                                        0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
    static const uint8_t salt_v2[20] = {0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                                        0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};
    const mq_quic_suite *suite = mq_quic_suite_initial();
    uint8_t secret[MQ_INITIAL_SECRET];
    const uint8_t *salt = version == NGTCP2_PROTO_VER_V2 ? salt_v2 : salt_v1;
    if (wc_HKDF_Extract(suite->hash, salt, sizeof salt_v1, dcid->data, (word32)dcid->datalen, secret) != 0) {
        return MASQUE_ERR_CRYPTO;
    }
    int error = expand(client, MQ_INITIAL_SECRET, suite, secret, "client in");
    return error ? error : expand(server, MQ_INITIAL_SECRET, suite, secret, "server in");
}

int mq_next_secret(uint8_t *next, const mq_quic_suite *suite, uint32_t version, const uint8_t *secret) {
    return expand(next, suite->secret_length, suite, secret, labels_of(version)->update);
}

int mq_retry_key(mq_packet_key **out, const masque_allocator *allocator, uint32_t version) {
    static const uint8_t v1[] = NGTCP2_RETRY_KEY_V1;
    static const uint8_t v2[] = NGTCP2_RETRY_KEY_V2;
    return mq_packet_key_new(out, allocator, MQ_AES_128_GCM, MQ_KEY_PACKETS, version == NGTCP2_PROTO_VER_V2 ? v2 : v1);
}
