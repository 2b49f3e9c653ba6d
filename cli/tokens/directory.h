/*
 * tokens/directory.h: an issuer's directory (RFC 9578 4): its JSON, written and read.
 */
#ifndef TOKENS_DIRECTORY_H
#define TOKENS_DIRECTORY_H

#include "settings.h"

#define DIRECTORY_KEYS_MAX 32
/* Longer ones are not read. */
#define DIRECTORY_MAX 65536u

typedef struct directory_key {
    masque_token_type type;
    uint8_t bytes[MASQUE_TOKEN_PUBLIC_KEY_MAX];
    size_t length;
    masque_unix_time not_before; /* 0: none */
} directory_key;

typedef struct token_directory {
    char request_uri[1024]; /* absolute, or beginning with a slash */
    directory_key keys[DIRECTORY_KEYS_MAX];
    size_t count; /* those of types that we don't know are passed over */
} token_directory;

/* False with MESSAGE set. */
bool directory_read(token_directory *directory, const char *text, size_t length, mqd_message *message);
/* To be freed; NULL: out of memory. */
char *directory_write(const token_directory *directory);

/* Where the directory of ISSUER is, "https://issuer.example:443" and perhaps a path behind it. */
void directory_location(const char *issuer, char *url, size_t size);

/* The request URI of a directory that came from ISSUER, such a URL. */
void directory_url(const token_directory *directory, const char *issuer, char *url, size_t size);

/* How many seconds a directory may be kept that came with CACHE_CONTROL (RFC 9111 5.2.2); 0: not at all. */
unsigned directory_age(const char *cache_control);

/* The key to be used at NOW: of TYPE, the latest that has begun. NULL: none. */
const directory_key *directory_choose(const token_directory *directory, masque_token_type type, masque_unix_time now);

#endif
