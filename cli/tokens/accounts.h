/*
 * tokens/accounts.h: accounts with passwords: htpasswd files with bcrypt, scrypt or yescrypt hashes, which libxcrypt
 * checks. A check takes long on purpose, so never on a loop's thread; what was right is remembered for some minutes, as
 * a keyed hash. Any thread.
 */
#ifndef TOKENS_ACCOUNTS_H
#define TOKENS_ACCOUNTS_H

#include "settings.h"

#define ACCOUNT_NAME_MAX 255u
#define ACCOUNT_PASSWORD_MAX 255u

typedef struct accounts accounts;

/* Lines of NAME:HASH; empty ones and those that begin with # are passed over. NULL with MESSAGE set. */
accounts *accounts_read(const char *path, mqd_message *message);
/* The same of a text, which it takes over and wipes in the end; PATH is for messages. */
accounts *accounts_parse(char *text, size_t length, const char *path, mqd_message *message);
void accounts_free(accounts *list);

/* RFC 7617: what is behind "Basic ". To be wiped: it holds a password. */
#define ACCOUNT_DIGEST_LENGTH 32u
typedef struct account_credential {
    char name[ACCOUNT_NAME_MAX + 1];
    char password[ACCOUNT_PASSWORD_MAX + 1];
    uint8_t digest[ACCOUNT_DIGEST_LENGTH]; /* of both, with a key of the list's: equal for equal ones alone */
} account_credential;
/* False: malformed. */
bool account_credential_read(account_credential *credential, const accounts *list, const char *base64, size_t length);

/* Was it found to be right in the last five minutes? At once. */
bool accounts_remember(accounts *list, const account_credential *credential);
/* Computes the hash, and remembers what was right. Takes as long for a name that isn't there, as far as all hashes are
   of one kind and cost. */
bool accounts_check(accounts *list, const account_credential *credential);

/* A hash of an account and its password's, the same as long as both are: of one that isn't there all zero. */
void accounts_mark(const accounts *list, const char *name, uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]);
/* Is there an account with that mark? */
bool accounts_has_mark(accounts *list, const uint8_t mark[MASQUE_IDENTITY_MARK_LENGTH]);

/* A line for such a file, "NAME:HASH", by bcrypt. False with MESSAGE set. */
#define ACCOUNT_LINE_MAX 400u
bool account_line_make(char line[ACCOUNT_LINE_MAX], const char *name, const char *password, mqd_message *message);

#endif
