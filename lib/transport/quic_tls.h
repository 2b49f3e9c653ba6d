/*
 * transport/quic_tls.h: TLS 1.3 inside QUIC (RFC 9001 4): handshake messages go between wolfSSL and CRYPTO frames,
 * and each secret that wolfSSL comes to becomes keys of ngtcp2's.
 */
#ifndef MQ_TRANSPORT_QUIC_TLS_H
#define MQ_TRANSPORT_QUIC_TLS_H

#include "transport/quic_conn.h"

/* 0 or MASQUE_ERR_NO_MEMORY. */
int mq_quic_start_tls(mq_quic *quic, WOLFSSL_CTX *ctx);
/* The handshake is done. False: without our protocol. A server needs wolfSSL no longer, and its memory is freed. */
/* 0, or the alert that says what is wrong (RFC 8446 6.2). */
uint8_t mq_quic_finish_tls(mq_quic *quic);

/* Sets those that concern TLS and keys. */
void mq_quic_crypto_callbacks(ngtcp2_callbacks *callbacks);

#endif
