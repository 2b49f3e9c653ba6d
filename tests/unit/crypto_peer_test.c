/* Who a client is by its certificate: subject, names and key; and any damage is an error, or another text, but no more.
   The rules that say whom of them to take. */
#include <stdlib.h>
#include <string.h>

#include "auth/certificates.h"
#include "crypto/peer.h"
#include "support/issuer.h"
#include "unit.h"

static uint8_t der[4096];
static size_t der_length;

static int set_up(void **state) {
    size_t length;
    char *pem = unit_read_data("unit-client.pem", &length);
    (void)state;
    der_length = support_pem(der, sizeof der, pem, length);
    free(pem);
    return 0;
}

static void test_who(void **state) {
    unit_memory memory;
    mq_peer *peer;
    (void)state;
    unit_memory_init(&memory);
    assert_int_equal(mq_peer_new(&peer, &memory.allocator, der, der_length), 0);
    assert_string_equal(peer->told.subject, "CN=gateway \\\"7\\\",OU=\\#1+L=Z\xc3\xbcrich,O=Example\\, Inc.,C=CH");
    assert_int_equal(peer->told.name_count, 2); /* not the IP address, nor the e-mail address */
    assert_string_equal(peer->told.names[0], "DNS:gateway.example");
    assert_string_equal(peer->told.names[1], "URI:spiffe://example/gateway");
    mq_peer_del(peer, &memory.allocator);
    assert_int_equal(memory.pieces, 0);
}

static void test_damage(void **state) {
    unit_memory memory;
    unit_random random = {.state = 11};
    mq_peer *peer;
    (void)state;
    unit_memory_init(&memory);
    for (size_t length = 0; length < der_length; length++) {
        uint8_t *cut = malloc(length + 1);
        memcpy(cut, der, length);
        assert_int_equal(mq_peer_new(&peer, &memory.allocator, cut, length), MASQUE_ERR_CERTIFICATE);
        free(cut);
    }
    for (size_t i = 0; i < 20000; i++) {
        uint8_t *bytes = malloc(der_length);
        memcpy(bytes, der, der_length);
        for (size_t k = 0; k <= i % 3; k++) {
            bytes[unit_random_below(&random, der_length)] = (uint8_t)unit_random_next(&random);
        }
        int error = mq_peer_new(&peer, &memory.allocator, bytes, der_length);
        assert_true(error == 0 || error == MASQUE_ERR_CERTIFICATE);
        assert_true(error == 0 || !peer);
        mq_peer_del(peer, &memory.allocator);
        free(bytes);
    }
    for (size_t left = 0; left < 2; left++) {
        memory.calls = 0;
        memory.left = left;
        assert_int_equal(mq_peer_new(&peer, &memory.allocator, der, der_length), MASQUE_ERR_NO_MEMORY);
    }
    assert_int_equal(memory.pieces, 0);
}

static void test_rules(void **state) {
    static const struct {
        const char *rule;
        int error;
        bool allows;
    } rows[] = {
        {"subject:CN=gateway \\\"7\\\",OU=\\#1+L=Z\xc3\xbcrich,O=Example\\, Inc.,C=CH", 0, true},
        {"subject:CN=gateway", 0, false},
        {"dns:GATEWAY.example", 0, true},
        {"dns:gateway.example.", 0, false},
        {"spiffe://example/gateway", 0, true},
        {"spiffe://example/gateway/", 0, false},
        {"https://example", 0, false},
        {"sha256:0000000000000000000000000000000000000000000000000000000000000000", 0, false},
        {"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 0, false},
        {"sha256:AAAA", MASQUE_ERR_INVALID, false},
        {"sha256:", MASQUE_ERR_INVALID, false},
        {"subject:", MASQUE_ERR_INVALID, false},
        {"dns:", MASQUE_ERR_INVALID, false},
        {"gateway.example", MASQUE_ERR_INVALID, false},
        {"", MASQUE_ERR_INVALID, false},
    };
    unit_memory memory;
    mq_peer *peer;
    (void)state;
    unit_memory_init(&memory);
    assert_int_equal(mq_peer_new(&peer, &memory.allocator, der, der_length), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        mq_certificates certificates;
        size_t wrong = 99;
        CHECK(rows[i].rule,
              mq_certificates_init(&certificates, &memory.allocator, &rows[i].rule, 1, &wrong) == rows[i].error);
        CHECK(rows[i].rule, mq_certificates_allow(&certificates, &peer->told) == rows[i].allows);
        CHECK(rows[i].rule, !mq_certificates_allow(&certificates, NULL));
        CHECK(rows[i].rule, wrong == 0);
        mq_certificates_free(&certificates, &memory.allocator);
    }
    mq_certificates all;
    size_t wrong;
    assert_int_equal(mq_certificates_init(&all, &memory.allocator, NULL, 0, &wrong), 0);
    assert_true(mq_certificates_allow(&all, &peer->told));
    assert_false(mq_certificates_allow(&all, NULL));
    mq_certificates_free(&all, &memory.allocator);
    assert_false(mq_certificates_allow(&all, &peer->told)); /* switched off */
    mq_peer_del(peer, &memory.allocator);
    assert_int_equal(memory.pieces, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who), cmocka_unit_test(test_damage),
                                       cmocka_unit_test(test_rules)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
