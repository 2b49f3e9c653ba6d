/*
 * engine/admission.h: who was allowed a tunnel, as long as it lives: for its quota, and for the end that comes when the
 * configuration allows them no longer. Part of engine.h, of which every tunnel holds one.
 */
#ifndef MQ_ENGINE_ADMISSION_H
#define MQ_ENGINE_ADMISSION_H

#include "auth/quota_counts.h"

struct mq_tunnel;

typedef struct mq_admission {
    const char *method; /* that allowed it; NULL: none did yet */
    uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH];
    mq_quota_counts *counts; /* where it is counted; NULL: it has no quota */
    int64_t place;
    bool counts_bytes;
    uint32_t unbilled; /* bytes that the table doesn't know yet */
} mq_admission;

/* TUNNEL's request is allowed, for METHOD's IDENTITY. False: it is beyond its quota; nothing has changed then, or
   memory is missing. */
bool mq_admission_begin(struct mq_tunnel *tunnel, const char *method, const masque_identity *identity);
/* A verdict that came later allows METHOD's IDENTITY: has a configuration that came between taken that back? */
bool mq_admission_is_late(const struct mq_tunnel *tunnel, const char *method, const masque_identity *identity);
/* LENGTH bytes more were carried. Ends it, in mq_tunnel_end()'s way, when its quota has no more. */
void mq_admission_use(struct mq_tunnel *tunnel, size_t length);
/* TUNNEL goes. */
void mq_admission_end(struct mq_tunnel *tunnel);

/* The client by its certificate, or NULL: it has none, or one that was verified by another CA or CRL than the engine's
   configuration has by now. */
const masque_peer *mq_admission_peer(const struct mq_tunnel *tunnel);

#endif
