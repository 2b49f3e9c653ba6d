#include "transport/quic_packet.h"

#include <assert.h>
#include <string.h>

#include "transport/quic_keys.h"

/* How long a client may take to come back after a Retry; how long an address stays known. */
#define RETRY_LIFETIME (10 * MASQUE_SECOND)
#define ADDRESS_LIFETIME (24 * 3600 * MASQUE_SECOND)
/* RFC 9000 10.3: what looks like a packet and is recognised. */
#define RESET_MIN 21u
#define RESET_MAX 42u

const uint32_t MQ_QUIC_VERSIONS[2] = {NGTCP2_PROTO_VER_V1, NGTCP2_PROTO_VER_V2};

/* --- types ---------------------------------------------------------------------------- */

static uint16_t swap(uint16_t host) {
    const uint8_t bytes[2] = {(uint8_t)(host >> 8), (uint8_t)host};
    uint16_t network;
    memcpy(&network, bytes, sizeof network);
    return network;
}

ngtcp2_socklen mq_sockaddr_of(mq_sockaddr *to, const masque_address *address) {
    memset(to, 0, sizeof *to);
    if (address->family == MASQUE_IPV4) {
        to->ipv4.sin_family = NGTCP2_AF_INET;
        to->ipv4.sin_port = swap(address->port);
        memcpy(&to->ipv4.sin_addr, address->ip, 4);
        return sizeof to->ipv4;
    }
    to->ipv6.sin6_family = NGTCP2_AF_INET6;
    to->ipv6.sin6_port = swap(address->port);
    memcpy(&to->ipv6.sin6_addr, address->ip, 16);
    return sizeof to->ipv6;
}

masque_address mq_address_of(const ngtcp2_addr *from) {
    masque_address address = {.family = MASQUE_FAMILY_NONE};
    const mq_sockaddr *sockaddr = (const mq_sockaddr *)(const void *)from->addr;
    if (sockaddr->any.sa_family == NGTCP2_AF_INET) {
        address.family = MASQUE_IPV4;
        address.port = swap(sockaddr->ipv4.sin_port);
        memcpy(address.ip, &sockaddr->ipv4.sin_addr, 4);
    } else if (sockaddr->any.sa_family == NGTCP2_AF_INET6) {
        address.family = MASQUE_IPV6;
        address.port = swap(sockaddr->ipv6.sin6_port);
        memcpy(address.ip, &sockaddr->ipv6.sin6_addr, 16);
    }
    return address;
}

void mq_quic_path_init(mq_quic_path *path, const masque_packets *packets) {
    ngtcp2_socklen local = mq_sockaddr_of(&path->local, &packets->local);
    ngtcp2_socklen remote = mq_sockaddr_of(&path->remote, &packets->remote);
    path->path = (ngtcp2_path){.local = {.addr = &path->local.any, .addrlen = local},
                               .remote = {.addr = &path->remote.any, .addrlen = remote},
                               .user_data = (void *)(uintptr_t)packets->socket};
}

mq_cid mq_cid_of(const ngtcp2_cid *cid) {
    _Static_assert(MQ_CID_MAX == NGTCP2_MAX_CIDLEN, "connection IDs of either kind");
    mq_cid to = {.length = (uint8_t)cid->datalen};
    memcpy(to.bytes, cid->data, cid->datalen);
    return to;
}

/* --- reading ------------------------------------------------------------------------------ */

mq_packet_head mq_packet_read(const uint8_t *bytes, size_t length) {
    ngtcp2_version_cid head;
    int code = ngtcp2_pkt_decode_version_cid(&head, bytes, length, MASQUE_CONNECTION_ID_LENGTH);
    if (code != 0 && code != NGTCP2_ERR_VERSION_NEGOTIATION) {
        return (mq_packet_head){.kind = MQ_PACKET_BAD};
    }
    bool is_long = bytes[0] & 0x80;
    mq_packet_kind kind = code ? MQ_PACKET_VERSION : is_long ? MQ_PACKET_LONG : MQ_PACKET_SHORT;
    /* RFC 9000 6: one of a version of ours may be longer than 20 bytes only by mistake. */
    if (kind == MQ_PACKET_LONG && (head.dcidlen > MQ_CID_MAX || head.scidlen > MQ_CID_MAX)) {
        kind = MQ_PACKET_BAD;
    }
    if (is_long && head.version == 0) {
        kind = MQ_PACKET_NEGOTIATION;
    }
    return (mq_packet_head){.kind = kind,
                            .version = head.version,
                            .dcid = head.dcid,
                            .dcid_length = head.dcidlen,
                            .scid = head.scid,
                            .scid_length = head.scidlen};
}

static void check_token(mq_quic_initial *initial, const mq_quic_keys *keys, const masque_address *from,
                        masque_time now) {
    if (initial->token_length == 0) {
        return;
    }
    bool of_retry = mq_token_is(initial->token[0], MQ_TOKEN_OF_RETRY);
    const mq_token_bearer bearer = {.address = *from, .version = initial->version, .scid = initial->dcid};
    initial->token_state = of_retry ? MQ_TOKEN_BAD_RETRY : MQ_TOKEN_NONE;
    for (size_t i = 0; i < keys->count; i++) {
        const mq_quic_key *key = &keys->keys[i];
        if (of_retry && mq_retry_token_open(&initial->original_dcid, key, initial->token, initial->token_length,
                                            &bearer, RETRY_LIFETIME, now)) {
            initial->token_state = MQ_TOKEN_RETRY;
            return;
        }
        if (!of_retry &&
            mq_address_token_open(key, initial->token, initial->token_length, from, ADDRESS_LIFETIME, now)) {
            initial->token_state = MQ_TOKEN_ADDRESS;
            return;
        }
    }
}

bool mq_quic_read_initial(mq_quic_initial *initial, const mq_quic_keys *keys, const masque_address *from,
                          const uint8_t *bytes, size_t length, masque_time now) {
    ngtcp2_pkt_hd head;
    if (length < MQ_INITIAL_MIN || ngtcp2_accept(&head, bytes, length) != 0) {
        return false;
    }
    *initial = (mq_quic_initial){.version = head.version,
                                 .dcid = mq_cid_of(&head.dcid),
                                 .scid = mq_cid_of(&head.scid),
                                 .original_dcid = mq_cid_of(&head.dcid),
                                 .token = head.token,
                                 .token_length = head.tokenlen};
    check_token(initial, keys, from, now);
    return true;
}

/* --- writing -------------------------------------------------------------------------------- */

static size_t written(ngtcp2_ssize length) {
    return length > 0 ? (size_t)length : 0;
}

size_t mq_write_version_negotiation(uint8_t *memory, const mq_packet_head *head, const masque_runtime *runtime) {
    uint8_t unpredictable[5];
    runtime->random(runtime->context, unpredictable, sizeof unpredictable);
    /* RFC 9000 6.3: a reserved version, so that clients stay used to unknown ones. */
    uint32_t reserved = 0;
    for (size_t i = 1; i < sizeof unpredictable; i++) {
        reserved = reserved << 8 | (unpredictable[i] & 0xf0u) | 0x0au;
    }
    const uint32_t versions[] = {reserved, MQ_QUIC_VERSIONS[0], MQ_QUIC_VERSIONS[1]};
    return written(ngtcp2_pkt_write_version_negotiation(memory, MQ_INITIAL_MIN, unpredictable[0], head->scid,
                                                        head->scid_length, head->dcid, head->dcid_length, versions,
                                                        sizeof versions / sizeof versions[0]));
}

size_t mq_write_retry(uint8_t *memory, const mq_quic_initial *initial, const mq_cid *scid, const mq_quic_keys *keys,
                      const masque_runtime *runtime, const masque_address *to, masque_time now) {
    uint8_t token[MQ_TOKEN_MAX];
    mq_packet_key *key;
    const ngtcp2_cid retry_scid = mq_ngtcp2_cid(scid);
    const ngtcp2_cid odcid = mq_ngtcp2_cid(&initial->dcid);
    const ngtcp2_cid dcid = mq_ngtcp2_cid(&initial->scid);
    const mq_token_bearer bearer = {.address = *to, .version = initial->version, .scid = *scid};
    size_t length = mq_retry_token_seal(token, &keys->keys[0], runtime, &bearer, &initial->dcid, now);
    if (length == 0 || mq_retry_key(&key, &runtime->allocator, initial->version)) {
        return 0;
    }
    const ngtcp2_crypto_ctx crypto = mq_quic_crypto(mq_quic_suite_initial());
    const ngtcp2_crypto_aead_ctx context = {.native_handle = key};
    ngtcp2_ssize total = ngtcp2_pkt_write_retry(memory, MQ_INITIAL_MIN, initial->version, &dcid, &retry_scid, &odcid,
                                                token, length, mq_quic_encrypt, &crypto.aead, &context);
    mq_packet_key_del(&runtime->allocator, key);
    return written(total);
}

size_t mq_write_refusal(uint8_t *memory, const mq_quic_initial *initial, const masque_runtime *runtime, uint64_t code) {
    uint8_t client[MQ_INITIAL_SECRET];
    uint8_t server[MQ_INITIAL_SECRET];
    mq_protection keys;
    const mq_quic_suite *suite = mq_quic_suite_initial();
    const ngtcp2_cid dcid = mq_ngtcp2_cid(&initial->scid);
    const ngtcp2_cid scid = mq_ngtcp2_cid(&initial->dcid);
    if (mq_initial_secrets(client, server, initial->version, &scid) ||
        mq_protection_init(&keys, &runtime->allocator, suite, initial->version, server, true)) {
        return 0;
    }
    const ngtcp2_crypto_ctx crypto = mq_quic_crypto(suite);
    ngtcp2_ssize total = ngtcp2_pkt_write_connection_close(memory, MQ_INITIAL_MIN, initial->version, &dcid, &scid, code,
                                                           NULL, 0, mq_quic_encrypt, &crypto.aead, &keys.aead, keys.iv,
                                                           mq_quic_mask, &crypto.hp, &keys.hp);
    mq_protection_free(&keys, &runtime->allocator);
    return written(total);
}

int mq_reset_token(uint8_t token[MQ_RESET_TOKEN_LENGTH], const mq_cid *cid, const mq_quic_keys *keys) {
    _Static_assert(MQ_RESET_TOKEN_LENGTH == NGTCP2_STATELESS_RESET_TOKENLEN, "reset tokens of either kind");
    uint8_t digest[MQ_SECRET_DIGEST_LENGTH];
    int error = mq_secret_digest(digest, mq_quic_key_of(keys, cid)->reset, cid->bytes, cid->length);
    memcpy(token, digest, MQ_RESET_TOKEN_LENGTH);
    return error;
}

size_t mq_write_stateless_reset(uint8_t *memory, const mq_cid *dcid, const mq_quic_keys *keys,
                                const masque_runtime *runtime, size_t length) {
    uint8_t token[MQ_RESET_TOKEN_LENGTH];
    uint8_t noise[RESET_MAX];
    ngtcp2_stateless_reset_token sealed;
    /* Shorter than its cause, so that two who have forgotten each other come to an end. */
    if (length <= RESET_MIN || mq_reset_token(token, dcid, keys)) {
        return 0;
    }
    size_t total = length - 1 < RESET_MAX ? length - 1 : RESET_MAX;
    runtime->random(runtime->context, noise, sizeof noise);
    memcpy(sealed.data, token, sizeof token);
    return written(ngtcp2_pkt_write_stateless_reset2(memory, total, &sealed, noise, total - MQ_RESET_TOKEN_LENGTH));
}
