/*
 * tokens/wallet.h: a file of tokens that were got and not yet used. Many programs may use it at a time: each change
 * holds a lock, and the file is replaced as a whole. A token that is given out is gone from the disk before anybody
 * sees it, so that none is shown twice.
 */
#ifndef TOKENS_WALLET_H
#define TOKENS_WALLET_H

#include "settings.h"

#define WALLET_NAME_MAX 255u
#define WALLET_TOKENS_MAX 100000u

typedef struct wallet_token {
    masque_token_type type;
    char issuer[WALLET_NAME_MAX + 1];
    char origin[WALLET_NAME_MAX + 1]; /* "": any */
    char text[MASQUE_BASE64_LENGTH(MASQUE_TOKEN_MAX) + 1];
} wallet_token;

/* Adds them to the file, which is made when there is none. False with MESSAGE set. */
bool wallet_add(const char *path, const wallet_token *tokens, size_t count, mqd_message *message);

/* Takes the oldest out. False with MESSAGE set: there is none, or the file can't be read or written. */
bool wallet_take(const char *path, wallet_token *token, mqd_message *message);

/* All of them, *COUNT, to be freed; NULL with MESSAGE set. */
wallet_token *wallet_read(const char *path, size_t *count, mqd_message *message);

/* The same of a text, for tests: *WRONG is the first line that is none. NULL: there is one, or no memory. */
wallet_token *wallet_parse(const char *text, size_t length, size_t *count, unsigned *wrong);

#endif
