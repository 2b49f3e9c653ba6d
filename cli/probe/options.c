#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "tokens/wallet.h"

#define TIMEOUT_DEFAULT_MS 30000u
#define CREDENTIAL_MAX 4096

typedef struct flag_row {
    const char *name;
    const char *argument; /* NULL: none */
    const char *help;
    bool (*take)(probe_options *options, const char *value, mqd_message *message);
} flag_row;

/* --- flags ------------------------------------------------------------------------------ */

/* "https://proxy.example:443/", or without scheme, port and path. */
static bool take_proxy(probe_options *options, const char *value, mqd_message *message) {
    static const char scheme[] = "https://";
    const char *host = strncmp(value, scheme, sizeof scheme - 1) == 0 ? value + sizeof scheme - 1 : value;
    size_t length = strcspn(host, "/");
    if (strstr(value, "://") && host == value) {
        say(message, "“%.100s” is no proxy; expected https://HOST[:PORT]", value);
        return false;
    }
    const char *bracket = memchr(host, ']', length);
    bool has_port = memchr(bracket ? bracket : host, ':', length - (size_t)((bracket ? bracket : host) - host)) != NULL;
    free(options->proxy);
    if (asprintf(&options->proxy, "%.*s%s", (int)length, host, has_port ? "" : ":443") < 0) {
        abort();
    }
    return true;
}

static bool take_protocol(probe_options *options, unsigned protocol) {
    options->protocols[0] = protocol;
    options->protocol_count = 1;
    return true;
}

static bool take_http3(probe_options *options, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    return take_protocol(options, MASQUE_PROTOCOL_H3);
}

static bool take_http2(probe_options *options, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    return take_protocol(options, MASQUE_PROTOCOL_H2);
}

static bool take_http1(probe_options *options, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    return take_protocol(options, MASQUE_PROTOCOL_HTTP11);
}

static bool take_ca(probe_options *options, const char *value, mqd_message *message) {
    free(options->trust);
    options->trust = read_whole_file(value, &options->trust_length, message);
    return options->trust != NULL;
}

static bool take_certificate(probe_options *options, const char *value, mqd_message *message) {
    free(options->certificate);
    options->certificate = read_whole_file(value, &options->certificate_length, message);
    return options->certificate != NULL;
}

static bool take_private_key(probe_options *options, const char *value, mqd_message *message) {
    forget_secret(options->private_key, options->private_key_length);
    options->private_key = read_secret_file(value, &options->private_key_length, message);
    return options->private_key != NULL;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static bool take_proxy_key(probe_options *options, const char *value, mqd_message *message) {
    const char *digits = strncmp(value, "sha256:", 7) == 0 ? value + 7 : value;
    options->has_proxy_key = strlen(digits) == 64;
    for (size_t i = 0; i < 32 && options->has_proxy_key; i++) {
        int high = hex_digit(digits[2 * i]), low = hex_digit(digits[2 * i + 1]);
        options->has_proxy_key = high >= 0 && low >= 0;
        options->proxy_key[i] = (uint8_t)(high << 4 | low);
    }
    if (!options->has_proxy_key) {
        say(message,
            "--proxy-key: “%.80s” is no hash of a key; expected sha256: and 64 hexadecimal digits, as `openssl "
            "pkey -in KEY -pubout -outform DER | sha256sum` says them",
            value);
    }
    return options->has_proxy_key;
}

static bool take_insecure(probe_options *options, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    free(options->trust);
    options->trust = NULL;
    options->trust_length = SIZE_MAX; /* told so */
    return true;
}

static bool set_key(probe_options *options, const char *key, mqd_message *message) {
    size_t length = strcspn(key, "\r\n");
    if (length == 0 || length > CREDENTIAL_MAX) {
        say(message, "a pre-shared key has 1 to %d bytes on one line", CREDENTIAL_MAX);
        return false;
    }
    free(options->credential);
    if (asprintf(&options->credential, "Preshared %.*s", (int)length, key) < 0) {
        abort();
    }
    return true;
}

static bool take_key_file(probe_options *options, const char *value, mqd_message *message) {
    size_t length;
    char *key = read_secret_file(value, &length, message);
    bool good = key && set_key(options, key, message);
    if (key) {
        explicit_bzero(key, length);
    }
    free(key);
    return good;
}

static bool take_token_wallet(probe_options *options, const char *value, mqd_message *message) {
    (void)message;
    options->token_wallet = value;
    return true;
}

/* One token for this one tunnel; it is gone from the wallet whatever becomes of it. */
static bool use_token(probe_options *options, mqd_message *message) {
    wallet_token token;
    if (!wallet_take(options->token_wallet, &token, message)) {
        return false;
    }
    free(options->credential);
    if (asprintf(&options->credential, "PrivateToken token=%s", token.text) < 0) {
        abort();
    }
    explicit_bzero(&token, sizeof token);
    return true;
}

static bool take_geohash(probe_options *options, const char *value, mqd_message *message) {
    (void)message;
    options->geohash = value;
    return true;
}

static bool take_output(probe_options *options, const char *value, mqd_message *message) {
    (void)message;
    options->output = value;
    return true;
}

static bool take_timeout(probe_options *options, const char *value, mqd_message *message) {
    return parse_duration(value, &options->timeout_ms, message);
}

static bool take_json(probe_options *options, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    options->json = true;
    return true;
}

static bool take_verbose(probe_options *options, const char *value, mqd_message *message) {
    (void)value;
    (void)message;
    options->verbose = true;
    return true;
}

static const flag_row ROWS[] = {
    {"proxy", "URL", "the proxy, https://HOST[:PORT]; mandatory", take_proxy},
    {"http3", NULL, "only HTTP/3; unless told: HTTP/3, then HTTP/2, then HTTP/1.1", take_http3},
    {"http2", NULL, "only HTTP/2", take_http2},
    {"http1", NULL, "only HTTP/1.1", take_http1},
    {"ca", "FILE", "trust these certificates, PEM, of proxy and target; unless told: the system's", take_ca},
    {"certificate", "FILE", "show the proxy this certificate, PEM; with --private-key", take_certificate},
    {"private-key", "FILE", "of that certificate, PEM; alone it is a raw public key (RFC 7250)", take_private_key},
    {"proxy-key", "HASH", "trust the proxy by its raw public key, sha256:HEX, and by no certificate", take_proxy_key},
    {"insecure", NULL, "trust anybody; for tests", take_insecure},
    {"preshared-key-file", "FILE", "the proxy's key; or MASQUE_PRESHARED_KEY in the environment", take_key_file},
    {"token-wallet", "FILE", "show a Privacy Pass token of this wallet to the proxy", take_token_wallet},
    {"geohash", "VALUE", "sec-ch-geohash, e.g. xn76c-JP", take_geohash},
    {"output", "FILE", "get: write the body there", take_output},
    {"timeout", "DURATION", "for everything together: 30s unless told", take_timeout},
    {"json", NULL, "report in JSON, on standard output; get then drops the body unless --output", take_json},
    {"verbose", NULL, "say each stage on standard error", take_verbose},
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])

void options_print(void) {
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", ROWS[i].name, ROWS[i].argument ? " " : "",
                 ROWS[i].argument ? ROWS[i].argument : "");
        printf("  %-28s %s\n", left, ROWS[i].help);
    }
}

/* --- what wasn't told ----------------------------------------------------------------------- */

static bool find_trust(probe_options *options, mqd_message *message) {
    static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                         "/etc/ssl/cert.pem"};
    const char *named = getenv("SSL_CERT_FILE");
    if (options->trust || options->trust_length == SIZE_MAX) {
        return true;
    }
    if (named) {
        return take_ca(options, named, message);
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (access(places[i], R_OK) == 0) {
            return take_ca(options, places[i], message);
        }
    }
    say(message, "no trusted certificates on this system; name some with --ca FILE");
    return false;
}

static bool complete(probe_options *options, mqd_message *message) {
    const char *key = getenv("MASQUE_PRESHARED_KEY");
    if (!options->proxy) {
        say(message, "which proxy? --proxy https://HOST[:PORT]");
        return false;
    }
    if (options->certificate && !options->private_key) {
        say(message, "--certificate needs --private-key");
        return false;
    }
    if (options->protocol_count == 0) {
        options->protocols[options->protocol_count++] = MASQUE_PROTOCOL_H3;
        options->protocols[options->protocol_count++] = MASQUE_PROTOCOL_ALL;
    }
    if (!options->credential && key && !set_key(options, key, message)) {
        return false;
    }
    return find_trust(options, message) && (!options->token_wallet || use_token(options, message));
}

probe_exit options_read(probe_options *options, int argc, char **argv, mqd_message *message) {
    struct option rows[ROW_COUNT + 1];
    *options = (probe_options){.timeout_ms = TIMEOUT_DEFAULT_MS};
    memset(rows, 0, sizeof rows);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        rows[i] = (struct option){.name = ROWS[i].name, .has_arg = ROWS[i].argument ? required_argument : no_argument};
    }
    int row = 0;
    int found;
    opterr = 0;
    while ((found = getopt_long(argc, argv, ":", rows, &row)) == 0) {
        if (!ROWS[row].take(options, optarg, message)) {
            return EXIT_USAGE;
        }
    }
    if (found != -1) {
        const char *why = found == ':' ? "needs a value" : "is no flag; masqueproxy --help has them";
        say(message, "%.100s %s", argv[optind - 1], why);
        return EXIT_USAGE;
    }
    if (optind + 1 != argc) {
        say(message, "expected one argument behind the subcommand; masqueproxy --help shows it");
        return EXIT_USAGE;
    }
    options->argument = argv[optind];
    return complete(options, message) ? EXIT_OK : EXIT_USAGE;
}

void options_free(probe_options *options) {
    if (options->credential) {
        explicit_bzero(options->credential, strlen(options->credential));
    }
    free(options->credential);
    free(options->proxy);
    free(options->trust);
    free(options->certificate);
    forget_secret(options->private_key, options->private_key_length);
}
