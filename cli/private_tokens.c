#include "private_tokens.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "files.h"
#include "proxy_config.h"

#define KEY_MAX 1024u

static masque_unix_time unix_clock(void *context) {
    (void)context;
    return time(NULL);
}

/* Exactly MASQUE_REDEMPTION_LENGTH bytes of Base64. */
static bool read_redemption_bytes(const char *text, uint8_t *bytes) {
    size_t length;
    return masque_base64_decode(bytes, MASQUE_REDEMPTION_LENGTH, &length, text, strcspn(text, "\r\n")) &&
           length == MASQUE_REDEMPTION_LENGTH;
}

static bool read_redemption(const token_key *key, masque_token_key *to, uint8_t *bytes, mqd_message *message) {
    mqd_message why;
    size_t length = 0;
    if (key->redemption_context) {
        to->redemption = MASQUE_REDEMPTION_FIXED;
        to->redemption_bytes = bytes;
        if (!read_redemption_bytes(key->redemption_context, bytes)) {
            say(message, "%.250s: redemption-context is no Base64 of %d bytes", key->place, MASQUE_REDEMPTION_LENGTH);
            return false;
        }
    }
    if (!key->redemption_secret.path) {
        return true;
    }
    to->redemption = MASQUE_REDEMPTION_ROTATING;
    to->redemption_bytes = bytes;
    to->redemption_period = (uint32_t)(key->redemption_period_ms / 1000);
    char *text = read_secret_file(key->redemption_secret.path, &length, &why);
    bool good = text && read_redemption_bytes(text, bytes);
    if (text && !good) {
        say(&why, "no secret in %.150s; expected Base64 of %d bytes, as `openssl rand -base64 %d` makes it",
            key->redemption_secret.path, MASQUE_REDEMPTION_LENGTH, MASQUE_REDEMPTION_LENGTH);
    }
    if (!good) {
        say(message, "%.200s: %.300s", key->redemption_secret.place, why.text);
    }
    forget_secret(text, length);
    return good;
}

static bool add_key(masque_token_origin *origin, const token_key *key, mqd_message *message) {
    uint8_t bytes[KEY_MAX];
    uint8_t redemption[MASQUE_REDEMPTION_LENGTH];
    size_t length = 0;
    masque_token_key given = {.issuer = key->issuer,
                              .origin_info = key->origin,
                              .type = MASQUE_TOKEN_BLIND_RSA,
                              .bytes = bytes,
                              .not_before = key->not_before,
                              .not_after = key->not_after};
    bool decoded = masque_base64_decode(bytes, sizeof bytes, &length, key->public_key, strlen(key->public_key));
    given.length = length;
    if (!read_redemption(key, &given, redemption, message)) {
        return false;
    }
    int error = decoded ? masque_token_origin_add_key(origin, &given) : MASQUE_ERR_INVALID;
    explicit_bzero(redemption, sizeof redemption);
    if (error == MASQUE_ERR_INVALID) {
        say(message,
            "%.250s: no key of a token issuer, or one that is there already; expected a token-key as the issuer's "
            "directory gives it: an RSA key of 2048 bits in Base64",
            key->place);
    } else if (error) {
        say(message, "%.250s: %s", key->place, masque_error_text(error));
    }
    return error == 0;
}

bool private_tokens_add(masque_config *config, const mqd_settings *settings, spent_store *store, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random};
    const masque_token_origin_options options = {.clock = unix_clock, .spend = spent_store_spend, .context = store};
    masque_token_origin *origin = NULL;
    if (settings->token_key_count == 0) {
        return true;
    }
    int error = masque_token_origin_new(&origin, &options, &runtime);
    for (size_t i = 0; i < settings->token_key_count && !error; i++) {
        if (!add_key(origin, &settings->token_keys[i], message)) {
            masque_token_origin_free(origin);
            return false;
        }
    }
    if (!error) {
        const masque_auth_method method = masque_token_origin_method(origin);
        error = masque_config_add_auth_method(config, &method);
        if (error) {
            method.release(method.context);
        }
    }
    if (error) {
        say(message, "private-token: %s", masque_error_text(error));
    }
    return error == 0;
}
