#include "auth/privacypass/token.h"

#include <string.h>

#include <masqueproxy/base64.h>

/* --- parameters (RFC 9110 11.2, 5.6.2 to 5.6.4) ------------------------------------------------------------------- */

/* Longer than any token: a longer value is none. */
#define VALUE_MAX 512u

typedef struct param {
    const char *name;
    size_t name_length;
    char value[VALUE_MAX];
    size_t value_length; /* VALUE_MAX + 1: longer */
} param;

typedef struct text {
    const char *at;
    const char *end;
} text;

static void skip_spaces(text *in) {
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t')) {
        in->at++;
    }
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Base64 has three characters that no token of RFC 9110 has; clients send it unquoted all the same. */
static bool is_value(char c) {
    return is_name(c) || c == '/' || c == '=';
}

static void keep(param *p, char c) {
    if (p->value_length < VALUE_MAX) {
        p->value[p->value_length] = c;
    }
    p->value_length += p->value_length <= VALUE_MAX;
}

static bool take_quoted(text *in, param *p) {
    for (in->at++; in->at < in->end; in->at++) {
        if (*in->at == '"') {
            in->at++;
            return true;
        }
        if (*in->at == '\\' && ++in->at == in->end) {
            return false;
        }
        keep(p, *in->at);
    }
    return false;
}

static bool take_value(text *in, param *p) {
    p->value_length = 0;
    if (in->at < in->end && *in->at == '"') {
        return take_quoted(in, p);
    }
    while (in->at < in->end && is_value(*in->at)) {
        keep(p, *in->at++);
    }
    return p->value_length > 0;
}

static bool take_param(text *in, param *p) {
    p->name = in->at;
    while (in->at < in->end && is_name(*in->at)) {
        in->at++;
    }
    p->name_length = (size_t)(in->at - p->name);
    skip_spaces(in);
    if (p->name_length == 0 || in->at == in->end || *in->at++ != '=') {
        return false;
    }
    skip_spaces(in);
    return take_value(in, p);
}

static bool is_token(const param *p) {
    static const char name[] = "token";
    for (size_t i = 0; i < p->name_length; i++) {
        if (i >= sizeof name - 1 || (p->name[i] | 0x20) != name[i]) {
            return false;
        }
    }
    return p->name_length == sizeof name - 1;
}

/* --- the token ----------------------------------------------------------------------------------- */

static bool decode(mq_token *token, const param *p) {
    if (p->value_length > VALUE_MAX ||
        !masque_base64_decode(token->bytes, sizeof token->bytes, &token->length, p->value, p->value_length) ||
        token->length < 2) {
        return false;
    }
    token->type = (uint16_t)(token->bytes[0] << 8 | token->bytes[1]);
    size_t authenticator = token->type == MQ_TOKEN_VOPRF       ? MQ_TOKEN_AUTHENTICATOR_VOPRF
                           : token->type == MQ_TOKEN_BLIND_RSA ? MQ_TOKEN_AUTHENTICATOR_RSA
                                                               : 0;
    return authenticator > 0 && token->length == MQ_TOKEN_INPUT + authenticator;
}

bool mq_token_read(mq_token *token, const char *credential, size_t length) {
    text in = {.at = credential, .end = credential + length};
    param p;
    unsigned tokens = 0;
    for (;;) {
        skip_spaces(&in);
        if (in.at == in.end) {
            return tokens == 1;
        }
        if (*in.at == ',') { /* a list may have empty elements */
            in.at++;
            continue;
        }
        if (!take_param(&in, &p)) {
            return false;
        }
        if (is_token(&p) && (++tokens > 1 || !decode(token, &p))) {
            return false;
        }
        skip_spaces(&in);
        if (in.at < in.end && *in.at != ',') {
            return false;
        }
    }
}
