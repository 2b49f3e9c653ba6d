/*
 * auth/quotas.h: which quota is whose (masqueproxy/quota.h). Read-only after sealing; what is used is counted in
 * quota_counts.h.
 */
#ifndef MQ_AUTH_QUOTAS_H
#define MQ_AUTH_QUOTAS_H

#include <masqueproxy/quota.h>

#include "auth/certificates.h"
#include "base/memory.h"

/* The method of clients that a certificate alone authenticates. */
#define MQ_METHOD_CERTIFICATE "certificate"
#define MQ_QUOTA_KEY_LENGTH 16u

typedef struct mq_quota {
    char *method;
    char *identity;       /* NULL: each */
    mq_certificates rule; /* of `identity`, when it is one of certificates */
    masque_quota bounds;  /* without the texts */
} mq_quota;

typedef struct mq_quotas {
    mq_quota *list;
    size_t count;
    size_t capacity;
} mq_quotas;

/* As masque_config_add_quota(). */
int mq_quotas_add(mq_quotas *quotas, const masque_allocator *allocator, const masque_quota *quota);
void mq_quotas_free(mq_quotas *quotas, const masque_allocator *allocator);

/* Of METHOD's identity NAME, or of PEER when that is a certificate: the bounds, with KEY set to what is counted under;
   or NULL: it has none. *ERROR is MASQUE_ERR_CRYPTO, or 0. */
const masque_quota *mq_quotas_find(const mq_quotas *quotas, const char *method, const char *name,
                                   const masque_peer *peer, uint8_t key[MQ_QUOTA_KEY_LENGTH], int *error);

#endif
