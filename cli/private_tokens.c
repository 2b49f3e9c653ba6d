#include "private_tokens.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "files.h"
#include "random.h"
#include "tokens/issuer_role.h"

#define KEY_MAX 1024u

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

/* A key of VOPRF is a point; whoever checks its tokens needs the private half. *PRIVATE_BYTES is to be forgotten. */
static bool read_private(const token_key *key, masque_token_key *to, char **private_bytes, size_t *length,
                         mqd_message *message) {
    mqd_message why;
    bool voprf = to->length == MASQUE_VOPRF_PUBLIC_LENGTH;
    to->type = voprf ? MASQUE_TOKEN_VOPRF : MASQUE_TOKEN_BLIND_RSA;
    if (voprf != (key->private_key.path != NULL)) {
        say(message, "%.250s: %s", key->place,
            voprf ? "a key of type 1 (VOPRF) needs the issuer's private-key-file beside it"
                  : "a private-key-file belongs to keys of type 1 (VOPRF) alone, which have 49 bytes");
        return false;
    }
    if (!voprf) {
        return true;
    }
    *private_bytes = issuer_key_read(key->private_key.path, MASQUE_TOKEN_VOPRF, length, &why);
    to->private_bytes = (const uint8_t *)*private_bytes;
    if (!*private_bytes) {
        say(message, "%.200s: %.300s", key->private_key.place, why.text);
    }
    return *private_bytes != NULL;
}

static void complain_of_key(const token_key *key, int error, mqd_message *message) {
    if (error != MASQUE_ERR_INVALID) {
        say(message, "%.250s: %s", key->place, masque_error_text(error));
    } else if (key->private_key.path) {
        say(message, "%.250s: no key of a token issuer, one that is there already, or not that of private-key-file",
            key->place);
    } else {
        say(message,
            "%.250s: no key of a token issuer, or one that is there already; expected a token-key as the issuer's "
            "directory gives it: an RSA key of 2048 bits in Base64",
            key->place);
    }
}

static bool add_key(masque_token_origin *origin, const token_key *key, mqd_message *message) {
    uint8_t bytes[KEY_MAX];
    uint8_t redemption[MASQUE_REDEMPTION_LENGTH];
    char *private_bytes = NULL;
    size_t length = 0, private_length = 0;
    int error = MASQUE_ERR_STATE;
    masque_token_key given = {.issuer = key->issuer,
                              .origin_info = key->origin,
                              .bytes = bytes,
                              .not_before = key->not_before,
                              .not_after = key->not_after};
    bool decoded = masque_base64_decode(bytes, sizeof bytes, &length, key->public_key, strlen(key->public_key));
    given.length = length;
    if (!decoded) {
        complain_of_key(key, MASQUE_ERR_INVALID, message);
    } else if (read_private(key, &given, &private_bytes, &private_length, message) &&
               read_redemption(key, &given, redemption, message)) {
        error = masque_token_origin_add_key(origin, &given);
        if (error) {
            complain_of_key(key, error, message);
        }
    }
    forget_secret(private_bytes, private_length);
    explicit_bzero(redemption, sizeof redemption);
    return error == 0;
}

/* Those of the directory that KEY names, as far as it was fetched. One that can't be used is the issuer's mistake, and
   no reason to be without the others. */
static bool add_listed(masque_token_origin *origin, const token_key *key, token_directories *directories,
                       mqd_message *message) {
    uint8_t redemption[MASQUE_REDEMPTION_LENGTH];
    token_directory *listed = malloc(sizeof *listed);
    masque_token_key given = {.issuer = key->issuer, .origin_info = key->origin, .type = MASQUE_TOKEN_BLIND_RSA};
    bool read = read_redemption(key, &given, redemption, message);
    bool fetched = read && listed && token_directories_get(directories, key->directory, listed);
    if (!fetched) {
        masque_token_origin_expect_keys(origin);
    }
    if (fetched) {
        for (size_t i = 0; i < listed->count; i++) {
            const directory_key *one = &listed->keys[i];
            given.bytes = one->bytes;
            given.length = one->length;
            given.not_before = one->not_before > key->not_before ? one->not_before : key->not_before;
            given.not_after = key->not_after;
            if (one->type == MASQUE_TOKEN_BLIND_RSA) {
                (void)masque_token_origin_add_key(origin, &given);
            }
        }
    }
    free(listed);
    explicit_bzero(redemption, sizeof redemption);
    return read;
}

bool private_tokens_add(masque_config *config, const mqd_settings *settings, spent_store *store,
                        token_directories *directories, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random};
    const masque_token_origin_options options = {.clock = unix_clock, .spend = spent_store_spend, .context = store};
    masque_token_origin *origin = NULL;
    if (settings->token_key_count == 0) {
        return true;
    }
    int error = masque_token_origin_new(&origin, &options, &runtime);
    for (size_t i = 0; i < settings->token_key_count && !error; i++) {
        const token_key *key = &settings->token_keys[i];
        if (!(key->directory ? add_listed(origin, key, directories, message) : add_key(origin, key, message))) {
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

bool private_tokens_are_over(const mqd_settings *settings, mqd_message *message) {
    masque_unix_time now = unix_clock(NULL);
    for (size_t i = 0; i < settings->token_key_count; i++) {
        const token_key *key = &settings->token_keys[i];
        if (key->not_after && key->not_after <= now) {
            say(message, "%.250s: its not-after is past; its tokens are refused", key->place);
            return true;
        }
    }
    return false;
}
