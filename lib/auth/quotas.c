#include "auth/quotas.h"

#include <string.h>

#include "crypto/digest.h"

static bool same_text(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_there(const mq_quotas *quotas, const masque_quota *quota) {
    for (size_t i = 0; i < quotas->count; i++) {
        const mq_quota *one = &quotas->list[i];
        if (same_text(one->method, quota->method) && same_text(one->identity, quota->identity)) {
            return true;
        }
    }
    return false;
}

static void free_one(mq_quota *quota, const masque_allocator *allocator) {
    mq_free(allocator, quota->method);
    mq_free(allocator, quota->identity);
    mq_certificates_free(&quota->rule, allocator);
}

static bool is_of_certificate(const masque_quota *quota) {
    return quota->identity && strcmp(quota->method, MQ_METHOD_CERTIFICATE) == 0;
}

static int copy(mq_quota *to, const masque_allocator *allocator, const masque_quota *quota) {
    size_t wrong;
    *to = (mq_quota){.bounds = *quota};
    to->bounds.method = to->bounds.identity = NULL;
    to->method = mq_copy_text(allocator, quota->method, strlen(quota->method));
    if (quota->identity) {
        to->identity = mq_copy_text(allocator, quota->identity, strlen(quota->identity));
    }
    if (!to->method || (quota->identity && !to->identity)) {
        return MASQUE_ERR_NO_MEMORY;
    }
    return is_of_certificate(quota) ? mq_certificates_init(&to->rule, allocator, &quota->identity, 1, &wrong) : 0;
}

int mq_quotas_add(mq_quotas *quotas, const masque_allocator *allocator, const masque_quota *quota) {
    bool bounds = quota->tunnels_max || quota->tunnels_rate || quota->bytes_per_hour;
    if (!quota->method || !bounds || is_there(quotas, quota) ||
        (quota->identity && !is_of_certificate(quota) && strlen(quota->identity) > MASQUE_IDENTITY_MAX)) {
        return MASQUE_ERR_INVALID;
    }
    mq_quota *list = mq_grow(allocator, quotas->list, &quotas->capacity, quotas->count + 1, sizeof *list);
    if (!list) {
        return MASQUE_ERR_NO_MEMORY;
    }
    quotas->list = list;
    int error = copy(&list[quotas->count], allocator, quota);
    if (error) {
        free_one(&list[quotas->count], allocator);
        return error;
    }
    quotas->count++;
    return 0;
}

void mq_quotas_free(mq_quotas *quotas, const masque_allocator *allocator) {
    for (size_t i = 0; i < quotas->count; i++) {
        free_one(&quotas->list[i], allocator);
    }
    mq_free(allocator, quotas->list);
    *quotas = (mq_quotas){.list = NULL};
}

static bool fits(const mq_quota *quota, const char *method, const char *name, const masque_peer *peer) {
    if (!quota->identity || strcmp(quota->method, method) != 0) {
        return false;
    }
    return quota->rule.on ? mq_certificates_allow(&quota->rule, peer) : strcmp(quota->identity, name) == 0;
}

/* Its own, else that of each of the method's. */
static const mq_quota *find(const mq_quotas *quotas, const char *method, const char *name, const masque_peer *peer) {
    const mq_quota *each = NULL;
    for (size_t i = 0; i < quotas->count; i++) {
        const mq_quota *one = &quotas->list[i];
        if (fits(one, method, name, peer)) {
            return one;
        }
        each = !one->identity && strcmp(one->method, method) == 0 ? one : each;
    }
    return each;
}

const masque_quota *mq_quotas_find(const mq_quotas *quotas, const char *method, const char *name,
                                   const masque_peer *peer, uint8_t key[MQ_QUOTA_KEY_LENGTH], int *error) {
    uint8_t digest[MQ_SHA256_LENGTH];
    const mq_quota *quota = find(quotas, method, name, peer);
    *error = 0;
    if (!quota) {
        return NULL;
    }
    const char *counted = quota->identity ? quota->identity : name;
    const mq_piece pieces[] = {{method, strlen(method) + 1}, {counted, strlen(counted)}};
    *error = mq_sha256(digest, pieces, 2);
    memcpy(key, digest, MQ_QUOTA_KEY_LENGTH);
    return *error ? NULL : &quota->bounds;
}
