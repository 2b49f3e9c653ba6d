#include "crypto/ticket_client.h"

#include <string.h>

#include "crypto/date.h"
#include "crypto/wolfssl.h"

/* kind, time of the full handshake; then, of somebody: hash of the key, the certificate's end, subject and names with a
   zero behind each. Times are seconds since 1970, big-endian. */
enum { NOBODY, CERTIFICATE, RAW_KEY };
#define SINCE_LENGTH 4u
#define HASH_LENGTH 32u
#define END_LENGTH 8u
#define HEAD_LENGTH (1 + SINCE_LENGTH)
#define FIXED_LENGTH (HEAD_LENGTH + HASH_LENGTH + END_LENGTH)

/* wolfSSL's index 0 is mq_quic's (wolfSSL_set_app_data). */
#define KEPT_AT 1

typedef struct kept {
    masque_allocator allocator;
    uint8_t tag[MQ_TICKET_TAG_LENGTH];
    size_t length;
    uint8_t bytes[];
} kept;

typedef struct remembered {
    uint8_t kind;
    uint32_t since;
    const uint8_t *hash;
    uint64_t end;
    const char *text;
    size_t text_length;
} remembered;

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void put_number(uint8_t *at, uint64_t number, size_t length) {
    for (size_t i = length; i-- > 0; number >>= 8) {
        at[i] = (uint8_t)number;
    }
}

static void write_head(uint8_t *at, uint8_t kind) {
    at[0] = kind;
    put_number(at + 1, (uint64_t)wc_Time(NULL), SINCE_LENGTH);
}

/* When SSL's peer's certificate ends; 0: it can't be read. */
static uint64_t end_of(WOLFSSL *ssl) {
    WOLFSSL_X509 *certificate = wolfSSL_get_peer_certificate(ssl);
    const WOLFSSL_ASN1_TIME *date = certificate ? wolfSSL_X509_get_notAfter(certificate) : NULL;
    uint64_t end =
        date && date->length > 0 ? mq_date_seconds((uint8_t)date->type, date->data, (size_t)date->length) : 0;
    wolfSSL_X509_free(certificate);
    return end;
}

static size_t write_peer(WOLFSSL *ssl, const mq_peer *peer, uint8_t *at, size_t room) {
    bool raw = peer->told.is_raw_key;
    uint64_t end = raw ? 0 : end_of(ssl);
    if ((!raw && end == 0) || FIXED_LENGTH + peer->length > room) {
        return 0;
    }
    write_head(at, raw ? RAW_KEY : CERTIFICATE);
    memcpy(at + HEAD_LENGTH, peer->told.key_hash, HASH_LENGTH);
    put_number(at + HEAD_LENGTH + HASH_LENGTH, end, END_LENGTH);
    memcpy(at + FIXED_LENGTH, peer->text, peer->length);
    return FIXED_LENGTH + peer->length;
}

size_t mq_ticket_client_write(void *ssl, const masque_allocator *allocator, mq_clients clients, uint8_t *at,
                              size_t room) {
    mq_peer *peer = NULL;
    if (room < HEAD_LENGTH) {
        return 0;
    }
    if (wolfSSL_session_reused(ssl)) {
        /* It is as old as it was. */
        const kept *old = wolfSSL_get_ex_data(ssl, KEPT_AT);
        if (!old || old->length > room) {
            return 0;
        }
        memcpy(at, old->bytes, old->length);
        return old->length;
    }
    if (clients != MQ_CLIENTS_UNASKED && mq_peer_of_tls(&peer, allocator, ssl)) {
        return 0;
    }
    if (clients == MQ_CLIENTS_NEEDED && !peer) {
        return 0; /* wolfSSL had no memory to tell */
    }
    if (!peer) {
        write_head(at, NOBODY);
        return HEAD_LENGTH;
    }
    size_t length = write_peer(ssl, peer, at, room);
    mq_peer_del(peer, allocator);
    return length;
}

/* --- reading ------------------------------------------------------------------------------------------------------ */

static uint64_t get_number(const uint8_t *at, size_t length) {
    uint64_t number = 0;
    for (size_t i = 0; i < length; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

static bool read_all(remembered *found, const uint8_t *bytes, size_t length) {
    if (length < HEAD_LENGTH || bytes[0] > RAW_KEY) {
        return false;
    }
    *found = (remembered){.kind = bytes[0], .since = (uint32_t)get_number(bytes + 1, SINCE_LENGTH)};
    if (found->kind == NOBODY) {
        return length == HEAD_LENGTH;
    }
    if (length <= FIXED_LENGTH) {
        return false;
    }
    found->hash = bytes + HEAD_LENGTH;
    found->end = get_number(found->hash + HASH_LENGTH, END_LENGTH);
    found->text = (const char *)bytes + FIXED_LENGTH;
    found->text_length = length - FIXED_LENGTH;
    return found->text[found->text_length - 1] == 0;
}

static bool is_in_time(const remembered *found) {
    int64_t now = (int64_t)wc_Time(NULL);
    /* Another machine's clock may be ahead of ours. */
    int32_t age = (int32_t)((uint32_t)now - found->since);
    return age <= MQ_TICKET_LIFETIME_S && age >= -MQ_TICKET_LIFETIME_S &&
           (found->kind != CERTIFICATE || (now >= 0 && (uint64_t)now <= found->end));
}

bool mq_ticket_client_keep(void *ssl, const masque_allocator *allocator, const uint8_t tag[MQ_TICKET_TAG_LENGTH],
                           const uint8_t *bytes, size_t length) {
    const kept *old = wolfSSL_get_ex_data(ssl, KEPT_AT);
    remembered found;
    if (old) {
        return memcmp(old->tag, tag, sizeof old->tag) == 0; /* HelloRetryRequest brings it again */
    }
    if (!read_all(&found, bytes, length) || !is_in_time(&found)) {
        return false;
    }
    kept *keep = mq_alloc(allocator, sizeof *keep + length);
    if (!keep) {
        return false;
    }
    keep->allocator = *allocator;
    memcpy(keep->tag, tag, sizeof keep->tag);
    keep->length = length;
    memcpy(keep->bytes, bytes, length);
    if (wolfSSL_set_ex_data(ssl, KEPT_AT, keep) != WOLFSSL_SUCCESS) {
        mq_free(allocator, keep);
        return false;
    }
    return true;
}

void mq_ticket_client_forget(void *ssl) {
    kept *keep = ssl ? wolfSSL_get_ex_data(ssl, KEPT_AT) : NULL;
    if (keep) {
        const masque_allocator allocator = keep->allocator;
        wolfSSL_set_ex_data(ssl, KEPT_AT, NULL);
        mq_free(&allocator, keep);
    }
}

int mq_ticket_client_of(mq_peer **peer, const masque_allocator *allocator, void *ssl) {
    const kept *keep = wolfSSL_get_ex_data(ssl, KEPT_AT);
    remembered found;
    *peer = NULL;
    if (!wolfSSL_session_reused(ssl)) {
        return mq_peer_of_tls(peer, allocator, ssl); /* a ticket that was opened may still have been passed over */
    }
    if (!keep || !read_all(&found, keep->bytes, keep->length)) {
        return MASQUE_ERR_CERTIFICATE;
    }
    return found.kind == NOBODY
               ? 0
               : mq_peer_restore(peer, allocator, found.kind == RAW_KEY, found.hash, found.text, found.text_length);
}
