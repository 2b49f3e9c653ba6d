#include "http/server.h"

#include <fcntl.h>
#include <gnutls/x509.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "socket.h"

#define CONNECTIONS_MAX 256u
#define CONNECTIONS_OF_ONE_MAX 64u
#define IDLE_S 15u
#define MEDIA_TYPE_MAX 128u
#define PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

struct http_server {
    struct MHD_Daemon *daemon;
    http_handler *handler;
    void *context;
    size_t body_max;
    bool asks_certificates;
};

/* One request, while its body comes. */
typedef struct incoming {
    uint8_t *body;
    size_t length;
    size_t capacity;
    bool too_long;
} incoming;

static void take(const http_server *server, incoming *in, const char *bytes, size_t length) {
    if (in->too_long || length > server->body_max - in->length) {
        in->too_long = true;
        return;
    }
    if (in->capacity == 0) {
        in->body = malloc(server->body_max);
        in->capacity = server->body_max;
    }
    if (!in->body) {
        in->too_long = true;
        return;
    }
    memcpy(in->body + in->length, bytes, length);
    in->length += length;
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, const http_answer *answer) {
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->length, answer->body, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        free(answer->body);
        return MHD_NO;
    }
    if (answer->content_type) {
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, answer->content_type);
    }
    if (answer->field) {
        MHD_add_response_header(response, answer->field, answer->value);
    }
    enum MHD_Result result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static const char *field_of(struct MHD_Connection *connection, const char *name) {
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Asked for each request: a resumed session is no proof of a certificate that is valid now. */
static bool is_certified(const http_server *server, struct MHD_Connection *connection) {
    unsigned status = 1;
    if (!server->asks_certificates) {
        return false;
    }
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? info->tls_session : NULL;
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    return session && gnutls_certificate_verify_peers(session, &purpose, 1, &status) == 0 && status == 0;
}

/* "text/plain; charset=utf-8" is text/plain. */
static void copy_media_type(char *copy, size_t size, const char *field) {
    size_t length = field ? strcspn(field, "; \t") : 0;
    length = length < size ? length : 0;
    memcpy(copy, field ? field : "", length);
    copy[length] = 0;
}

static void handle(const http_server *server, struct MHD_Connection *connection, const char *method, const char *path,
                   const incoming *in, http_answer *answer) {
    char type[MEDIA_TYPE_MAX];
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    http_request request = {.method = method,
                            .path = path,
                            .content_type = type,
                            .authorization = field_of(connection, MHD_HTTP_HEADER_AUTHORIZATION),
                            .certified = is_certified(server, connection),
                            .body = in->body,
                            .length = in->length};
    copy_media_type(type, sizeof type, field_of(connection, MHD_HTTP_HEADER_CONTENT_TYPE));
    if (info && info->client_addr) {
        (void)address_from_sockaddr(&request.client, info->client_addr);
    }
    server->handler(server->context, &request, answer);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *length, void **state) {
    const http_server *server = context;
    http_answer answer = {.status = MHD_HTTP_OK};
    (void)version;
    if (!*state) {
        *state = calloc(1, sizeof(incoming)); /* the head alone; its body follows */
        return *state ? MHD_YES : MHD_NO;
    }
    incoming *in = *state;
    if (*length > 0) {
        take(server, in, bytes, *length);
        *length = 0;
        return MHD_YES;
    }
    if (in->too_long) {
        answer.status = MHD_HTTP_CONTENT_TOO_LARGE;
    } else {
        handle(server, connection, method, url, in, &answer);
    }
    return send_answer(connection, &answer);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why) {
    incoming *in = *state;
    (void)context;
    (void)connection;
    (void)why;
    if (in) {
        free(in->body);
        free(in);
    }
    *state = NULL;
}

/* Its messages may hold addresses; what matters is said by whoever starts it. */
static void drop_log(void *context, const char *format, va_list arguments) {
    (void)context;
    (void)format;
    (void)arguments;
}

static gnutls_datum_t datum_of(const char *text) {
    return (gnutls_datum_t){.data = (unsigned char *)(uintptr_t)text, .size = (unsigned)strlen(text)};
}

bool http_server_fits(const char *certificate, const char *private_key, mqd_message *message) {
    gnutls_certificate_credentials_t credentials;
    const gnutls_datum_t chain = datum_of(certificate), key = datum_of(private_key);
    int error = gnutls_certificate_allocate_credentials(&credentials);
    if (!error) {
        error = gnutls_certificate_set_x509_key_mem(credentials, &chain, &key, GNUTLS_X509_FMT_PEM);
        gnutls_certificate_free_credentials(credentials);
    }
    if (error < 0) {
        say(message, "the private key does not belong to the certificate, or one of both is no PEM: %s",
            gnutls_strerror(error));
    }
    return error >= 0;
}

bool http_trust_is_good(const char *pem) {
    gnutls_certificate_credentials_t credentials;
    const gnutls_datum_t text = datum_of(pem);
    if (gnutls_certificate_allocate_credentials(&credentials) != 0) {
        return false;
    }
    int count = gnutls_certificate_set_x509_trust_mem(credentials, &text, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(credentials);
    return count > 0;
}

http_server *http_server_start(const http_server_options *options, mqd_message *message) {
    http_server *server = calloc(1, sizeof *server);
    int fd = fcntl(options->fd, F_DUPFD_CLOEXEC, 0);
    if (!server || fd < 0) {
        say(message, "out of memory or descriptors");
        free(server);
        return NULL;
    }
    *server = (http_server){.handler = options->handler,
                            .context = options->context,
                            .body_max = options->body_max,
                            .asks_certificates = options->client_ca != NULL};
    server->daemon = MHD_start_daemon(
        MHD_USE_TLS | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL | MHD_USE_ITC |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, drop_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_HTTPS_MEM_CERT, options->certificate, MHD_OPTION_HTTPS_MEM_KEY, options->private_key,
        MHD_OPTION_HTTPS_PRIORITIES, PRIORITIES, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, CONNECTIONS_OF_ONE_MAX, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        options->client_ca ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, options->client_ca, MHD_OPTION_END);
    if (!server->daemon) {
        say(message, "the HTTPS server can't start; does the private key fit the certificate?");
        close(fd);
        free(server);
        return NULL;
    }
    return server;
}

void http_server_stop(http_server *server) {
    if (server) {
        MHD_stop_daemon(server->daemon); /* closes its socket */
        free(server);
    }
}
