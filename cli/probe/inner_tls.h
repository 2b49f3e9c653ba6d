/*
 * inner_tls.h: TLS with the target, inside a tunnel: bytes in, bytes out, as the probe moves them.
 */
#ifndef PROBE_INNER_TLS_H
#define PROBE_INNER_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct inner_tls inner_tls;

/* TRUST is PEM, NULL: anybody. HOST a name, or an address without port. NULL: no memory, or no TRUST. */
inner_tls *inner_tls_new(const char *trust, size_t trust_length, const char *host);
void inner_tls_free(inner_tls *tls);

/* Ciphertext of the target. False without memory. */
bool inner_tls_feed(inner_tls *tls, const void *bytes, size_t length);
/* Ciphertext for it: the first *LENGTH bytes are to be sent, and told to be. */
const uint8_t *inner_tls_output(const inner_tls *tls, size_t *length);
void inner_tls_sent(inner_tls *tls, size_t length);

typedef enum inner_tls_state { INNER_HANDSHAKE, INNER_OPEN, INNER_ENDED, INNER_FAILED } inner_tls_state;

/* Goes on with the handshake. */
inner_tls_state inner_tls_go_on(inner_tls *tls);
/* Encrypts a text. */
bool inner_tls_write(inner_tls *tls, const void *bytes, size_t length);
/* Decrypts; 0: nothing now, see *STATE. */
size_t inner_tls_read(inner_tls *tls, void *bytes, size_t size, inner_tls_state *state);
/* Why it FAILED. Static. */
const char *inner_tls_error(const inner_tls *tls);

#endif
