/*
 * auth/certificates.h: clients that are known by their certificates: an allow-list on what TLS has verified
 * (masqueproxy/config.h).
 */
#ifndef MQ_AUTH_CERTIFICATES_H
#define MQ_AUTH_CERTIFICATES_H

#include <masqueproxy/config.h>

#include "base/memory.h"

typedef enum mq_peer_rule_kind { MQ_PEER_SUBJECT, MQ_PEER_NAME, MQ_PEER_KEY } mq_peer_rule_kind;

typedef struct mq_peer_rule {
    mq_peer_rule_kind kind;
    char *text;           /* of a subject, or "DNS:…" or "URI:…" */
    uint8_t key_hash[32]; /* of a key */
} mq_peer_rule;

typedef struct mq_certificates {
    bool on;
    bool needed; /* by every request, beside another method if there is one */
    mq_peer_rule *rules;
    size_t count; /* 0: whoever the CA has signed */
} mq_certificates;

/* Copies RULES' texts. MASQUE_ERR_INVALID: *WRONG is the first that is none. After an error it is empty. */
int mq_certificates_init(mq_certificates *certificates, const masque_allocator *allocator, const char *const *rules,
                         size_t count, size_t *wrong);
void mq_certificates_free(mq_certificates *certificates, const masque_allocator *allocator);

/* PEER may be NULL. */
bool mq_certificates_allow(const mq_certificates *certificates, const masque_peer *peer);

#endif
