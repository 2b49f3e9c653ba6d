/*
 * tokens/directories.h: issuers' directories (RFC 9578 4) that a proxy takes its keys from: a thread fetches each again
 * when its Cache-Control says so, and tells the main thread when one has changed. What was fetched last stays in force
 * while an issuer can't be reached.
 */
#ifndef TOKENS_DIRECTORIES_H
#define TOKENS_DIRECTORIES_H

#include <uv.h>

#include "log.h"
#include "settings.h"
#include "tokens/directory.h"

#define DIRECTORIES_MAX TOKEN_KEYS_MAX

typedef struct token_directories token_directories;

/* CHANGED is sent from the thread. NULL: out of memory, or no thread. */
token_directories *token_directories_new(const log_options *log, uv_async_t *changed);
/* DIRECTORIES may be NULL. */
void token_directories_free(token_directories *directories);

/* From now on those that SETTINGS names; new ones are fetched at once, and the others stay as they are. */
void token_directories_set(token_directories *directories, const mqd_settings *settings);

/* A copy of what was fetched of URL; false: nothing yet. DIRECTORIES may be NULL. */
bool token_directories_get(token_directories *directories, const char *url, token_directory *copy);

#endif
