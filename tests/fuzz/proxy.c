#include "proxy.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

#include <string.h>

#define ALLOWED_MAX 4096
#define FILE_BYTES_MAX 16384
#define HANDSHAKE_STEPS_MAX 8

/* A fuzz target is one thread that runs one input after the other. */
static masque_tunnel_id allowed[ALLOWED_MAX];
static size_t allowed_count;

/* The same bytes in every run, but other ones each time: connection IDs may not repeat. */
static uint32_t drawn;

static void not_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    drawn++;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(i * 151 + 7 + (drawn >> (8 * (i % 4))));
    }
}

static const masque_runtime RUNTIME = {.random = not_random};

void proxy_allow(masque_tunnel_id tunnel) {
    FUZZ_REQUIRE(allowed_count < ALLOWED_MAX);
    allowed[allowed_count++] = tunnel;
}

bool proxy_is_allowed(masque_tunnel_id tunnel) {
    for (size_t i = 0; i < allowed_count; i++) {
        if (allowed[i] == tunnel) {
            return true;
        }
    }
    return false;
}

/* --- configuration --------------------------------------------------------------------- */

static masque_verdict check(void *context, const masque_auth_request *request) {
    (void)context;
    if (request->scheme_length != strlen(PROXY_SCHEME) ||
        memcmp(request->scheme, PROXY_SCHEME, request->scheme_length) != 0) {
        return MASQUE_AUTH_NEXT;
    }
    switch (request->credential_length > 0 ? request->credential[0] : 0) {
    case 'a':
        proxy_allow(request->tunnel);
        return MASQUE_AUTH_ALLOW;
    case 'p':
        return MASQUE_AUTH_PENDING;
    case 'u':
        return MASQUE_AUTH_UNAVAILABLE;
    case 'n':
        return MASQUE_AUTH_NEXT;
    default:
        return MASQUE_AUTH_DENY;
    }
}

static size_t read_file(const char *path, char *bytes) {
    FILE *file = fopen(path, "rb");
    FUZZ_REQUIRE(file);
    size_t length = fread(bytes, 1, FILE_BYTES_MAX, file);
    fclose(file);
    return length;
}

/* Small, so that short inputs reach them. */
static void set_limits(masque_config *config) {
    masque_limits limits;
    masque_limits_init(&limits);
    limits.header_fields_max = 16;
    limits.header_bytes_max = 2048;
    limits.control_frames_max = 10;
    limits.resets_burst = 5;
    limits.glitches_burst = 20;
    limits.tunnels_per_connection_max = 6;
    limits.dials_per_connection_max = 2;
    limits.connections_per_source_max = 4;
    limits.auth_failures_max = 3;
    limits.tunnel_buffer_max = 16384;
    limits.stream_window_max = 131072;
    limits.connection_buffer_max = 131072;
    limits.engine_buffer_max = 1048576;
    FUZZ_REQUIRE(masque_config_set_limits(config, &limits) == 0);
}

masque_config *proxy_config(void) {
    static masque_config *config;
    static const masque_auth_method method = {.name = "fuzz", .check = check};
    char chain[FILE_BYTES_MAX], key[FILE_BYTES_MAX];
    masque_target_rule rule;
    const char *reason;
    if (config) {
        return config;
    }
    config = masque_config_new(&RUNTIME);
    FUZZ_REQUIRE(config);
    size_t chain_length = read_file(FUZZ_DATA "/sim_server.pem", chain);
    size_t key_length = read_file(FUZZ_DATA "/sim_server_key.pem", key);
    FUZZ_REQUIRE(masque_config_set_certificate(config, chain, chain_length, key, key_length) == 0);
    FUZZ_REQUIRE(masque_config_add_auth_method(config, &method) == 0);
    FUZZ_REQUIRE(masque_target_rule_parse(&rule, false, "port:25", &reason) == 0);
    FUZZ_REQUIRE(masque_config_add_target_rule(config, &rule) == 0);
    set_limits(config);
    FUZZ_REQUIRE(masque_config_seal(config) == 0);
    return config;
}

masque_engine *proxy_engine_new(const masque_allocator *allocator) {
    masque_runtime runtime = RUNTIME;
    masque_engine *engine;
    allowed_count = 0;
    if (allocator) {
        runtime.allocator = *allocator;
    }
    int error = masque_engine_new(&engine, proxy_config(), &runtime);
    FUZZ_REQUIRE((engine != NULL) == (error == 0) && (error == 0 || allocator));
    return engine;
}

/* --- clients --------------------------------------------------------------------------- */

static int put_output(WOLFSSL *tls, char *bytes, int length, void *context) {
    proxy_client *client = context;
    (void)tls;
    int error = masque_conn_feed(client->engine, client->conn, bytes, (size_t)length, *client->now);
    if (error == MASQUE_ERR_STATE) {
        return WOLFSSL_CBIO_ERR_WANT_WRITE;
    }
    return error ? WOLFSSL_CBIO_ERR_CONN_CLOSE : length;
}

static int take_input(WOLFSSL *tls, char *bytes, int room, void *context) {
    proxy_client *client = context;
    masque_iovec piece;
    (void)tls;
    if (masque_conn_pull(client->engine, client->conn, &piece, 1, *client->now) == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    size_t length = piece.length < (size_t)room ? piece.length : (size_t)room;
    memcpy(bytes, piece.base, length);
    FUZZ_REQUIRE(masque_conn_pulled(client->engine, client->conn, length, *client->now) == 0);
    return (int)length;
}

static WOLFSSL_CTX *client_context(void) {
    static WOLFSSL_CTX *context;
    int groups[] = {WOLFSSL_ECC_X25519};
    if (!context) {
        context = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
        FUZZ_REQUIRE(context && wolfSSL_CTX_set_groups(context, groups, 1) == WOLFSSL_SUCCESS);
        wolfSSL_CTX_set_verify(context, WOLFSSL_VERIFY_NONE, NULL); /* the certificate is the simulator's */
        wolfSSL_CTX_SetIORecv(context, take_input);
        wolfSSL_CTX_SetIOSend(context, put_output);
        FUZZ_REQUIRE(wolfSSL_CTX_UseSessionTicket(context) == WOLFSSL_SUCCESS);
    }
    return context;
}

/* Keeps the first session of each protocol for all later clients. */
static void resume(WOLFSSL *tls, const char *protocol, bool before) {
    static WOLFSSL_SESSION *sessions[2];
    WOLFSSL_SESSION **session = &sessions[strcmp(protocol, "h2") == 0];
    if (before && *session) {
        wolfSSL_set_session(tls, *session);
    } else if (!before && !*session) {
        char none;
        wolfSSL_peek(tls, &none, 1); /* takes the ticket */
        *session = wolfSSL_get1_session(tls);
    }
}

static bool handshake(proxy_client *client, const char *protocol) {
    WOLFSSL *tls = wolfSSL_new(client_context());
    char name[16];
    FUZZ_REQUIRE(tls);
    client->tls = tls;
    snprintf(name, sizeof name, "%s", protocol);
    FUZZ_REQUIRE(wolfSSL_UseALPN(tls, name, (unsigned)strlen(name), WOLFSSL_ALPN_FAILED_ON_MISMATCH) ==
                 WOLFSSL_SUCCESS);
    FUZZ_REQUIRE(wolfSSL_UseKeyShare(tls, WOLFSSL_ECC_X25519) == WOLFSSL_SUCCESS);
    wolfSSL_SetIOReadCtx(tls, client);
    wolfSSL_SetIOWriteCtx(tls, client);
    resume(tls, protocol, true);
    int result = WOLFSSL_FAILURE;
    for (int i = 0; i < HANDSHAKE_STEPS_MAX && result != WOLFSSL_SUCCESS; i++) {
        result = wolfSSL_connect(tls);
    }
    if (result == WOLFSSL_SUCCESS) {
        resume(tls, protocol, false);
    }
    return result == WOLFSSL_SUCCESS;
}

bool proxy_client_open(proxy_client *client, masque_engine *engine, const masque_time *now, void *user,
                       const char *protocol) {
    const masque_address from = {.family = MASQUE_IPV4, .ip = {198, 51, 100, 1}, .port = 50000};
    int error;
    *client = (proxy_client){.engine = engine, .now = now};
    client->conn = masque_accept(engine, &from, user, *now, &error);
    FUZZ_REQUIRE((client->conn != 0) == (error == 0));
    if (!client->conn) {
        return false;
    }
    return handshake(client, protocol);
}

bool proxy_client_send(proxy_client *client, const uint8_t *bytes, size_t length) {
    return length == 0 || wolfSSL_write(client->tls, bytes, (int)length) == (int)length;
}

size_t proxy_client_receive(proxy_client *client, uint8_t *bytes, size_t size) {
    int length = wolfSSL_read(client->tls, bytes, (int)size);
    return length > 0 ? (size_t)length : 0;
}

void proxy_client_finish(proxy_client *client) {
    wolfSSL_shutdown(client->tls);
}

void proxy_client_free(proxy_client *client) {
    if (client->tls) {
        wolfSSL_free(client->tls);
    }
    client->tls = NULL;
}
