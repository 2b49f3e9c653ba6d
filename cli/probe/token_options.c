#include "token_options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define COUNT_MAX 10000u
#define TIMEOUT_DEFAULT_MS 30000u

/* TEXT: of a field at OFFSET. */
typedef enum flag_kind { FLAG_TEXT, FLAG_TYPE, FLAG_COUNT, FLAG_TIMEOUT, FLAG_HELP } flag_kind;

typedef struct token_flag {
    const char *name;
    const char *argument; /* NULL: none */
    const char *help;
    flag_kind kind;
    size_t offset;
} token_flag;

#define FIELD(field) FLAG_TEXT, offsetof(token_options, field)

static const token_flag ROWS[] = {
    {"issuer", "URL", "get: the issuer, https://HOST[:PORT]", FIELD(issuer)},
    {"attester", "URL", "get: who knows us and asks the issuer for us; without one the issuer is asked",
     FIELD(attester)},
    {"user", "NAME", "get, account: the account at the attester", FIELD(user)},
    {"password-file", "FILE", "get, account: its password, one line", FIELD(password_file)},
    {"issuer-name", "NAME", "get: the issuer's name in challenges; unless told: the host of --issuer",
     FIELD(issuer_name)},
    {"origin", "NAME", "get: the proxy that tokens are for; unless told: any", FIELD(origin)},
    {"redemption-context", "BASE64", "get: as the proxy's challenge has it; unless told: none",
     FIELD(redemption_context)},
    {"token-type", "2|1", "get, keygen: Blind RSA, or VOPRF; get: unless told, 2", FLAG_TYPE, 0},
    {"count", "N", "get: how many; unless told: 1", FLAG_COUNT, 0},
    {"token-wallet", "FILE", "get, show, export: where tokens are kept", FIELD(wallet)},
    {"ca", "FILE", "get: trust these certificates, PEM; unless told: the system's", FIELD(ca)},
    {"certificate", "FILE", "get: prove with it who we are, PEM", FIELD(certificate)},
    {"private-key", "FILE", "get: of that certificate", FIELD(private_key)},
    {"timeout", "DURATION", "get: for each of the two or three requests; unless told: 30s", FLAG_TIMEOUT, 0},
    {"help", NULL, "these lines", FLAG_HELP, 0},
    {"out", "FILE", "keygen: where the private key goes; there must be none yet", FIELD(out)},
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])

void token_options_print(void) {
    puts("\nFlags of masqueproxy token:");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char left[64];
        snprintf(left, sizeof left, "--%s %s", ROWS[i].name, ROWS[i].argument ? ROWS[i].argument : "");
        printf("  %-28s %s\n", left, ROWS[i].help);
    }
}

static bool take(token_options *options, const token_flag *row, const char *value, mqd_message *message) {
    switch (row->kind) {
    case FLAG_TEXT:
        memcpy((char *)options + row->offset, &value, sizeof value);
        return true;
    case FLAG_TYPE:
        options->type = value[0] == '1' ? MASQUE_TOKEN_VOPRF : MASQUE_TOKEN_BLIND_RSA;
        say(message, "“%.20s” is no token type; expected 2 (Blind RSA) or 1 (VOPRF)", value);
        return strcmp(value, "1") == 0 || strcmp(value, "2") == 0;
    case FLAG_COUNT:
        if (!parse_whole_number(value, &options->count, message)) {
            return false;
        }
        say(message, "expected 1 to %u tokens", COUNT_MAX);
        return options->count >= 1 && options->count <= COUNT_MAX;
    case FLAG_TIMEOUT:
        return parse_duration(value, &options->timeout_ms, message);
    case FLAG_HELP:
        options->help = true;
        return true;
    }
    return false;
}

bool token_options_read(token_options *options, int argc, char **argv, mqd_message *message) {
    struct option rows[ROW_COUNT + 1];
    int row = 0, found;
    *options = (token_options){.count = 1, .timeout_ms = TIMEOUT_DEFAULT_MS};
    memset(rows, 0, sizeof rows);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        rows[i] = (struct option){.name = ROWS[i].name, .has_arg = ROWS[i].argument ? required_argument : no_argument};
    }
    opterr = 0;
    while ((found = getopt_long(argc, argv, ":", rows, &row)) == 0) {
        if (!take(options, &ROWS[row], optarg, message)) {
            return false;
        }
    }
    if (found != -1) {
        const char *why = found == ':' ? "needs a value" : "is no flag; masqueproxy --help has them";
        say(message, "%.100s %s", argv[optind - 1], why);
        return false;
    }
    if (optind != argc) {
        say(message, "%.100s: nothing was expected there", argv[optind]);
        return false;
    }
    return true;
}
