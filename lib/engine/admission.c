#include "engine/admission.h"

#include <string.h>

#include "engine/engine.h"

/* A table that all engines share is asked for so many at a time. */
#define BILLED_AT 65536u

static const masque_config *current_config(const mq_tunnel *tunnel) {
    return tunnel->conn->engine->setup->config;
}

const masque_peer *mq_admission_peer(const mq_tunnel *tunnel) {
    const mq_conn *conn = tunnel->conn;
    const mq_credentials *now = &current_config(tunnel)->credentials;
    if (!conn->peer) {
        return NULL;
    }
    /* Raw public keys are what they are; the rules say whose count. */
    bool valid = conn->peer->told.is_raw_key ? now->client_raw_keys
                                             : mq_credentials_same_clients(&conn->setup->config->credentials, now);
    return valid ? &conn->peer->told : NULL;
}

/* --- quotas -------------------------------------------------------------------------------- */

static bool enter_quota(mq_tunnel *tunnel, const char *method, const char *name) {
    const masque_config *config = current_config(tunnel);
    mq_admission *admission = &tunnel->admission;
    uint8_t key[MQ_QUOTA_KEY_LENGTH];
    int error;
    const masque_quota *quota = mq_quotas_find(&config->quotas, method, name, mq_admission_peer(tunnel), key, &error);
    if (error || !quota) {
        return !error;
    }
    int64_t place = mq_quota_enter(config->quota_counts, key, quota, tunnel->conn->engine->now);
    if (place < 0) {
        return false;
    }
    admission->counts = mq_quota_counts_retain(config->quota_counts);
    admission->place = place;
    admission->counts_bytes = quota->bytes_per_hour > 0;
    return true;
}

bool mq_admission_begin(mq_tunnel *tunnel, const char *method, const masque_identity *identity) {
    mq_admission *admission = &tunnel->admission;
    if (current_config(tunnel)->quotas.count > 0 && !enter_quota(tunnel, method, identity->name)) {
        tunnel->conn->engine->stats.quota_refusals++;
        return false;
    }
    admission->method = method;
    memcpy(admission->mark, identity->mark, sizeof admission->mark);
    return true;
}

void mq_admission_use(mq_tunnel *tunnel, size_t length) {
    mq_admission *admission = &tunnel->admission;
    masque_engine *engine = tunnel->conn->engine;
    if (!admission->counts_bytes) {
        return;
    }
    admission->unbilled += (uint32_t)length; /* of one call's */
    if (admission->unbilled < BILLED_AT || tunnel->ended) {
        return; /* one that ends pays the rest then */
    }
    bool left = mq_quota_use(admission->counts, admission->place, admission->unbilled, engine->now);
    admission->unbilled = 0;
    if (!left) {
        engine->stats.quota_ends++;
        mq_tunnel_end(tunnel, true);
    }
}

void mq_admission_end(mq_tunnel *tunnel) {
    mq_admission *admission = &tunnel->admission;
    if (admission->counts) {
        mq_quota_use(admission->counts, admission->place, admission->unbilled, tunnel->conn->engine->now);
        mq_quota_leave(admission->counts, admission->place);
        mq_quota_counts_release(admission->counts);
    }
    mq_wipe(admission, sizeof *admission);
}

/* --- revocation ---------------------------------------------------------------------------- */

static bool method_still_allows(const masque_config *config, unsigned listener, const mq_admission *admission) {
    for (size_t i = 0; i < config->method_count; i++) {
        const masque_auth_method *method = &config->methods[i];
        if (strcmp(method->name, admission->method) == 0 && mq_config_allows_method(config, listener, i) &&
            (!method->still || method->still(method->context, admission->mark))) {
            return true;
        }
    }
    return false;
}

/* Would the present configuration allow what METHOD has, by a credential with MARK? */
static bool is_still_allowed(const mq_tunnel *tunnel, const mq_admission *admission) {
    const masque_config *config = current_config(tunnel);
    unsigned listener = tunnel->conn->listener;
    bool certified = mq_config_asks_certificates(config, listener) &&
                     mq_certificates_allow(&config->certificates, mq_admission_peer(tunnel));
    if (strcmp(admission->method, MQ_METHOD_CERTIFICATE) == 0) {
        return certified && mq_config_lets_in_by_certificate(config, listener);
    }
    bool lacks = mq_config_needs_certificate(config, listener) && !certified;
    return !lacks && method_still_allows(config, listener, admission);
}

bool mq_admission_is_late(const mq_tunnel *tunnel, const char *method, const masque_identity *identity) {
    mq_admission judged = {.method = method};
    memcpy(judged.mark, identity->mark, sizeof judged.mark);
    return !is_still_allowed(tunnel, &judged);
}

static void revoke_on(mq_conn *conn) {
    for (mq_link *link = conn->tunnels.next, *next; link != &conn->tunnels; link = next) {
        mq_tunnel *tunnel = MQ_MEMBER(link, mq_tunnel, in_conn);
        next = link->next;
        /* Without a method its verdict is still to come, or it is one of ours. */
        if (!tunnel->ended && tunnel->admission.method && !is_still_allowed(tunnel, &tunnel->admission)) {
            conn->engine->stats.revoked++;
            mq_tunnel_end(tunnel, true);
        }
    }
    mq_conn_settle(conn);
}

void mq_engine_revoke(masque_engine *engine) {
    for (uint32_t i = 0; i < engine->conns.used; i++) {
        mq_conn *conn = mq_slots_at(&engine->conns, i);
        if (conn) {
            revoke_on(conn);
        }
    }
}
