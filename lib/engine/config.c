#include "engine/config.h"

#include <string.h>

#include "geo/pools.h"

masque_config *masque_config_new(const masque_runtime *runtime) {
    masque_allocator allocator;
    mq_allocator_init(&allocator, &runtime->allocator);
    masque_config *config = mq_zalloc(&allocator, sizeof *config);
    if (!config) {
        return NULL;
    }
    config->runtime = (masque_runtime){.allocator = allocator, .random = runtime->random, .context = runtime->context};
    atomic_init(&config->users, 1);
    masque_limits_init(&config->limits);
    uint8_t hmac_key[MQ_SECRET_DIGEST_LENGTH];
    runtime->random(runtime->context, hmac_key, sizeof hmac_key);
    mq_preshared_init(&config->preshared, &config->runtime.allocator, hmac_key);
    mq_wipe(hmac_key, sizeof hmac_key);
    mq_targets_init(&config->targets, &config->runtime.allocator);
    mq_uri_template_compile(&config->udp_template, MQ_TEMPLATE_DEFAULT);
    return config;
}

masque_config *masque_config_retain(masque_config *config) {
    atomic_fetch_add_explicit(&config->users, 1, memory_order_relaxed);
    return config;
}

void masque_config_release(masque_config *config) {
    if (!config || atomic_fetch_sub_explicit(&config->users, 1, memory_order_acq_rel) > 1) {
        return;
    }
    masque_allocator allocator = config->runtime.allocator;
    for (size_t i = 0; i < config->method_count; i++) {
        if (config->methods[i].release) {
            config->methods[i].release(config->methods[i].context);
        }
    }
    mq_free(&allocator, config->methods);
    mq_preshared_free(&config->preshared);
    mq_credentials_free(&config->credentials, &allocator);
    mq_certificates_free(&config->certificates, &allocator);
    mq_targets_free(&config->targets);
    mq_listeners_free(config);
    masque_pools_release(config->geo.pools);
    mq_hints_clear(&config->geo.hints, &config->runtime.allocator);
    if (config->geo.locator.release) {
        config->geo.locator.release(config->geo.locator.context);
    }
    mq_quotas_free(&config->quotas, &allocator);
    mq_quota_counts_release(config->quota_counts);
    mq_wipe(config->quic_secrets, sizeof config->quic_secrets);
    mq_free(&allocator, config);
}

static void forget(const masque_allocator *allocator, uint8_t *bytes, size_t length) {
    if (bytes) {
        mq_wipe(bytes, length);
    }
    mq_free(allocator, bytes);
}

int mq_pair_set(const mq_pair *pair, const masque_allocator *allocator, const void *chain, size_t chain_length,
                const void *key, size_t key_length) {
    uint8_t *chain_copy = chain ? (uint8_t *)mq_copy_text(allocator, chain, chain_length) : NULL;
    uint8_t *key_copy = (uint8_t *)mq_copy_text(allocator, key, key_length);
    if (!key_copy || (chain && !chain_copy)) {
        mq_free(allocator, chain_copy);
        forget(allocator, key_copy, key_length);
        return MASQUE_ERR_NO_MEMORY;
    }
    mq_free(allocator, *pair->chain);
    forget(allocator, *pair->key, *pair->key_length);
    *pair->chain = chain_copy;
    *pair->chain_length = chain ? chain_length : 0;
    *pair->key = key_copy;
    *pair->key_length = key_length;
    return 0;
}

int masque_config_set_certificate(masque_config *config, const void *chain_pem, size_t chain_length,
                                  const void *key_pem, size_t key_length) {
    mq_credentials *credentials = &config->credentials;
    const mq_pair pair = {&credentials->chain_pem, &credentials->chain_length, &credentials->key_pem,
                          &credentials->key_length};
    return config->sealed
               ? MASQUE_ERR_STATE
               : mq_pair_set(&pair, &config->runtime.allocator, chain_pem, chain_length, key_pem, key_length);
}

int masque_config_set_client_identity(masque_config *config, const void *chain_pem, size_t chain_length,
                                      const void *key_pem, size_t key_length) {
    mq_credentials *credentials = &config->credentials;
    const mq_pair pair = {&credentials->identity_pem, &credentials->identity_length, &credentials->identity_key_pem,
                          &credentials->identity_key_length};
    return config->sealed
               ? MASQUE_ERR_STATE
               : mq_pair_set(&pair, &config->runtime.allocator, chain_pem, chain_length, key_pem, key_length);
}

int masque_config_add_trusted_key(masque_config *config, const uint8_t hash[32]) {
    mq_credentials *credentials = &config->credentials;
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (credentials->trust_pem || credentials->trust_anybody) {
        return MASQUE_ERR_INVALID;
    }
    uint8_t(*keys)[32] = mq_grow(&config->runtime.allocator, credentials->trusted_keys,
                                 &credentials->trusted_key_capacity, credentials->trusted_key_count + 1, sizeof *keys);
    if (!keys) {
        return MASQUE_ERR_NO_MEMORY;
    }
    credentials->trusted_keys = keys;
    memcpy(keys[credentials->trusted_key_count++], hash, sizeof *keys);
    return 0;
}

int masque_config_set_client_certificates(masque_config *config, const masque_client_certificates *given,
                                          size_t *wrong) {
    const masque_allocator *allocator = &config->runtime.allocator;
    mq_credentials *credentials = &config->credentials;
    mq_certificates certificates;
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    *wrong = 0;
    bool ca = given->ca_pem && given->ca_length > 0;
    if (!ca && (!given->raw_keys || given->crl)) {
        return MASQUE_ERR_INVALID;
    }
    int error = mq_certificates_init(&certificates, allocator, given->allow, given->allow_count, wrong);
    if (error) {
        return error;
    }
    uint8_t *ca_copy = ca ? (uint8_t *)mq_copy_text(allocator, given->ca_pem, given->ca_length) : NULL;
    uint8_t *crl_copy = given->crl ? (uint8_t *)mq_copy_text(allocator, given->crl, given->crl_length) : NULL;
    if ((ca && !ca_copy) || (given->crl && !crl_copy)) {
        mq_free(allocator, ca_copy);
        mq_free(allocator, crl_copy);
        mq_certificates_free(&certificates, allocator);
        return MASQUE_ERR_NO_MEMORY;
    }
    mq_free(allocator, credentials->client_ca_pem);
    mq_free(allocator, credentials->client_crl);
    credentials->client_ca_pem = ca_copy;
    credentials->client_ca_length = ca ? given->ca_length : 0;
    credentials->client_crl = crl_copy;
    credentials->client_crl_length = given->crl ? given->crl_length : 0;
    mq_certificates_free(&config->certificates, allocator);
    config->certificates = certificates;
    credentials->asks_clients = true;
    credentials->client_raw_keys = given->raw_keys;
    config->certificates.needed = credentials->client_certificate_needed = given->needed;
    return 0;
}

int masque_config_set_trust(masque_config *config, const void *pem, size_t length) {
    const masque_allocator *allocator = &config->runtime.allocator;
    mq_credentials *credentials = &config->credentials;
    uint8_t *copy = NULL;
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if ((pem && length == 0) || credentials->trusted_key_count > 0) {
        return MASQUE_ERR_INVALID;
    }
    if (pem) {
        copy = (uint8_t *)mq_copy_text(allocator, pem, length);
        if (!copy) {
            return MASQUE_ERR_NO_MEMORY;
        }
    }
    mq_free(allocator, credentials->trust_pem);
    credentials->trust_pem = copy;
    credentials->trust_length = pem ? length : 0;
    credentials->trust_anybody = !pem;
    return 0;
}

int masque_config_add_ticket_key(masque_config *config, const uint8_t key[MASQUE_TICKET_KEY_LENGTH]) {
    mq_credentials *credentials = &config->credentials;
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (credentials->ticket_key_count == MQ_TICKET_KEYS_MAX) {
        return MASQUE_ERR_INVALID;
    }
    memcpy(credentials->ticket_keys[credentials->ticket_key_count++], key, MASQUE_TICKET_KEY_LENGTH);
    return 0;
}

int masque_config_add_quic_key(masque_config *config, unsigned id, const uint8_t key[MASQUE_QUIC_KEY_LENGTH]) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    bool known = id > MASQUE_QUIC_KEY_ID_MAX || config->quic_secret_count == MQ_QUIC_KEYS_MAX;
    for (size_t i = 0; i < config->quic_secret_count; i++) {
        known = known || config->quic_secrets[i].id == id;
    }
    if (known) {
        return MASQUE_ERR_INVALID;
    }
    mq_quic_secret *secret = &config->quic_secrets[config->quic_secret_count++];
    secret->id = (uint8_t)id;
    memcpy(secret->key, key, sizeof secret->key);
    return 0;
}

int masque_config_set_server_number(masque_config *config, uint32_t server) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (server > MASQUE_SERVER_NUMBER_MAX) {
        return MASQUE_ERR_INVALID;
    }
    config->server_number = server;
    return 0;
}

int masque_config_set_congestion(masque_config *config, masque_congestion congestion) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (congestion != MASQUE_CUBIC && congestion != MASQUE_BBR) {
        return MASQUE_ERR_INVALID;
    }
    config->congestion = congestion;
    return 0;
}

int masque_config_set_migration(masque_config *config, bool allowed) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    config->may_migrate = allowed;
    return 0;
}

int masque_config_set_udp_template(masque_config *config, const char *text) {
    mq_uri_template compiled;
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    int error = text ? mq_uri_template_compile(&compiled, text) : 0;
    if (!error) {
        config->no_udp = !text;
    }
    if (!error && text) {
        config->udp_template = compiled;
    }
    return error;
}

int masque_config_set_limits(masque_config *config, const masque_limits *limits) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (masque_limits_check(limits)) {
        return MASQUE_ERR_INVALID;
    }
    config->limits = *limits;
    return 0;
}

const masque_limits *masque_config_limits(const masque_config *config) {
    return &config->limits;
}

static int append_method(masque_config *config, const masque_auth_method *method) {
    masque_auth_method *methods = mq_grow(&config->runtime.allocator, config->methods, &config->method_capacity,
                                          config->method_count + 1, sizeof *methods);
    if (!methods) {
        return MASQUE_ERR_NO_MEMORY;
    }
    config->methods = methods;
    methods[config->method_count++] = *method;
    return 0;
}

int masque_config_add_preshared(masque_config *config, const char *name, const char *key, size_t length) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (config->preshared.count == 0) {
        const masque_auth_method method = {.name = "preshared",
                                           .check = mq_preshared_check,
                                           .still = mq_preshared_still,
                                           .context = &config->preshared};
        int error = append_method(config, &method);
        if (!error) {
            error = mq_preshared_add(&config->preshared, name, key, length);
            config->method_count -= error ? 1 : 0;
        }
        return error;
    }
    return mq_preshared_add(&config->preshared, name, key, length);
}

int masque_config_add_auth_method(masque_config *config, const masque_auth_method *method) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    if (!method->name || !method->check || strcmp(method->name, MQ_METHOD_CERTIFICATE) == 0) {
        return MASQUE_ERR_INVALID;
    }
    return append_method(config, method);
}

int masque_config_set_challenge(masque_config *config, bool on) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    config->challenges = on;
    return 0;
}

int masque_config_set_geo(masque_config *config, const masque_geo *geo, masque_pools *pools,
                          const masque_locator *locator) {
    bool country = !geo->default_country[0] || mq_country_of(geo->default_country, strnlen(geo->default_country, 3));
    bool cities = geo->city_precision == 0 || (geo->city_precision >= 3 && geo->city_precision <= 10);
    if (config->sealed || config->geo.pools) {
        return MASQUE_ERR_STATE;
    }
    if (!country || !cities || geo->precision > MASQUE_GEOHASH_MAX || geo->coarse > 2 || !pools || !pools->sealed) {
        return MASQUE_ERR_INVALID;
    }
    config->geo.pools = masque_pools_retain(pools);
    config->geo.options = *geo;
    if (locator) {
        config->geo.locator = *locator;
    }
    return 0;
}

int masque_config_set_hints(masque_config *config, const masque_hints *hints) {
    return config->sealed ? MASQUE_ERR_STATE : mq_hints_set(&config->geo.hints, hints);
}

int masque_config_add_hint_key(masque_config *config, const char *kid, const char *pem, size_t length) {
    return config->sealed ? MASQUE_ERR_STATE
                          : mq_hints_add_key(&config->geo.hints, kid, pem, length, &config->runtime.allocator);
}

int masque_config_set_revocation(masque_config *config, bool on) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    config->revokes = on;
    return 0;
}

int masque_config_add_quota(masque_config *config, const masque_quota *quota) {
    return config->sealed ? MASQUE_ERR_STATE : mq_quotas_add(&config->quotas, &config->runtime.allocator, quota);
}

int masque_config_continue(masque_config *config, const masque_config *before) {
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    mq_quota_counts_release(config->quota_counts);
    config->quota_counts = before && before->quota_counts ? mq_quota_counts_retain(before->quota_counts) : NULL;
    return 0;
}

int masque_config_add_target_rule(masque_config *config, const masque_target_rule *rule) {
    return config->sealed ? MASQUE_ERR_STATE : mq_targets_add_rule(&config->targets, rule);
}

int masque_config_add_own_address(masque_config *config, const masque_address *address) {
    return config->sealed ? MASQUE_ERR_STATE : mq_targets_add_own(&config->targets, address);
}

int masque_config_seal(masque_config *config) {
    static const char label[] = "masqueproxy quic key";
    mq_credentials *credentials = &config->credentials;
    if (config->sealed) {
        return MASQUE_ERR_STATE;
    }
    bool serves = credentials->key_pem || config->method_count > 0 || !mq_credentials_are_clients(credentials);
    if (serves && !credentials->key_pem) {
        return MASQUE_ERR_NO_CREDENTIALS;
    }
    if (serves && config->method_count == 0 && !config->certificates.on) {
        return MASQUE_ERR_NO_AUTH;
    }
    /* Made only to learn what is wrong with it; each engine makes its own. */
    mq_tls_context *trial;
    int error = mq_tls_context_new(&trial, credentials, &config->runtime);
    mq_tls_context_del(trial);
    if (!error && credentials->ticket_key_count == 0) {
        config->runtime.random(config->runtime.context, credentials->ticket_keys[0], MASQUE_TICKET_KEY_LENGTH);
        credentials->ticket_key_count = 1;
    }
    if (!error) {
        config->wrong_listener = 0;
        error = mq_listeners_seal(config);
    }
    if (!error && config->quic_secret_count == 0) {
        error = mq_secret_digest(config->quic_secrets[0].key, credentials->ticket_keys[0], label, sizeof label - 1);
        config->quic_secret_count = error ? 0 : 1;
    }
    if (!error && config->quotas.count > 0 && !config->quota_counts) {
        config->quota_counts = mq_quota_counts_new(&config->runtime.allocator, config->limits.quota_identities_max);
        error = config->quota_counts ? 0 : MASQUE_ERR_NO_MEMORY;
    }
    /* Listeners and QUIC began with the keys as they were. */
    error = error ? error : mq_credentials_bind_tickets(credentials, false);
    config->sealed = error == 0;
    return error;
}
