/* examples/memory-client.c: wolfSSL as a client whose transport is an engine. */
#include "memory-client.h"

#include <wolfssl/options.h>

#include <string.h>
#include <wolfssl/ssl.h>

#include "host.h"

#define HANDSHAKE_STEPS_MAX 8

static int send_to_engine(WOLFSSL *tls, char *bytes, int length, void *context) {
    memory_client *client = context;
    (void)tls;
    /* Whatever is wrong with the bytes ends the connection, by events. Only when it has
       ended, or must wait for its target, are they not taken. */
    int error = masque_conn_feed(client->engine, client->conn, bytes, (size_t)length, *client->clock);
    return error ? WOLFSSL_CBIO_ERR_CONN_CLOSE : length;
}

static int receive_from_engine(WOLFSSL *tls, char *bytes, int room, void *context) {
    memory_client *client = context;
    masque_iovec piece;
    (void)tls;
    if (masque_conn_pull(client->engine, client->conn, &piece, 1, *client->clock) == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    size_t length = piece.length < (size_t)room ? piece.length : (size_t)room;
    memcpy(bytes, piece.base, length);
    masque_conn_pulled(client->engine, client->conn, length, *client->clock);
    return (int)length;
}

static void set_up_tls(memory_client *client, const char *ca_path) {
    client->context = wolfSSL_CTX_new(wolfTLSv1_3_client_method());
    if (!client->context || wolfSSL_CTX_load_verify_locations(client->context, ca_path, NULL) != WOLFSSL_SUCCESS) {
        host_fail(ca_path, "can't be used to verify the proxy");
    }
    wolfSSL_CTX_SetIOSend(client->context, send_to_engine);
    wolfSSL_CTX_SetIORecv(client->context, receive_from_engine);
    client->tls = wolfSSL_new(client->context);
    if (!client->tls) {
        host_fail("TLS", "out of memory");
    }
    wolfSSL_SetIOWriteCtx(client->tls, client);
    wolfSSL_SetIOReadCtx(client->tls, client);
}

void memory_client_open(memory_client *client, masque_engine *engine, const masque_time *clock, const char *ca_path) {
    const masque_address from = {.family = MASQUE_IPV4, .ip = {198, 51, 100, 1}, .port = 50000};
    int error;
    *client = (memory_client){.engine = engine, .clock = clock};
    client->conn = masque_accept(engine, &from, client, *clock, &error);
    host_require(error, "accept");
    set_up_tls(client, ca_path);
    int result = WOLFSSL_FAILURE;
    for (int i = 0; i < HANDSHAKE_STEPS_MAX && result != WOLFSSL_SUCCESS; i++) {
        result = wolfSSL_connect(client->tls);
    }
    if (result != WOLFSSL_SUCCESS) {
        host_fail("TLS", wolfSSL_ERR_reason_error_string((unsigned long)wolfSSL_get_error(client->tls, result)));
    }
}

void memory_client_write(memory_client *client, const char *text) {
    int length = (int)strlen(text);
    if (wolfSSL_write(client->tls, text, length) != length) {
        host_fail("client", "can't write");
    }
}

void memory_client_read(memory_client *client, char *text, size_t size) {
    size_t used = 0;
    int length = 1;
    while (length > 0 && used < size - 1) {
        length = wolfSSL_read(client->tls, text + used, (int)(size - 1 - used));
        used += length > 0 ? (size_t)length : 0;
    }
    text[used] = 0;
}

void memory_client_finish(memory_client *client) {
    wolfSSL_shutdown(client->tls);
}

void memory_client_close(memory_client *client) {
    bool all_came = wolfSSL_get_shutdown(client->tls) & WOLFSSL_RECEIVED_SHUTDOWN;
    /* Closed without having read everything: a socket would answer with a reset. */
    (all_came ? masque_conn_finished : masque_conn_failed)(client->engine, client->conn, *client->clock);
    wolfSSL_free(client->tls);
    wolfSSL_CTX_free(client->context);
}
