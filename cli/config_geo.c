#include "config_geo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cyaml_schema_value_t PATH_ENTRY = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 1, 4096)};

static const cyaml_schema_field_t DEFAULT_POOL_FIELDS[] = {
    NEEDED("country", file_default_pool, country, 40),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t HINT_KEY_FIELDS[] = {
    NEEDED("kid", file_hint_key, kid, MASQUE_HINT_KID_MAX),
    NEEDED("public-key", file_hint_key, public_key, 4096),
    CYAML_FIELD_END,
};
static const cyaml_schema_value_t HINT_KEY_ENTRY = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, file_hint_key, HINT_KEY_FIELDS)};

const cyaml_schema_field_t CONFIG_GEO_FIELDS[] = {
    LIST("pools", file_geo, pools, &PATH_ENTRY),
    TEXT("cities", file_geo, cities),
    CYAML_FIELD_MAPPING_PTR("default-pool", OPTIONAL, file_geo, default_pool, DEFAULT_POOL_FIELDS),
    TEXT("precision", file_geo, precision),
    TEXT("city-precision", file_geo, city_precision),
    TEXT("coarse", file_geo, coarse),
    TEXT("client-locations", file_geo, client_locations),
    TEXT("lenient", file_geo, lenient),
    TEXT("freebind", file_geo, freebind),
    TEXT("port-range", file_geo, port_range),
    LIST("hint-keys", file_geo, hint_keys, &HINT_KEY_ENTRY),
    TEXT("audience", file_geo, audience),
    TEXT("require-signed", file_geo, require_signed),
    TEXT("hint-lifetime", file_geo, hint_lifetime),
    CYAML_FIELD_END,
};

static bool take_characters(mqd_reader *reader, const char *key, const char *text, unsigned least, unsigned most,
                            unsigned *characters) {
    uint64_t number;
    if (!text) {
        return true;
    }
    if (!parse_whole_number(text, &number, reader->message) || number < least || number > most) {
        say(reader->message, "expected %u to %u characters of a geohash", least, most);
        return config_complain_of(reader, key);
    }
    *characters = (unsigned)number;
    return true;
}

/* The number of TEXT among WORDS; 0 for none. */
static bool take_one_of(mqd_reader *reader, const char *key, const char *text, const char *const words[3],
                        unsigned *number) {
    for (unsigned i = 0; i < 3; i++) {
        if (!text || strcmp(text, words[i]) == 0) {
            *number = text ? i : 0;
            return true;
        }
    }
    say(reader->message, "“%.40s” is none of %s, %s and %s", text, words[0], words[1], words[2]);
    return config_complain_of(reader, key);
}

static bool take_coarse(mqd_reader *reader, const char *text, unsigned *coarse) {
    static const char *const words[] = {"off", "country", "timezone"};
    return take_one_of(reader, "geo.coarse", text, words, coarse);
}

static bool take_hint_lifetime(mqd_reader *reader, const char *text, uint64_t *seconds) {
    uint64_t milliseconds = 0;
    if (!text) {
        return true;
    }
    if (!parse_duration(text, &milliseconds, reader->message) || milliseconds < 1000 || milliseconds > 86400000) {
        say(reader->message, "expected 1s to 24h");
        return config_complain_of(reader, "geo.hint-lifetime");
    }
    *seconds = milliseconds / 1000;
    return true;
}

static bool take_hints(mqd_reader *reader, const file_geo *geo, geo_settings *settings) {
    static const char *const words[] = {"off", "absent", "refuse"};
    unsigned need = 0;
    for (unsigned i = 0; i < geo->hint_keys_count; i++) {
        char key[40];
        snprintf(key, sizeof key, "geo.hint-keys[%u]", i);
        settings_add_hint_key(reader->settings, geo->hint_keys[i].kid, geo->hint_keys[i].public_key,
                              config_place_of(reader, key).text);
    }
    if (!take_one_of(reader, "geo.require-signed", geo->require_signed, words, &need) ||
        !take_hint_lifetime(reader, geo->hint_lifetime, &settings->hint_lifetime_s)) {
        return false;
    }
    settings->hint_need = (masque_hint_need)need;
    if (need > 0 && geo->hint_keys_count == 0) {
        say(reader->message, "nobody could sign a hint: give geo.hint-keys");
        return config_complain_of(reader, "geo.require-signed");
    }
    if (geo->hint_keys_count > 0 && !geo->audience) {
        say(reader->message, "hints are signed for one proxy: give geo.audience, the name that they have for this one");
        return config_complain_of(reader, "geo.hint-keys");
    }
    if (geo->audience && strlen(geo->audience) > MASQUE_HINT_AUDIENCE_MAX) {
        say(reader->message, "longer than %d characters", MASQUE_HINT_AUDIENCE_MAX);
        return config_complain_of(reader, "geo.audience");
    }
    if (geo->audience) {
        settings_set_text(&settings->audience, geo->audience);
    }
    return true;
}

static bool take_port_range(mqd_reader *reader, const char *text, geo_settings *geo) {
    char *end = NULL;
    if (!text) {
        return true;
    }
    unsigned long first = text[0] >= '1' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    unsigned long last = end && *end == '-' && end[1] >= '1' && end[1] <= '9' ? strtoul(end + 1, &end, 10) : 0;
    if (first < 1 || last < first || last > 65535 || *end) {
        say(reader->message, "“%.40s” is no range of ports; expected one such as 20000-29999", text);
        return config_complain_of(reader, "geo.port-range");
    }
    geo->source.port_first = (uint16_t)first;
    geo->source.port_last = (uint16_t)last;
    return true;
}

static bool take_default(mqd_reader *reader, const file_default_pool *entry, char country[3]) {
    masque_place place;
    char text[8];
    if (!entry) {
        return true;
    }
    snprintf(text, sizeof text, "0-%.4s", entry->country);
    if (strlen(entry->country) != 2 || !masque_place_parse(&place, text, strlen(text))) {
        say(reader->message, "“%.40s” is no country; expected two capitals such as JP", entry->country);
        return config_complain_of(reader, "geo.default-pool.country");
    }
    memcpy(country, place.country, 3);
    return true;
}

bool config_take_geo(mqd_reader *reader, const file_geo *geo) {
    geo_settings *settings = &reader->settings->geo;
    if (!geo) {
        return true;
    }
    for (unsigned i = 0; i < geo->pools_count; i++) {
        char key[40];
        snprintf(key, sizeof key, "geo.pools[%u]", i);
        settings_add_pools(reader->settings, geo->pools[i], config_place_of(reader, key).text);
    }
    if (geo->pools_count == 0) {
        say(reader->message, "has no pools: which of our addresses are registered where? Name a geofeed (RFC 8805)");
        return config_complain_of(reader, "geo");
    }
    config_take_file(reader, "geo.cities", geo->cities, &settings->cities);
    config_take_file(reader, "geo.client-locations", geo->client_locations, &settings->locations);
    return take_default(reader, geo->default_pool, settings->options.default_country) &&
           take_characters(reader, "geo.precision", geo->precision, 1, MASQUE_GEOHASH_MAX,
                           &settings->options.precision) &&
           take_characters(reader, "geo.city-precision", geo->city_precision, 3, 10,
                           &settings->options.city_precision) &&
           take_coarse(reader, geo->coarse, &settings->options.coarse) && take_hints(reader, geo, settings) &&
           config_take_truth(reader, "geo.lenient", geo->lenient, &settings->lenient) &&
           config_take_truth(reader, "geo.freebind", geo->freebind, &settings->source.freebind) &&
           take_port_range(reader, geo->port_range, settings);
}
