/*
 * sim_unasked.c: a server that shows a raw public key to a client that trusts certificates and never offered to take
 * one (RFC 7250 4.2). wolfSSL would take it, and no chain leads anywhere; that a key has no name is not what may save
 * the client, so the names are not looked at here (the linker's --wrap).
 */
#include "harness/suite.h"
#include "harness/versions.h"

#define CLIENT_HELLO 1

typedef unsigned char byte;

static bool asks; /* the server finds in each ClientHello that a key is wanted */
static unsigned asked;

int __real_TLSX_Parse(void *ssl, const byte *input, unsigned short length, byte type, void *suites);
int __wrap_TLSX_Parse(void *ssl, const byte *input, unsigned short length, byte type, void *suites);
int __wrap_wolfSSL_check_domain_name(void *ssl, const char *name);

int __wrap_TLSX_Parse(void *ssl, const byte *input, unsigned short length, byte type, void *suites) {
    static const byte server_certificate_type[] = {0, 20, 0, 2, 1, 2};
    byte extended[8192];
    if (!asks || type != CLIENT_HELLO || length > sizeof extended - sizeof server_certificate_type) {
        return __real_TLSX_Parse(ssl, input, length, type, suites);
    }
    asked++;
    memcpy(extended, server_certificate_type, sizeof server_certificate_type);
    memcpy(extended + sizeof server_certificate_type, input, length);
    return __real_TLSX_Parse(ssl, extended, (unsigned short)(length + sizeof server_certificate_type), type, suites);
}

int __wrap_wolfSSL_check_domain_name(void *ssl, const char *name) {
    (void)ssl;
    (void)name;
    return 1; /* WOLFSSL_SUCCESS */
}

static void show_key(sim_world *w, masque_config *config) {
    size_t length;
    char *key = sim_read_file(SIM_DATA "/sim_server_key.pem", &length);
    const masque_listener listener = {.key_pem = key, .key_length = length};
    SIM_CHECK(w, masque_config_set_listener(config, 1, &listener) == 0, "listener");
    free(key);
}

static void test_unasked_key(void **state) {
    (void)state;
    for (size_t i = 0; i < SIM_COUNT(ROWS); i++) {
        sim_world *w = sim_world_new(&(sim_setup){.seed = 1, .configure = show_key});
        asks = true;
        asked = 0;
        sim_conn *c = sim_connect(
            w, &(sim_client){.alpn = ROWS[i].alpn, .engine = strcmp(ROWS[i].alpn, "h3") != 0, .listener = 1});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_ECHO ":77", .udp = ROWS[i].udp});
        sim_settle(w);
        SIM_CHECK(w, asked > 0 && !t->answered, "%s: status %u", ROWS[i].name, t->status);
        SIM_CHECK(w, c->engine_error == MASQUE_ERR_UNTRUSTED, "%s: %s", ROWS[i].name,
                  masque_error_name(c->engine_error));
        asks = false;
        sim_world_close(w);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_unasked_key)};
    return cmocka_run_group_tests(tests, suite_begin, NULL);
}
