#include "config_listeners.h"

#include <stdio.h>
#include <string.h>

static const cyaml_schema_value_t WORD_ENTRY = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 40)};

static const cyaml_schema_field_t LISTENER_FIELDS[] = {
    NEEDED("address", file_listener, address, 100),
    CYAML_FIELD_SEQUENCE("protocols", OPTIONAL, file_listener, protocols, &WORD_ENTRY, 1, 8),
    TEXT("certificate", file_listener, certificate),
    TEXT("private-key", file_listener, private_key),
    TEXT("raw-public-key", file_listener, raw_public_key),
    CYAML_FIELD_SEQUENCE("auth", OPTIONAL, file_listener, auth, &WORD_ENTRY, 1, METHODS_MAX),
    TEXT("mtls-required", file_listener, mtls_required),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t CONFIG_LISTENER_ENTRY = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_listener, LISTENER_FIELDS)};

/* "listen[2].FIELD" */
typedef struct listener_key {
    char text[64];
} listener_key;

static listener_key key_of(unsigned index, const char *field) {
    listener_key key;
    snprintf(key.text, sizeof key.text, "listen[%u]%s", index, field);
    return key;
}

static bool take_protocols(mqd_reader *reader, const file_listener *entry, unsigned index, unsigned *protocols) {
    *protocols = entry->protocols ? 0 : PROTOCOLS_DEFAULT;
    for (unsigned i = 0; i < entry->protocols_count; i++) {
        char key[64];
        if (strcmp(entry->protocols[i], "h2") == 0) {
            *protocols |= MASQUE_PROTOCOL_H2;
        } else if (strcmp(entry->protocols[i], "h3") == 0) {
            *protocols |= MASQUE_PROTOCOL_H3;
        } else if (strcmp(entry->protocols[i], "http/1.1") == 0) {
            *protocols |= MASQUE_PROTOCOL_HTTP11;
        } else {
            snprintf(key, sizeof key, "listen[%u].protocols[%u]", index, i);
            say(reader->message, "“%.40s” is no protocol of this version; expected h3, h2 or http/1.1",
                entry->protocols[i]);
            return config_complain_of(reader, key);
        }
    }
    return true;
}

static bool take_methods(mqd_reader *reader, const file_listener *entry, unsigned index, mqd_listener *listener) {
    bool certificates = false;
    for (unsigned i = 0; i < entry->auth_count; i++) {
        const char *name = settings_method_name(entry->auth[i]);
        if (!name) {
            say(reader->message, "“%.40s” is no method; expected preshared, basic, private-token or mtls",
                entry->auth[i]);
            return config_complain_of(reader, key_of(index, ".auth").text);
        }
        certificates = certificates || strcmp(entry->auth[i], "mtls") == 0;
        listener->methods[listener->method_count++] = name;
    }
    if (entry->mtls_required && !certificates) {
        say(reader->message, "needs mtls in the listener's list `auth`");
        return config_complain_of(reader, key_of(index, ".mtls-required").text);
    }
    return config_take_truth(reader, key_of(index, ".mtls-required").text, entry->mtls_required,
                             &listener->needs_certificate);
}

/* A certificate and its key, or a key alone. */
static bool take_key(mqd_reader *reader, const file_listener *entry, unsigned index, mqd_listener *listener) {
    bool raw = false;
    if (!config_take_truth(reader, key_of(index, ".raw-public-key").text, entry->raw_public_key, &raw)) {
        return false;
    }
    config_take_file(reader, key_of(index, ".certificate").text, entry->certificate, &listener->certificate);
    config_take_file(reader, key_of(index, ".private-key").text, entry->private_key, &listener->private_key);
    bool any = entry->certificate || entry->private_key || raw;
    if (any && (!entry->private_key || raw == (entry->certificate != NULL))) {
        say(reader->message, "give certificate and private-key, or private-key and raw-public-key: true");
        return config_complain_of(reader, key_of(index, entry->certificate ? ".certificate" : ".private-key").text);
    }
    return true;
}

static bool take_listener(mqd_reader *reader, const file_listener *entry, unsigned index) {
    unsigned protocols;
    mqd_settings *settings = reader->settings;
    if (!take_protocols(reader, entry, index, &protocols)) {
        return false;
    }
    if (!settings_add_listener(settings, entry->address, protocols, reader->message)) {
        return config_complain_of(reader, key_of(index, ".address").text);
    }
    mqd_listener *listener = &settings->listeners[settings->listener_count - 1];
    if (entry->auth_count > 0 || entry->mtls_required || entry->private_key || entry->certificate) {
        settings_set_text(&listener->place, config_place_of(reader, key_of(index, "").text).text);
    }
    return take_methods(reader, entry, index, listener) && take_key(reader, entry, index, listener);
}

bool config_take_listeners(mqd_reader *reader, const file_listener *entries, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (!take_listener(reader, &entries[i], i)) {
            return false;
        }
    }
    return true;
}
