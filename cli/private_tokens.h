/*
 * private_tokens.h: from settings to the library's origin of Privacy Pass.
 */
#ifndef CLI_PRIVATE_TOKENS_H
#define CLI_PRIVATE_TOKENS_H

#include "settings.h"
#include "spent/store.h"
#include "tokens/directories.h"

/* Makes the keys of SETTINGS, and those in DIRECTORIES, a method of CONFIG, if any are asked for. False with MESSAGE
   set. */
bool private_tokens_add(masque_config *config, const mqd_settings *settings, spent_store *store,
                        token_directories *directories, mqd_message *message);

/* True with MESSAGE set when a key takes no tokens any more. */
bool private_tokens_are_over(const mqd_settings *settings, mqd_message *message);

#endif
