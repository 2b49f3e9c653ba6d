/*
 * engine/config.h: the inside of a masque_config. Written by config.c while it is
 * built, read by engines after it is sealed.
 */
#ifndef MQ_ENGINE_CONFIG_H
#define MQ_ENGINE_CONFIG_H

#include <masqueproxy/config.h>
#include <stdatomic.h>

#include "auth/certificates.h"
#include "auth/preshared.h"
#include "auth/quota_counts.h"
#include "crypto/tls_context.h"
#include "engine/egress.h"
#include "engine/listener.h"
#include "policy/targets.h"
#include "transport/connection_id.h"
#include "wire/uri_template.h"

struct masque_config {
    masque_runtime runtime; /* its allocator filled in, without a log */
    atomic_uint users;
    bool sealed;
    masque_limits limits;
    mq_credentials credentials;
    mq_preshared preshared;
    mq_certificates certificates;
    masque_auth_method *methods;
    size_t method_count;
    size_t method_capacity;
    mq_targets targets;
    mq_quic_secret quic_secrets[MQ_QUIC_KEYS_MAX]; /* the first one is used */
    size_t quic_secret_count;
    uint32_t server_number;
    masque_congestion congestion;
    bool may_migrate;
    mq_uri_template udp_template;
    mq_listener *listeners; /* by number; 0 is not used */
    size_t listener_count;
    unsigned wrong_listener; /* whose certificate or key could not be sealed; 0: the configuration's own */
    mq_geo geo;
    mq_quotas quotas;
    mq_quota_counts *quota_counts; /* shared with configurations that this one continues; NULL: no quotas */
    bool challenges;               /* 407 */
    bool revokes;
    bool no_udp;
};

/* A certificate chain and its key, PEM, wherever they stand. */
typedef struct mq_pair {
    uint8_t **chain;
    size_t *chain_length;
    uint8_t **key;
    size_t *key_length;
} mq_pair;

/* Copies, in place of what was there. CHAIN NULL: none. 0 or MASQUE_ERR_NO_MEMORY: nothing has changed. */
int mq_pair_set(const mq_pair *pair, const masque_allocator *allocator, const void *chain, size_t chain_length,
                const void *key, size_t key_length);

#endif
