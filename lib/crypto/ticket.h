/*
 * crypto/ticket.h: sealing and opening TLS session tickets with the
 * configuration's keys, so that workers and machines resume each other's
 * sessions. AES-256-GCM under a random nonce; the key's name is a hash of it.
 * What ticket_client.h has to say stands behind wolfSSL's part. Called by wolfSSL.
 */
#ifndef MQ_CRYPTO_TICKET_H
#define MQ_CRYPTO_TICKET_H

#include "crypto/ticket_client.h"
#include "crypto/tls_context.h"
#include "crypto/wolfssl.h"

typedef struct mq_ticket_key {
    uint8_t name[WOLFSSL_TICKET_NAME_SZ];
    Aes aes;
    bool ready;
} mq_ticket_key;

typedef struct mq_ticket_sealer {
    mq_ticket_key keys[MQ_TICKET_KEYS_MAX];
    size_t key_count;
    mq_clients clients;
    uint64_t clients_until; /* seconds since 1970: from then on a list of revoked ones is too old */
    masque_runtime runtime;
} mq_ticket_sealer;

/* 0 or MASQUE_ERR_CRYPTO. */
int mq_ticket_sealer_init(mq_ticket_sealer *sealer, const mq_credentials *credentials, const masque_runtime *runtime);
void mq_ticket_sealer_free(mq_ticket_sealer *sealer);

/* wolfSSL's SessionTicketEncCb: *OUT_LENGTH is the room at TICKET, then what is used. CONTEXT is a mq_ticket_sealer. */
int mq_ticket_callback(WOLFSSL *ssl, unsigned char key_name[WOLFSSL_TICKET_NAME_SZ],
                       unsigned char iv[WOLFSSL_TICKET_IV_SZ], unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int encrypt,
                       unsigned char *ticket, int length, int *out_length, void *context);

#endif
