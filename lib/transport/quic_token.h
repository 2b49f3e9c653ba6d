/*
 * transport/quic_token.h: what a client gives back to show that it receives at its address (RFC 9000 8.1): the
 * token of a Retry, which goes with one connection, address and port, and that of NEW_TOKEN, which goes
 * with an address. Sealed: nobody can read or make one without the key.
 */
#ifndef MQ_TRANSPORT_QUIC_TOKEN_H
#define MQ_TRANSPORT_QUIC_TOKEN_H

#include "transport/connection_id.h"

#define MQ_TOKEN_MAX 96u

typedef enum mq_token_kind { MQ_TOKEN_OF_RETRY = 0x52, MQ_TOKEN_OF_ADDRESS = 0x4e } mq_token_kind;

/* Is the token that begins with BYTE one of KIND? */
static inline bool mq_token_is(uint8_t byte, mq_token_kind kind) {
    return byte == (uint8_t)kind;
}

/* Who may use it, and what it is of. */
typedef struct mq_token_bearer {
    masque_address address;
    uint32_t version;
    mq_cid scid; /* that the Retry gave */
} mq_token_bearer;

/* Each writes at most MQ_TOKEN_MAX bytes and returns how many, or 0. ORIGINAL is the client's first choice. */
size_t mq_retry_token_seal(uint8_t *token, const mq_quic_key *key, const masque_runtime *runtime,
                           const mq_token_bearer *bearer, const mq_cid *original, masque_time now);
size_t mq_address_token_seal(uint8_t *token, const mq_quic_key *key, const masque_runtime *runtime,
                             const masque_address *address, masque_time now);

/* False: not made by KEY for this bearer, or older than LIFETIME. */
bool mq_retry_token_open(mq_cid *original, const mq_quic_key *key, const uint8_t *token, size_t length,
                         const mq_token_bearer *bearer, masque_time lifetime, masque_time now);
bool mq_address_token_open(const mq_quic_key *key, const uint8_t *token, size_t length, const masque_address *address,
                           masque_time lifetime, masque_time now);

#endif
