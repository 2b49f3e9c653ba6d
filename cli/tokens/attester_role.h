/*
 * tokens/attester_role.h: `attester:` in the configuration: knows accounts, counts their tokens, and passes blinded
 * requests on to the issuer, which sees neither who asks nor from where.
 */
#ifndef TOKENS_ATTESTER_ROLE_H
#define TOKENS_ATTESTER_ROLE_H

#include "tokens/role.h"

/* Reads accounts, to be served next by NOW, over which they keep their counts unless their limits changed. False with
   MESSAGE set. */
bool attester_role_prepare(token_role_next *next, const token_role *now, const mqd_settings *settings,
                           const log_options *log, mqd_message *message);

#endif
