/*
 * tests/bench/handshake.c: what a full handshake of TLS 1.3 costs the server, with a client's certificate and without,
 * in CPU time: wolfSSL alone on memory, as its own benchmark has it, and an engine. The client is wolfSSL both times.
 *
 *   bench_handshake [ROUNDS]
 *
 * ROUNDS (300) of each, in turns; each line is the median of five.
 */
#include <masqueproxy/masqueproxy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

#define PIPE_SIZE 65536u

/* Bytes on their way in one direction. */
typedef struct wire {
    uint8_t bytes[PIPE_SIZE];
    size_t start;
    size_t end;
} wire;

typedef struct bench {
    WOLFSSL_CTX *client;
    WOLFSSL_CTX *server;
    masque_engine *engine;
    wire up, down;
    double server_us;
} bench;

static void on_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    FILE *file = fopen("/dev/urandom", "rb");
    need(file && fread(buffer, 1, size, file) == size, "no randomness");
    fclose(file);
}

static char *read_data(const char *name, size_t *length) {
    char path[512];
    char *text = calloc(1, 16384);
    snprintf(path, sizeof path, "%s/%s", BENCH_DATA, name);
    FILE *file = fopen(path, "rb");
    need(file && text, path);
    *length = fread(text, 1, 16383, file);
    fclose(file);
    return text;
}

/* --- bytes ------------------------------------------------------------------------------------------ */

static int take(WOLFSSL *ssl, char *buffer, int size, void *context) {
    wire *from = context;
    size_t have = from->end - from->start;
    size_t length = have < (size_t)size ? have : (size_t)size;
    (void)ssl;
    memcpy(buffer, from->bytes + from->start, length);
    from->start += length;
    return length > 0 ? (int)length : WOLFSSL_CBIO_ERR_WANT_READ;
}

static int put(WOLFSSL *ssl, char *buffer, int size, void *context) {
    wire *to = context;
    (void)ssl;
    need(to->end + (size_t)size <= PIPE_SIZE, "a handshake longer than 64 KiB");
    memcpy(to->bytes + to->end, buffer, (size_t)size);
    to->end += (size_t)size;
    return size;
}

static WOLFSSL *ssl_new(WOLFSSL_CTX *ctx, wire *in, wire *out) {
    WOLFSSL *ssl = wolfSSL_new(ctx);
    need(ssl, "no WOLFSSL");
    wolfSSL_SSLSetIORecv(ssl, take);
    wolfSSL_SSLSetIOSend(ssl, put);
    wolfSSL_SetIOReadCtx(ssl, in);
    wolfSSL_SetIOWriteCtx(ssl, out);
    return ssl;
}

/* --- both servers ------------------------------------------------------------------------------------- */

static void clear(bench *b) {
    b->up.start = b->up.end = b->down.start = b->down.end = 0;
}

static void shake_bare(bench *b) {
    WOLFSSL *client = ssl_new(b->client, &b->down, &b->up);
    bool done = false;
    clear(b);
    double before = cpu_us();
    WOLFSSL *server = ssl_new(b->server, &b->up, &b->down);
    b->server_us += cpu_us() - before;
    for (int i = 0; i < 10 && !done; i++) {
        bool connected = wolfSSL_connect(client) == WOLFSSL_SUCCESS;
        before = cpu_us();
        done = wolfSSL_accept(server) == WOLFSSL_SUCCESS && connected;
        b->server_us += cpu_us() - before;
    }
    need(done, "wolfSSL's handshake failed");
    before = cpu_us();
    wolfSSL_free(server);
    b->server_us += cpu_us() - before;
    wolfSSL_free(client);
}

static void step_engine(bench *b, masque_conn_id conn) {
    masque_event event;
    masque_iovec piece;
    size_t length = b->up.end - b->up.start;
    need(length == 0 || masque_conn_feed(b->engine, conn, b->up.bytes + b->up.start, length, MASQUE_SECOND) == 0,
         "the engine takes nothing");
    b->up.start = b->up.end;
    while (masque_next_event(b->engine, &event)) {
        need(event.type != MASQUE_EVENT_CONN_END, "the engine's handshake failed");
    }
    while (masque_conn_pull(b->engine, conn, &piece, 1, MASQUE_SECOND) > 0) {
        put(NULL, piece.base, (int)piece.length, &b->down);
        masque_conn_pulled(b->engine, conn, piece.length, MASQUE_SECOND);
    }
}

static void shake_engine(bench *b) {
    const masque_address address = {.family = MASQUE_IPV4, .ip = {192, 0, 2, 1}};
    WOLFSSL *client = ssl_new(b->client, &b->down, &b->up);
    masque_event event;
    bool done = false;
    int error;
    clear(b);
    double before = cpu_us();
    masque_conn_id conn = masque_accept(b->engine, &address, NULL, MASQUE_SECOND, &error);
    b->server_us += cpu_us() - before;
    need(conn != 0, "the engine accepts nobody");
    for (int i = 0; i < 10 && !done; i++) {
        done = wolfSSL_connect(client) == WOLFSSL_SUCCESS;
        before = cpu_us();
        step_engine(b, conn);
        b->server_us += cpu_us() - before;
    }
    need(done, "the client's handshake failed");
    before = cpu_us();
    masque_conn_failed(b->engine, conn, MASQUE_SECOND);
    while (masque_next_event(b->engine, &event)) {
    }
    b->server_us += cpu_us() - before;
    wolfSSL_free(client);
}

/* --- set up ---------------------------------------------------------------------------------------------- */

static void set_groups(WOLFSSL_CTX *ctx) {
    int groups[] = {WOLFSSL_X25519MLKEM768, WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1};
    need(wolfSSL_CTX_set_groups(ctx, groups, 3) == WOLFSSL_SUCCESS &&
             wolfSSL_CTX_set_cipher_list(ctx, "TLS13-AES128-GCM-SHA256") == WOLFSSL_SUCCESS,
         "no such algorithms");
    wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
}

static WOLFSSL_CTX *context_new(WOLFSSL_METHOD *method, const char *certificate, const char *key, const char *trust) {
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(method);
    char paths[3][512];
    const char *const names[3] = {certificate, key, trust};
    for (size_t i = 0; i < 3; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", BENCH_DATA, names[i] ? names[i] : "");
    }
    need(ctx, "no context");
    set_groups(ctx);
    need(!certificate || (wolfSSL_CTX_use_certificate_chain_file(ctx, paths[0]) == WOLFSSL_SUCCESS &&
                          wolfSSL_CTX_use_PrivateKey_file(ctx, paths[1], WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS),
         "no certificate");
    need(!trust || wolfSSL_CTX_load_verify_locations(ctx, paths[2], NULL) == WOLFSSL_SUCCESS, "no CA");
    return ctx;
}

static masque_engine *engine_new(bool mutual) {
    const masque_runtime runtime = {.random = on_random};
    size_t chain_length, key_length, ca_length, wrong;
    char *chain = read_data("sim_server.pem", &chain_length);
    char *key = read_data("sim_server_key.pem", &key_length);
    char *ca = read_data("sim_client_ca.pem", &ca_length);
    masque_config *config = masque_config_new(&runtime);
    masque_engine *engine = NULL;
    const masque_client_certificates clients = {.ca_pem = ca, .ca_length = ca_length, .needed = true};
    need(config && masque_config_set_certificate(config, chain, chain_length, key, key_length) == 0 &&
             masque_config_add_preshared(config, "key", "correct-horse", 13) == 0 &&
             (!mutual || masque_config_set_client_certificates(config, &clients, &wrong) == 0) &&
             masque_config_seal(config) == 0 && masque_engine_new(&engine, config, &runtime) == 0,
         "no engine");
    masque_config_release(config);
    free(chain);
    free(key);
    free(ca);
    return engine;
}

static void open_bench(bench *b, bool mutual) {
    memset(b, 0, sizeof *b);
    b->client =
        context_new(wolfTLSv1_3_client_method(), mutual ? "sim_client.pem" : NULL, "sim_client_key.pem", "sim_ca.pem");
    b->server = context_new(wolfTLSv1_3_server_method(), "sim_server.pem", "sim_server_key.pem",
                            mutual ? "sim_client_ca.pem" : NULL);
    if (mutual) {
        wolfSSL_CTX_set_verify(b->server, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    b->engine = engine_new(mutual);
}

static void close_bench(bench *b) {
    wolfSSL_CTX_free(b->client);
    wolfSSL_CTX_free(b->server);
    masque_engine_free(b->engine);
}

static void measure(const char *name, bool mutual, size_t rounds) {
    static bench b; /* its buffers are too large for some stacks */
    double bare[REPEATS], engine[REPEATS], ratio[REPEATS];
    open_bench(&b, mutual);
    for (size_t repeat = 0; repeat < REPEATS; repeat++) {
        double sums[2] = {0, 0};
        for (size_t i = 0; i < 2 * rounds; i++) {
            b.server_us = 0;
            (i % 2 ? shake_engine : shake_bare)(&b);
            sums[i % 2] += b.server_us;
        }
        bare[repeat] = sums[0] / (double)rounds;
        engine[repeat] = sums[1] / (double)rounds;
        ratio[repeat] = sums[1] / sums[0];
    }
    close_bench(&b);
    printf("%-32s %8.1f %8.1f %8.2f\n", name, median(bare), median(engine), median(ratio));
}

int main(int count, char **arguments) {
    size_t rounds = count > 1 ? strtoul(arguments[1], NULL, 10) : 300;
    need(rounds > 0, "usage: bench_handshake [ROUNDS]");
    wolfSSL_Init();
    printf("%-32s %8s %8s %8s\n", "us of the server's CPU", "wolfSSL", "engine", "ratio");
    measure("full handshake", false, rounds);
    measure("full, with a client's certificate", true, rounds);
    return 0;
}
