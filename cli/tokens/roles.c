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

bool token_roles_check(const mqd_settings *settings, mqd_message *message) {
    return (!plays(&settings->issuer.role) || issuer_role_check(settings, message)) &&
           (!plays(&settings->attester.role) || attester_role_check(settings, message));
}

bool token_roles_bind(token_roles *roles, const mqd_settings *settings, mqd_message *message) {
    return token_role_bind(&roles->issuer, "issuer", &settings->issuer.role, message) &&
           token_role_bind(&roles->attester, "attester", &settings->attester.role, message);
}

bool token_roles_serve(token_roles *roles, const mqd_settings *settings, const log_options *log, mqd_message *message) {
    bool issuer = roles->issuer.count > 0 && plays(&settings->issuer.role);
    bool attester = roles->attester.count > 0 && plays(&settings->attester.role);
    return token_roles_check(settings, message) && (!issuer || issuer_role_serve(&roles->issuer, settings, message)) &&
           (!attester || attester_role_serve(&roles->attester, settings, log, message));
}

void token_roles_stop(token_roles *roles) {
    token_role_stop(&roles->attester);
    token_role_stop(&roles->issuer);
}

void token_roles_print(const token_roles *roles) {
    token_role_print(&roles->issuer);
    token_role_print(&roles->attester);
}
