/*
 * proxy_config.h: from settings to the library's sealed configuration: reads the
 * files they name. Used at the start and at every reload.
 */
#ifndef CLI_PROXY_CONFIG_H
#define CLI_PROXY_CONFIG_H

#include "settings.h"
#include "spent/store.h"
#include "tokens/directories.h"

/* True with MESSAGE set when the certificate's time is over: not our mistake, but every
   client will refuse it. */
bool proxy_config_has_expired(const mqd_settings *settings, mqd_message *message);

/* TICKET_KEY is the process's, so that a reload keeps sessions, and so is TOKENS, which outlives the result. NULL with
   MESSAGE set. DIRECTORIES may be NULL: nothing was fetched yet. BEFORE, or NULL, is the one whose place it takes. LOG
   gets warnings. The caller releases the result. */
masque_config *proxy_config_new(const mqd_settings *settings, const uint8_t ticket_key[MASQUE_TICKET_KEY_LENGTH],
                                spent_store *tokens, token_directories *directories, const masque_config *before,
                                const log_options *log, mqd_message *message);

#endif
