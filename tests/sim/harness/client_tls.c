/*
 * harness/client_tls.c: the client's TLS, wolfSSL on the pipes. It verifies the
 * proxy's certificate against tests/data/sim_ca.pem.
 */
#include <string.h>

#include "harness/parts.h"
#include "harness/wolf.h"

static int take_input(WOLFSSL *ssl, char *buffer, int size, void *context) {
    sim_conn *conn = context;
    (void)ssl;
    size_t length = (size_t)size < conn->budget ? (size_t)size : conn->budget;
    length = sim_pipe_read(&conn->down, buffer, length);
    conn->budget -= length;
    return length > 0 ? (int)length : WOLFSSL_CBIO_ERR_WANT_READ;
}

static int put_output(WOLFSSL *ssl, char *buffer, int size, void *context) {
    sim_conn *conn = context;
    (void)ssl;
    sim_bytes_add(&conn->out, buffer, (size_t)size);
    return size;
}

void *sim_tls_context_new(int version) {
    WOLFSSL_CTX *ctx = wolfSSL_CTX_new(version == 12 ? wolfTLSv1_2_client_method() : wolfTLSv1_3_client_method());
    if (ctx && wolfSSL_CTX_load_verify_locations(ctx, SIM_DATA "/sim_ca.pem", NULL) != WOLFSSL_SUCCESS) {
        wolfSSL_CTX_free(ctx);
        ctx = NULL;
    }
    if (ctx) {
        wolfSSL_CTX_SetIORecv(ctx, take_input);
        wolfSSL_CTX_SetIOSend(ctx, put_output);
        wolfSSL_CTX_UseSessionTicket(ctx);
    }
    return ctx;
}

void sim_tls_context_free(void *context) {
    wolfSSL_CTX_free(context);
}

static bool set_up(sim_conn *conn, WOLFSSL *ssl) {
    const sim_client *options = &conn->options;
    char protocols[64] = "h2";
    int group = options->group ? options->group : WOLFSSL_ECC_X25519;
    bool done = wolfSSL_check_domain_name(ssl, "proxy.test") == WOLFSSL_SUCCESS &&
                wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, "proxy.test", 10) == WOLFSSL_SUCCESS &&
                wolfSSL_set_groups(ssl, &group, 1) == WOLFSSL_SUCCESS;
    if (options->tls != 12) {
        done = done && wolfSSL_UseKeyShare(ssl, (word16)group) == WOLFSSL_SUCCESS;
    }
    if (options->alpn) {
        size_t length = strlen(options->alpn);
        memcpy(protocols, options->alpn, length + 1);
    }
    if (protocols[0]) {
        done = done && wolfSSL_UseALPN(ssl, protocols, (unsigned)strlen(protocols),
                                       WOLFSSL_ALPN_CONTINUE_ON_MISMATCH) == WOLFSSL_SUCCESS;
    }
    if (options->ciphers) {
        done = done && wolfSSL_set_cipher_list(ssl, options->ciphers) == WOLFSSL_SUCCESS;
    }
    if (options->identified) {
        done =
            done &&
            wolfSSL_use_certificate_file(ssl, SIM_DATA "/sim_client.pem", WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
            wolfSSL_use_PrivateKey_file(ssl, SIM_DATA "/sim_client_key.pem", WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS;
    }
    if (options->careless) {
        wolfSSL_set_verify(ssl, WOLFSSL_VERIFY_NONE, NULL);
    }
    if (options->session) {
        done = done && wolfSSL_set_session(ssl, options->session) == WOLFSSL_SUCCESS;
    }
    return done;
}

void sim_tls_open(sim_conn *conn) {
    WOLFSSL *ssl = wolfSSL_new(conn->world->tls[conn->options.tls == 12]);
    SIM_CHECK(conn->world, ssl, "no client TLS");
    wolfSSL_SetIOReadCtx(ssl, conn);
    wolfSSL_SetIOWriteCtx(ssl, conn);
    conn->ssl = ssl;
    SIM_CHECK(conn->world, set_up(conn, ssl), "the client's TLS options don't fit");
}

void sim_tls_free(sim_conn *conn) {
    wolfSSL_free(conn->ssl);
    conn->ssl = NULL;
}

static void note_error(sim_conn *conn, int result) {
    int error = wolfSSL_get_error(conn->ssl, result);
    if (error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE) {
        return;
    }
    WOLFSSL_ALERT_HISTORY history;
    if (wolfSSL_get_alert_history(conn->ssl, &history) == WOLFSSL_SUCCESS) {
        conn->alert = history.last_rx.code;
    }
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        conn->peer_closed = true;
    } else {
        conn->tls_failed = true;
        conn->tls_error = error;
    }
}

bool sim_tls_handshake(sim_conn *conn) {
    int result = wolfSSL_connect(conn->ssl);
    if (result == WOLFSSL_SUCCESS) {
        conn->handshaken = true;
        return true;
    }
    note_error(conn, result);
    return false;
}

size_t sim_tls_read(sim_conn *conn, uint8_t *bytes, size_t capacity) {
    if (conn->peer_closed || conn->tls_failed) {
        return 0;
    }
    int result = wolfSSL_read(conn->ssl, bytes, (int)capacity);
    if (result > 0) {
        return (size_t)result;
    }
    note_error(conn, result);
    return 0;
}

void sim_tls_write(sim_conn *conn, const void *bytes, size_t length) {
    size_t at = 0;
    while (at < length && !conn->tls_failed && !conn->said_close) {
        size_t piece = length - at < 16384 ? length - at : 16384;
        int result = wolfSSL_write(conn->ssl, (const uint8_t *)bytes + at, (int)piece);
        if (result <= 0) {
            note_error(conn, result);
            return;
        }
        at += (size_t)result;
    }
}

void sim_tls_say_close(sim_conn *conn) {
    if (!conn->said_close && conn->ssl && conn->handshaken) {
        conn->said_close = true;
        wolfSSL_shutdown(conn->ssl);
    }
}

void *sim_session_of(sim_conn *conn) {
    WOLFSSL_SESSION *session = wolfSSL_get1_session(conn->ssl);
    /* A client that doesn't mind how old it is. */
    SIM_CHECK(conn->world, wolfSSL_SSL_SESSION_set_timeout(session, 1000000000) == WOLFSSL_SUCCESS, "no session");
    return session;
}

void sim_session_free(void *session) {
    wolfSSL_SESSION_free(session);
}
