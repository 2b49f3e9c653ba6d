/*
 * engine/listener.h: what is different at one listener of a configuration (masque_config_set_listener()).
 */
#ifndef MQ_ENGINE_LISTENER_H
#define MQ_ENGINE_LISTENER_H

#include <masqueproxy/config.h>

#include "crypto/tls_context.h"

typedef struct mq_listener {
    bool set;
    bool has_own_key;
    /* Of its own are chain and key, if any; the rest is the configuration's, lent when that is sealed. */
    mq_credentials credentials;
    bool *allowed; /* for each method of the configuration, in its order; NULL: all */
    size_t allowed_count;
    bool certificates; /* authenticate */
    bool needs_certificate;
} mq_listener;

/* By number; 0, and those that were not set, are as the configuration: NULL. */
const mq_listener *mq_config_listener(const masque_config *config, unsigned number);
bool mq_config_asks_certificates(const masque_config *config, unsigned listener);
bool mq_config_needs_certificate(const masque_config *config, unsigned listener);
/* Is a certificate alone enough there? Not where it is needed beside another method. */
bool mq_config_lets_in_by_certificate(const masque_config *config, unsigned listener);
/* May the method at INDEX let in who comes to LISTENER? */
bool mq_config_allows_method(const masque_config *config, unsigned listener, size_t index);

/* CONFIG is being sealed: 0, or an error as masque_config_seal(). */
int mq_listeners_seal(masque_config *config);
void mq_listeners_free(masque_config *config);

#endif
