#include "config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_auth.h"
#include "config_geo.h"
#include "config_listeners.h"
#include "config_roles.h"
#include "files.h"
#include "yaml_line.h"

/* More would never be asked. */
#define NAME_SERVERS_MAX 16

/* --- the file's shape -------------------------------------------------------------- */

typedef struct file_tls {
    char *certificate;
    char *private_key;
    char *raw_public_key;
    char *client_ca;
    char *client_crl;
} file_tls;

typedef struct file_targets {
    char **allow;
    unsigned allow_count;
    char **deny;
    unsigned deny_count;
} file_targets;

typedef struct file_dns {
    char **servers;
    unsigned servers_count;
} file_dns;

typedef struct file_quic_key {
    char *id;
    char *key_file;
} file_quic_key;

typedef struct file_quic {
    file_quic_key *keys;
    unsigned keys_count;
    char *server_number;
    char *congestion;
    char *migration;
} file_quic;

typedef struct file_limits {
#define MASQUE_X(field, key, standard, least, most) char *field;
    MASQUE_LIMITS(MASQUE_X)
#undef MASQUE_X
} file_limits;

typedef struct file_log {
    char *level;
    char *format;
} file_log;

typedef struct file_root {
    file_listener *listen;
    unsigned listen_count;
    file_tls *tls;
    file_auth *auth;
    file_targets *targets;
    file_dns *dns;
    file_limits *limits;
    file_log *log;
    file_quic *quic;
    file_geo *geo;
    file_quota *quotas;
    unsigned quotas_count;
    file_issuer *issuer;
    file_attester *attester;
    char *udp_template;
    char *user;
    char *workers;
    char *drain_timeout;
} file_root;

static const cyaml_schema_value_t TEXT_ENTRY = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 4096)};

static const cyaml_schema_field_t TLS_FIELDS[] = {
    TEXT("certificate", file_tls, certificate),       TEXT("private-key", file_tls, private_key),
    TEXT("raw-public-key", file_tls, raw_public_key), TEXT("client-ca", file_tls, client_ca),
    TEXT("client-crl", file_tls, client_crl),         CYAML_FIELD_END,
};

static const cyaml_schema_field_t TARGETS_FIELDS[] = {
    LIST("allow", file_targets, allow, &TEXT_ENTRY),
    LIST("deny", file_targets, deny, &TEXT_ENTRY),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t DNS_FIELDS[] = {
    LIST("servers", file_dns, servers, &TEXT_ENTRY),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t LIMITS_FIELDS[] = {
#define MASQUE_X(field, key, standard, least, most) TEXT((key), file_limits, field),
    MASQUE_LIMITS(MASQUE_X)
#undef MASQUE_X
        CYAML_FIELD_END,
};

static const cyaml_schema_field_t LOG_FIELDS[] = {
    TEXT("level", file_log, level),
    TEXT("format", file_log, format),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t QUIC_KEY_FIELDS[] = {
    CYAML_FIELD_STRING_PTR("id", CYAML_FLAG_POINTER, file_quic_key, id, 1, 10),
    CYAML_FIELD_STRING_PTR("key-file", CYAML_FLAG_POINTER, file_quic_key, key_file, 1, 4096),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t QUIC_KEY_ENTRY = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_quic_key, QUIC_KEY_FIELDS)};

static const cyaml_schema_field_t QUIC_FIELDS[] = {
    LIST("keys", file_quic, keys, &QUIC_KEY_ENTRY),
    TEXT("server-number", file_quic, server_number),
    TEXT("congestion", file_quic, congestion),
    TEXT("migration", file_quic, migration),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t ROOT_FIELDS[] = {
    LIST("listen", file_root, listen, &CONFIG_LISTENER_ENTRY),
    CYAML_FIELD_MAPPING_PTR("tls", OPTIONAL, file_root, tls, TLS_FIELDS),
    CYAML_FIELD_MAPPING_PTR("auth", OPTIONAL, file_root, auth, CONFIG_AUTH_FIELDS),
    CYAML_FIELD_MAPPING_PTR("targets", OPTIONAL, file_root, targets, TARGETS_FIELDS),
    CYAML_FIELD_MAPPING_PTR("dns", OPTIONAL, file_root, dns, DNS_FIELDS),
    CYAML_FIELD_MAPPING_PTR("limits", OPTIONAL, file_root, limits, LIMITS_FIELDS),
    CYAML_FIELD_MAPPING_PTR("log", OPTIONAL, file_root, log, LOG_FIELDS),
    CYAML_FIELD_MAPPING_PTR("quic", OPTIONAL, file_root, quic, QUIC_FIELDS),
    CYAML_FIELD_MAPPING_PTR("geo", OPTIONAL, file_root, geo, CONFIG_GEO_FIELDS),
    LIST("quotas", file_root, quotas, &CONFIG_QUOTA_ENTRY),
    CYAML_FIELD_MAPPING_PTR("issuer", OPTIONAL, file_root, issuer, CONFIG_ISSUER_FIELDS),
    CYAML_FIELD_MAPPING_PTR("attester", OPTIONAL, file_root, attester, CONFIG_ATTESTER_FIELDS),
    TEXT("udp-template", file_root, udp_template),
    TEXT("user", file_root, user),
    TEXT("workers", file_root, workers),
    TEXT("drain-timeout", file_root, drain_timeout),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t ROOT = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, file_root, ROOT_FIELDS)};

/* --- taking over --------------------------------------------------------------------- */

static bool take_rules(mqd_reader *reader, char *const *texts, unsigned count, bool allow) {
    for (unsigned i = 0; i < count; i++) {
        char key[64];
        snprintf(key, sizeof key, "targets.%s[%u]", allow ? "allow" : "deny", i);
        if (!settings_add_rule(reader->settings, allow, texts[i], reader->message)) {
            return config_complain_of(reader, key);
        }
    }
    return true;
}

static bool take_dns(mqd_reader *reader, const file_dns *dns) {
    char list[2048] = "";
    for (unsigned i = 0; dns && i < dns->servers_count; i++) {
        char key[64];
        masque_address address;
        const char *text = dns->servers[i];
        snprintf(key, sizeof key, "dns.servers[%u]", i);
        bool known = masque_address_parse(&address, text, strlen(text)) == 0 ||
                     (text[0] != ':' && parse_endpoint(text, &address, reader->message));
        if (!known || i >= NAME_SERVERS_MAX) {
            say(reader->message,
                "“%.60s” can't be used; expected at most %d servers such as 9.9.9.9 or [2620:fe::fe]:53", text,
                NAME_SERVERS_MAX);
            return config_complain_of(reader, key);
        }
        size_t at = strlen(list);
        snprintf(list + at, sizeof list - at, "%s%s", at ? "," : "", text);
    }
    if (list[0]) {
        settings_set_text(&reader->settings->dns_servers, list);
    }
    return true;
}

static bool take_limit(mqd_reader *reader, const char *name, const char *text) {
    uint64_t value;
    uint64_t least;
    uint64_t most;
    char key[100];
    if (!text) {
        return true;
    }
    snprintf(key, sizeof key, "limits.%s", name);
    if (!parse_whole_number(text, &value, reader->message)) {
        return config_complain_of(reader, key);
    }
    if (masque_limits_set(&reader->settings->limits, name, value, &least, &most) != 0) {
        say(reader->message, "must be %llu to %llu", (unsigned long long)least, (unsigned long long)most);
        return config_complain_of(reader, key);
    }
    return true;
}

static bool take_limits(mqd_reader *reader, const file_limits *limits) {
    bool valid = true;
#define MASQUE_X(field, key, standard, least, most) valid = valid && take_limit(reader, (key), limits->field);
    if (limits) {
        MASQUE_LIMITS(MASQUE_X)
    }
#undef MASQUE_X
    const masque_limits *all = &reader->settings->limits;
    if (valid && masque_limits_check(all)) { /* each is in range: they don't fit together */
        say(reader->message, "is too small for %llu tunnels-per-connection; expected %llu or more",
            (unsigned long long)all->tunnels_per_connection_max,
            (unsigned long long)all->tunnels_per_connection_max * MASQUE_TUNNEL_SHARE_MIN);
        return config_complain_of(reader, "limits.connection-buffer");
    }
    return valid;
}

static bool take_log(mqd_reader *reader, const file_log *log) {
    if (log && log->level && !settings_set_log_level(reader->settings, log->level, reader->message)) {
        return config_complain_of(reader, "log.level");
    }
    if (log && log->format) {
        bool json = strcmp(log->format, "json") == 0;
        if (!json && strcmp(log->format, "text") != 0) {
            say(reader->message, "“%.40s” is no log format; expected text or json", log->format);
            return config_complain_of(reader, "log.format");
        }
        reader->settings->log_format = json ? LOG_JSON : LOG_TEXT;
    }
    return true;
}

static bool take_workers(mqd_reader *reader, const char *text) {
    uint64_t count = reader->settings->workers;
    if (!text) {
        return true;
    }
    if (!parse_whole_number(text, &count, reader->message)) {
        return false;
    }
    say(reader->message, "must be 1 to %d", WORKERS_MAX);
    reader->settings->workers = (unsigned)count;
    return count >= 1 && count <= WORKERS_MAX;
}

static bool take_tls(mqd_reader *reader, const file_tls *tls) {
    mqd_settings *settings = reader->settings;
    if (!tls) {
        return true;
    }
    config_take_file(reader, "tls.certificate", tls->certificate, &settings->certificate);
    config_take_file(reader, "tls.private-key", tls->private_key, &settings->private_key);
    config_take_file(reader, "tls.client-ca", tls->client_ca, &settings->client_ca);
    config_take_file(reader, "tls.client-crl", tls->client_crl, &settings->client_crl);
    if (!config_take_truth(reader, "tls.raw-public-key", tls->raw_public_key, &settings->raw_key)) {
        return false;
    }
    if (settings->raw_key && (tls->certificate || !tls->private_key)) {
        say(reader->message, "goes with a private-key, and without a certificate");
        return config_complain_of(reader, "tls.raw-public-key");
    }
    return true;
}

static bool take_process(mqd_reader *reader, const file_root *root) {
    mqd_settings *settings = reader->settings;
    if (root->user) {
        settings_set_text(&settings->user, root->user);
        settings_set_text(&settings->user_place, config_place_of(reader, "user").text);
    }
    if (root->udp_template) {
        settings_set_text(&settings->udp_template, root->udp_template);
    }
    if (!take_workers(reader, root->workers)) {
        return config_complain_of(reader, "workers");
    }
    if (root->drain_timeout && !parse_duration(root->drain_timeout, &settings->drain_timeout_ms, reader->message)) {
        return config_complain_of(reader, "drain-timeout");
    }
    return true;
}

static bool take_quic_keys(mqd_reader *reader, const file_quic *quic) {
    mqd_settings *settings = reader->settings;
    for (unsigned i = 0; i < quic->keys_count; i++) {
        char key[64];
        uint64_t id;
        snprintf(key, sizeof key, "quic.keys[%u].id", i);
        if (!parse_whole_number(quic->keys[i].id, &id, reader->message)) {
            return config_complain_of(reader, key);
        }
        bool known = id > MASQUE_QUIC_KEY_ID_MAX || i == QUIC_KEYS_MAX;
        for (size_t k = 0; k < settings->quic_key_count; k++) {
            known = known || settings->quic_keys[k].id == id;
        }
        if (known) {
            say(reader->message, "expected at most %d keys, each with another id of 0 to %d", QUIC_KEYS_MAX,
                MASQUE_QUIC_KEY_ID_MAX);
            return config_complain_of(reader, key);
        }
        quic_key *added = &settings->quic_keys[settings->quic_key_count++];
        added->id = (unsigned)id;
        snprintf(key, sizeof key, "quic.keys[%u].key-file", i);
        config_take_file(reader, key, quic->keys[i].key_file, &added->file);
    }
    return true;
}

static bool take_quic(mqd_reader *reader, const file_quic *quic) {
    static const char *const congestions[2] = {"cubic", "bbr"};
    mqd_settings *settings = reader->settings;
    uint64_t number = 0;
    bool bbr = false;
    if (!quic) {
        return true;
    }
    if (quic->server_number &&
        (!parse_whole_number(quic->server_number, &number, reader->message) || number > MASQUE_SERVER_NUMBER_MAX)) {
        say(reader->message, "must be 0 to %u", MASQUE_SERVER_NUMBER_MAX);
        return config_complain_of(reader, "quic.server-number");
    }
    if (!config_take_word(reader, "quic.congestion", quic->congestion, congestions, &bbr) ||
        !config_take_truth(reader, "quic.migration", quic->migration, &settings->migration)) {
        return false;
    }
    settings->server_number = (uint32_t)number;
    settings->congestion = bbr ? MASQUE_BBR : MASQUE_CUBIC;
    return take_quic_keys(reader, quic);
}

/* Neither of the three means anything without the CA. */
static bool check_certificates(mqd_reader *reader) {
    const mqd_settings *settings = reader->settings;
    const char *alone = settings->client_crl.path           ? "tls.client-crl"
                        : settings->certificate_rules_place ? "auth.mtls"
                                                            : NULL;
    bool clients = settings->client_ca.path || (settings->client_raw_keys && !settings->client_crl.path);
    if (alone && !clients) {
        say(reader->message, "needs tls.client-ca, whose certificates clients show%s",
            settings->client_crl.path ? "" : "; or raw-public-keys: true");
        return config_complain_of(reader, alone);
    }
    return true;
}

static bool take_all(mqd_reader *reader, const file_root *root) {
    const file_targets *targets = root->targets;
    return config_take_listeners(reader, root->listen, root->listen_count) && take_tls(reader, root->tls) &&
           take_process(reader, root) && config_take_auth(reader, root->auth) &&
           config_take_quotas(reader, root->quotas, root->quotas_count) && config_take_geo(reader, root->geo) &&
           config_take_issuer(reader, root->issuer) && config_take_attester(reader, root->attester) &&
           (!targets || (take_rules(reader, targets->allow, targets->allow_count, true) &&
                         take_rules(reader, targets->deny, targets->deny_count, false))) &&
           check_certificates(reader) && take_dns(reader, root->dns) && take_quic(reader, root->quic) &&
           take_limits(reader, root->limits) && take_log(reader, root->log);
}

/* libcyaml would pass over all but the first without a word. */
static bool is_one_document(mqd_reader *reader) {
    unsigned line = yaml_second_document(reader->text, reader->length);
    if (line) {
        say(reader->message, "%.200s:%u: a second document begins; only one is read, so take the “---” out",
            reader->path, line);
    }
    return line == 0;
}

bool config_file_parse(mqd_settings *settings, const char *path, const char *text, size_t length,
                       mqd_message *message) {
    mqd_reader reader = {.settings = settings, .path = path, .text = text, .length = length, .message = message};
    const cyaml_config_t config = {
        .log_level = CYAML_LOG_ERROR, .log_fn = config_on_cyaml_log, .log_ctx = &reader, .mem_fn = cyaml_mem};
    file_root *root = NULL;
    cyaml_err_t error = cyaml_load_data((const uint8_t *)text, length, &config, &ROOT, (cyaml_data_t **)&root, NULL);
    bool valid;
    if (error != CYAML_OK) {
        if (!reader.problem[0]) {
            snprintf(reader.problem, sizeof reader.problem, "%s", cyaml_strerror(error));
        }
        valid = config_complain_of_syntax(&reader);
    } else {
        valid = (!root || take_all(&reader, root)) && is_one_document(&reader);
    }
    cyaml_free(&config, &ROOT, root, 0);
    return valid;
}

bool config_file_read(mqd_settings *settings, const char *path, mqd_message *message) {
    size_t length;
    char *text = read_whole_file(path, &length, message);
    bool valid = text && config_file_parse(settings, path, text, length, message);
    free(text);
    return valid;
}
