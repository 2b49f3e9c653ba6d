#include "config_roles.h"

#include <stdio.h>
#include <string.h>

#define TOKENS_PER_ACCOUNT_DEFAULT 1000u
#define PERIOD_DEFAULT_MS 3600000u
#define PERIOD_MIN_MS 1000u
#define PERIOD_MAX_MS (366ull * 24 * 3600000)

struct file_role_listener {
    char *address;
};

struct file_issuer_key {
    char *token_type;
    char *private_key_file;
    char *not_before;
};

static const cyaml_schema_field_t LISTENER_FIELDS[] = {
    NEEDED("address", file_role_listener, address, 100),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t LISTENER_ENTRY = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_role_listener, LISTENER_FIELDS)};

static const cyaml_schema_field_t ISSUER_KEY_FIELDS[] = {
    NEEDED("token-type", file_issuer_key, token_type, 10),
    NEEDED("private-key-file", file_issuer_key, private_key_file, 4096),
    TEXT("not-before", file_issuer_key, not_before),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t ISSUER_KEY_ENTRY = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_issuer_key, ISSUER_KEY_FIELDS)};

const cyaml_schema_field_t CONFIG_ISSUER_FIELDS[] = {
    LIST("listen", file_issuer, listen, &LISTENER_ENTRY), TEXT("certificate", file_issuer, certificate),
    TEXT("private-key", file_issuer, private_key),        TEXT("client-ca", file_issuer, client_ca),
    LIST("keys", file_issuer, keys, &ISSUER_KEY_ENTRY),   CYAML_FIELD_END,
};

const cyaml_schema_field_t CONFIG_ATTESTER_FIELDS[] = {
    LIST("listen", file_attester, listen, &LISTENER_ENTRY),
    TEXT("certificate", file_attester, certificate),
    TEXT("private-key", file_attester, private_key),
    TEXT("issuer", file_attester, issuer),
    TEXT("issuer-ca", file_attester, issuer_ca),
    CYAML_FIELD_MAPPING_PTR("basic", OPTIONAL, file_attester, basic, CONFIG_ACCOUNTS_FIELDS),
    TEXT("tokens-per-account", file_attester, tokens_per_account),
    TEXT("period", file_attester, period),
    CYAML_FIELD_END,
};

/* "issuer.FIELD" */
typedef struct role_key {
    char text[80];
} role_key;

static role_key key_of(const char *role, const char *field) {
    role_key key;
    snprintf(key.text, sizeof key.text, "%s.%s", role, field);
    return key;
}

/* Complains of what is missing at ROLE's own line. */
static bool need(mqd_reader *reader, const char *role, bool there, const char *what) {
    if (!there) {
        say(reader->message, "%s", what);
        return config_complain_of(reader, role);
    }
    return true;
}

static bool take_listeners(mqd_reader *reader, role_settings *settings, const char *role,
                           const file_role_listener *entries, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        char field[40];
        snprintf(field, sizeof field, "listen[%u].address", i);
        if (i == ROLE_LISTENERS_MAX) {
            say(reader->message, "more than %d addresses", ROLE_LISTENERS_MAX);
            return config_complain_of(reader, key_of(role, field).text);
        }
        if (!parse_endpoint(entries[i].address, &settings->listeners[i], reader->message)) {
            return config_complain_of(reader, key_of(role, field).text);
        }
        settings->listener_count++;
    }
    return need(reader, role, count > 0, "has no listen: where is it to be reached?") &&
           need(reader, role, settings->certificate.path && settings->private_key.path,
                "needs certificate and private-key for its HTTPS");
}

static bool take_issuer_key(mqd_reader *reader, const file_issuer_key *entry, unsigned index) {
    issuer_settings *issuer = &reader->settings->issuer;
    char field[60];
    snprintf(field, sizeof field, "keys[%u].token-type", index);
    if (index == ISSUER_KEYS_MAX) {
        say(reader->message, "more than %d keys", ISSUER_KEYS_MAX);
        return config_complain_of(reader, key_of("issuer", field).text);
    }
    issuer_key_settings *key = &issuer->keys[issuer->key_count++];
    bool rsa = strcmp(entry->token_type, "2") == 0;
    if (!rsa && strcmp(entry->token_type, "1") != 0) {
        say(reader->message, "“%.10s” is no token type; expected 2 (Blind RSA) or 1 (VOPRF)", entry->token_type);
        return config_complain_of(reader, key_of("issuer", field).text);
    }
    key->type = rsa ? MASQUE_TOKEN_BLIND_RSA : MASQUE_TOKEN_VOPRF;
    snprintf(field, sizeof field, "keys[%u].private-key-file", index);
    config_take_file(reader, key_of("issuer", field).text, entry->private_key_file, &key->file);
    snprintf(field, sizeof field, "keys[%u].not-before", index);
    if (entry->not_before && !parse_time(entry->not_before, &key->not_before, reader->message)) {
        return config_complain_of(reader, key_of("issuer", field).text);
    }
    return true;
}

static bool is_loopback(const masque_address *address) {
    static const uint8_t ipv6[16] = {[15] = 1};
    return address->family == MASQUE_IPV4 ? address->ip[0] == 127 : memcmp(address->ip, ipv6, sizeof ipv6) == 0;
}

bool config_take_issuer(mqd_reader *reader, const file_issuer *issuer) {
    role_settings *role = &reader->settings->issuer.role;
    if (!issuer) {
        return true;
    }
    config_take_file(reader, "issuer.certificate", issuer->certificate, &role->certificate);
    config_take_file(reader, "issuer.private-key", issuer->private_key, &role->private_key);
    config_take_file(reader, "issuer.client-ca", issuer->client_ca, &role->client_ca);
    if (!take_listeners(reader, role, "issuer", issuer->listen, issuer->listen_count) ||
        !need(reader, "issuer", issuer->keys_count > 0, "has no keys; `masqueproxy token keygen` makes one")) {
        return false;
    }
    bool open = false;
    for (size_t i = 0; i < role->listener_count; i++) {
        open = open || !is_loopback(&role->listeners[i]);
    }
    if (!need(
            reader, "issuer", !open || role->client_ca.path,
            "would sign for everybody who reaches it: give client-ca, whose certificates attesters show, or listen on "
            "127.0.0.1 alone")) {
        return false;
    }
    for (unsigned i = 0; i < issuer->keys_count; i++) {
        if (!take_issuer_key(reader, &issuer->keys[i], i)) {
            return false;
        }
    }
    return true;
}

static bool take_allowance(mqd_reader *reader, const file_attester *attester) {
    attester_settings *settings = &reader->settings->attester;
    settings->tokens_per_account = TOKENS_PER_ACCOUNT_DEFAULT;
    settings->period_ms = PERIOD_DEFAULT_MS;
    if (attester->tokens_per_account &&
        !parse_whole_number(attester->tokens_per_account, &settings->tokens_per_account, reader->message)) {
        return config_complain_of(reader, "attester.tokens-per-account");
    }
    if (settings->tokens_per_account == 0) {
        say(reader->message, "must be 1 or more; nobody would get a token");
        return config_complain_of(reader, "attester.tokens-per-account");
    }
    if (attester->period && !parse_duration(attester->period, &settings->period_ms, reader->message)) {
        return config_complain_of(reader, "attester.period");
    }
    if (settings->period_ms < PERIOD_MIN_MS || settings->period_ms > PERIOD_MAX_MS) {
        say(reader->message, "must be 1s to 8784h");
        return config_complain_of(reader, "attester.period");
    }
    return true;
}

bool config_take_attester(mqd_reader *reader, const file_attester *attester) {
    attester_settings *settings = &reader->settings->attester;
    if (!attester) {
        return true;
    }
    config_take_file(reader, "attester.certificate", attester->certificate, &settings->role.certificate);
    config_take_file(reader, "attester.private-key", attester->private_key, &settings->role.private_key);
    config_take_file(reader, "attester.issuer-ca", attester->issuer_ca, &settings->issuer_ca);
    config_take_file(reader, "attester.basic.file", attester->basic ? attester->basic->file : NULL, &settings->basic);
    settings_set_text(&settings->issuer, attester->issuer);
    if (attester->issuer && strncmp(attester->issuer, "https://", 8) != 0) {
        say(reader->message, "expected https://HOST[:PORT] of the issuer");
        return config_complain_of(reader, "attester.issuer");
    }
    return take_listeners(reader, &settings->role, "attester", attester->listen, attester->listen_count) &&
           need(reader, "attester", attester->issuer != NULL, "has no issuer such as https://issuer.example") &&
           need(reader, "attester", attester->basic != NULL,
                "knows nobody: give basic.file, a file of accounts as `htpasswd -B` makes it") &&
           take_allowance(reader, attester);
}
