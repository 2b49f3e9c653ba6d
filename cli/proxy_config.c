#include "proxy_config.h"

#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "basic_auth.h"
#include "certificates.h"
#include "clock.h"
#include "files.h"
#include "geo/feeds.h"
#include "geo/locations.h"
#include "private_tokens.h"
#include "random.h"
#include "socket.h"

/* Puts the place where FILE was named in front of what MESSAGE says. */
static void complain_of(const mqd_file *file, mqd_message *message) {
    mqd_message inner = *message;
    say(message, "%.250s: %.250s", file->place, inner.text);
}

static char *read_named(const mqd_file *file, size_t *length, mqd_message *message) {
    char *text = read_whole_file(file->path, length, message);
    if (!text) {
        complain_of(file, message);
    }
    return text;
}

static char *read_named_secret(const mqd_file *file, size_t *length, mqd_message *message) {
    char *text = read_secret_file(file->path, length, message);
    if (!text) {
        complain_of(file, message);
    }
    return text;
}

/* A certificate chain, unless its file has no name, and the key. */
typedef struct key_pair {
    char *chain;
    size_t chain_length;
    char *key;
    size_t key_length;
} key_pair;

static bool read_pair(key_pair *pair, const mqd_file *certificate, const mqd_file *key, mqd_message *message) {
    *pair = (key_pair){.chain = NULL};
    pair->chain = certificate->path ? read_named(certificate, &pair->chain_length, message) : NULL;
    if (!certificate->path || pair->chain) {
        pair->key = read_named_secret(key, &pair->key_length, message);
    }
    if (!pair->key) {
        free(pair->chain);
    }
    return pair->key != NULL;
}

static void free_pair(key_pair *pair) {
    free(pair->chain);
    forget_secret(pair->key, pair->key_length);
}

/* Where each listener has its own, the first one's will do for all that is not said. */
static bool every_listener_has_its_own(const mqd_settings *settings) {
    bool every = settings->listener_count > 0;
    for (size_t i = 0; i < settings->listener_count; i++) {
        every = every && settings->listeners[i].private_key.path;
    }
    return every;
}

static bool add_certificate(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    bool first = !settings->private_key.path && !settings->certificate.path && every_listener_has_its_own(settings);
    const mqd_file *certificate = first ? &settings->listeners[0].certificate : &settings->certificate;
    const mqd_file *private_key = first ? &settings->listeners[0].private_key : &settings->private_key;
    key_pair pair;
    if (!private_key->path || (!certificate->path && !settings->raw_key && !first)) {
        say(message,
            "no %s: give tls.certificate and tls.private-key in the configuration file, or --certificate and "
            "--private-key",
            certificate->path ? "private key" : "certificate");
        return false;
    }
    if (!read_pair(&pair, certificate, private_key, message)) {
        return false;
    }
    int error = masque_config_set_certificate(config, pair.chain, pair.chain_length, pair.key, pair.key_length);
    if (error) {
        say(message, "%s", masque_error_text(error));
    }
    free_pair(&pair);
    return error == 0;
}

/* Behind methods and certificates. */
static bool add_listener(masque_config *config, const mqd_listener *listener, unsigned number, mqd_message *message) {
    key_pair pair = {.chain = NULL};
    if (listener->private_key.path && !read_pair(&pair, &listener->certificate, &listener->private_key, message)) {
        return false;
    }
    const masque_listener given = {.chain_pem = pair.chain,
                                   .chain_length = pair.chain_length,
                                   .key_pem = pair.key,
                                   .key_length = pair.key_length,
                                   .methods = listener->method_count > 0 ? listener->methods : NULL,
                                   .method_count = listener->method_count,
                                   .needs_certificate = listener->needs_certificate};
    int error = masque_config_set_listener(config, number, &given);
    free_pair(&pair);
    if (error == MASQUE_ERR_INVALID) {
        say(message, "%.250s: its list `auth` names a method that the section `auth` doesn't have", listener->place);
    } else if (error) {
        say(message, "%.250s: %s", listener->place, masque_error_text(error));
    }
    return error == 0;
}

static bool add_listeners(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    for (size_t i = 0; i < settings->listener_count; i++) {
        const mqd_listener *listener = &settings->listeners[i];
        /* One that has no socket yet is looked at all the same, under a number that no socket has. */
        unsigned number = listener->number ? listener->number : LISTENERS_MAX + 1 + (unsigned)i;
        if (listener->place && !add_listener(config, listener, number, message)) {
            return false;
        }
    }
    return true;
}

static bool add_hint_key(masque_config *config, const hint_key_settings *key, mqd_message *message) {
    size_t length;
    char *pem = read_named(&key->file, &length, message);
    if (!pem) {
        return false;
    }
    int error = masque_config_add_hint_key(config, key->kid, pem, length);
    free(pem);
    if (error) {
        say(message, "%.250s: %s", key->file.place,
            error == MASQUE_ERR_INVALID
                ? "a second key of this kid, or no public key of P-256; expected PEM, as `masqueproxy "
                  "hint keygen` prints it"
                : masque_error_text(error));
    }
    return error == 0;
}

static bool add_hints(masque_config *config, const geo_settings *geo, mqd_message *message) {
    const masque_hints hints = {
        .audience = geo->audience, .need = geo->hint_need, .lifetime_max_s = geo->hint_lifetime_s, .clock = unix_clock};
    if (geo->hint_key_count == 0) {
        return true;
    }
    int error = masque_config_set_hints(config, &hints);
    if (error) {
        say(message, "geo.audience: %s", masque_error_text(error));
        return false;
    }
    for (size_t i = 0; i < geo->hint_key_count; i++) {
        if (!add_hint_key(config, &geo->hint_keys[i], message)) {
            return false;
        }
    }
    return true;
}

static bool add_geo(masque_config *config, const mqd_settings *settings, const log_options *log, mqd_message *message) {
    const geo_settings *geo = &settings->geo;
    masque_locator locator = {.locate = NULL};
    if (geo->pool_count == 0) {
        return true;
    }
    masque_pools *pools = feeds_read(geo, geo->pools, geo->pool_count, log, message);
    if (!pools || (geo->locations.path && !locations_open(geo, log, &locator, message))) {
        masque_pools_release(pools);
        return false;
    }
    int error = masque_config_set_geo(config, &geo->options, pools, &locator);
    masque_pools_release(pools);
    if (error) {
        if (locator.release) {
            locator.release(locator.context);
        }
        say(message, "geo: %s", masque_error_text(error));
    }
    return error == 0;
}

static bool add_quotas(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    for (size_t i = 0; i < settings->quota_count; i++) {
        const quota_settings *quota = &settings->quotas[i];
        int error = masque_config_add_quota(config, &quota->quota);
        if (error) {
            say(message, "%.200s: %s", quota->place,
                error == MASQUE_ERR_INVALID
                    ? "a second quota of this identity, or an identity that is none: expected a name of at most 255 "
                      "bytes, or of mtls a rule such as dns:NAME"
                    : masque_error_text(error));
            return false;
        }
    }
    return true;
}

static bool add_client_certificates(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    size_t ca_length = 0, crl_length = 0, wrong = 0;
    const mqd_file *ca = &settings->client_ca;
    const mqd_file *crl = &settings->client_crl;
    if (!ca->path && !settings->client_raw_keys) {
        return true;
    }
    char *ca_pem = ca->path ? read_named(ca, &ca_length, message) : NULL;
    char *crl_bytes = ca_pem && crl->path ? read_named(crl, &crl_length, message) : NULL;
    bool done = false;
    if ((ca_pem || !ca->path) && (crl_bytes || !crl->path)) {
        const masque_client_certificates certificates = {.ca_pem = ca_pem,
                                                         .ca_length = ca_length,
                                                         .crl = crl_bytes,
                                                         .crl_length = crl_length,
                                                         .allow = (const char *const *)settings->certificate_rules,
                                                         .allow_count = settings->certificate_rule_count,
                                                         .raw_keys = settings->client_raw_keys,
                                                         .needed = settings->certificate_needed};
        int error = masque_config_set_client_certificates(config, &certificates, &wrong);
        done = error == 0;
        if (error == MASQUE_ERR_INVALID && wrong < settings->certificate_rule_count) {
            say(message,
                "%.200s: “%.80s” is no rule; expected subject:CN=…, dns:NAME, sha256:HASH of the public key, or a URI "
                "such as spiffe://…",
                settings->certificate_rules_place, settings->certificate_rules[wrong]);
        } else if (error && ca->path) {
            say(message, "%.250s: %.200s: %s", ca->place, ca->path, masque_error_text(MASQUE_ERR_CLIENT_CA));
        } else if (error) {
            say(message, "auth.mtls: %s", masque_error_text(error));
        }
    }
    free(ca_pem);
    free(crl_bytes);
    return done;
}

static bool has_expired(const mqd_file *certificate, mqd_message *message) {
    size_t length = 0;
    char day[CERTIFICATE_DAY_SIZE];
    char *chain = certificate->path ? read_named(certificate, &length, message) : NULL;
    bool expired = chain && certificate_has_expired(chain, length, day);
    if (expired) {
        say(message, "%.250s: %.200s ended on %s; clients will refuse it", certificate->place, certificate->path, day);
    }
    free(chain);
    return expired;
}

bool proxy_config_has_expired(const mqd_settings *settings, mqd_message *message) {
    bool expired = has_expired(&settings->certificate, message);
    for (size_t i = 0; i < settings->listener_count && !expired; i++) {
        expired = has_expired(&settings->listeners[i].certificate, message);
    }
    return expired;
}

/* What is wrong with a key that the library refused; nothing of the key itself. */
static void explain_key(const char *text, size_t length, char *why, size_t size) {
    size_t line = strcspn(text, "\r\n");
    if (!is_one_line(text, length)) {
        snprintf(why, size, "there is more than one line");
    } else if (line < MASQUE_PRESHARED_KEY_MIN || line > MASQUE_PRESHARED_KEY_MAX) {
        snprintf(why, size, "the line has %zu", line);
    } else {
        bool visible = true;
        for (size_t i = 0; i < line; i++) {
            visible = visible && text[i] > ' ' && text[i] <= '~';
        }
        snprintf(why, size, "%s",
                 visible ? "another name has that key already" : "there is a blank, or another character");
    }
}

static bool add_key(masque_config *config, const preshared_key *key, mqd_message *message) {
    size_t length = 0;
    char *text = key->value ? strdup(key->value) : read_named_secret(&key->file, &length, message);
    if (!text) {
        return false;
    }
    length = key->value ? strlen(text) : length;
    int error = is_one_line(text, length) ? masque_config_add_preshared(config, key->name, text, strcspn(text, "\r\n"))
                                          : MASQUE_ERR_INVALID;
    if (error) {
        char why[64];
        explain_key(text, length, why, sizeof why);
        say(message,
            "%.200s: no pre-shared key in %.150s; expected %d to %d visible ASCII characters on one line, but %s",
            key->value ? "environment" : key->file.place, key->value ? "MASQUE_PRESHARED_KEY" : key->file.path,
            MASQUE_PRESHARED_KEY_MIN, MASQUE_PRESHARED_KEY_MAX, why);
    }
    forget_secret(text, length);
    return error == 0;
}

static bool add_keys(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    for (size_t i = 0; i < settings->preshared_count; i++) {
        if (!add_key(config, &settings->preshared[i], message)) {
            return false;
        }
    }
    return true;
}

/* 64 hexadecimal digits and at most a line end. */
static bool read_secret(const char *text, size_t length, uint8_t secret[MASQUE_QUIC_KEY_LENGTH]) {
    bool good = is_one_line(text, length) && strcspn(text, "\r\n") == 2 * MASQUE_QUIC_KEY_LENGTH &&
                strspn(text, "0123456789abcdefABCDEF") == 2 * MASQUE_QUIC_KEY_LENGTH;
    for (size_t i = 0; i < MASQUE_QUIC_KEY_LENGTH && good; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        secret[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return good;
}

static bool add_quic_key(masque_config *config, const quic_key *key, mqd_message *message) {
    uint8_t secret[MASQUE_QUIC_KEY_LENGTH];
    size_t length = 0;
    char *text = read_named_secret(&key->file, &length, message);
    if (!text) {
        return false;
    }
    bool good = read_secret(text, length, secret);
    if (good) {
        masque_config_add_quic_key(config, key->id, secret);
    } else {
        say(message, "%.200s: no key in %.150s; expected 64 hexadecimal digits, as `openssl rand -hex 32` makes them",
            key->file.place, key->file.path);
    }
    forget_secret(text, length);
    explicit_bzero(secret, sizeof secret);
    return good;
}

static bool set_quic(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    masque_config_set_server_number(config, settings->server_number);
    masque_config_set_congestion(config, settings->congestion);
    masque_config_set_migration(config, settings->migration);
    for (size_t i = 0; i < settings->quic_key_count; i++) {
        if (!add_quic_key(config, &settings->quic_keys[i], message)) {
            return false;
        }
    }
    const char *template = settings->udp_template;
    if (template && masque_config_set_udp_template(config, strcmp(template, "off") == 0 ? NULL : template) != 0) {
        say(message,
            "udp-template: “%.100s” can't be used; expected off, or a path with {target_host} and {target_port} such "
            "as /.well-known/masque/udp/{target_host}/{target_port}/",
            template);
        return false;
    }
    return true;
}

/* A listener on every address is on each of the machine's. */
static void add_interface_addresses(masque_config *config, uint16_t port) {
    struct ifaddrs *list = NULL;
    if (getifaddrs(&list) != 0) {
        return;
    }
    for (struct ifaddrs *entry = list; entry; entry = entry->ifa_next) {
        masque_address address;
        if (entry->ifa_addr && address_from_sockaddr(&address, entry->ifa_addr)) {
            address.port = port;
            masque_config_add_own_address(config, &address);
        }
    }
    freeifaddrs(list);
}

static bool is_any(const masque_address *address) {
    static const uint8_t zero[16];
    return memcmp(address->ip, zero, sizeof zero) == 0;
}

static void add_own_addresses(masque_config *config, const mqd_settings *settings) {
    for (size_t i = 0; i < settings->listener_count; i++) {
        const masque_address *address = &settings->listeners[i].address;
        masque_config_add_own_address(config, address);
        if (is_any(address)) {
            add_interface_addresses(config, address->port);
        }
    }
}

/* By its number in the configuration; the first one for 0. */
static const mqd_listener *listener_of(const mqd_settings *settings, unsigned number) {
    for (size_t i = 0; i < settings->listener_count; i++) {
        unsigned own = settings->listeners[i].number;
        if (own == number || (!own && number == LISTENERS_MAX + 1 + i)) {
            return &settings->listeners[i];
        }
    }
    return &settings->listeners[0];
}

static bool seal(masque_config *config, const mqd_settings *settings, mqd_message *message) {
    int error = masque_config_seal(config);
    if (error == MASQUE_ERR_NO_AUTH) {
        say(message, "nobody could authenticate: give auth.preshared or another method in the configuration file, "
                     "--preshared-key-file, or MASQUE_PRESHARED_KEY in the environment");
    } else if (error) {
        unsigned listener = masque_config_wrong_listener(config);
        bool at_listener = listener > 0 || !settings->private_key.path;
        const mqd_listener *own = listener_of(settings, listener);
        const mqd_file *certificate = at_listener ? &own->certificate : &settings->certificate;
        const mqd_file *private_key = at_listener ? &own->private_key : &settings->private_key;
        const mqd_file *file = error == MASQUE_ERR_CERTIFICATE  ? certificate
                               : error == MASQUE_ERR_CLIENT_CA  ? &settings->client_ca
                               : error == MASQUE_ERR_CLIENT_CRL ? &settings->client_crl
                                                                : private_key;
        say(message, "%.250s: %.200s: %s", file->place ? file->place : "tls", file->path ? file->path : "",
            masque_error_text(error));
    }
    return error == 0;
}

masque_config *proxy_config_new(const mqd_settings *settings, const uint8_t ticket_key[MASQUE_TICKET_KEY_LENGTH],
                                spent_store *tokens, token_directories *directories, const masque_config *before,
                                const log_options *log, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random};
    masque_config *config = masque_config_new(&runtime);
    if (!config) {
        say(message, "out of memory");
        return NULL;
    }
    masque_config_set_limits(config, &settings->limits);
    masque_config_set_challenge(config, settings->challenge);
    masque_config_set_revocation(config, settings->revoke_now);
    masque_config_continue(config, before);
    masque_config_add_ticket_key(config, ticket_key);
    for (size_t i = 0; i < settings->rule_count; i++) {
        masque_config_add_target_rule(config, &settings->rules[i]);
    }
    add_own_addresses(config, settings);
    if (!add_certificate(config, settings, message) || !add_keys(config, settings, message) ||
        !add_client_certificates(config, settings, message) || !basic_auth_add(config, settings, message) ||
        !private_tokens_add(config, settings, tokens, directories, message) ||
        !add_listeners(config, settings, message) || !add_quotas(config, settings, message) ||
        !add_geo(config, settings, log, message) || !add_hints(config, &settings->geo, message) ||
        !set_quic(config, settings, message) || !seal(config, settings, message)) {
        masque_config_release(config);
        return NULL;
    }
    return config;
}
