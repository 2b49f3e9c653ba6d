/*
 * basic_auth.h: accounts at the proxy itself (auth.basic, RFC 7617): for a first hop. A password's hash takes long to
 * compute on purpose, so threads of our own do it, for what tokens/accounts.h doesn't remember.
 */
#ifndef CLI_BASIC_AUTH_H
#define CLI_BASIC_AUTH_H

#include "settings.h"

/* Makes the accounts of SETTINGS a method of CONFIG, if a file is named. False with MESSAGE set. */
bool basic_auth_add(masque_config *config, const mqd_settings *settings, mqd_message *message);

/* Until the last thread of released methods has ended; then nobody gives verdicts any more. */
void basic_auth_wait(void);

#endif
