/*
 * masqueproxy/token_attester.h: the attester of Privacy Pass (RFC 9576 2.1.1): it knows who asks, and vouches for that
 * to an issuer by passing the blinded request on. Who somebody is the host finds out, by a password or by SSO; here it
 * is counted how many tokens each account got in a period, and how often somebody guessed.
 *
 *   count = masque_token_request_count(media_type, body, length);      // 0: 400
 *   if (masque_token_attester_take(attester, account, account_length, count)) ... POST to the issuer, nothing added ...
 *
 * Threads: one at a time for each attester.
 */
#ifndef MASQUE_TOKEN_ATTESTER_H
#define MASQUE_TOKEN_ATTESTER_H

#include <masqueproxy/limits.h>
#include <masqueproxy/token_issuer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct masque_token_attester_options {
    uint64_t tokens_per_account; /* in a period */
    uint32_t period;             /* seconds, at least 1; periods begin at whole multiples of it since 1970 */
    size_t accounts_max;         /* that are counted in a period; further ones get nothing */
    masque_unix_time (*clock)(void *context);
    void *context;
    const masque_limits *limits; /* on guesses: auth_failures_max, penalty_…, sources_max; copied. NULL: the defaults */
} masque_token_attester_options;

typedef struct masque_token_attester masque_token_attester;

/* RUNTIME's random source is needed. *ATTESTER is NULL unless 0 is returned: MASQUE_ERR_INVALID: no period, clock,
   accounts or random source; MASQUE_ERR_NO_MEMORY. */
MASQUE_EXTERN int masque_token_attester_new(masque_token_attester **attester,
                                            const masque_token_attester_options *options,
                                            const masque_runtime *runtime);
/* ATTESTER may be NULL; no check of it is under way. */
MASQUE_EXTERN void masque_token_attester_free(masque_token_attester *attester);

/* May ACCOUNT have COUNT tokens more in this period? If so they are counted. Of the account a hash is kept, until the
   period is over. */
MASQUE_EXTERN bool masque_token_attester_take(masque_token_attester *attester, const char *account,
                                              size_t account_length, size_t count);
/* It did not get them: the issuer failed. */
MASQUE_EXTERN void masque_token_attester_give_back(masque_token_attester *attester, const char *account,
                                                   size_t account_length, size_t count);

/* Passwords can be guessed, and to check one takes long. To be asked before CLIENT's is looked at at all. 0: go on, and
   call masque_token_attester_checked() then. MASQUE_ERR_AUTH_FAILURES: too many that came from there were wrong, as
   limits.h says; to be answered as a wrong one. MASQUE_ERR_OVERLOAD: MASQUE_CHECKS_PER_SOURCE of them are being checked
   already. MASQUE_ERR_NO_MEMORY. A client is an IPv4 address or an IPv6 /64; its port is ignored. */
#define MASQUE_CHECKS_PER_SOURCE 2
MASQUE_EXTERN int masque_token_attester_check(masque_token_attester *attester, const masque_address *client);
/* What it was. True: one wrong password too many, CLIENT is denied from now on for a while; worth a line in a log. */
MASQUE_EXTERN bool masque_token_attester_checked(masque_token_attester *attester, const masque_address *client,
                                                 bool right);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_TOKEN_ATTESTER_H */
