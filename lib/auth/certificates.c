#include "auth/certificates.h"

#include <masqueproxy/base64.h>
#include <string.h>

#include "base/ascii.h"

static bool same_without_case(const char *a, const char *b) {
    while (*a && mq_lower(*a) == mq_lower(*b)) {
        a++;
        b++;
    }
    return *a == 0 && *b == 0;
}

static int digit_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : mq_lower(c) >= 'a' && mq_lower(c) <= 'f' ? mq_lower(c) - 'a' + 10 : -1;
}

/* 64 hexadecimal digits, or Base64 of 32 bytes. */
static bool read_hash(uint8_t hash[32], const char *text) {
    size_t length = strlen(text);
    if (length != 64) {
        return masque_base64_decode(hash, 32, &length, text, length) && length == 32;
    }
    for (size_t i = 0; i < 32; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        hash[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* What stands behind PREFIX in TEXT, or NULL. */
static const char *behind(const char *text, const char *prefix) {
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 && text[length] ? text + length : NULL;
}

static int read_rule(mq_peer_rule *rule, const masque_allocator *allocator, const char *text) {
    const char *subject = behind(text, "subject:");
    const char *hash = behind(text, "sha256:");
    const char *kept = subject;
    char name[MASQUE_PEER_RULE_MAX + 8];
    if (strlen(text) > MASQUE_PEER_RULE_MAX) {
        return MASQUE_ERR_INVALID;
    }
    if (hash) {
        rule->kind = MQ_PEER_KEY;
        return read_hash(rule->key_hash, hash) ? 0 : MASQUE_ERR_INVALID;
    }
    rule->kind = subject ? MQ_PEER_SUBJECT : MQ_PEER_NAME;
    if (!subject) {
        const char *dns = behind(text, "dns:");
        if (!dns && !strstr(text, "://")) {
            return MASQUE_ERR_INVALID;
        }
        memcpy(name, dns ? "DNS:" : "URI:", 4);
        memcpy(name + 4, dns ? dns : text, strlen(dns ? dns : text) + 1);
        kept = name;
    }
    rule->text = mq_copy_text(allocator, kept, strlen(kept));
    return rule->text ? 0 : MASQUE_ERR_NO_MEMORY;
}

int mq_certificates_init(mq_certificates *certificates, const masque_allocator *allocator, const char *const *rules,
                         size_t count, size_t *wrong) {
    int error = 0;
    *certificates = (mq_certificates){.on = true};
    if (count == 0) {
        return 0;
    }
    certificates->rules = mq_zalloc(allocator, count * sizeof *certificates->rules);
    error = certificates->rules ? 0 : MASQUE_ERR_NO_MEMORY;
    for (size_t i = 0; i < count && !error; i++) {
        error = read_rule(&certificates->rules[i], allocator, rules[i]);
        certificates->count++;
        *wrong = i;
    }
    if (error) {
        mq_certificates_free(certificates, allocator);
    }
    return error;
}

void mq_certificates_free(mq_certificates *certificates, const masque_allocator *allocator) {
    for (size_t i = 0; i < certificates->count; i++) {
        mq_free(allocator, certificates->rules[i].text);
    }
    mq_free(allocator, certificates->rules);
    *certificates = (mq_certificates){.on = false};
}

static bool has_name(const masque_peer *peer, const char *name) {
    bool dns = strncmp(name, "DNS:", 4) == 0;
    for (size_t i = 0; i < peer->name_count; i++) {
        if (dns ? same_without_case(peer->names[i], name) : strcmp(peer->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static bool fits(const mq_peer_rule *rule, const masque_peer *peer) {
    if (peer->is_raw_key && rule->kind != MQ_PEER_KEY) {
        return false;
    }
    switch (rule->kind) {
    case MQ_PEER_SUBJECT:
        return strcmp(peer->subject, rule->text) == 0;
    case MQ_PEER_NAME:
        return has_name(peer, rule->text);
    case MQ_PEER_KEY:
        return memcmp(peer->key_hash, rule->key_hash, sizeof rule->key_hash) == 0;
    }
    return false;
}

bool mq_certificates_allow(const mq_certificates *certificates, const masque_peer *peer) {
    if (!certificates->on || !peer) {
        return false;
    }
    for (size_t i = 0; i < certificates->count; i++) {
        if (fits(&certificates->rules[i], peer)) {
            return true;
        }
    }
    return certificates->count == 0 && !peer->is_raw_key; /* whom the CA has signed */
}
