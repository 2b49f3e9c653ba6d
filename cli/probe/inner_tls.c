#include "inner_tls.h"

#include <stdlib.h>
#include <string.h>

#include <wolfssl/options.h>

#include <wolfssl/ssl.h>

typedef struct byte_queue {
    uint8_t *bytes;
    size_t start;
    size_t end;
    size_t capacity;
} byte_queue;

struct inner_tls {
    WOLFSSL_CTX *ctx;
    WOLFSSL *ssl;
    byte_queue in;
    byte_queue out;
    int error;
};

static bool put(byte_queue *queue, const void *bytes, size_t length) {
    if (queue->start == queue->end) {
        queue->start = queue->end = 0;
    }
    if (queue->end + length > queue->capacity) {
        size_t capacity = (queue->end + length) * 2;
        uint8_t *grown = realloc(queue->bytes, capacity);
        if (!grown) {
            return false;
        }
        queue->bytes = grown;
        queue->capacity = capacity;
    }
    memcpy(queue->bytes + queue->end, bytes, length);
    queue->end += length;
    return true;
}

static int on_read(WOLFSSL *ssl, char *buffer, int size, void *context) {
    inner_tls *tls = context;
    size_t waiting = tls->in.end - tls->in.start;
    (void)ssl;
    if (waiting == 0) {
        return WOLFSSL_CBIO_ERR_WANT_READ;
    }
    size_t length = waiting < (size_t)size ? waiting : (size_t)size;
    memcpy(buffer, tls->in.bytes + tls->in.start, length);
    tls->in.start += length;
    return (int)length;
}

static int on_write(WOLFSSL *ssl, char *buffer, int size, void *context) {
    inner_tls *tls = context;
    (void)ssl;
    return put(&tls->out, buffer, (size_t)size) ? size : WOLFSSL_CBIO_ERR_GENERAL;
}

static bool is_address(const char *host) {
    return strchr(host, ':') || strspn(host, "0123456789.") == strlen(host);
}

/* A server may have a certificate for each name, so it is told the name even by who trusts anybody. */
static bool expect(WOLFSSL *ssl, const char *host, bool trusts_anybody) {
    if (is_address(host)) {
        return trusts_anybody || wolfSSL_check_ip_address(ssl, host) == WOLFSSL_SUCCESS;
    }
    return wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, host, (unsigned short)strlen(host)) == WOLFSSL_SUCCESS &&
           (trusts_anybody || wolfSSL_check_domain_name(ssl, host) == WOLFSSL_SUCCESS);
}

static bool trust_these(WOLFSSL_CTX *ctx, const char *trust, size_t length) {
    if (!trust) {
        wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
        return true;
    }
    return wolfSSL_CTX_load_verify_buffer_ex(ctx, (const unsigned char *)trust, (long)length, WOLFSSL_FILETYPE_PEM, 0,
                                             WOLFSSL_LOAD_FLAG_IGNORE_ERR) == WOLFSSL_SUCCESS;
}

inner_tls *inner_tls_new(const char *trust, size_t trust_length, const char *host) {
    static char protocol[] = "http/1.1";
    inner_tls *tls = calloc(1, sizeof *tls);
    tls->ctx = tls ? wolfSSL_CTX_new(wolfSSLv23_client_method()) : NULL;
    bool good = tls && tls->ctx && trust_these(tls->ctx, trust, trust_length);
    good = good && wolfSSL_CTX_SetMinVersion(tls->ctx, WOLFSSL_TLSV1_2) == WOLFSSL_SUCCESS;
    tls->ssl = good ? wolfSSL_new(tls->ctx) : NULL;
    if (!tls->ssl || !expect(tls->ssl, host, !trust)) {
        inner_tls_free(tls);
        return NULL;
    }
    wolfSSL_UseALPN(tls->ssl, protocol, sizeof protocol - 1, WOLFSSL_ALPN_CONTINUE_ON_MISMATCH);
    wolfSSL_SSLSetIORecv(tls->ssl, on_read);
    wolfSSL_SSLSetIOSend(tls->ssl, on_write);
    wolfSSL_SetIOReadCtx(tls->ssl, tls);
    wolfSSL_SetIOWriteCtx(tls->ssl, tls);
    return tls;
}

void inner_tls_free(inner_tls *tls) {
    if (!tls) {
        return;
    }
    wolfSSL_free(tls->ssl);
    wolfSSL_CTX_free(tls->ctx);
    free(tls->in.bytes);
    free(tls->out.bytes);
    free(tls);
}

bool inner_tls_feed(inner_tls *tls, const void *bytes, size_t length) {
    return put(&tls->in, bytes, length);
}

const uint8_t *inner_tls_output(const inner_tls *tls, size_t *length) {
    *length = tls->out.end - tls->out.start;
    return tls->out.bytes + tls->out.start;
}

void inner_tls_sent(inner_tls *tls, size_t length) {
    tls->out.start += length;
}

static inner_tls_state state_of(inner_tls *tls, int result, inner_tls_state good) {
    int error = wolfSSL_get_error(tls->ssl, result);
    if (error == WOLFSSL_ERROR_WANT_READ || error == WOLFSSL_ERROR_WANT_WRITE) {
        return good;
    }
    if (error == WOLFSSL_ERROR_ZERO_RETURN) {
        return INNER_ENDED;
    }
    tls->error = error;
    return INNER_FAILED;
}

inner_tls_state inner_tls_go_on(inner_tls *tls) {
    int result = wolfSSL_connect(tls->ssl);
    return result == WOLFSSL_SUCCESS ? INNER_OPEN : state_of(tls, result, INNER_HANDSHAKE);
}

bool inner_tls_write(inner_tls *tls, const void *bytes, size_t length) {
    return wolfSSL_write(tls->ssl, bytes, (int)length) == (int)length;
}

size_t inner_tls_read(inner_tls *tls, void *bytes, size_t size, inner_tls_state *state) {
    *state = INNER_OPEN;
    int result = wolfSSL_read(tls->ssl, bytes, (int)size);
    if (result > 0) {
        return (size_t)result;
    }
    *state = state_of(tls, result, INNER_OPEN);
    return 0;
}

const char *inner_tls_error(const inner_tls *tls) {
    return wolfSSL_ERR_reason_error_string((unsigned long)(tls->error < 0 ? -tls->error : tls->error));
}
