/*
 * engine_config_test.c: building and sealing a configuration. Goal: each setter's
 * errors, each way credentials can be wrong, and that after an error, also one of
 * sealing, the configuration is as before.
 */
#include "engine/config.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static unit_memory memory;
static unit_random randomness = {.state = 10};
static masque_config *config;

static int set_up(void **state) {
    (void)state;
    unit_memory_init(&memory);
    masque_runtime runtime = {.allocator = memory.allocator, .random = unit_random_source, .context = &randomness};
    config = masque_config_new(&runtime);
    return config ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    masque_config_release(config);
    return memory.pieces == 0 ? 0 : -1;
}

static int set_certificate(const char *chain_file, const char *key_file) {
    size_t chain_length;
    size_t key_length;
    char *chain = unit_read_data(chain_file, &chain_length);
    char *key = unit_read_data(key_file, &key_length);
    int error = masque_config_set_certificate(config, chain, chain_length, key, key_length);
    free(chain);
    free(key);
    return error;
}

#define CHAIN "unit-server-chain.pem"
#define KEY "unit-server-key.pem"

static void make_sealable(void) {
    assert_int_equal(set_certificate(CHAIN, KEY), 0);
    assert_int_equal(masque_config_add_preshared(config, "alpha", "correct-horse", 13), 0);
}

typedef struct credential_row {
    const char *name;
    const char *chain;
    const char *key;
    int error;
} credential_row;

/* Names of files, or "-" and a text. */
static const credential_row CREDENTIALS[] = {
    {"good", CHAIN, KEY, 0},
    {"no certificate", "-", KEY, MASQUE_ERR_CERTIFICATE},
    {"no PEM at all", "-nonsense", KEY, MASQUE_ERR_CERTIFICATE},
    {"a key where the certificate should be", KEY, KEY, MASQUE_ERR_CERTIFICATE},
    {"an empty block", "------BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", KEY, MASQUE_ERR_CERTIFICATE},
    {"a block that isn't base64", "------BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n", KEY,
     MASQUE_ERR_CERTIFICATE},
    {"a block that isn't a certificate", "------BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", KEY,
     MASQUE_ERR_CERTIFICATE},
    {"a block without its end", "------BEGIN CERTIFICATE-----\nMIIB\n", KEY, MASQUE_ERR_CERTIFICATE},
    {"no key", CHAIN, "-", MASQUE_ERR_PRIVATE_KEY},
    {"nonsense for a key", CHAIN, "-nonsense", MASQUE_ERR_PRIVATE_KEY},
    {"a certificate where the key should be", CHAIN, CHAIN, MASQUE_ERR_PRIVATE_KEY},
    {"a key that isn't one", CHAIN, "------BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
     MASQUE_ERR_PRIVATE_KEY},
    {"a key with a pass phrase", CHAIN, "unit-server-key-encrypted.pem", MASQUE_ERR_PRIVATE_KEY},
    {"another's key", CHAIN, "unit-other-key.pem", MASQUE_ERR_KEY_MISMATCH},
    {"a key of another algorithm", CHAIN, "unit-rsa-key.pem", MASQUE_ERR_KEY_MISMATCH},
};

/* One of CREDENTIALS' two texts; free() it. */
static char *credential_text(const char *source, size_t *length) {
    if (source[0] != '-') {
        return unit_read_data(source, length);
    }
    *length = strlen(source + 1);
    char *copy = malloc(*length + 1);
    assert_non_null(copy);
    memcpy(copy, source + 1, *length + 1);
    return copy;
}

static int seal_with(const credential_row *row) {
    size_t chain_length;
    size_t key_length;
    char *chain = credential_text(row->chain, &chain_length);
    char *key = credential_text(row->key, &key_length);
    CHECK(row->name, masque_config_set_certificate(config, chain, chain_length, key, key_length) == 0);
    free(chain);
    free(key);
    return masque_config_seal(config);
}

static void test_credentials(void **state) {
    for (size_t i = 0; i < COUNT(CREDENTIALS); i++) {
        assert_int_equal(masque_config_add_preshared(config, "alpha", "correct-horse", 13), 0);
        CHECK(CREDENTIALS[i].name, seal_with(&CREDENTIALS[i]) == CREDENTIALS[i].error);
        CHECK(CREDENTIALS[i].name, config->sealed == (CREDENTIALS[i].error == 0));
        CHECK(CREDENTIALS[i].name, tear_down(state) == 0 && set_up(state) == 0);
    }
}

/* Every failure in one configuration, which is then corrected and sealed. */
static void test_seal_again(void **state) {
    (void)state;
    static const uint8_t key[MASQUE_TICKET_KEY_LENGTH] = {1};
    assert_int_equal(masque_config_seal(config), MASQUE_ERR_NO_CREDENTIALS);
    assert_int_equal(set_certificate(CHAIN, KEY), 0);
    assert_int_equal(masque_config_seal(config), MASQUE_ERR_NO_AUTH);
    assert_int_equal(masque_config_add_preshared(config, "alpha", "correct-horse", 13), 0);
    for (size_t i = 1; i < COUNT(CREDENTIALS); i++) {
        CHECK(CREDENTIALS[i].name, seal_with(&CREDENTIALS[i]) == CREDENTIALS[i].error);
    }
    /* What sealing failed with must not have used up a place, nor seal tickets. */
    for (size_t i = 0; i < MQ_TICKET_KEYS_MAX; i++) {
        assert_int_equal(masque_config_add_ticket_key(config, key), 0);
    }
    assert_memory_equal(config->credentials.ticket_keys[0], key, sizeof key);
    assert_int_equal(seal_with(&CREDENTIALS[0]), 0);
}

static void test_sealed_is_closed(void **state) {
    (void)state;
    static const uint8_t key[MASQUE_TICKET_KEY_LENGTH] = {1};
    masque_auth_method method = {.name = "x", .check = mq_preshared_check};
    masque_target_rule rule = {.port_last = 65535};
    masque_address own = unit_address("192.0.2.1", 443);
    make_sealable();
    assert_int_equal(masque_config_seal(config), 0);
    assert_int_equal(set_certificate(CHAIN, KEY), MASQUE_ERR_STATE);
    assert_int_equal(masque_config_add_ticket_key(config, key), MASQUE_ERR_STATE);
    assert_int_equal(masque_config_set_limits(config, masque_config_limits(config)), MASQUE_ERR_STATE);
    assert_int_equal(masque_config_add_preshared(config, "beta", "battery-staple", 14), MASQUE_ERR_STATE);
    assert_int_equal(masque_config_add_auth_method(config, &method), MASQUE_ERR_STATE);
    assert_int_equal(masque_config_add_target_rule(config, &rule), MASQUE_ERR_STATE);
    assert_int_equal(masque_config_add_own_address(config, &own), MASQUE_ERR_STATE);
    assert_int_equal(masque_config_seal(config), MASQUE_ERR_STATE);
    assert_int_equal(config->preshared.count, 1);
    assert_int_equal(config->targets.rule_count + config->targets.own_count, 0);
}

static void test_ticket_keys(void **state) {
    (void)state;
    for (uint8_t i = 0; i < MQ_TICKET_KEYS_MAX + 2; i++) {
        const uint8_t key[MASQUE_TICKET_KEY_LENGTH] = {i};
        assert_int_equal(masque_config_add_ticket_key(config, key), i < MQ_TICKET_KEYS_MAX ? 0 : MASQUE_ERR_INVALID);
    }
    make_sealable();
    assert_int_equal(masque_config_seal(config), 0);
    assert_int_equal(config->credentials.ticket_key_count, MQ_TICKET_KEYS_MAX);
    assert_int_equal(config->credentials.ticket_keys[0][0], 0);
    assert_int_equal(config->credentials.ticket_keys[2][0], 2);
}

static void test_a_ticket_key_is_made(void **state) {
    (void)state;
    static const uint8_t zero[MASQUE_TICKET_KEY_LENGTH];
    make_sealable();
    assert_int_equal(masque_config_seal(config), 0);
    assert_int_equal(config->credentials.ticket_key_count, 1);
    assert_memory_not_equal(config->credentials.ticket_keys[0], zero, sizeof zero);
}

static void test_limits(void **state) {
    (void)state;
    masque_limits limits;
    masque_limits_init(&limits);
    assert_memory_equal(masque_config_limits(config), &limits, sizeof limits);
    limits.tunnels_max = 7;
    assert_int_equal(masque_config_set_limits(config, &limits), 0);
    assert_int_equal(masque_config_limits(config)->tunnels_max, 7);
    limits.tunnels_max = 8;
    limits.header_fields_max = 1;
    assert_int_equal(masque_config_set_limits(config, &limits), MASQUE_ERR_INVALID);
    assert_int_equal(masque_config_limits(config)->tunnels_max, 7);
}

/* A refused first key must not leave a method that denies everybody. */
static void test_preshared(void **state) {
    (void)state;
    assert_int_equal(masque_config_add_preshared(config, "alpha", "short", 5), MASQUE_ERR_INVALID);
    assert_int_equal(config->method_count, 0);
    assert_int_equal(set_certificate(CHAIN, KEY), 0);
    assert_int_equal(masque_config_seal(config), MASQUE_ERR_NO_AUTH);
    assert_int_equal(masque_config_add_preshared(config, "alpha", "correct-horse", 13), 0);
    assert_int_equal(masque_config_add_preshared(config, "alpha", "battery-staple", 14), MASQUE_ERR_INVALID);
    assert_int_equal(masque_config_add_preshared(config, "beta", "battery-staple", 14), 0);
    assert_int_equal(config->method_count, 1);
    assert_int_equal(config->preshared.count, 2);
    assert_string_equal(config->methods[0].name, "preshared");
}

static masque_verdict allow_all(void *context, const masque_auth_request *request) {
    (void)context;
    (void)request;
    return MASQUE_AUTH_ALLOW;
}

static void count_release(void *context) {
    ++*(int *)context;
}

static void test_auth_methods(void **state) {
    int released = 0;
    masque_auth_method good = {.name = "x", .check = allow_all, .release = count_release, .context = &released};
    masque_auth_method no_name = good;
    masque_auth_method no_check = good;
    masque_auth_method no_release = {.name = "y", .check = allow_all};
    no_name.name = NULL;
    no_check.check = NULL;
    assert_int_equal(masque_config_add_auth_method(config, &no_name), MASQUE_ERR_INVALID);
    assert_int_equal(masque_config_add_auth_method(config, &no_check), MASQUE_ERR_INVALID);
    assert_int_equal(config->method_count, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(masque_config_add_auth_method(config, i % 2 ? &no_release : &good), 0);
    }
    /* The order is that of the calls, and the table is a copy. */
    good.check = NULL;
    assert_string_equal(config->methods[8].name, "x");
    assert_string_equal(config->methods[9].name, "y");
    assert_ptr_equal(config->methods[0].check, allow_all);
    masque_config_retain(config);
    masque_config_release(config);
    assert_int_equal(released, 0);
    assert_int_equal(tear_down(state), 0);
    assert_int_equal(released, 5);
    assert_int_equal(set_up(state), 0);
}

static void test_targets(void **state) {
    (void)state;
    masque_target_rule rule = {.port_first = 2, .port_last = 1};
    masque_address own = unit_address("192.0.2.1", 0);
    masque_address none = {.port = 443};
    assert_int_equal(masque_config_add_target_rule(config, &rule), MASQUE_ERR_INVALID);
    rule.port_last = 3;
    assert_int_equal(masque_config_add_target_rule(config, &rule), 0);
    assert_int_equal(masque_config_add_own_address(config, &none), MASQUE_ERR_INVALID);
    assert_int_equal(masque_config_add_own_address(config, &own), 0);
}

static int build(void) {
    static const uint8_t key[MASQUE_TICKET_KEY_LENGTH] = {1};
    masque_target_rule rule = {.port_last = 65535};
    masque_address own = unit_address("192.0.2.1", 443);
    masque_auth_method method = {.name = "x", .check = allow_all};
    int error = set_certificate(CHAIN, KEY);
    error = error ? error : masque_config_add_ticket_key(config, key);
    error = error ? error : masque_config_add_preshared(config, "alpha", "correct-horse", 13);
    error = error ? error : masque_config_add_auth_method(config, &method);
    error = error ? error : masque_config_add_target_rule(config, &rule);
    return error ? error : masque_config_add_own_address(config, &own);
}

/* With each allocation failing in turn: an error, no leak, and no half setter. */
static void test_no_memory(void **state) {
    (void)state;
    masque_runtime runtime = {.allocator = memory.allocator, .random = unit_random_source, .context = &randomness};
    masque_config_release(config);
    config = NULL;
    bool done = false;
    for (size_t left = 0; !done; left++) {
        assert_true(left < 100);
        memory.left = left;
        config = masque_config_new(&runtime);
        int error = config ? build() : MASQUE_ERR_NO_MEMORY;
        done = error == 0;
        assert_true(done || error == MASQUE_ERR_NO_MEMORY);
        assert_true(!config || (config->method_count > 0) == (config->preshared.count > 0));
        masque_config_release(config);
        assert_int_equal(memory.pieces, 0);
    }
    memory.left = SIZE_MAX;
    config = masque_config_new(&runtime);
}

static void test_release_null(void **state) {
    (void)state;
    masque_config_release(NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_credentials), TEST(test_seal_again),           TEST(test_sealed_is_closed),
        TEST(test_ticket_keys), TEST(test_a_ticket_key_is_made), TEST(test_limits),
        TEST(test_preshared),   TEST(test_auth_methods),         TEST(test_targets),
        TEST(test_no_memory),   TEST(test_release_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
