/*
 * options.h: what masqueproxy was told on its command line and in the environment.
 */
#ifndef PROBE_OPTIONS_H
#define PROBE_OPTIONS_H

#include <masqueproxy/masqueproxy.h>

#include "../settings.h"

/* What the program returns, for scripts; masqueproxy(1) has the table. */
typedef enum probe_exit {
    EXIT_OK = 0,
    EXIT_USAGE = 2,   /* flags, files, environment */
    EXIT_PROXY = 3,   /* the proxy can't be reached, or isn't trusted */
    EXIT_REFUSED = 4, /* it answered, but opened no tunnel */
    EXIT_TARGET = 5,  /* the tunnel was there, but its target failed */
    EXIT_TIMEOUT = 6
} probe_exit;

typedef struct probe_options {
    const char *argument;  /* the URL, or HOST:PORT */
    char *proxy;           /* "host:port" */
    unsigned protocols[3]; /* in the order they are tried: MASQUE_PROTOCOL_… sets */
    size_t protocol_count;
    char *trust; /* PEM; NULL: anybody */
    size_t trust_length;
    uint8_t proxy_key[32]; /* the hash of its raw public key, in place of TRUST */
    bool has_proxy_key;
    char *certificate; /* PEM of who we are, or NULL: the key alone, if there is one */
    size_t certificate_length;
    char *private_key;
    size_t private_key_length;
    const char *token_wallet; /* or NULL */
    char *credential;         /* Proxy-Authorization's value, or NULL */
    const char *geohash;      /* or NULL */
    const char *output;       /* a file for the body, or NULL: standard output */
    uint64_t timeout_ms;
    bool json;
    bool verbose;
} probe_options;

/* Reads ARGV behind the subcommand. EXIT_OK, or EXIT_USAGE with MESSAGE set. */
probe_exit options_read(probe_options *options, int argc, char **argv, mqd_message *message);
void options_free(probe_options *options);
/* What --help says of flags. */
void options_print(void);

#endif
