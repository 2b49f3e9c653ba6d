/*
 * masqueproxy/base.h: the types every other header uses.
 *
 * Conventions of all headers are in masqueproxy/masqueproxy.h.
 */
#ifndef MASQUE_BASE_H
#define MASQUE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(MASQUE_STATIC)
#define MASQUE_EXTERN __attribute__((visibility("default")))
#else
#define MASQUE_EXTERN
#endif

/* A moment in nanoseconds on any monotonic clock of the host's. Only
   differences matter; it must not run backwards within one engine. */
typedef uint64_t masque_time;

#define MASQUE_MILLISECOND ((masque_time)1000000)
#define MASQUE_SECOND ((masque_time)1000000000)
#define MASQUE_NEVER UINT64_MAX

/* Names of live objects. A handle carries a generation: one that outlived its
   object names nothing, for ever, and every function that takes it answers
   MASQUE_ERR_STALE without effect. 0 is never a handle. */
typedef uint64_t masque_conn_id;
typedef uint64_t masque_tunnel_id;
typedef uint64_t masque_attempt_id;

/* A piece of memory. Who may write it and how long it lives is said where one
   is passed. Laid out like POSIX's struct iovec, so an array of these can be
   given to readv() and writev() as it is. */
typedef struct masque_iovec {
    void *base;
    size_t length; /* bytes */
} masque_iovec;

/* A field of an HTTP head. */
typedef struct masque_field {
    const char *name; /* lower case */
    const char *value;
} masque_field;

typedef enum masque_family { MASQUE_FAMILY_NONE = 0, MASQUE_IPV4 = 4, MASQUE_IPV6 = 6 } masque_family;

/* An IP address and a port. IPv4 uses the first four bytes; the others are 0. */
typedef struct masque_address {
    uint8_t ip[16];   /* network byte order */
    uint16_t port;    /* host byte order, 0 where it means nothing */
    uint8_t family;   /* a masque_family */
    uint8_t reserved; /* 0 */
} masque_address;

/*
 * What can go wrong. Functions that can fail return 0 or one of these, negated
 * values never reach a peer as they are: masque_error_text() says them to an
 * operator.
 */
#define MASQUE_ERRORS(X)                                                                                               \
    X(OK, 0, "no error")                                                                                               \
    X(NO_MEMORY, -1, "out of memory")                                                                                  \
    X(INVALID, -2, "invalid argument")                                                                                 \
    X(STALE, -3, "the handle names nothing (any more)")                                                                \
    X(STATE, -4, "not possible in this state")                                                                         \
    X(CERTIFICATE, -5, "the certificate chain can't be used; expected PEM, server certificate first")                  \
    X(PRIVATE_KEY, -6, "the private key can't be used; expected PEM without a pass phrase")                            \
    X(KEY_MISMATCH, -7, "the private key does not belong to the certificate")                                          \
    X(CRYPTO, -8, "the TLS library failed")                                                                            \
    X(TLS_HANDSHAKE, -9, "the TLS handshake failed")                                                                   \
    X(TLS_RECORD, -10, "a TLS record was malformed or unauthentic")                                                    \
    X(TRUNCATED, -11, "the peer ended the transport without ending TLS")                                               \
    X(PROTOCOL, -12, "the peer broke HTTP")                                                                            \
    X(FLOOD, -13, "the peer sent more than a limit allows")                                                            \
    X(TIMEOUT, -14, "a time limit passed")                                                                             \
    X(AUTH_FAILURES, -15, "too many failed authentications")                                                           \
    X(OVERLOAD, -16, "a resource limit is reached")                                                                    \
    X(TRANSPORT, -17, "the peer reset the connection, or the network failed")                                          \
    X(DRAINED, -18, "the engine is draining")                                                                          \
    X(NO_CREDENTIALS, -19, "no certificate is configured")                                                             \
    X(NO_AUTH, -20, "no authentication method is configured")                                                          \
    X(DENIED, -21, "the destination policy forbids it")                                                                \
    X(ELSEWHERE, -22, "the packets are another worker's or server's")                                                  \
    X(NO_TRUST, -23, "it is not configured whose certificates a client trusts")                                        \
    X(UNTRUSTED, -24, "the server's certificate is not trusted, or is another host's")                                 \
    X(CLIENT_CA, -25, "the CA of clients can't be used; expected PEM of certificates")                                 \
    X(CLIENT_CRL, -26, "the CRL of clients can't be used; expected PEM or DER, signed by their CA")

typedef enum masque_error {
#define MASQUE_X(name, value, text) MASQUE_ERR_##name = (value),
    MASQUE_ERRORS(MASQUE_X)
#undef MASQUE_X
} masque_error;

/* "no error", "out of memory", … Static text; never NULL, also for a value that
   is none of the above. Any thread. */
MASQUE_EXTERN const char *masque_error_text(int error);

/* "MASQUE_ERR_NO_MEMORY", … Static text; never NULL. Any thread. */
MASQUE_EXTERN const char *masque_error_name(int error);

/* Reads an address without a port, "192.0.2.1" or "2001:db8::1", strictly: four
   decimal numbers without leading zeros, or RFC 4291 2.2 without a zone. TEXT
   needs no final zero. The port becomes 0. Returns 0 or MASQUE_ERR_INVALID
   (then *ADDRESS is unchanged). Any thread. */
MASQUE_EXTERN int masque_address_parse(masque_address *address, const char *text, size_t length);

/* Room for any text masque_address_format() writes, with its final zero. */
#define MASQUE_ADDRESS_TEXT_MAX 56

/* Writes "192.0.2.1:443" or "[2001:db8::1]:443" (RFC 5952 form); without the
   port and brackets when it is 0. Cuts at SIZE and always ends with a zero.
   Returns the length it needs without that zero. Any thread. */
MASQUE_EXTERN size_t masque_address_format(const masque_address *address, char *text, size_t size);

/* True when family and bytes are the same; ports are not compared. Any thread. */
MASQUE_EXTERN bool masque_address_same_ip(const masque_address *a, const masque_address *b);

/* How the host gives memory. All zero means malloc(), realloc() and free(). An
   engine and a config keep a copy. With SIZE 0 never called. RESIZE is as
   realloc(); on failure the old piece stays. RELEASE(NULL) is never called.
   For a config that is shared by threads they must be thread-safe. */
typedef struct masque_allocator {
    void *(*allocate)(void *context, size_t size);
    void *(*resize)(void *context, void *memory, size_t size);
    void (*release)(void *context, void *memory);
    void *context;
} masque_allocator;

typedef enum masque_log_level {
    MASQUE_LOG_ERROR,
    MASQUE_LOG_WARNING,
    MASQUE_LOG_INFO,
    MASQUE_LOG_DEBUG
} masque_log_level;

/* One thing that happened. By construction no record holds a target, a
   credential or payload; CLIENT is there only on records about a connection. */
typedef struct masque_log_record {
    masque_log_level level;
    const char *event;            /* "connection-open", "connection-end", "request", "authentication-penalty" */
    masque_conn_id conn;          /* or 0 */
    masque_tunnel_id tunnel;      /* or 0; never together with client */
    const masque_address *client; /* or NULL; valid during the call */
    unsigned status;              /* HTTP status, or 0 */
    int error;                    /* a masque_error */
    const char *detail;           /* fixed text, or NULL */
} masque_log_record;

/* What the library needs of its surroundings. Called in the thread that uses the engine or
   the configuration: functions that several of them share must be thread-safe. */
typedef struct masque_runtime {
    masque_allocator allocator;
    /* Fills BUFFER with unpredictable bytes. Mandatory. */
    void (*random)(void *context, uint8_t *buffer, size_t size);
    /* Takes a record; must not call the engine. NULL: nothing is logged. */
    void (*log)(void *context, const masque_log_record *record);
    void *context;
} masque_runtime;

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_BASE_H */
