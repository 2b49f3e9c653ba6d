#include "config_auth.h"

#include <stdio.h>
#include <string.h>

#define REDEMPTION_PERIOD_MIN_MS 60000u

struct file_preshared {
    char *name;
    char *key_file;
};

struct file_private_token {
    char *issuer;
    char *public_key;
    char *directory;
    char *directory_ca;
    char *private_key_file;
    char *origin;
    char *redemption_context;
    char *redemption_secret_file;
    char *redemption_period;
    char *not_before;
    char *not_after;
};

struct file_spent_tokens {
    char *store;
    char *file;
    char *url;
    char *password_file;
    char *most;
};

struct file_mtls {
    char **allow;
    unsigned allow_count;
    char *required;
    char *raw_public_keys;
};

static const cyaml_schema_value_t RULE_ENTRY = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 4096)};

static const cyaml_schema_field_t MTLS_FIELDS[] = {
    LIST("allow", file_mtls, allow, &RULE_ENTRY),
    TEXT("required", file_mtls, required),
    TEXT("raw-public-keys", file_mtls, raw_public_keys),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t PRESHARED_FIELDS[] = {
    NEEDED("name", file_preshared, name, MASQUE_PRESHARED_NAME_MAX),
    NEEDED("key-file", file_preshared, key_file, 4096),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t PRESHARED_ENTRY = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_preshared, PRESHARED_FIELDS)};

static const cyaml_schema_field_t PRIVATE_TOKEN_FIELDS[] = {
    NEEDED("issuer", file_private_token, issuer, 255),
    TEXT("public-key", file_private_token, public_key),
    TEXT("directory", file_private_token, directory),
    TEXT("directory-ca", file_private_token, directory_ca),
    TEXT("private-key-file", file_private_token, private_key_file),
    TEXT("origin", file_private_token, origin),
    TEXT("redemption-context", file_private_token, redemption_context),
    TEXT("redemption-secret-file", file_private_token, redemption_secret_file),
    TEXT("redemption-period", file_private_token, redemption_period),
    TEXT("not-before", file_private_token, not_before),
    TEXT("not-after", file_private_token, not_after),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t PRIVATE_TOKEN_ENTRY = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_private_token, PRIVATE_TOKEN_FIELDS)};

static const cyaml_schema_field_t SPENT_TOKENS_FIELDS[] = {
    TEXT("store", file_spent_tokens, store), TEXT("file", file_spent_tokens, file),
    TEXT("url", file_spent_tokens, url),     TEXT("password-file", file_spent_tokens, password_file),
    TEXT("most", file_spent_tokens, most),   CYAML_FIELD_END,
};

const cyaml_schema_field_t CONFIG_ACCOUNTS_FIELDS[] = {
    NEEDED("file", file_accounts, file, 4096),
    CYAML_FIELD_END,
};

const cyaml_schema_field_t CONFIG_AUTH_FIELDS[] = {
    TEXT("challenge", file_auth, challenge),
    TEXT("revoke-now", file_auth, revoke_now),
    LIST("preshared", file_auth, preshared, &PRESHARED_ENTRY),
    LIST("private-token", file_auth, private_token, &PRIVATE_TOKEN_ENTRY),
    CYAML_FIELD_MAPPING_PTR("spent-tokens", OPTIONAL, file_auth, spent_tokens, SPENT_TOKENS_FIELDS),
    CYAML_FIELD_MAPPING_PTR("basic", OPTIONAL, file_auth, basic, CONFIG_ACCOUNTS_FIELDS),
    CYAML_FIELD_MAPPING_PTR("mtls", OPTIONAL, file_auth, mtls, MTLS_FIELDS),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t QUOTA_FIELDS[] = {
    NEEDED("method", file_quota, method, 40),
    TEXT("identity", file_quota, identity),
    TEXT("tunnels", file_quota, tunnels),
    TEXT("tunnels-per-second", file_quota, tunnels_per_second),
    TEXT("bytes-per-hour", file_quota, bytes_per_hour),
    CYAML_FIELD_END,
};
const cyaml_schema_value_t CONFIG_QUOTA_ENTRY = {CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_quota, QUOTA_FIELDS)};

static bool take_preshared(mqd_reader *reader, const file_auth *auth) {
    for (unsigned i = 0; i < auth->preshared_count; i++) {
        const file_preshared *entry = &auth->preshared[i];
        char key[64];
        snprintf(key, sizeof key, "auth.preshared[%u].name", i);
        if (!settings_add_preshared(reader->settings, entry->name, reader->message)) {
            return config_complain_of(reader, key);
        }
        snprintf(key, sizeof key, "auth.preshared[%u].key-file", i);
        settings_set_key_file(reader->settings, entry->key_file, config_place_of(reader, key).text);
    }
    return true;
}

/* --- private-token -------------------------------------------------------------------------------------------- */

/* "auth.private-token[2].FIELD" */
typedef struct token_name {
    char text[80];
} token_name;

static token_name name_of(unsigned index, const char *field) {
    token_name name;
    snprintf(name.text, sizeof name.text, "auth.private-token[%u].%s", index, field);
    return name;
}

static bool take_redemption(mqd_reader *reader, const file_private_token *entry, unsigned index, token_key *key) {
    mqd_message *message = reader->message;
    token_name secret = name_of(index, "redemption-secret-file");
    token_name period = name_of(index, "redemption-period");
    settings_set_text(&key->redemption_context, entry->redemption_context);
    config_take_file(reader, secret.text, entry->redemption_secret_file, &key->redemption_secret);
    if (entry->redemption_context && entry->redemption_secret_file) {
        say(message, "a redemption-context stands beside it; give one of both");
        return config_complain_of(reader, secret.text);
    }
    if (!entry->redemption_period != !entry->redemption_secret_file) {
        say(message, "redemption-secret-file and redemption-period go together: contexts are made of the secret, a new "
                     "one each period");
        return config_complain_of(reader, entry->redemption_period ? period.text : secret.text);
    }
    if (entry->redemption_period && !parse_duration(entry->redemption_period, &key->redemption_period_ms, message)) {
        return config_complain_of(reader, period.text);
    }
    if (entry->redemption_period && key->redemption_period_ms < REDEMPTION_PERIOD_MIN_MS) {
        say(message, "must be 1m or more: a token is to be fetched and shown within two periods");
        return config_complain_of(reader, period.text);
    }
    return true;
}

static bool take_bounds(mqd_reader *reader, const file_private_token *entry, unsigned index, token_key *key) {
    if (entry->not_before && !parse_time(entry->not_before, &key->not_before, reader->message)) {
        return config_complain_of(reader, name_of(index, "not-before").text);
    }
    if (entry->not_after && !parse_time(entry->not_after, &key->not_after, reader->message)) {
        return config_complain_of(reader, name_of(index, "not-after").text);
    }
    if (key->not_after && key->not_after <= key->not_before) {
        say(reader->message, "must be behind not-before");
        return config_complain_of(reader, name_of(index, "not-after").text);
    }
    return true;
}

/* A key, or where it comes from. */
static bool check_key(mqd_reader *reader, const file_private_token *entry, unsigned index) {
    bool both = entry->public_key && entry->directory;
    bool https = entry->directory && strncmp(entry->directory, "https://", 8) == 0;
    if (both || (!entry->public_key && !https) || (entry->directory && entry->private_key_file)) {
        say(reader->message, "give public-key, or directory: https://ISSUER" MASQUE_TOKEN_DIRECTORY_PATH
                             ", which has keys of type 2 alone");
        return config_complain_of(reader, name_of(index, entry->directory ? "directory" : "issuer").text);
    }
    return true;
}

static bool take_private_tokens(mqd_reader *reader, const file_auth *auth) {
    for (unsigned i = 0; i < auth->private_token_count; i++) {
        const file_private_token *entry = &auth->private_token[i];
        if (i == TOKEN_KEYS_MAX) {
            say(reader->message, "more than %d keys", TOKEN_KEYS_MAX);
            return config_complain_of(reader, name_of(i, "issuer").text);
        }
        if (!check_key(reader, entry, i)) {
            return false;
        }
        token_key *key = &reader->settings->token_keys[reader->settings->token_key_count++];
        const char *named = entry->directory ? "directory" : "public-key";
        settings_set_text(&key->place, config_place_of(reader, name_of(i, named).text).text);
        settings_set_text(&key->directory, entry->directory);
        settings_set_text(&key->directory_ca, entry->directory_ca);
        settings_set_text(&key->issuer, entry->issuer);
        settings_set_text(&key->origin, entry->origin);
        settings_set_text(&key->public_key, entry->public_key);
        config_take_file(reader, name_of(i, "private-key-file").text, entry->private_key_file, &key->private_key);
        if (!take_redemption(reader, entry, i, key) || !take_bounds(reader, entry, i, key)) {
            return false;
        }
    }
    return true;
}

static bool take_spent_tokens(mqd_reader *reader, const file_spent_tokens *spent) {
    static const char *const stores[2] = {"memory", "redis"};
    mqd_settings *settings = reader->settings;
    bool redis = false;
    if (!spent) {
        return true;
    }
    if (!config_take_word(reader, "auth.spent-tokens.store", spent->store, stores, &redis)) {
        return false;
    }
    const char *wrong = redis ? (spent->file ? "file" : NULL) : spent->url ? "url" : NULL;
    if (wrong || (redis && !spent->url)) {
        char key[64];
        snprintf(key, sizeof key, "auth.spent-tokens.%s", wrong ? wrong : "store");
        say(reader->message, "a store in memory may have a file, one in redis needs a url such as redis://host:6379");
        return config_complain_of(reader, key);
    }
    if (spent->most &&
        (!parse_whole_number(spent->most, &settings->spent.most, reader->message) || settings->spent.most == 0)) {
        say(reader->message, "expected the number of tokens that are kept at a time, such as 10000000");
        return config_complain_of(reader, "auth.spent-tokens.most");
    }
    settings_set_text(&settings->spent.file, spent->file);
    settings_set_text(&settings->spent.redis_url, spent->url);
    config_take_file(reader, "auth.spent-tokens.password-file", spent->password_file, &settings->spent.password);
    settings_set_text(&settings->spent.place,
                      config_place_of(reader, redis ? "auth.spent-tokens.url" : "auth.spent-tokens.file").text);
    return true;
}

static bool take_mtls(mqd_reader *reader, const file_mtls *mtls) {
    mqd_settings *settings = reader->settings;
    if (!mtls) {
        return true;
    }
    settings_set_text(&settings->certificate_rules_place, config_place_of(reader, "auth.mtls.allow").text);
    for (unsigned i = 0; i < mtls->allow_count; i++) {
        settings_add_certificate_rule(settings, mtls->allow[i]);
    }
    return config_take_truth(reader, "auth.mtls.required", mtls->required, &settings->certificate_needed) &&
           config_take_truth(reader, "auth.mtls.raw-public-keys", mtls->raw_public_keys, &settings->client_raw_keys);
}

bool config_take_auth(mqd_reader *reader, const file_auth *auth) {
    if (auth && auth->basic) {
        config_take_file(reader, "auth.basic.file", auth->basic->file, &reader->settings->basic);
    }
    return !auth || (config_take_truth(reader, "auth.challenge", auth->challenge, &reader->settings->challenge) &&
                     config_take_truth(reader, "auth.revoke-now", auth->revoke_now, &reader->settings->revoke_now) &&
                     take_preshared(reader, auth) && take_private_tokens(reader, auth) &&
                     take_mtls(reader, auth->mtls) && take_spent_tokens(reader, auth->spent_tokens));
}

/* --- quotas ------------------------------------------------------------------------------------------------------- */

static bool take_bound(mqd_reader *reader, unsigned index, const char *name, const char *text, uint64_t *bound) {
    char key[64];
    snprintf(key, sizeof key, "quotas[%u].%s", index, name);
    if (text && (!parse_whole_number(text, bound, reader->message) || *bound == 0)) {
        say(reader->message, "expected a whole number from 1 on, not “%.40s”", text);
        return config_complain_of(reader, key);
    }
    return true;
}

static bool take_quota(mqd_reader *reader, const file_quota *entry, unsigned index) {
    char key[64];
    masque_quota quota = {.method = settings_method_name(entry->method), .identity = entry->identity};
    snprintf(key, sizeof key, "quotas[%u].method", index);
    if (!quota.method) {
        say(reader->message, "“%.40s” is no method; expected preshared, basic, private-token or mtls", entry->method);
        return config_complain_of(reader, key);
    }
    if (!take_bound(reader, index, "tunnels", entry->tunnels, &quota.tunnels_max) ||
        !take_bound(reader, index, "tunnels-per-second", entry->tunnels_per_second, &quota.tunnels_rate) ||
        !take_bound(reader, index, "bytes-per-hour", entry->bytes_per_hour, &quota.bytes_per_hour)) {
        return false;
    }
    if (!quota.tunnels_max && !quota.tunnels_rate && !quota.bytes_per_hour) {
        say(reader->message, "bounds nothing: give tunnels, tunnels-per-second or bytes-per-hour");
        return config_complain_of(reader, key);
    }
    settings_add_quota(reader->settings, &quota, config_place_of(reader, key).text);
    return true;
}

bool config_take_quotas(mqd_reader *reader, const file_quota *entries, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (!take_quota(reader, &entries[i], i)) {
            return false;
        }
    }
    return true;
}
