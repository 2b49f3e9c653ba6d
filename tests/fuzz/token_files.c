/*
 * tests/fuzz/token_files.c: what the programs read of files and of others' servers for Privacy Pass: an issuer's
 * directory, a wallet, accounts, a record of spent tokens, a Basic credential. The first byte says which.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "spent/journal.h"
#include "tokens/accounts.h"
#include "tokens/directory.h"
#include "tokens/wallet.h"

/* What is read is written, and read again as the same. */
static void check_directory(const char *text, size_t length) {
    static token_directory read, again;
    mqd_message message;
    if (!directory_read(&read, text, length, &message)) {
        FUZZ_REQUIRE(memchr(message.text, 0, sizeof message.text));
        return;
    }
    char *written = directory_write(&read);
    FUZZ_REQUIRE(written && directory_read(&again, written, strlen(written), &message));
    FUZZ_REQUIRE(read.count == again.count && strcmp(read.request_uri, again.request_uri) == 0);
    for (size_t i = 0; i < read.count; i++) {
        FUZZ_REQUIRE(read.keys[i].length == again.keys[i].length &&
                     memcmp(read.keys[i].bytes, again.keys[i].bytes, read.keys[i].length) == 0);
    }
    (void)directory_choose(&read, MASQUE_TOKEN_BLIND_RSA, 1000);
    free(written);
}

static void check_wallet(const char *text, size_t length) {
    size_t count;
    unsigned wrong;
    wallet_token *tokens = wallet_parse(text, length, &count, &wrong);
    FUZZ_REQUIRE(!tokens || wrong == 0);
    for (size_t i = 0; tokens && i < count; i++) {
        FUZZ_REQUIRE(tokens[i].issuer[0] && tokens[i].text[0]);
    }
    free(tokens);
}

static accounts *parse_accounts(const char *text, size_t length) {
    mqd_message message;
    char *copy = malloc(length + 1);
    FUZZ_REQUIRE(copy);
    memcpy(copy, text, length);
    copy[length] = 0;
    return accounts_parse(copy, length, "x", &message);
}

static void check_credential(const char *text, size_t length) {
    static const char line[] = "alice:$2b$04$abcdefghijklmnopqrstuujZkTwHUiJ9XdZPwKfcfDo7dMp5DjlTu";
    account_credential credential;
    accounts *list = parse_accounts(line, sizeof line - 1);
    FUZZ_REQUIRE(list);
    if (account_credential_read(&credential, list, text, length)) {
        FUZZ_REQUIRE(credential.name[0] && !strchr(credential.name, ':') && !accounts_remember(list, &credential));
    }
    accounts_free(list);
}

static void check_others(char kind, const uint8_t *data, size_t size) {
    masque_spent_token token;
    if (kind == 'j' && size >= SPENT_RECORD_LENGTH) {
        spent_journal_read_record(data, &token);
    } else if (kind == 'b') {
        check_credential((const char *)data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    switch (data[0]) {
    case 'd':
        check_directory(text, size - 1);
        break;
    case 'w':
        check_wallet(text, size - 1);
        break;
    case 'h':
        accounts_free(parse_accounts(text, size - 1));
        break;
    default:
        check_others((char)data[0], data + 1, size - 1);
        break;
    }
    return 0;
}
