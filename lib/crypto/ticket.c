#include "crypto/ticket.h"

#include <string.h>

#include "crypto/crl.h"

#define NONCE_LENGTH 12
#define TAG_LENGTH MQ_TICKET_TAG_LENGTH
#define TAIL_LENGTH 4 /* how long the client's part before it is, and what fills it up */

static int key_init(mq_ticket_key *key, const uint8_t bytes[MASQUE_TICKET_KEY_LENGTH]) {
    static const uint8_t label[] = "masqueproxy ticket key name";
    uint8_t input[sizeof label + MASQUE_TICKET_KEY_LENGTH];
    uint8_t digest[WC_SHA256_DIGEST_SIZE];
    memcpy(input, label, sizeof label);
    memcpy(input + sizeof label, bytes, MASQUE_TICKET_KEY_LENGTH);
    bool hashed = wc_Sha256Hash(input, sizeof input, digest) == 0;
    mq_wipe(input, sizeof input);
    if (!hashed || wc_AesInit(&key->aes, NULL, INVALID_DEVID) != 0) {
        return MASQUE_ERR_CRYPTO;
    }
    key->ready = true;
    memcpy(key->name, digest, sizeof key->name);
    return wc_AesGcmSetKey(&key->aes, bytes, MASQUE_TICKET_KEY_LENGTH) == 0 ? 0 : MASQUE_ERR_CRYPTO;
}

int mq_ticket_sealer_init(mq_ticket_sealer *sealer, const mq_credentials *credentials, const masque_runtime *runtime) {
    memset(sealer, 0, sizeof *sealer);
    sealer->runtime = *runtime;
    mq_allocator_init(&sealer->runtime.allocator, &runtime->allocator);
    sealer->clients = !credentials->asks_clients               ? MQ_CLIENTS_UNASKED
                      : credentials->client_certificate_needed ? MQ_CLIENTS_NEEDED
                                                               : MQ_CLIENTS_ASKED;
    bool has_crl = credentials->asks_clients && credentials->client_crl;
    sealer->clients_until =
        has_crl ? mq_crl_until(credentials->client_crl, credentials->client_crl_length) : UINT64_MAX;
    for (size_t i = 0; i < credentials->ticket_key_count; i++) {
        int error = key_init(&sealer->keys[i], credentials->ticket_keys[i]);
        if (error) {
            return error;
        }
        sealer->key_count++;
    }
    return 0;
}

void mq_ticket_sealer_free(mq_ticket_sealer *sealer) {
    for (size_t i = 0; i < MQ_TICKET_KEYS_MAX; i++) {
        if (sealer->keys[i].ready) {
            wc_AesFree(&sealer->keys[i].aes);
        }
    }
    mq_wipe(sealer->keys, sizeof sealer->keys);
}

/* Puts the client's part behind LENGTH bytes and returns the length of both; LENGTH itself: there is no room. Where
   certificates are asked for it is as long as it may be, for everybody sees how long a ticket is, and is empty, so that
   nobody resumes, when it can't be written. */
static size_t add_client(mq_ticket_sealer *sealer, WOLFSSL *ssl, uint8_t *ticket, size_t length, size_t room) {
    if (room < length + TAIL_LENGTH) {
        return length;
    }
    size_t left = room - length - TAIL_LENGTH;
    size_t added = mq_ticket_client_write(ssl, &sealer->runtime.allocator, sealer->clients, ticket + length, left);
    bool asked = sealer->clients != MQ_CLIENTS_UNASKED;
    if (added == 0 && !asked) {
        return length;
    }
    size_t filled = asked ? left - added : 0;
    memset(ticket + length + added, 0, filled);
    uint8_t *tail = ticket + length + added + filled;
    tail[0] = (uint8_t)(added >> 8);
    tail[1] = (uint8_t)added;
    tail[2] = (uint8_t)(filled >> 8);
    tail[3] = (uint8_t)filled;
    return length + added + filled + TAIL_LENGTH;
}

static int seal_ticket(mq_ticket_sealer *sealer, uint8_t *name, uint8_t *iv, uint8_t *mac, uint8_t *ticket,
                       size_t length, bool good) {
    mq_ticket_key *key = &sealer->keys[0];
    memcpy(name, key->name, sizeof key->name);
    if (!good) {
        /* wolfSSL must have a ticket. Nobody opens this one, so its client makes a full handshake. */
        sealer->runtime.random(sealer->runtime.context, name, sizeof key->name);
    }
    memset(mac, 0, WOLFSSL_TICKET_MAC_SZ);
    sealer->runtime.random(sealer->runtime.context, iv, WOLFSSL_TICKET_IV_SZ);
    int error = wc_AesGcmEncrypt(&key->aes, ticket, ticket, (word32)length, iv, NONCE_LENGTH, mac, TAG_LENGTH, name,
                                 sizeof key->name);
    return error ? WOLFSSL_TICKET_RET_FATAL : WOLFSSL_TICKET_RET_OK;
}

/* Takes the client's part off; false: it is none that may resume. */
static bool take_client(mq_ticket_sealer *sealer, WOLFSSL *ssl, const uint8_t *mac, const uint8_t *ticket,
                        int *length) {
    size_t left = (size_t)*length;
    if (left < TAIL_LENGTH) {
        return false;
    }
    left -= TAIL_LENGTH;
    size_t added = (size_t)ticket[left] << 8 | ticket[left + 1];
    size_t filled = (size_t)ticket[left + 2] << 8 | ticket[left + 3];
    if (added + filled > left || (uint64_t)wc_Time(NULL) > sealer->clients_until) {
        return false;
    }
    left -= filled;
    if (!mq_ticket_client_keep(ssl, &sealer->runtime.allocator, mac, ticket + left - added, added)) {
        return false;
    }
    *length = (int)(left - added);
    return true;
}

static int open_ticket(mq_ticket_sealer *sealer, WOLFSSL *ssl, const uint8_t *name, const uint8_t *iv,
                       const uint8_t *mac, uint8_t *ticket, int *length) {
    for (size_t i = 0; i < sealer->key_count; i++) {
        mq_ticket_key *key = &sealer->keys[i];
        if (memcmp(name, key->name, sizeof key->name) != 0) {
            continue;
        }
        int error = wc_AesGcmDecrypt(&key->aes, ticket, ticket, (word32)*length, iv, NONCE_LENGTH, mac, TAG_LENGTH,
                                     name, sizeof key->name);
        if (error || !take_client(sealer, ssl, mac, ticket, length)) {
            return WOLFSSL_TICKET_RET_REJECT;
        }
        /* Under an old key: good, and the client gets a new one. With TLS 1.3 it gets
           one anyway, and wolfSSL takes only OK. */
        bool is_tls13 = wolfSSL_version(ssl) == TLS1_3_VERSION;
        return i == 0 || is_tls13 ? WOLFSSL_TICKET_RET_OK : WOLFSSL_TICKET_RET_CREATE;
    }
    return WOLFSSL_TICKET_RET_REJECT;
}

int mq_ticket_callback(WOLFSSL *ssl, unsigned char key_name[WOLFSSL_TICKET_NAME_SZ],
                       unsigned char iv[WOLFSSL_TICKET_IV_SZ], unsigned char mac[WOLFSSL_TICKET_MAC_SZ], int encrypt,
                       unsigned char *ticket, int length, int *out_length, void *context) {
    mq_ticket_sealer *sealer = context;
    size_t room = encrypt && *out_length > length ? (size_t)*out_length : (size_t)length;
    *out_length = length;
    if (!encrypt) {
        return open_ticket(sealer, ssl, key_name, iv, mac, ticket, out_length);
    }
    if (sealer->key_count == 0) {
        return WOLFSSL_TICKET_RET_FATAL;
    }
    size_t whole = add_client(sealer, ssl, ticket, (size_t)length, room);
    *out_length = (int)whole;
    return seal_ticket(sealer, key_name, iv, mac, ticket, whole, whole > (size_t)length);
}
