#include "engine/listener.h"

#include <string.h>

#include "auth/quotas.h"
#include "engine/config.h"

const mq_listener *mq_config_listener(const masque_config *config, unsigned number) {
    bool known = number > 0 && number < config->listener_count && config->listeners[number].set;
    return known ? &config->listeners[number] : NULL;
}

bool mq_config_asks_certificates(const masque_config *config, unsigned listener) {
    const mq_listener *at = mq_config_listener(config, listener);
    return at ? at->certificates : config->certificates.on;
}

bool mq_config_needs_certificate(const masque_config *config, unsigned listener) {
    const mq_listener *at = mq_config_listener(config, listener);
    return at ? at->needs_certificate : config->certificates.needed;
}

bool mq_config_allows_method(const masque_config *config, unsigned listener, size_t index) {
    const mq_listener *at = mq_config_listener(config, listener);
    return !at || !at->allowed || (index < at->allowed_count && at->allowed[index]);
}

bool mq_config_lets_in_by_certificate(const masque_config *config, unsigned listener) {
    bool others = false;
    for (size_t i = 0; i < config->method_count; i++) {
        others = others || mq_config_allows_method(config, listener, i);
    }
    return !others || !mq_config_needs_certificate(config, listener);
}

/* --- setting ------------------------------------------------------------------------------- */

static void listener_free(mq_listener *listener, const masque_allocator *allocator) {
    mq_credentials *own = &listener->credentials;
    if (listener->has_own_key) { /* or they were lent */
        if (own->key_pem) {
            mq_wipe(own->key_pem, own->key_length);
        }
        mq_free(allocator, own->chain_pem);
        mq_free(allocator, own->key_pem);
    }
    mq_free(allocator, listener->allowed);
    mq_wipe(listener, sizeof *listener);
}

void mq_listeners_free(masque_config *config) {
    for (size_t i = 0; i < config->listener_count; i++) {
        listener_free(&config->listeners[i], &config->runtime.allocator);
    }
    mq_free(&config->runtime.allocator, config->listeners);
}

/* Those of the names that are methods are marked; false when one is none. */
static bool mark_methods(const masque_config *config, const masque_listener *given, mq_listener *listener) {
    for (size_t i = 0; i < given->method_count; i++) {
        bool known = strcmp(given->methods[i], MQ_METHOD_CERTIFICATE) == 0 && config->certificates.on;
        listener->certificates = listener->certificates || known;
        for (size_t k = 0; k < config->method_count; k++) {
            bool same = strcmp(given->methods[i], config->methods[k].name) == 0;
            listener->allowed[k] = listener->allowed[k] || same;
            known = known || same;
        }
        if (!known) {
            return false;
        }
    }
    return true;
}

static int take_methods(const masque_config *config, const masque_listener *given, mq_listener *listener) {
    if (!given->methods) {
        return 0; /* as the configuration says when it is sealed */
    }
    /* One more, as nothing can't be allocated. */
    listener->allowed = mq_zalloc(&config->runtime.allocator, config->method_count + 1);
    if (!listener->allowed) {
        return MASQUE_ERR_NO_MEMORY;
    }
    listener->allowed_count = config->method_count;
    bool known = mark_methods(config, given, listener);
    listener->needs_certificate = given->needs_certificate;
    return known && given->method_count > 0 && (listener->certificates || !given->needs_certificate)
               ? 0
               : MASQUE_ERR_INVALID;
}

static int take_key(const masque_config *config, const masque_listener *given, mq_listener *listener) {
    mq_credentials *own = &listener->credentials;
    const mq_pair pair = {&own->chain_pem, &own->chain_length, &own->key_pem, &own->key_length};
    if (!given->key_pem) {
        return given->chain_pem ? MASQUE_ERR_INVALID : 0;
    }
    listener->has_own_key = true;
    return mq_pair_set(&pair, &config->runtime.allocator, given->chain_pem, given->chain_length, given->key_pem,
                       given->key_length);
}

/* Room for NUMBER. */
static bool reach(masque_config *config, unsigned number) {
    size_t capacity = config->listener_count;
    if (number < config->listener_count) {
        return true;
    }
    mq_listener *listeners =
        mq_grow_secret(&config->runtime.allocator, config->listeners, &capacity, number + 1u, sizeof *listeners);
    if (!listeners) {
        return false;
    }
    config->listeners = listeners;
    memset(listeners + config->listener_count, 0, (capacity - config->listener_count) * sizeof *listeners);
    config->listener_count = capacity;
    return true;
}

int masque_config_set_listener(masque_config *config, unsigned number, const masque_listener *given) {
    mq_listener listener = {.set = true};
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (number == 0 || number > MASQUE_LISTENER_MAX) {
        return MASQUE_ERR_INVALID;
    }
    int error = take_methods(config, given, &listener);
    error = error ? error : take_key(config, given, &listener);
    if (!error && !reach(config, number)) {
        error = MASQUE_ERR_NO_MEMORY;
    }
    if (error) {
        listener_free(&listener, &config->runtime.allocator);
        return error;
    }
    listener_free(&config->listeners[number], &config->runtime.allocator);
    config->listeners[number] = listener;
    return 0;
}

/* --- sealing ------------------------------------------------------------------------------- */

static int seal(const masque_config *config, mq_listener *listener) {
    const mq_credentials own = listener->credentials;
    if (!listener->allowed) {
        listener->certificates = config->certificates.on;
        listener->needs_certificate = config->certificates.needed;
    }
    mq_credentials *all = &listener->credentials;
    *all = config->credentials;
    /* Connections that we make are the configuration's alone. */
    all->trust_pem = NULL;
    all->trust_anybody = false;
    all->trusted_keys = NULL;
    all->trusted_key_count = all->trusted_key_capacity = 0;
    all->identity_pem = all->identity_key_pem = NULL;
    all->asks_clients = listener->certificates;
    all->client_certificate_needed = listener->needs_certificate;
    if (listener->has_own_key) {
        all->chain_pem = own.chain_pem;
        all->chain_length = own.chain_length;
        all->key_pem = own.key_pem;
        all->key_length = own.key_length;
    }
    return mq_credentials_bind_tickets(all, listener->has_own_key);
}

int mq_listeners_seal(masque_config *config) {
    int error = 0;
    for (size_t i = 0; i < config->listener_count && !error; i++) {
        mq_tls_context *trial = NULL;
        mq_listener *listener = &config->listeners[i];
        if (!listener->set) {
            continue;
        }
        error = seal(config, listener);
        error = error ? error : mq_tls_context_new(&trial, &listener->credentials, &config->runtime);
        mq_tls_context_del(trial);
        config->wrong_listener = error ? (unsigned)i : 0;
    }
    return error;
}

unsigned masque_config_wrong_listener(const masque_config *config) {
    return config->wrong_listener;
}
