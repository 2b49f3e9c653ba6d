/*
 * probe/hint.c: masqueproxy hint: keys for who vouches for clients' places, hints, and a look at them
 * (masqueproxy/hint.h).
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "files.h"
#include "p256_keygen.h"
#include "random.h"

#define LIFETIME_USUAL_MS 300000u

typedef struct hint_options {
    const char *out, *key, *place, *audience, *kid, *hint;
    uint64_t lifetime_ms;
} hint_options;

static const struct option FLAGS[] = {
    {"out", required_argument, NULL, 'o'},      {"key", required_argument, NULL, 'k'},
    {"place", required_argument, NULL, 'p'},    {"audience", required_argument, NULL, 'a'},
    {"kid", required_argument, NULL, 'i'},      {"hint", required_argument, NULL, 'h'},
    {"lifetime", required_argument, NULL, 'l'}, {NULL, 0, NULL, 0},
};

void command_hint_print(void) {
    puts("\nFlags of masqueproxy hint:\n"
         "  --out FILE                   keygen: where the private key goes; there must be none yet\n"
         "  --key FILE                   sign: the private key; verify: the public one, PEM\n"
         "  --place PLACE                sign: such as xn76c-JP\n"
         "  --audience NAME              sign, verify: the proxy's, its geo.audience\n"
         "  --kid NAME                   sign: the key's, as geo.hint-keys has it\n"
         "  --lifetime DURATION          sign: unless told, 5m\n"
         "  --hint VALUE                 verify: the value of sec-ch-geohash");
}

static masque_runtime runtime_of(void) {
    return (masque_runtime){.random = system_random};
}

static bool run_keygen(const hint_options *options, mqd_message *message) {
    p256_keypair pair;
    if (!options->out) {
        say(message, "--out is mandatory");
        return false;
    }
    if (!p256_keygen(&pair)) {
        say(message, "no key could be made");
        return false;
    }
    bool done = write_new_secret(options->out, pair.private_pem, strlen(pair.private_pem), message);
    if (done) {
        fputs(pair.public_pem, stdout);
    }
    explicit_bzero(&pair, sizeof pair);
    return done;
}

static bool run_sign(const hint_options *options, mqd_message *message) {
    const masque_runtime runtime = runtime_of();
    masque_hint hint = {.expires = (masque_unix_time)time(NULL) + (masque_unix_time)(options->lifetime_ms / 1000)};
    char text[MASQUE_HINT_MAX];
    size_t length;
    if (!options->key || !options->place || !options->audience || !options->kid) {
        say(message, "--key, --place, --audience and --kid are mandatory");
        return false;
    }
    if (!masque_place_parse(&hint.place, options->place, strlen(options->place))) {
        say(message, "“%.60s” is no place; expected one such as xn76c-JP", options->place);
        return false;
    }
    if (strlen(options->audience) > MASQUE_HINT_AUDIENCE_MAX || strlen(options->kid) > MASQUE_HINT_KID_MAX) {
        say(message, "an audience has at most %d characters, a kid %d", MASQUE_HINT_AUDIENCE_MAX, MASQUE_HINT_KID_MAX);
        return false;
    }
    snprintf(hint.audience, sizeof hint.audience, "%s", options->audience);
    snprintf(hint.kid, sizeof hint.kid, "%s", options->kid);
    char *pem = read_secret_file(options->key, &length, message);
    if (!pem) {
        return false;
    }
    int error = masque_hint_sign(&runtime, &hint, pem, length, text);
    forget_secret(pem, length);
    if (error) {
        say(message, "%s",
            error == MASQUE_ERR_INVALID ? "audience and kid are visible ASCII characters without quotes and backslashes"
            : error == MASQUE_ERR_PRIVATE_KEY ? "--key is no private key of P-256 in PEM"
                                              : masque_error_text(error));
        return false;
    }
    puts(text);
    return true;
}

static bool print_hint(const masque_hint *hint, const hint_options *options, mqd_message *message) {
    masque_unix_time now = (masque_unix_time)time(NULL);
    if (options->audience && strcmp(options->audience, hint->audience) != 0) {
        say(message, "it is for the audience “%.255s”", hint->audience);
        return false;
    }
    if (hint->expires <= now) {
        say(message, "it ended %lld seconds ago", (long long)(now - hint->expires));
        return false;
    }
    printf("%s-%s, signed by %s for %s, ends in %lld s\n", hint->place.geohash, hint->place.country,
           hint->kid[0] ? hint->kid : "a key without a name", hint->audience[0] ? hint->audience : "anybody",
           (long long)(hint->expires - now));
    return true;
}

static bool run_verify(const hint_options *options, mqd_message *message) {
    const masque_runtime runtime = runtime_of();
    masque_hint hint;
    size_t length;
    if (!options->key || !options->hint) {
        say(message, "--key and --hint are mandatory");
        return false;
    }
    if (!masque_hint_read(&hint, options->hint, strlen(options->hint))) {
        say(message, "it is malformed: proxies answer 400");
        return false;
    }
    char *pem = read_whole_file(options->key, &length, message);
    if (!pem) {
        return false;
    }
    int error = masque_hint_verify(&runtime, options->hint, strlen(options->hint), pem, length);
    free(pem);
    if (error) {
        say(message, "%s",
            error == MASQUE_ERR_DENIED
                ? (hint.is_signed ? "another key signed it, or it was changed" : "it is not signed")
            : error == MASQUE_ERR_INVALID ? "--key is no public key of P-256 in PEM"
                                          : masque_error_text(error));
        return false;
    }
    return print_hint(&hint, options, message);
}

static bool read_flags(hint_options *options, int argc, char **argv, mqd_message *message) {
    int chosen;
    opterr = 0;
    optind = 0;
    while ((chosen = getopt_long(argc, argv, ":", FLAGS, NULL)) != -1) {
        static const char letters[] = "okpaih";
        const char **const texts[] = {&options->out,      &options->key, &options->place,
                                      &options->audience, &options->kid, &options->hint};
        const char *at = strchr(letters, chosen);
        if (at) {
            *texts[at - letters] = optarg;
        } else if (chosen != 'l') {
            say(message, "%.100s: %s; see masqueproxy --help", argv[optind - 1],
                chosen == ':' ? "needs a value" : "unknown flag");
            return false;
        } else if (!parse_duration(optarg, &options->lifetime_ms, message)) {
            return false;
        }
    }
    if (optind < argc) {
        say(message, "%.100s: unexpected argument; see masqueproxy --help", argv[optind]);
        return false;
    }
    return true;
}

probe_exit command_hint(int argc, char **argv) {
    static const struct {
        const char *name;
        bool (*run)(const hint_options *options, mqd_message *message);
    } rows[] = {{"keygen", run_keygen}, {"sign", run_sign}, {"verify", run_verify}};
    hint_options options = {.lifetime_ms = LIFETIME_USUAL_MS};
    mqd_message message;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (argc < 2 || strcmp(argv[1], rows[i].name) != 0) {
            continue;
        }
        if (read_flags(&options, argc - 1, argv + 1, &message) && rows[i].run(&options, &message)) {
            return EXIT_OK;
        }
        fprintf(stderr, "masqueproxy hint %s: %s\n", rows[i].name, message.text);
        return EXIT_USAGE;
    }
    fprintf(stderr, "masqueproxy hint: expected keygen, sign or verify, see masqueproxy --help\n");
    return EXIT_USAGE;
}
