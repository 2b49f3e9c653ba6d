/*
 * token.c: masqueproxy token: keys for an issuer, tokens of one, and the wallet they are kept in.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commands.h"
#include "files.h"
#include "http/client.h"
#include "random.h"
#include "rsa_keygen.h"
#include "token_options.h"
#include "tokens/accounts.h"
#include "tokens/directory.h"
#include "tokens/wallet.h"

static probe_exit complain(const char *command, const mqd_message *message, probe_exit result) {
    fprintf(stderr, "masqueproxy token %s: %s\n", command, message->text);
    return result;
}

/* --- keygen ------------------------------------------------------------------------------------------------------- */

/* The public half, of the private one in DER or as a scalar. */
static bool print_public(masque_token_type type, const uint8_t *bytes, size_t length, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random};
    const masque_issuer_key key = {type, bytes, length};
    uint8_t public[MASQUE_TOKEN_PUBLIC_KEY_MAX];
    char text[MASQUE_BASE64_LENGTH(MASQUE_TOKEN_PUBLIC_KEY_MAX) + 1];
    masque_token_issuer *issuer;
    int error = masque_token_issuer_new(&issuer, &runtime);
    error = error ? error : masque_token_issuer_add_key(issuer, &key);
    if (error) {
        say(message, "the new key can't be used: %s", masque_error_text(error));
    } else {
        masque_base64_encode(text, public, masque_token_issuer_public_key(issuer, 0, public));
        puts(text);
    }
    masque_token_issuer_free(issuer);
    return error == 0;
}

static bool make_voprf(const char *path, mqd_message *message) {
    const masque_runtime runtime = {.random = system_random};
    uint8_t key[MASQUE_VOPRF_PRIVATE_LENGTH];
    char text[MASQUE_BASE64_LENGTH(MASQUE_VOPRF_PRIVATE_LENGTH) + 2];
    if (masque_voprf_generate_key(&runtime, key) != 0) {
        say(message, "no key could be made");
        return false;
    }
    masque_base64_encode(text, key, sizeof key);
    text[sizeof text - 2] = '\n';
    bool done = write_new_secret(path, text, sizeof text - 1, message) &&
                print_public(MASQUE_TOKEN_VOPRF, key, sizeof key, message);
    explicit_bzero(key, sizeof key);
    explicit_bzero(text, sizeof text);
    return done;
}

static bool make_rsa(const char *path, mqd_message *message) {
    rsa_keypair pair;
    if (!rsa_keygen(&pair)) {
        say(message, "wolfSSL could not make an RSA key");
        return false;
    }
    bool done = write_new_secret(path, pair.pem, strlen(pair.pem), message) &&
                print_public(MASQUE_TOKEN_BLIND_RSA, pair.der, pair.der_length, message);
    explicit_bzero(&pair, sizeof pair);
    return done;
}

static probe_exit run_keygen(const token_options *options) {
    mqd_message message;
    if (!options->out || options->type == 0) {
        say(&message, "give --token-type 2 or 1, and --out FILE for the private key");
        return complain("keygen", &message, EXIT_USAGE);
    }
    bool rsa = options->type == MASQUE_TOKEN_BLIND_RSA;
    bool done = rsa ? make_rsa(options->out, &message) : make_voprf(options->out, &message);
    return done ? EXIT_OK : complain("keygen", &message, EXIT_USAGE);
}

/* --- get ---------------------------------------------------------------------------------------------------------- */

/* What one `token get` needs all the time. */
typedef struct shop {
    const token_options *options;
    const char *base; /* the URL that is asked: the attester's, or the issuer's */
    char issuer_name[WALLET_NAME_MAX + 1];
    char *password;
    size_t password_length;
    uint8_t redemption_context[MASQUE_REDEMPTION_LENGTH];
    masque_token_type type;
    token_directory directory;
    char url[4096];
    const directory_key *key;
    bool no_batches; /* the issuer knows none */
    mqd_message message;
} shop;

static bool call(shop *s, http_call *call, http_result *result) {
    call->ca_file = s->options->ca;
    call->certificate = s->options->certificate;
    call->private_key = s->options->private_key;
    call->timeout_s = (unsigned)((s->options->timeout_ms + 999) / 1000);
    if (s->options->attester && s->options->user) {
        call->user = s->options->user;
        call->password = s->password;
    }
    return http_client_call(call, result, &s->message);
}

static probe_exit refused(shop *s, const char *url, const http_result *result) {
    static const struct {
        long status;
        const char *meaning;
    } rows[] = {{401, ": name or password is wrong"},
                {403, ": it does not know our certificate"},
                {429, ": the account has fewer tokens left in this period"},
                {503, ": it checks too many passwords at the moment; try again"},
                {502, ": the issuer behind it can't be reached, or fails"}};
    const char *meaning = "";
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        meaning = rows[i].status == result->status ? rows[i].meaning : meaning;
    }
    say(&s->message, "%.300s answered %ld%s", url, result->status, meaning);
    return EXIT_REFUSED;
}

static probe_exit fetch_directory(shop *s) {
    mqd_message why;
    http_result result;
    directory_location(s->base, s->url, sizeof s->url);
    http_call get = {.url = s->url, .accept = MASQUE_TOKEN_DIRECTORY_TYPE, .answer_max = DIRECTORY_MAX};
    if (!call(s, &get, &result)) {
        return EXIT_PROXY;
    }
    probe_exit found = EXIT_OK;
    if (result.status != 200 || !result.body) {
        found = refused(s, s->url, &result);
    } else if (!directory_read(&s->directory, (const char *)result.body, result.length, &why)) {
        say(&s->message, "the directory at %.200s can't be read: %.200s", s->url, why.text);
        found = EXIT_REFUSED;
    }
    free(result.body);
    if (found) {
        return found;
    }
    s->key = directory_choose(&s->directory, s->type, time(NULL));
    if (!s->key) {
        say(&s->message, "the issuer has no key for tokens of type %d", (int)s->type);
        return EXIT_REFUSED;
    }
    directory_url(&s->directory, s->base, s->url, sizeof s->url);
    return EXIT_OK;
}

/* What ORDER became goes to the wallet. */
static bool keep(shop *s, const masque_token_order *order, size_t count) {
    wallet_token *tokens = calloc(count, sizeof *tokens);
    for (size_t i = 0; tokens && i < count; i++) {
        masque_token token;
        masque_token_order_token(order, i, &token);
        tokens[i].type = s->type;
        snprintf(tokens[i].issuer, sizeof tokens[i].issuer, "%s", s->issuer_name);
        snprintf(tokens[i].origin, sizeof tokens[i].origin, "%s", s->options->origin ? s->options->origin : "");
        masque_base64_encode(tokens[i].text, token.bytes, token.length);
    }
    if (!tokens) {
        say(&s->message, "out of memory");
    }
    bool kept = tokens && wallet_add(s->options->wallet, tokens, count, &s->message);
    free(tokens);
    return kept;
}

/* EXIT_OK, *MADE tokens are in the wallet; or *AGAIN: without a batch it may work. */
static probe_exit post(shop *s, masque_token_order *order, size_t *made, bool *again) {
    masque_token_post request;
    http_result result;
    masque_token_order_request(order, &request);
    http_call post = {.url = s->url,
                      .content_type = request.media_type,
                      .accept = request.accept,
                      .body = request.body,
                      .length = request.length,
                      .answer_max = MASQUE_TOKEN_BODY_MAX};
    if (!call(s, &post, &result)) {
        return EXIT_PROXY;
    }
    bool batch = strcmp(request.media_type, MASQUE_TOKEN_BATCH_REQUEST_TYPE) == 0;
    *again = batch && (result.status == 415 || result.status == 400 || result.status == 404);
    probe_exit found = EXIT_OK;
    if (result.status != 200 || !result.body) {
        found = refused(s, s->url, &result);
    } else {
        int count = masque_token_order_finish(order, result.body, result.length);
        *made = count > 0 ? (size_t)count : 0;
        if (count < 0) {
            say(&s->message, "what %.300s answered makes no tokens: it is not signed by the key of its directory",
                s->url);
            found = EXIT_REFUSED;
        } else if (!keep(s, order, *made)) {
            *made = 0;
            found = EXIT_USAGE;
        }
    }
    free(result.body);
    return found;
}

static probe_exit buy(shop *s, size_t count, size_t *made) {
    const masque_runtime runtime = {.random = system_random};
    const masque_token_order_options options = {
        .challenge = {.type = s->type,
                      .issuer = s->issuer_name,
                      .origin_info = s->options->origin,
                      .redemption_context = s->options->redemption_context ? s->redemption_context : NULL},
        .key = s->key->bytes,
        .key_length = s->key->length,
        .count = s->no_batches ? 1 : count};
    masque_token_order *order;
    bool again = false;
    *made = 0;
    if (masque_token_order_new(&order, &options, &runtime) != 0) {
        say(&s->message, "the issuer's key is no key for tokens of type %d", (int)s->type);
        return EXIT_REFUSED;
    }
    probe_exit result = post(s, order, made, &again);
    masque_token_order_free(order);
    if (again && !s->no_batches) {
        s->no_batches = true;
        return EXIT_OK; /* *MADE is 0: the caller comes again */
    }
    return result;
}

/* The host of a URL, without port and path. */
static void host_of(const char *url, char *host, size_t size) {
    const char *at = strstr(url, "://");
    at = at ? at + 3 : url;
    size_t length = at[0] == '[' ? strcspn(at, "]") + 1 : strcspn(at, ":/");
    snprintf(host, size, "%.*s", (int)length, at);
}

static bool is_https(const char *url) {
    return !url || strncmp(url, "https://", 8) == 0;
}

static bool prepare(shop *s) {
    const token_options *options = s->options;
    const char *issuer = options->issuer ? options->issuer : options->attester;
    size_t length;
    if (!issuer || !options->wallet) {
        say(&s->message, "give --issuer https://… or --attester https://…, and --token-wallet FILE");
        return false;
    }
    if (!is_https(options->issuer) || !is_https(options->attester)) {
        say(&s->message, "“%.200s” is no URL that is asked for tokens; expected https://HOST[:PORT]",
            is_https(options->issuer) ? options->attester : options->issuer);
        return false;
    }
    if (options->attester && (!options->user || !options->password_file)) {
        say(&s->message, "an attester wants to know who asks: --user NAME and --password-file FILE");
        return false;
    }
    if (options->attester && !options->issuer && !options->issuer_name) {
        say(&s->message, "which issuer? Tokens carry its name: --issuer-name NAME");
        return false;
    }
    s->base = options->attester ? options->attester : issuer;
    if (options->issuer_name) {
        snprintf(s->issuer_name, sizeof s->issuer_name, "%s", options->issuer_name);
    } else {
        host_of(issuer, s->issuer_name, sizeof s->issuer_name);
    }
    if (strpbrk(s->issuer_name, " \n") || (options->origin && strpbrk(options->origin, " \n*")) ||
        strlen(options->origin ? options->origin : "") > WALLET_NAME_MAX) {
        say(&s->message, "a name has a blank in it, or is too long");
        return false;
    }
    if (options->redemption_context &&
        (!masque_base64_decode(s->redemption_context, sizeof s->redemption_context, &length,
                               options->redemption_context, strlen(options->redemption_context)) ||
         length != sizeof s->redemption_context)) {
        say(&s->message, "--redemption-context is no Base64 of %d bytes", MASQUE_REDEMPTION_LENGTH);
        return false;
    }
    /* Before anything is asked: what is got is charged to the account, and would be lost. */
    if (!wallet_add(options->wallet, NULL, 0, &s->message)) {
        return false;
    }
    if (!options->password_file) { /* the issuer itself is asked */
        return true;
    }
    s->password = read_password_file(options->password_file, &s->password_length, &s->message);
    return s->password != NULL;
}

static probe_exit run_get(const token_options *options) {
    shop s = {.options = options, .type = options->type ? options->type : MASQUE_TOKEN_BLIND_RSA};
    http_client_init();
    probe_exit result = prepare(&s) ? fetch_directory(&s) : EXIT_USAGE;
    size_t bought = 0;
    while (!result && bought < options->count) {
        size_t made;
        size_t wanted = options->count - bought;
        result = buy(&s, wanted < MASQUE_TOKEN_BATCH_MAX ? wanted : MASQUE_TOKEN_BATCH_MAX, &made);
        bought += made;
    }
    if (bought > 0) {
        printf("%zu of type %d by %s, in %s\n", bought, (int)s.type, s.issuer_name, options->wallet);
    }
    forget_secret(s.password, s.password_length);
    return result ? complain("get", &s.message, result) : EXIT_OK;
}

/* --- show, export ------------------------------------------------------------------------------------------------- */

static bool same_kind(const wallet_token *a, const wallet_token *b) {
    return a->type == b->type && strcmp(a->issuer, b->issuer) == 0 && strcmp(a->origin, b->origin) == 0;
}

/* How many of each kind; none of the tokens themselves. */
static probe_exit run_show(const token_options *options) {
    mqd_message message;
    size_t count;
    wallet_token *tokens = wallet_read(options->wallet, &count, &message);
    if (!tokens) {
        return complain("show", &message, EXIT_USAGE);
    }
    for (size_t i = 0; i < count; i++) {
        size_t before = 0, all = 0;
        for (size_t k = 0; k < i && before == 0; k++) {
            before += same_kind(&tokens[k], &tokens[i]);
        }
        for (size_t k = i; k < count && before == 0; k++) {
            all += same_kind(&tokens[k], &tokens[i]);
        }
        if (all > 0) {
            printf("%zu of type %d by %s for %s\n", all, (int)tokens[i].type, tokens[i].issuer,
                   tokens[i].origin[0] ? tokens[i].origin : "any origin");
        }
    }
    if (count == 0) {
        puts("none");
    }
    free(tokens);
    return EXIT_OK;
}

static probe_exit run_export(const token_options *options) {
    mqd_message message;
    wallet_token token;
    if (!wallet_take(options->wallet, &token, &message)) {
        return complain("export", &message, EXIT_USAGE);
    }
    puts(token.text);
    return EXIT_OK;
}

/* --- account ------------------------------------------------------------------------------------------------------ */

static probe_exit run_account(const token_options *options) {
    mqd_message message;
    char line[ACCOUNT_LINE_MAX];
    size_t length = 0;
    if (!options->user || !options->password_file) {
        say(&message, "give --user NAME and --password-file FILE");
        return complain("account", &message, EXIT_USAGE);
    }
    char *password = read_password_file(options->password_file, &length, &message);
    bool made = password && account_line_make(line, options->user, password, &message);
    forget_secret(password, length);
    if (!made) {
        return complain("account", &message, EXIT_USAGE);
    }
    puts(line);
    return EXIT_OK;
}

/* --- the table ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    const char *help;
    probe_exit (*run)(const token_options *options);
    bool needs_wallet;
} ROWS[] = {
    {"keygen", "a private key for an issuer; prints the public one as configurations want it", run_keygen, false},
    {"account", "a line for an attester's or proxy's file of accounts", run_account, false},
    {"get", "fetch tokens into a wallet", run_get, false},
    {"show", "how many tokens a wallet holds", run_show, true},
    {"export", "print one token and take it out of the wallet", run_export, true},
};

void command_token_print(void) {
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        printf("  masqueproxy token %-7s %s\n", ROWS[i].name, ROWS[i].help);
    }
}

probe_exit command_token(int argc, char **argv) {
    token_options options;
    mqd_message message;
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "help") == 0) {
        command_token_print();
        token_options_print();
        return EXIT_OK;
    }
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (strcmp(name, ROWS[i].name) != 0) {
            continue;
        }
        if (!token_options_read(&options, argc - 1, argv + 1, &message)) {
            return complain(name, &message, EXIT_USAGE);
        }
        if (options.help) {
            command_token_print();
            token_options_print();
            return EXIT_OK;
        }
        if (ROWS[i].needs_wallet && !options.wallet) {
            say(&message, "which wallet? --token-wallet FILE");
            return complain(name, &message, EXIT_USAGE);
        }
        return ROWS[i].run(&options);
    }
    fprintf(stderr, "masqueproxy token: %s%.40s%s; expected keygen, account, get, show or export\n",
            name[0] ? "“" : "there is no subcommand", name, name[0] ? "” is no subcommand" : "");
    return EXIT_USAGE;
}
