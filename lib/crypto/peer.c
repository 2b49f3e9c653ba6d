#include "crypto/peer.h"

#include <stdio.h>
#include <string.h>

#include "crypto/der.h"
#include "crypto/digest.h"
#include "crypto/wolfssl.h"

/* A certificate (RFC 5280 4.1): a version, extensions, and what they are in. */
enum { VERSION = 0xa0, EXTENSIONS = 0xa3, BOOLEAN = 0x01, DNS_NAME = 0x82, URI = 0x86, IP_ADDRESS = 0x87 };

static const uint8_t SUBJECT_ALTERNATIVE_NAME[] = {MQ_DER_OID, 3, 0x55, 0x1d, 0x11};

/* RFC 4514 3. */
static const struct {
    uint8_t oid[10];
    size_t length;
    const char *name;
} ATTRIBUTES[] = {
    {{0x55, 0x04, 0x03}, 3, "CN"},
    {{0x55, 0x04, 0x06}, 3, "C"},
    {{0x55, 0x04, 0x07}, 3, "L"},
    {{0x55, 0x04, 0x08}, 3, "ST"},
    {{0x55, 0x04, 0x0a}, 3, "O"},
    {{0x55, 0x04, 0x0b}, 3, "OU"},
    {{0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19}, 10, "DC"},
    {{0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01}, 10, "UID"},
};

#define RELATIVE_NAMES_MAX 32u

typedef struct parts {
    const uint8_t *spki; /* with its head */
    size_t spki_length;
    mq_der subject;
    mq_der names; /* of the alternative name; none: nothing is left in it */
} parts;

/* Text that grows until it is full. */
typedef struct writer {
    char *text;
    size_t size;
    size_t at;
    bool full;
} writer;

/* --- the certificate ---------------------------------------------------------------------------------------------- */

static bool read_extensions(mq_der outer, mq_der *names) {
    mq_der list, extension, value;
    if (!mq_der_enter(&outer, MQ_DER_SEQUENCE, &list)) {
        return false;
    }
    while (list.left > 0) {
        uint8_t tag;
        mq_der critical;
        if (!mq_der_enter(&list, MQ_DER_SEQUENCE, &extension)) {
            return false;
        }
        if (!mq_der_skip(&extension, SUBJECT_ALTERNATIVE_NAME, sizeof SUBJECT_ALTERNATIVE_NAME)) {
            continue;
        }
        if (extension.left > 0 && extension.at[0] == BOOLEAN && !mq_der_next(&extension, &tag, &critical)) {
            return false;
        }
        return mq_der_enter(&extension, MQ_DER_OCTET_STRING, &value) && mq_der_enter(&value, MQ_DER_SEQUENCE, names);
    }
    return true;
}

/* A SubjectPublicKeyInfo alone (RFC 7250): its algorithm comes first, an OID. */
static bool is_raw_key(const uint8_t *bytes, size_t length) {
    mq_der all = {.at = bytes, .left = length};
    mq_der key, algorithm, oid, bits;
    return mq_der_enter(&all, MQ_DER_SEQUENCE, &key) && all.left == 0 &&
           mq_der_enter(&key, MQ_DER_SEQUENCE, &algorithm) && mq_der_enter(&algorithm, MQ_DER_OID, &oid) &&
           mq_der_enter(&key, MQ_DER_BIT_STRING, &bits) && key.left == 0;
}

static bool read_certificate(const uint8_t *bytes, size_t length, parts *found) {
    mq_der all = {.at = bytes, .left = length};
    mq_der certificate, body, ignored, spki;
    *found = (parts){.spki = NULL};
    if (!mq_der_enter(&all, MQ_DER_SEQUENCE, &certificate) || !mq_der_enter(&certificate, MQ_DER_SEQUENCE, &body)) {
        return false;
    }
    (void)mq_der_enter(&body, VERSION, &ignored);
    bool good = mq_der_enter(&body, MQ_DER_INTEGER, &ignored) &&  /* serial number */
                mq_der_enter(&body, MQ_DER_SEQUENCE, &ignored) && /* signature */
                mq_der_enter(&body, MQ_DER_SEQUENCE, &ignored) && /* issuer */
                mq_der_enter(&body, MQ_DER_SEQUENCE, &ignored) && /* validity */
                mq_der_enter(&body, MQ_DER_SEQUENCE, &found->subject);
    found->spki = body.at;
    good = good && mq_der_enter(&body, MQ_DER_SEQUENCE, &spki);
    found->spki_length = (size_t)(body.at - found->spki);
    while (good && body.left > 0) {
        uint8_t tag;
        mq_der element;
        good = mq_der_next(&body, &tag, &element) && (tag != EXTENSIONS || read_extensions(element, &found->names));
    }
    return good;
}

/* --- texts -------------------------------------------------------------------------------------------------------- */

static void put(writer *w, char c) {
    if (w->at + 1 < w->size) {
        w->text[w->at++] = c;
    } else {
        w->full = true;
    }
}

static void put_text(writer *w, const char *text) {
    while (*text) {
        put(w, *text++);
    }
}

/* A value of a name (RFC 4514 2.4); control characters as \XX. */
static void put_value(writer *w, const mq_der *value) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < value->left; i++) {
        uint8_t c = value->at[i];
        if (c < 0x20 || c == 0x7f) {
            put(w, '\\');
            put(w, digits[c >> 4]);
            put(w, digits[c & 15]);
            continue;
        }
        bool edge = (i == 0 && (c == ' ' || c == '#')) || (i + 1 == value->left && c == ' ');
        if (edge || strchr("\"+,;<>\\", c)) {
            put(w, '\\');
        }
        put(w, (char)c);
    }
}

static void put_attribute(writer *w, mq_der attribute) {
    mq_der oid, value;
    uint8_t tag;
    if (!mq_der_enter(&attribute, MQ_DER_OID, &oid) || !mq_der_next(&attribute, &tag, &value)) {
        w->full = true;
        return;
    }
    const char *name = "?"; /* one that nobody would write into a list of rules */
    for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof ATTRIBUTES[0]; i++) {
        if (oid.left == ATTRIBUTES[i].length && memcmp(oid.at, ATTRIBUTES[i].oid, oid.left) == 0) {
            name = ATTRIBUTES[i].name;
        }
    }
    put_text(w, name);
    put(w, '=');
    put_value(w, &value);
}

/* The last relative name first (2.1). */
static void put_subject(writer *w, mq_der subject) {
    mq_der relative[RELATIVE_NAMES_MAX];
    size_t count = 0;
    while (subject.left > 0 && !w->full) {
        w->full = count == RELATIVE_NAMES_MAX || !mq_der_enter(&subject, MQ_DER_SET, &relative[count]);
        count += !w->full;
    }
    while (count-- > 0) {
        mq_der attribute;
        bool first = true;
        while (mq_der_enter(&relative[count], MQ_DER_SEQUENCE, &attribute)) {
            put_text(w, first ? "" : "+");
            put_attribute(w, attribute);
            first = false;
        }
        put_text(w, count > 0 ? "," : "");
    }
}

/* "DNS:NAME" or "URI:NAME", of visible ASCII alone; anything else is passed over, as no rule could mean it. */
static bool put_name(writer *w, uint8_t tag, const mq_der *value) {
    if (tag != DNS_NAME && tag != URI) {
        return false;
    }
    for (size_t i = 0; i < value->left; i++) {
        if (value->at[i] <= 0x20 || value->at[i] >= 0x7f) {
            return false;
        }
    }
    put_text(w, tag == URI ? "URI:" : "DNS:");
    for (size_t i = 0; i < value->left; i++) {
        put(w, (char)value->at[i]);
    }
    return true;
}

static bool put_names(mq_peer *peer, writer *w, mq_der names) {
    while (names.left > 0 && peer->told.name_count < MQ_PEER_NAMES_MAX) {
        uint8_t tag;
        mq_der value;
        size_t begin = w->at;
        if (!mq_der_next(&names, &tag, &value)) {
            return false;
        }
        if (put_name(w, tag, &value)) {
            peer->names[peer->told.name_count++] = w->text + begin;
            put(w, 0);
        }
    }
    return true;
}

/* --- life --------------------------------------------------------------------------------------------------------- */

static int fill(mq_peer *peer, const parts *found, size_t size) {
    const mq_piece spki = {found->spki, found->spki_length};
    writer w = {.text = peer->text, .size = size};
    put_subject(&w, found->subject);
    put(&w, 0);
    peer->told.subject = peer->text;
    peer->told.names = peer->names;
    if (!put_names(peer, &w, found->names) || w.full) {
        return MASQUE_ERR_CERTIFICATE;
    }
    peer->length = w.at;
    return mq_sha256(peer->told.key_hash, &spki, 1);
}

int mq_peer_new(mq_peer **out, const masque_allocator *allocator, const uint8_t *certificate, size_t length) {
    parts found;
    bool raw = is_raw_key(certificate, length);
    *out = NULL;
    if (raw) {
        found = (parts){.spki = certificate, .spki_length = length};
    } else if (!read_certificate(certificate, length, &found)) {
        return MASQUE_ERR_CERTIFICATE;
    }
    /* Escapes make three characters of one; each name has a prefix, and all have ends. */
    size_t size = 3 * found.subject.left + found.names.left + 5 * (size_t)MQ_PEER_NAMES_MAX + 2;
    mq_peer *peer = mq_zalloc(allocator, sizeof *peer);
    if (!peer || !(peer->text = mq_zalloc(allocator, size))) {
        mq_peer_del(peer, allocator);
        return MASQUE_ERR_NO_MEMORY;
    }
    peer->told.is_raw_key = raw;
    int error = fill(peer, &found, size);
    if (error) {
        mq_peer_del(peer, allocator);
        return error;
    }
    *out = peer;
    return 0;
}

static bool find_names(mq_peer *peer) {
    const char *end = peer->text + peer->length;
    for (char *at = peer->text + strlen(peer->text) + 1; at < end; at += strlen(at) + 1) {
        if (peer->told.name_count == MQ_PEER_NAMES_MAX) {
            return false;
        }
        peer->names[peer->told.name_count++] = at;
    }
    return true;
}

int mq_peer_restore(mq_peer **out, const masque_allocator *allocator, bool is_raw_key, const uint8_t key_hash[32],
                    const char *text, size_t length) {
    *out = NULL;
    mq_peer *peer = mq_zalloc(allocator, sizeof *peer);
    if (!peer || !(peer->text = mq_copy_text(allocator, text, length))) {
        mq_peer_del(peer, allocator);
        return MASQUE_ERR_NO_MEMORY;
    }
    peer->length = length;
    peer->told = (masque_peer){.is_raw_key = is_raw_key, .subject = peer->text, .names = peer->names};
    memcpy(peer->told.key_hash, key_hash, sizeof peer->told.key_hash);
    if (length == 0 || text[length - 1] != 0 || !find_names(peer)) {
        mq_peer_del(peer, allocator);
        return MASQUE_ERR_CERTIFICATE;
    }
    *out = peer;
    return 0;
}

int mq_peer_of_tls(mq_peer **peer, const masque_allocator *allocator, void *ssl) {
    *peer = NULL;
    WOLFSSL_X509 *certificate = wolfSSL_get_peer_certificate(ssl);
    if (!certificate) {
        return 0;
    }
    int length = 0;
    const uint8_t *der = wolfSSL_X509_get_der(certificate, &length);
    int error = der && length > 0 ? mq_peer_new(peer, allocator, der, (size_t)length) : MASQUE_ERR_CERTIFICATE;
    wolfSSL_X509_free(certificate);
    return error;
}

bool mq_peer_has_certificate(void *ssl) {
    int length = 0;
    WOLFSSL_X509 *certificate = wolfSSL_get_peer_certificate(ssl);
    const uint8_t *der = certificate ? wolfSSL_X509_get_der(certificate, &length) : NULL;
    bool has = der && length > 0 && !is_raw_key(der, (size_t)length);
    wolfSSL_X509_free(certificate);
    return has;
}

void mq_peer_del(mq_peer *peer, const masque_allocator *allocator) {
    if (peer) {
        mq_free(allocator, peer->text);
        mq_free(allocator, peer);
    }
}
