/*
 * wire/client_hello.h: a look at the first bytes of a TLS connection (RFC 8446
 * 4.1.2, 5.1). A client that lists ChaCha20 first says that it has no AES in
 * hardware; we follow it then. Never fails: what isn't understood says no.
 */
#ifndef MQ_WIRE_CLIENT_HELLO_H
#define MQ_WIRE_CLIENT_HELLO_H

#include <masqueproxy/base.h>

/* BYTES are the first that came; a hello that is cut before its cipher suites says no. */
bool mq_client_hello_prefers_chacha(const uint8_t *bytes, size_t length);

#endif
