/*
 * crypto_ticket_test.c: session tickets sealed with the configuration's keys.
 * Goal: every key opens what it sealed, an old one asks for a new ticket where
 * the protocol needs it, a foreign, changed or old one is rejected, no nonce repeats;
 * keys of configurations that know clients by other means are others.
 */
#include "crypto/ticket.h"
#include "crypto/ticket_client.h"

#include <string.h>

#include "unit.h"

#define TICKET_LENGTH 200                /* wolfSSL's part */
#define WHOLE_LENGTH (TICKET_LENGTH + 9) /* with a client who is nobody: what, since when, and two lengths */
/* What is authenticated of the two fields: a 12-byte nonce, a 16-byte tag. */
#define NONCE_USED 12
#define TAG_USED 16

typedef struct sealed {
    uint8_t name[WOLFSSL_TICKET_NAME_SZ];
    uint8_t iv[WOLFSSL_TICKET_IV_SZ];
    uint8_t mac[WOLFSSL_TICKET_MAC_SZ];
    uint8_t bytes[WHOLE_LENGTH];
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
        mq_tls_free(connections[i]);
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

/* Of one connection; ssl outlives it here. */
static void forget(void) {
    for (size_t i = 0; i < 2; i++) {
        mq_ticket_client_forget(connections[i]);
    }
}

static int call(mq_ticket_sealer *sealer, sealed *ticket, int encrypt, bool tls13) {
    int length = WHOLE_LENGTH;
    int result = mq_ticket_callback(connections[tls13], ticket->name, ticket->iv, ticket->mac, encrypt, ticket->bytes,
                                    encrypt ? TICKET_LENGTH : WHOLE_LENGTH, &length, sealer);
    forget();
    if (result == WOLFSSL_TICKET_RET_OK || result == WOLFSSL_TICKET_RET_CREATE) {
        assert_int_equal(length, encrypt ? WHOLE_LENGTH : TICKET_LENGTH);
    }
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
    static const uint8_t zeros[WHOLE_LENGTH - TICKET_LENGTH];
    uint8_t plain[TICKET_LENGTH];
    fill_plain(plain);
    for (size_t i = 0; i < COUNT(KEYS); i++) {
        const key_row *row = &KEYS[i];
        sealed ticket = seal(row->sealing);
        CHECK(row->name, memcmp(ticket.bytes, plain, sizeof plain) != 0);
        CHECK(row->name, memcmp(ticket.bytes + TICKET_LENGTH, zeros, sizeof zeros) != 0);
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

static time_t now;

static time_t tell_now(time_t *out) {
    (void)out;
    return now;
}

/* A day behind the full handshake a ticket is nothing any more; a machine whose clock is behind takes it. */
static void test_age(void **state) {
    static const struct {
        time_t sealed, opened;
        bool good;
    } rows[] = {
        {1000000, 1000000, true},
        {1000000, 1000000 + MQ_TICKET_LIFETIME_S, true},
        {1000000, 1000001 + MQ_TICKET_LIFETIME_S, false},
        {1000000, 999940, true},
        {1000000, 999999 - MQ_TICKET_LIFETIME_S, false},
        {1000000, 1000000 + 40 * 365 * (time_t)86400, false},
        {4294967200, 4294967400, true}, /* 2106 */
        {4294967200, 4294967201 + MQ_TICKET_LIFETIME_S, false},
    };
    (void)state;
    assert_int_equal(wc_SetTimeCb(tell_now), 0);
    for (size_t i = 0; i < 2 * COUNT(rows); i++) {
        now = rows[i / 2].sealed;
        sealed ticket = seal("1");
        now = rows[i / 2].opened;
        int result = open_with("1", &ticket, i % 2);
        assert_int_equal(result, rows[i / 2].good ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_REJECT);
    }
    assert_int_equal(wc_SetTimeCb(NULL), 0);
}

/* A ticket without room for the client is one that nobody opens; wolfSSL wants one all the same. */
static void test_no_room(void **state) {
    (void)state;
    for (int room = TICKET_LENGTH; room <= WHOLE_LENGTH; room++) {
        mq_ticket_sealer sealer;
        sealed ticket = {.name = {0}};
        int length = room;
        make_sealer(&sealer, "1");
        assert_int_equal(mq_ticket_callback(connections[1], ticket.name, ticket.iv, ticket.mac, 1, ticket.bytes,
                                            TICKET_LENGTH, &length, &sealer),
                         WOLFSSL_TICKET_RET_OK);
        assert_int_equal(length, room == WHOLE_LENGTH ? WHOLE_LENGTH : TICKET_LENGTH);
        int opened = mq_ticket_callback(connections[1], ticket.name, ticket.iv, ticket.mac, 0, ticket.bytes, length,
                                        &length, &sealer);
        assert_int_equal(opened, room == WHOLE_LENGTH ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_REJECT);
        forget();
        mq_ticket_sealer_free(&sealer);
    }
}

/* Where certificates are asked for all tickets look alike: also one of somebody who could not be written down, which is
   refused, so that they show who they are again. */
static void test_equal_lengths(void **state) {
    enum { ROOM = 64 };
    const uint8_t zeros[MASQUE_TICKET_KEY_LENGTH] = {0};
    (void)state;
    for (int needed = 0; needed < 2; needed++) {
        const mq_credentials credentials = {
            .ticket_key_count = 1, .asks_clients = true, .client_certificate_needed = needed};
        const masque_runtime runtime = {.random = unit_random_source, .context = &randomness};
        mq_ticket_sealer sealer;
        sealed ticket = {.name = {0}};
        uint8_t bytes[TICKET_LENGTH + ROOM] = {0};
        int length = sizeof bytes;
        assert_int_equal(mq_ticket_sealer_init(&sealer, &credentials, &runtime), 0);
        assert_int_equal(mq_ticket_callback(connections[1], ticket.name, ticket.iv, ticket.mac, 1, bytes, TICKET_LENGTH,
                                            &length, &sealer),
                         WOLFSSL_TICKET_RET_OK);
        assert_int_equal(length, sizeof bytes);
        assert_memory_equal(ticket.name, sealer.keys[0].name, sizeof ticket.name);
        assert_memory_not_equal(bytes + TICKET_LENGTH, zeros, sizeof zeros);
        /* Nobody can't be where a certificate is needed. */
        assert_int_equal(
            mq_ticket_callback(connections[1], ticket.name, ticket.iv, ticket.mac, 0, bytes, length, &length, &sealer),
            needed ? WOLFSSL_TICKET_RET_REJECT : WOLFSSL_TICKET_RET_OK);
        assert_int_equal(length, needed ? (int)sizeof bytes : TICKET_LENGTH);
        forget();
        mq_ticket_sealer_free(&sealer);
    }
}

/* What was sealed without a client's part, or with a broken one, as by another version, is nothing. */
static void test_broken_parts(void **state) {
    static const struct {
        const char *name;
        uint8_t bytes[64];
        size_t length;
        bool good;
    } rows[] = {
        {"nobody", {0, 0, 0, 0, 0}, 5, true},
        {"nothing", {0}, 0, false},
        {"four bytes", {0, 0, 0, 0}, 4, false},
        {"nobody, and more", {0, 0, 0, 0, 0, 0}, 6, false},
        {"an unknown kind", {3, 0, 0, 0, 0}, 5, false},
        {"a raw key", {2}, 5 + 32 + 8 + 1, true},
        {"one without its text", {2}, 5 + 32 + 8, false},
        {"half of its end", {2}, 5 + 32 + 4, false},
        {"half of its hash", {2}, 5 + 16, false},
        {"a text that has no end", {2, [45] = 'C', 'N', '=', 'x'}, 5 + 32 + 8 + 4, false},
        {"a certificate that ends now", {1, [44] = 7}, 5 + 32 + 8 + 1, true},
        {"one that has ended", {1, [44] = 6}, 5 + 32 + 8 + 1, false},
        {"one that ends late", {1, [37] = 255}, 5 + 32 + 8 + 1, true},
    };
    (void)state;
    now = 7;
    assert_int_equal(wc_SetTimeCb(tell_now), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        mq_peer *peer = NULL;
        masque_allocator allocator;
        mq_allocator_init(&allocator, &(masque_allocator){.allocate = NULL});
        static const uint8_t tag[MQ_TICKET_TAG_LENGTH];
        /* Exactly as long, for sanitizers. */
        uint8_t *bytes = malloc(rows[i].length + 1);
        memcpy(bytes, rows[i].bytes, rows[i].length);
        CHECK(rows[i].name,
              mq_ticket_client_keep(connections[1], &allocator, tag, bytes, rows[i].length) == rows[i].good);
        /* Nothing was resumed, so nothing that a ticket says is anybody's. */
        CHECK(rows[i].name, mq_ticket_client_of(&peer, &allocator, connections[1]) == 0 && !peer);
        mq_ticket_client_forget(connections[1]);
        free(bytes);
    }
    assert_int_equal(wc_SetTimeCb(NULL), 0);
}

/* A ClientHello with several tickets, as some were seen on the wire: the first that opens is the only one that does,
   also when it comes a second time. */
static void test_one_of_several(void **state) {
    (void)state;
    mq_ticket_sealer sealer;
    make_sealer(&sealer, "1");
    for (int tls13 = 0; tls13 < 2; tls13++) {
        sealed own = seal("1"), other = seal("1"), unknown = seal("2");
        const struct {
            sealed *ticket;
            int result;
        } rows[] = {{&unknown, WOLFSSL_TICKET_RET_REJECT},
                    {&own, WOLFSSL_TICKET_RET_OK},
                    {&other, WOLFSSL_TICKET_RET_REJECT},
                    {&own, WOLFSSL_TICKET_RET_OK}};
        for (size_t i = 0; i < COUNT(rows); i++) {
            sealed copy = *rows[i].ticket;
            int length = WHOLE_LENGTH;
            assert_int_equal(mq_ticket_callback(connections[tls13], copy.name, copy.iv, copy.mac, 0, copy.bytes,
                                                WHOLE_LENGTH, &length, &sealer),
                             rows[i].result);
        }
        forget();
    }
    mq_ticket_sealer_free(&sealer);
}

/* Keys of those who know clients by other means open nothing of each other's. */
static void test_bound_keys(void **state) {
    static uint8_t a[] = "a", b[] = "b";
    const mq_credentials rows[] = {
        {.key_pem = a, .key_length = 1},
        {.key_pem = a, .key_length = 1, .asks_clients = true},
        {.key_pem = a, .key_length = 1, .asks_clients = true, .client_ca_pem = a, .client_ca_length = 1},
        {.key_pem = a, .key_length = 1, .asks_clients = true, .client_ca_pem = b, .client_ca_length = 1},
        {.key_pem = a, .key_length = 1, .asks_clients = true, .client_crl = a, .client_crl_length = 1},
        {.key_pem = a, .key_length = 1, .asks_clients = true, .client_raw_keys = true},
        {.key_pem = a, .key_length = 1, .asks_clients = true, .client_certificate_needed = true},
        {.key_pem = b, .key_length = 1},
        {.key_pem = a, .key_length = 1, .chain_pem = b, .chain_length = 1},
        {.key_pem = b, .key_length = 1, .asks_clients = true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t k = 0; k < COUNT(rows); k++) {
            mq_credentials one = rows[i], other = rows[k];
            one.ticket_key_count = other.ticket_key_count = 2;
            assert_int_equal(mq_credentials_bind_tickets(&one, true), 0);
            assert_int_equal(mq_credentials_bind_tickets(&other, true), 0);
            /* Of {b, key} and {a, chain b} the same thing is shown. */
            bool same = i == k || (i == 7 && k == 8) || (i == 8 && k == 7);
            assert_int_equal(memcmp(one.ticket_keys[1], other.ticket_keys[1], sizeof one.ticket_keys[1]) == 0, same);
        }
    }
    /* Who asks for nothing and shows what the configuration does has its very keys. */
    mq_credentials plain = {.key_pem = a, .key_length = 1, .ticket_key_count = 1, .ticket_keys = {{7}}};
    assert_int_equal(mq_credentials_bind_tickets(&plain, false), 0);
    assert_int_equal(plain.ticket_keys[0][0], 7);
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
        cmocka_unit_test(test_free_wipes),     cmocka_unit_test(test_age),
        cmocka_unit_test(test_no_room),        cmocka_unit_test(test_broken_parts),
        cmocka_unit_test(test_bound_keys),     cmocka_unit_test(test_one_of_several),
        cmocka_unit_test(test_equal_lengths),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
