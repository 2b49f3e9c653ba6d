/*
 * crypto_ticket_test.c: session tickets sealed with the configuration's keys.
 * Goal: every key opens what it sealed, an old one asks for a new ticket where
 * the protocol needs it, a foreign or changed one is rejected, no nonce repeats.
 */
#include "crypto/ticket.h"

#include <string.h>

#include "unit.h"

#define TICKET_LENGTH 200
/* What is authenticated of the two fields: a 12-byte nonce, a 16-byte tag. */
#define NONCE_USED 12
#define TAG_USED 16

typedef struct sealed {
    uint8_t name[WOLFSSL_TICKET_NAME_SZ];
    uint8_t iv[WOLFSSL_TICKET_IV_SZ];
    uint8_t mac[WOLFSSL_TICKET_MAC_SZ];
    uint8_t bytes[TICKET_LENGTH];
} sealed;

static unit_random randomness = {.state = 8};
static WOLFSSL_CTX *contexts[2];
static WOLFSSL *connections[2]; /* of TLS 1.2 and 1.3, all the callback asks for */

static int set_up(void **state) {
    (void)state;
    contexts[0] = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
    contexts[1] = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    for (size_t i = 0; i < 2; i++) {
        connections[i] = wolfSSL_new(contexts[i]);
        assert_non_null(connections[i]);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        wolfSSL_free(connections[i]);
        wolfSSL_CTX_free(contexts[i]);
    }
    return 0;
}

/* KEYS is one digit for each ticket key, the first one seals. */
static void make_sealer(mq_ticket_sealer *sealer, const char *keys) {
    mq_credentials credentials = {.ticket_key_count = strlen(keys)};
    masque_runtime runtime = {.random = unit_random_source, .context = &randomness};
    for (size_t i = 0; i < credentials.ticket_key_count; i++) {
        memset(credentials.ticket_keys[i], keys[i], MASQUE_TICKET_KEY_LENGTH);
    }
    assert_int_equal(mq_ticket_sealer_init(sealer, &credentials, &runtime), 0);
}

static int call(mq_ticket_sealer *sealer, sealed *ticket, int encrypt, bool tls13) {
    int length = -1;
    int result = mq_ticket_callback(connections[tls13], ticket->name, ticket->iv, ticket->mac, encrypt, ticket->bytes,
                                    TICKET_LENGTH, &length, sealer);
    assert_int_equal(length, TICKET_LENGTH);
    return result;
}

static void fill_plain(uint8_t bytes[TICKET_LENGTH]) {
    for (size_t i = 0; i < TICKET_LENGTH; i++) {
        bytes[i] = (uint8_t)i;
    }
}

static sealed seal(const char *keys) {
    mq_ticket_sealer sealer;
    sealed ticket;
    memset(&ticket, 0x5a, sizeof ticket);
    fill_plain(ticket.bytes);
    make_sealer(&sealer, keys);
    assert_int_equal(call(&sealer, &ticket, 1, true), WOLFSSL_TICKET_RET_OK);
    mq_ticket_sealer_free(&sealer);
    return ticket;
}

static int open_with(const char *keys, sealed *ticket, bool tls13) {
    mq_ticket_sealer sealer;
    make_sealer(&sealer, keys);
    int result = call(&sealer, ticket, 0, tls13);
    mq_ticket_sealer_free(&sealer);
    return result;
}

typedef struct key_row {
    const char *name;
    const char *sealing;
    const char *opening;
    bool tls13;
    int result;
} key_row;

static const key_row KEYS[] = {
    {"the same key", "1", "1", true, WOLFSSL_TICKET_RET_OK},
    {"the same key, TLS 1.2", "1", "1", false, WOLFSSL_TICKET_RET_OK},
    {"the first of three", "123", "123", true, WOLFSSL_TICKET_RET_OK},
    {"the first of three, TLS 1.2", "123", "123", false, WOLFSSL_TICKET_RET_OK},
    {"now the second, TLS 1.3 gives a new one anyway", "1", "21", true, WOLFSSL_TICKET_RET_OK},
    {"now the second, TLS 1.2", "1", "21", false, WOLFSSL_TICKET_RET_CREATE},
    {"now the third", "1", "321", true, WOLFSSL_TICKET_RET_OK},
    {"now the third, TLS 1.2", "1", "321", false, WOLFSSL_TICKET_RET_CREATE},
    {"gone after rotation", "1", "432", true, WOLFSSL_TICKET_RET_REJECT},
    {"gone after rotation, TLS 1.2", "1", "432", false, WOLFSSL_TICKET_RET_REJECT},
    {"the sealer's second key doesn't seal", "12", "2", true, WOLFSSL_TICKET_RET_REJECT},
    {"another's key", "1", "2", true, WOLFSSL_TICKET_RET_REJECT},
    {"no key", "1", "", true, WOLFSSL_TICKET_RET_REJECT},
};

static void test_keys(void **state) {
    (void)state;
    uint8_t plain[TICKET_LENGTH];
    fill_plain(plain);
    for (size_t i = 0; i < COUNT(KEYS); i++) {
        const key_row *row = &KEYS[i];
        sealed ticket = seal(row->sealing);
        CHECK(row->name, memcmp(ticket.bytes, plain, sizeof plain) != 0);
        CHECK(row->name, open_with(row->opening, &ticket, row->tls13) == row->result);
        bool opened = row->result != WOLFSSL_TICKET_RET_REJECT;
        CHECK(row->name, (memcmp(ticket.bytes, plain, sizeof plain) == 0) == opened);
    }
}

static void test_no_key_seals_nothing(void **state) {
    (void)state;
    mq_ticket_sealer sealer;
    sealed ticket = {.bytes = {0}};
    make_sealer(&sealer, "");
    assert_int_equal(call(&sealer, &ticket, 1, true), WOLFSSL_TICKET_RET_FATAL);
    mq_ticket_sealer_free(&sealer);
}

static void check_flips(const sealed *good, size_t offset, size_t size) {
    mq_ticket_sealer sealer;
    make_sealer(&sealer, "12");
    for (size_t bit = 0; bit < 8 * size; bit++) {
        sealed bad = *good;
        uint8_t *byte = (uint8_t *)&bad + offset + bit / 8;
        *byte = (uint8_t)(*byte ^ 1 << bit % 8);
        assert_int_equal(call(&sealer, &bad, 0, bit % 2), WOLFSSL_TICKET_RET_REJECT);
    }
    mq_ticket_sealer_free(&sealer);
}

static void test_every_bit_flip(void **state) {
    (void)state;
    for (int old = 0; old < 2; old++) {
        sealed ticket = seal(old ? "2" : "1");
        check_flips(&ticket, offsetof(sealed, name), sizeof ticket.name);
        check_flips(&ticket, offsetof(sealed, iv), NONCE_USED);
        check_flips(&ticket, offsetof(sealed, mac), TAG_USED);
        check_flips(&ticket, offsetof(sealed, bytes), sizeof ticket.bytes);
    }
}

/* Two keys that swapped their names must not open each other's tickets. */
static void test_swapped_names(void **state) {
    (void)state;
    sealed one = seal("1");
    sealed two = seal("2");
    assert_memory_not_equal(one.name, two.name, sizeof one.name);
    memcpy(one.name, two.name, sizeof one.name);
    assert_int_equal(open_with("12", &one, true), WOLFSSL_TICKET_RET_REJECT);
}

/* The name must not give the key away, and be the same on every machine. */
static void test_name(void **state) {
    (void)state;
    uint8_t key[WOLFSSL_TICKET_NAME_SZ];
    memset(key, '1', sizeof key);
    sealed a = seal("1");
    sealed b = seal("13");
    assert_memory_equal(a.name, b.name, sizeof a.name);
    assert_memory_not_equal(a.name, key, sizeof key);
}

static void test_nonces_differ(void **state) {
    (void)state;
    enum { TICKETS = 200 };
    static sealed tickets[TICKETS];
    mq_ticket_sealer sealer;
    make_sealer(&sealer, "1");
    for (size_t i = 0; i < TICKETS; i++) {
        assert_int_equal(call(&sealer, &tickets[i], 1, true), WOLFSSL_TICKET_RET_OK);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(tickets[i].iv, tickets[j].iv, NONCE_USED);
        }
    }
    mq_ticket_sealer_free(&sealer);
}

static void test_free_wipes(void **state) {
    (void)state;
    static const mq_ticket_key zero[MQ_TICKET_KEYS_MAX];
    mq_ticket_sealer sealer;
    make_sealer(&sealer, "123");
    mq_ticket_sealer_free(&sealer);
    assert_memory_equal(sealer.keys, zero, sizeof zero);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),           cmocka_unit_test(test_no_key_seals_nothing),
        cmocka_unit_test(test_every_bit_flip), cmocka_unit_test(test_swapped_names),
        cmocka_unit_test(test_name),           cmocka_unit_test(test_nonces_differ),
        cmocka_unit_test(test_free_wipes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
