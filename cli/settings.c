#include "settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void say(mqd_message *message, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message->text, sizeof message->text, format, arguments);
    va_end(arguments);
}

static void *must_have(void *memory) {
    if (!memory) {
        fputs("masqueproxyd: out of memory while reading the configuration\n", stderr);
        exit(1);
    }
    return memory;
}

void settings_set_text(char **slot, const char *text) {
    char *copy = text ? must_have(strdup(text)) : NULL;
    free(*slot);
    *slot = copy;
}

void settings_init(mqd_settings *settings) {
    memset(settings, 0, sizeof *settings);
    masque_limits_init(&settings->limits);
    settings->log_level = MASQUE_LOG_INFO;
    settings->drain_timeout_ms = 30000;
    settings->spent.most = SPENT_TOKENS_DEFAULT;
}

void settings_set_file(mqd_file *file, const char *path, const char *place) {
    settings_set_text(&file->path, path);
    settings_set_text(&file->place, place);
}

static void free_file(mqd_file *file) {
    free(file->path);
    free(file->place);
}

static void free_listener(mqd_listener *listener) {
    free(listener->place);
    free_file(&listener->certificate);
    free_file(&listener->private_key);
}

static void free_quotas(mqd_settings *settings) {
    for (size_t i = 0; i < settings->quota_count; i++) {
        free(settings->quotas[i].place);
        free(settings->quotas[i].identity);
    }
    free(settings->quotas);
}

static void free_token_key(token_key *key) {
    free(key->place);
    free(key->issuer);
    free(key->origin);
    free(key->public_key);
    free(key->directory);
    free(key->directory_ca);
    free_file(&key->private_key);
    free(key->redemption_context);
    free_file(&key->redemption_secret);
}

static void free_role(role_settings *role) {
    free_file(&role->certificate);
    free_file(&role->private_key);
    free_file(&role->client_ca);
}

static void free_roles(mqd_settings *settings) {
    free_role(&settings->issuer.role);
    for (size_t i = 0; i < settings->issuer.key_count; i++) {
        free_file(&settings->issuer.keys[i].file);
    }
    free_role(&settings->attester.role);
    free(settings->attester.issuer);
    free_file(&settings->attester.issuer_ca);
    free_file(&settings->attester.basic);
}

void settings_free(mqd_settings *settings) {
    for (size_t i = 0; i < settings->preshared_count; i++) {
        preshared_key *key = &settings->preshared[i];
        if (key->value) {
            explicit_bzero(key->value, strlen(key->value));
        }
        free(key->name);
        free_file(&key->file);
        free(key->value);
    }
    for (size_t i = 0; i < settings->token_key_count; i++) {
        free_token_key(&settings->token_keys[i]);
    }
    free_roles(settings);
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        free_listener(&settings->listeners[i]);
    }
    free_quotas(settings);
    for (size_t i = 0; i < settings->geo.pool_count; i++) {
        free_file(&settings->geo.pools[i]);
    }
    free(settings->geo.pools);
    for (size_t i = 0; i < settings->geo.hint_key_count; i++) {
        free(settings->geo.hint_keys[i].kid);
        free_file(&settings->geo.hint_keys[i].file);
    }
    free(settings->geo.hint_keys);
    free(settings->geo.audience);
    free(settings->explain);
    free(settings->explain_target);
    free_file(&settings->geo.cities);
    free_file(&settings->geo.locations);
    free_file(&settings->basic);
    free(settings->spent.file);
    free(settings->spent.redis_url);
    free(settings->spent.place);
    free_file(&settings->spent.password);
    for (size_t i = 0; i < settings->quic_key_count; i++) {
        free_file(&settings->quic_keys[i].file);
    }
    free(settings->udp_template);
    free(settings->config_file);
    free_file(&settings->certificate);
    free_file(&settings->private_key);
    free_file(&settings->client_ca);
    free_file(&settings->client_crl);
    for (size_t i = 0; i < settings->certificate_rule_count; i++) {
        free(settings->certificate_rules[i]);
    }
    free(settings->certificate_rules);
    free(settings->certificate_rules_place);
    free(settings->rules);
    free(settings->dns_servers);
    free(settings->user);
    free(settings->user_place);
    memset(settings, 0, sizeof *settings);
}

bool parse_endpoint(const char *text, masque_address *address, mqd_message *message) {
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon && colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
    say(message, "“%.100s” is no address with a port; expected 192.0.2.1:443, [2001:db8::1]:443 or :443", text);
    if (port < 1 || port > 65535 || *end != 0) {
        return false;
    }
    size_t length = (size_t)(colon - text);
    if (length == 0) {
        *address = (masque_address){.family = MASQUE_IPV6};
    } else {
        bool bracket = text[0] == '[' && text[length - 1] == ']';
        size_t skip = bracket ? 1 : 0;
        if (masque_address_parse(address, text + skip, length - 2 * skip) != 0 ||
            bracket != (address->family == MASQUE_IPV6)) {
            return false;
        }
    }
    address->port = (uint16_t)port;
    return true;
}

bool settings_add_listener(mqd_settings *settings, const char *address, unsigned protocols, mqd_message *message) {
    if (settings->listener_count == LISTENERS_MAX) {
        say(message, "more than %d listening addresses", LISTENERS_MAX);
        return false;
    }
    mqd_listener *slot = &settings->listeners[settings->listener_count];
    if (!parse_endpoint(address, &slot->address, message)) {
        return false;
    }
    if (settings_find_listener(settings, &slot->address)) {
        say(message, "“%.100s” is listened on already", address);
        return false;
    }
    slot->protocols = protocols;
    settings->listener_count++;
    return true;
}

mqd_listener *settings_find_listener(mqd_settings *settings, const masque_address *address) {
    for (size_t i = 0; i < settings->listener_count; i++) {
        mqd_listener *listener = &settings->listeners[i];
        if (masque_address_same_ip(&listener->address, address) && listener->address.port == address->port) {
            return listener;
        }
    }
    return NULL;
}

bool settings_copy_listener(mqd_settings *settings, const mqd_listener *listener) {
    if (settings->listener_count == LISTENERS_MAX) {
        return false;
    }
    mqd_listener *copy = &settings->listeners[settings->listener_count++];
    *copy = *listener;
    copy->place = NULL;
    copy->certificate = copy->private_key = (mqd_file){.path = NULL};
    settings_set_text(&copy->place, listener->place);
    settings_set_file(&copy->certificate, listener->certificate.path, listener->certificate.place);
    settings_set_file(&copy->private_key, listener->private_key.path, listener->private_key.place);
    return true;
}

void settings_swap_listeners(mqd_settings *settings, mqd_settings *from) {
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        free_listener(&settings->listeners[i]);
    }
    memcpy(settings->listeners, from->listeners, sizeof settings->listeners);
    settings->listener_count = from->listener_count;
    memset(from->listeners, 0, sizeof from->listeners);
    from->listener_count = 0;
}

bool settings_add_rule(mqd_settings *settings, bool allow, const char *text, mqd_message *message) {
    masque_target_rule rule;
    const char *reason;
    if (masque_target_rule_parse(&rule, allow, text, &reason) != 0) {
        say(message, "“%.100s” is no target rule: %s", text, reason);
        return false;
    }
    masque_target_rule *rules =
        must_have(realloc(settings->rules, (settings->rule_count + 1) * sizeof *settings->rules));
    settings->rules = rules;
    rules[settings->rule_count++] = rule;
    return true;
}

void settings_add_certificate_rule(mqd_settings *settings, const char *rule) {
    size_t count = settings->certificate_rule_count + 1;
    settings->certificate_rules = must_have(realloc(settings->certificate_rules, count * sizeof(char *)));
    settings->certificate_rules[count - 1] = NULL;
    settings_set_text(&settings->certificate_rules[count - 1], rule);
    settings->certificate_rule_count = count;
}

void settings_add_pools(mqd_settings *settings, const char *path, const char *place) {
    geo_settings *geo = &settings->geo;
    geo->pools = must_have(realloc(geo->pools, (geo->pool_count + 1) * sizeof *geo->pools));
    geo->pools[geo->pool_count] = (mqd_file){.path = NULL};
    settings_set_file(&geo->pools[geo->pool_count++], path, place);
}

void settings_add_hint_key(mqd_settings *settings, const char *kid, const char *path, const char *place) {
    geo_settings *geo = &settings->geo;
    geo->hint_keys = must_have(realloc(geo->hint_keys, (geo->hint_key_count + 1) * sizeof *geo->hint_keys));
    hint_key_settings *key = &geo->hint_keys[geo->hint_key_count++];
    *key = (hint_key_settings){.kid = NULL};
    settings_set_text(&key->kid, kid);
    settings_set_file(&key->file, path, place);
}

bool settings_only_report(const mqd_settings *settings) {
    return settings->explain || settings->check_pools || settings->publish_geofeed;
}

void settings_add_quota(mqd_settings *settings, const masque_quota *quota, const char *place) {
    size_t count = settings->quota_count + 1;
    settings->quotas = must_have(realloc(settings->quotas, count * sizeof *settings->quotas));
    quota_settings *added = &settings->quotas[count - 1];
    *added = (quota_settings){.quota = *quota};
    settings_set_text(&added->place, place);
    settings_set_text(&added->identity, quota->identity);
    added->quota.identity = added->identity;
    settings->quota_count = count;
}

const char *settings_method_name(const char *key) {
    static const char *const names[][2] = {
        {"preshared", "preshared"}, {"basic", "basic"}, {"private-token", "privacy-pass"}, {"mtls", "certificate"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i][0], key) == 0) {
            return names[i][1];
        }
    }
    return NULL;
}

bool settings_add_preshared(mqd_settings *settings, const char *name, mqd_message *message) {
    if (settings->preshared_count == PRESHARED_MAX) {
        say(message, "more than %d pre-shared keys", PRESHARED_MAX);
        return false;
    }
    for (size_t i = 0; i < settings->preshared_count; i++) {
        if (strcmp(settings->preshared[i].name, name) == 0) {
            say(message, "there are two pre-shared keys with the name “%.63s”; each needs its own", name);
            return false;
        }
    }
    settings_set_text(&settings->preshared[settings->preshared_count++].name, name);
    return true;
}

void settings_set_key_file(mqd_settings *settings, const char *path, const char *place) {
    settings_set_file(&settings->preshared[settings->preshared_count - 1].file, path, place);
}

void settings_set_key_value(mqd_settings *settings, const char *value) {
    settings_set_text(&settings->preshared[settings->preshared_count - 1].value, value);
}

bool settings_set_log_level(mqd_settings *settings, const char *name, mqd_message *message) {
    static const char *const names[] = {[MASQUE_LOG_ERROR] = "error",
                                        [MASQUE_LOG_WARNING] = "warning",
                                        [MASQUE_LOG_INFO] = "info",
                                        [MASQUE_LOG_DEBUG] = "debug"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            settings->log_level = (masque_log_level)i;
            return true;
        }
    }
    say(message, "“%.40s” is no log level; expected error, warning, info or debug", name);
    return false;
}

bool parse_whole_number(const char *text, uint64_t *value, mqd_message *message) {
    size_t digits = strspn(text, "0123456789");
    bool valid = digits > 0 && digits <= 18 && text[digits] == 0 && (text[0] != '0' || digits == 1);
    if (!valid) {
        say(message, "expected a whole number without a unit, not “%.40s”", text);
        return false;
    }
    *value = strtoull(text, NULL, 10);
    return true;
}

bool parse_duration(const char *text, uint64_t *milliseconds, mqd_message *message) {
    static const struct {
        const char *unit;
        uint64_t milliseconds;
    } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;
    unsigned long long count = strtoull(text, &end, 10);
    bool number = text[0] >= '0' && text[0] <= '9' && count <= 1000000000;
    for (size_t i = 0; number && i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].unit) == 0) {
            *milliseconds = count * units[i].milliseconds;
            return true;
        }
    }
    say(message, "“%.40s” is no duration; expected a number with ms, s, m or h, such as 30s", text);
    return false;
}

bool parse_time(const char *text, masque_unix_time *time, mqd_message *message) {
    static const char *const formats[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"};
    uint64_t seconds;
    if (parse_whole_number(text, &seconds, message)) {
        *time = (masque_unix_time)seconds;
        return true;
    }
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        struct tm parts = {0};
        const char *end = strptime(text, formats[i], &parts);
        if (end && *end == 0) {
            *time = timegm(&parts);
            return true;
        }
    }
    say(message, "“%.40s” is no time; expected 2026-12-01, 2026-12-01T08:00:00Z, or seconds since 1970", text);
    return false;
}
