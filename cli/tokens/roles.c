#include "tokens/roles.h"

#include <stdio.h>

#include "http/client.h"
#include "tokens/attester_role.h"
#include "tokens/issuer_role.h"

static bool plays(const role_settings *role) {
    return role->listener_count > 0;
}

bool token_roles_wanted(const mqd_settings *settings) {
    return plays(&settings->issuer.role) || plays(&settings->attester.role);
}

typedef struct both_next {
    token_role_next issuer;
    token_role_next attester;
} both_next;

static void discard(both_next *next) {
    token_role_discard(&next->issuer);
    token_role_discard(&next->attester);
}

static bool prepare(both_next *next, const token_roles *roles, const mqd_settings *settings, const log_options *log,
                    mqd_message *message) {
    *next = (both_next){.issuer = {.prepared = false}};
    bool good = (!plays(&settings->issuer.role) || issuer_role_prepare(&next->issuer, settings, message)) &&
                (!plays(&settings->attester.role) ||
                 attester_role_prepare(&next->attester, &roles->attester, settings, log, message));
    if (!good) {
        discard(next);
    }
    return good;
}

bool token_roles_check(const mqd_settings *settings, mqd_message *message) {
    const token_roles none = {.issuer = {.count = 0}};
    const log_options log = {.level = settings->log_level, .format = settings->log_format};
    both_next next;
    bool good = prepare(&next, &none, settings, &log, message);
    discard(&next);
    return good;
}

bool token_roles_bind(token_roles *roles, const mqd_settings *settings, mqd_message *message) {
    return token_role_bind(&roles->issuer, "issuer", &settings->issuer.role, message) &&
           token_role_bind(&roles->attester, "attester", &settings->attester.role, message);
}

/* False: it is not bound, and will be after a restart; or it is gone, and what it served goes on until then. */
static bool is_served(const token_role *role, const token_role_next *next) {
    return role->count > 0 && next->prepared;
}

bool token_roles_serve(token_roles *roles, const mqd_settings *settings, const log_options *log, mqd_message *message) {
    both_next next;
    if (!prepare(&next, roles, settings, log, message)) {
        return false;
    }
    bool issuer = is_served(&roles->issuer, &next.issuer);
    bool attester = is_served(&roles->attester, &next.attester);
    bool started = (!issuer || token_role_start(&roles->issuer, &next.issuer, message)) &&
                   (!attester || token_role_start(&roles->attester, &next.attester, message));
    if (started && issuer) {
        token_role_swap(&roles->issuer, &next.issuer);
    }
    if (started && attester) {
        token_role_swap(&roles->attester, &next.attester);
    }
    discard(&next);
    return started;
}

void token_roles_stop(token_roles *roles) {
    token_role_stop(&roles->attester);
    token_role_stop(&roles->issuer);
}

void token_roles_print(const token_roles *roles) {
    token_role_print(&roles->issuer);
    token_role_print(&roles->attester);
}
