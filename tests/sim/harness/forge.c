/* harness/forge.c: functions that the library calls, with an eye and a hand before them. */
#include "harness/forge.h"

#include <string.h>

#include <nghttp3/nghttp3.h>

#include "harness/parts.h"
#include "transport/quic_aead.h"
#include "wire/varint.h"

static forge_state forge;

forge_state *forge_begin(void) {
    forge = (forge_state){.side = SIM_SIDES};
    for (size_t i = 0; i < SIM_SIDES; i++) {
        forge.seen[i].close_code = MASQUE_NEVER;
    }
    return &forge;
}

static bool make_next(void *user, uint8_t *frames, size_t room) {
    (void)user;
    if (room < FORGE_ROOM) {
        return false;
    }
    memset(frames, 0, room);
    memcpy(frames, forge.next, forge.next_length);
    return true;
}

void forge_next(sim_side side, const void *frames, size_t length) {
    forge.side = side;
    forge.make = make_next;
    forge.most = 1;
    forge.next = frames;
    forge.next_length = length;
}

void forge_carrier(sim_conn *conn) {
    static const uint8_t bytes[FORGE_ROOM + 100] = {0x3f};
    sim_datagram_send(conn, bytes, sizeof bytes);
}

void forge_number(sim_bytes *out, uint64_t number) {
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    bytes[0] |= 0xc0;
    sim_bytes_add(out, bytes, sizeof bytes);
}

/* --- reading frames: what is sent is well-formed, so nothing is checked but the end ---------------------- */

/* n: a number, b: a length and so many bytes, r: all the rest, c: a connection ID and a reset token, 8: eight bytes. */
static const char *const FORMATS[FORGE_TYPES] = {
    [0x04] = "nnn", [0x05] = "nn",  [0x06] = "nb",  [0x07] = "b",   [0x08] = "nr",  [0x09] = "nr", [0x0a] = "nb",
    [0x0b] = "nb",  [0x0c] = "nnr", [0x0d] = "nnr", [0x0e] = "nnb", [0x0f] = "nnb", [0x10] = "n",  [0x11] = "nn",
    [0x12] = "n",   [0x13] = "n",   [0x14] = "n",   [0x15] = "nn",  [0x16] = "n",   [0x17] = "n",  [0x18] = "nnc",
    [0x19] = "n",   [0x1a] = "8",   [0x1b] = "8",   [0x1c] = "nnb", [0x1d] = "nb",  [0x30] = "r",  [0x31] = "b",
};

typedef struct reader {
    const uint8_t *at;
    const uint8_t *end;
} reader;

/* 0, and nothing behind it, where it is cut. */
static uint64_t number(reader *in) {
    uint64_t value = 0;
    size_t length = mq_varint_read(in->at, (size_t)(in->end - in->at), &value);
    in->at = length > 0 ? in->at + length : in->end;
    return value;
}

static void bytes(reader *in, forge_frame *frame, uint64_t length) {
    size_t left = (size_t)(in->end - in->at);
    frame->bytes = in->at;
    frame->length = length < left ? (size_t)length : left;
    in->at += frame->length;
}

/* ACK (19.3): the numbers are the largest, the ranges behind the first, and the first. */
static void ack(reader *in, forge_frame *frame) {
    frame->numbers[0] = number(in);
    number(in);
    frame->numbers[1] = number(in);
    frame->numbers[2] = number(in);
    for (uint64_t i = 0; i < 2 * frame->numbers[1] + (frame->type == 3 ? 3 : 0); i++) {
        number(in);
    }
}

static void fields(reader *in, forge_frame *frame) {
    const char *format = frame->type < FORGE_TYPES ? FORMATS[frame->type] : NULL;
    size_t count = 0;
    for (; format && *format; format++) {
        if (*format == 'n') {
            frame->numbers[count++] = number(in);
        } else if (*format == 'b') {
            uint64_t length = number(in);
            bytes(in, frame, length);
        } else {
            size_t left = (size_t)(in->end - in->at);
            bytes(in, frame, *format == '8' ? 8 : *format == 'c' && left > 0 ? 1u + *in->at + 16u : left);
        }
    }
    if (frame->type >= 0x08 && frame->type < 0x0c) {
        frame->numbers[1] = 0; /* no offset */
    }
}

static void note(forge_seen *seen, const forge_frame *frame) {
    uint64_t type = frame->type >= 8 && frame->type < 16 ? 8 : frame->type == 0x31 ? 0x30 : frame->type;
    seen->frames[type < FORGE_TYPES ? type : 0]++;
    if (frame->type == 0x04) {
        seen->reset_code = frame->numbers[1];
    } else if (frame->type == 0x1c || frame->type == 0x1d) {
        seen->close_code = frame->numbers[0];
        seen->close_is_transport = frame->type == 0x1c;
    }
}

static void look(sim_side side, const uint8_t *plaintext, size_t length) {
    reader in = {.at = plaintext, .end = plaintext + length};
    while (in.at < in.end) {
        forge_frame frame = {.type = number(&in)};
        if (frame.type == 0x02 || frame.type == 0x03) {
            ack(&in, &frame);
        } else {
            fields(&in, &frame);
        }
        note(&forge.seen[side], &frame);
        if (forge.on_frame) {
            forge.on_frame(forge.user, side, &frame);
        }
    }
}

/* The harness says for whom the library works. */
static sim_side side_now(void) {
    sim_side side = sim_alloc_side(SIM_TEST);
    sim_alloc_side(side);
    return side;
}

/* --- in between ------------------------------------------------------------------------------------------------ */

__typeof__(mq_quic_encrypt) __real_mq_quic_encrypt, __wrap_mq_quic_encrypt;

int __wrap_mq_quic_encrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                           const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t nonce_length,
                           const uint8_t *aad, size_t aad_length) {
    static uint8_t frames[65536];
    sim_side side = side_now();
    bool is_1rtt = !(aad[0] & 0x80);
    forge.seen[side].packets++;
    if (forge.on_packet) {
        forge.on_packet(forge.user, side, aad, aad_length);
    }
    bool wanted = is_1rtt && side == forge.side && forge.make && (forge.most == 0 || forge.made < forge.most);
    memcpy(frames, plaintext, length);
    if (wanted && forge.make(forge.user, frames, length)) {
        forge.made++;
        plaintext = frames;
    } else {
        look(side, plaintext, length);
    }
    return __real_mq_quic_encrypt(to, aead, context, plaintext, length, nonce, nonce_length, aad, aad_length);
}

/* --- the beginning ---------------------------------------------------------------------------------------------- */

__typeof__(ngtcp2_conn_client_new_versioned) __real_ngtcp2_conn_client_new_versioned,
    __wrap_ngtcp2_conn_client_new_versioned;

int __wrap_ngtcp2_conn_client_new_versioned(ngtcp2_conn **conn, const ngtcp2_cid *dcid, const ngtcp2_cid *scid,
                                            const ngtcp2_path *path, uint32_t version, int callbacks_version,
                                            const ngtcp2_callbacks *callbacks, int settings_version,
                                            const ngtcp2_settings *settings, int params_version,
                                            const ngtcp2_transport_params *params, const ngtcp2_mem *mem, void *user) {
    ngtcp2_transport_params changed = *params;
    if (forge.datagram_max > 0) {
        changed.max_datagram_frame_size = forge.datagram_max - 1;
    }
    return __real_ngtcp2_conn_client_new_versioned(conn, dcid, scid, path, version, callbacks_version, callbacks,
                                                   settings_version, settings, params_version, &changed, mem, user);
}

__typeof__(wolfSSL_UseALPN) __real_wolfSSL_UseALPN, __wrap_wolfSSL_UseALPN;

int __wrap_wolfSSL_UseALPN(WOLFSSL *ssl, char *names, unsigned length, unsigned char options) {
    static char other[16];
    if (!forge.alpn || side_now() == SIM_PROXY) {
        return __real_wolfSSL_UseALPN(ssl, names, length, options);
    }
    length = (unsigned)strlen(forge.alpn);
    memcpy(other, forge.alpn, length);
    return length > 0 ? __real_wolfSSL_UseALPN(ssl, other, length, options) : WOLFSSL_SUCCESS;
}

__typeof__(wolfSSL_ALPN_GetProtocol) __real_wolfSSL_ALPN_GetProtocol, __wrap_wolfSSL_ALPN_GetProtocol;

/* A client that doesn't care. */
int __wrap_wolfSSL_ALPN_GetProtocol(WOLFSSL *ssl, char **name, unsigned short *length) {
    static char h3[] = "h3";
    if (!forge.alpn || side_now() == SIM_PROXY) {
        return __real_wolfSSL_ALPN_GetProtocol(ssl, name, length);
    }
    *name = h3;
    *length = 2;
    return WOLFSSL_SUCCESS;
}

__typeof__(nghttp3_conn_server_new_versioned) __real_nghttp3_conn_server_new_versioned,
    __wrap_nghttp3_conn_server_new_versioned;

int __wrap_nghttp3_conn_server_new_versioned(nghttp3_conn **conn, int callbacks_version,
                                             const nghttp3_callbacks *callbacks, int settings_version,
                                             const nghttp3_settings *settings, const nghttp3_mem *mem, void *user) {
    nghttp3_settings changed = *settings;
    changed.enable_connect_protocol = !forge.no_protocols && settings->enable_connect_protocol;
    return __real_nghttp3_conn_server_new_versioned(conn, callbacks_version, callbacks, settings_version, &changed, mem,
                                                    user);
}
