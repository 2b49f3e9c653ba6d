/*
 * tests/fuzz/engine_quic.c: frames of QUIC (RFC 9000 19), and through STREAM and DATAGRAM frames whatever HTTP/3
 * may be, behind a good handshake. A client that is the library itself makes the packets; just before
 * one is encrypted its frames are replaced by a piece of the input. So packet protection is real,
 * as a hostile client's would be, and every packet gets through to the frames.
 *
 * Input: for each packet a byte for how many bytes it has (times four), then these. A first byte of 255 lets
 * a second pass.
 */
#include <string.h>

#include "proxy.h"
#include "transport/quic_aead.h"

#define STEPS_MAX 64
#define PACKETS_MAX 200
#define BURSTS 8
#define TICKS_MAX 20
#define SOON (30 * MASQUE_MILLISECOND)

/* What the client's next packets say, while it writes. */
static struct {
    bool on;
    const uint8_t *bytes;
    size_t length;
} forgery;

__typeof__(mq_quic_encrypt) __real_mq_quic_encrypt, __wrap_mq_quic_encrypt;

/* The linker gives ours to whoever calls mq_quic_encrypt(). */
int __wrap_mq_quic_encrypt(uint8_t *to, const ngtcp2_crypto_aead *aead, const ngtcp2_crypto_aead_ctx *context,
                           const uint8_t *plaintext, size_t length, const uint8_t *nonce, size_t nonce_length,
                           const uint8_t *aad, size_t aad_length) {
    uint8_t forged[2048];
    bool short_header = aad_length > 0 && !(aad[0] & 0x80);
    if (!forgery.on || !short_header || length > sizeof forged) {
        return __real_mq_quic_encrypt(to, aead, context, plaintext, length, nonce, nonce_length, aad, aad_length);
    }
    size_t used = forgery.length < length ? forgery.length : length;
    memset(forged, 0, length); /* PADDING */
    if (used > 0) {
        memcpy(forged, forgery.bytes, used);
    }
    forgery.length = 0;
    return __real_mq_quic_encrypt(to, aead, context, forged, length, nonce, nonce_length, aad, aad_length);
}

/* --- a network without loss ------------------------------------------------------------------ */

typedef struct quic_world {
    masque_engine *proxy;
    masque_engine *client;
    masque_conn_id conn;
    masque_tunnel_id tunnel;
    masque_time now;
    bool open;
    bool over;
    size_t to_client; /* packets that the proxy sent */
} quic_world;

static masque_address address(uint8_t last, uint16_t port) {
    return (masque_address){.ip = {198, 51, 100, last}, .family = MASQUE_IPV4, .port = port};
}

static void take_proxy_events(quic_world *w) {
    masque_event event;
    while (masque_next_event(w->proxy, &event)) {
        if (event.type == MASQUE_EVENT_DIAL) {
            FUZZ_REQUIRE(proxy_is_allowed(event.tunnel));
            masque_dialed(w->proxy, event.attempt, MASQUE_DIAL_OK, w->now);
        } else if (event.type == MASQUE_EVENT_AUTHORIZE) {
            proxy_allow(event.tunnel);
            masque_authorized(w->proxy, event.tunnel, MASQUE_AUTH_ALLOW, w->now);
        } else if (event.type == MASQUE_EVENT_TUNNEL_OUTPUT) {
            masque_iovec pieces[4];
            size_t count = masque_tunnel_pull_datagrams(w->proxy, event.tunnel, pieces, 4);
            masque_tunnel_pulled_datagrams(w->proxy, event.tunnel, count, 0, w->now);
            count = masque_tunnel_pull(w->proxy, event.tunnel, pieces, 1);
            masque_tunnel_pulled(w->proxy, event.tunnel, count ? pieces[0].length : 0, w->now);
        }
    }
}

static void take_client_events(quic_world *w) {
    masque_event event;
    while (masque_next_event(w->client, &event)) {
        w->open = w->open || event.type == MASQUE_EVENT_CONN_OPEN;
        w->over = w->over || event.type == MASQUE_EVENT_CONN_END;
    }
}

/* All packets of FROM go to TO. */
static bool carry(quic_world *w, masque_engine *from, masque_engine *to, bool forging) {
    masque_packets bursts[BURSTS];
    masque_route route;
    forgery.on = forging;
    size_t count = masque_engine_pull_packets(from, bursts, BURSTS, w->now);
    forgery.on = false;
    for (size_t i = 0; i < count; i++) {
        masque_packets packets = bursts[i];
        packets.local = bursts[i].remote;
        packets.remote = bursts[i].local;
        w->to_client += to == w->client;
        masque_engine_packets(to, &packets, &route, w->now);
    }
    masque_engine_pulled_packets(from, count, w->now);
    return count > 0;
}

/* Pacing makes packets wait: time goes on to where the next one is due, if that is soon. */
static bool is_soon(quic_world *w) {
    masque_time client = masque_deadline(w->client);
    masque_time proxy = masque_deadline(w->proxy);
    masque_time due = client < proxy ? client : proxy;
    if (due > w->now + SOON) {
        return false;
    }
    w->now = due > w->now ? due : w->now;
    masque_tick(w->proxy, w->now);
    masque_tick(w->client, w->now);
    return true;
}

static void exchange(quic_world *w, bool forging) {
    bool more = true;
    for (int i = 0; i < STEPS_MAX && more; i++) {
        more = carry(w, w->client, w->proxy, forging);
        take_proxy_events(w);
        more = carry(w, w->proxy, w->client, false) || more;
        take_client_events(w);
        more = more || is_soon(w);
    }
}

/* --- the beginning ------------------------------------------------------------------------------ */

static uint32_t drawn;

static void not_random(void *context, uint8_t *buffer, size_t size) {
    (void)context;
    drawn++;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = (uint8_t)(i * 37 + 11 + (drawn >> (8 * (i % 4))));
    }
}

static masque_config *client_config(void) {
    static masque_config *config;
    const masque_runtime runtime = {.random = not_random};
    if (!config) {
        config = masque_config_new(&runtime);
        FUZZ_REQUIRE(config && masque_config_set_trust(config, NULL, 0) == 0 && masque_config_seal(config) == 0);
    }
    return config;
}

static void begin(quic_world *w) {
    const masque_runtime runtime = {.random = not_random};
    const masque_field credential = {.name = "proxy-authorization", .value = PROXY_SCHEME " allow"};
    const masque_tunnel_request request = {
        .transport = MASQUE_TRANSPORT_UDP, .target = "45.60.0.1:53", .fields = &credential, .field_count = 1};
    const masque_proxy proxy = {.authority = "proxy.test:443",
                                .protocols = MASQUE_PROTOCOL_H3,
                                .local = address(7, 40000),
                                .remote = address(1, 443)};
    int error;
    forgery.length = 0; /* what the last input had left is gone with it */
    *w = (quic_world){.now = MASQUE_SECOND * 1000};
    w->proxy = proxy_engine_new(NULL);
    FUZZ_REQUIRE(masque_engine_new(&w->client, client_config(), &runtime) == 0);
    w->conn = masque_connect(w->client, &proxy, NULL, w->now, &error);
    FUZZ_REQUIRE(w->conn);
    exchange(w, false);
    FUZZ_REQUIRE(w->open);
    w->tunnel = masque_tunnel_open(w->client, w->conn, &request, NULL, w->now, &error);
    exchange(w, false);
    FUZZ_REQUIRE(w->tunnel && !w->over);
}

/* --- the input ------------------------------------------------------------------------------------ */

static void send_forged(quic_world *w, const uint8_t *bytes, size_t length) {
    static const uint8_t filler[1200];
    size_t room = length + 8 < 1100 ? length + 8 : 1100;
    forgery.bytes = bytes;
    forgery.length = length;
    masque_tunnel_datagrams(w->client, w->tunnel, filler, room, 0, w->now);
    exchange(w, true);
}

static void let_time_pass(quic_world *w) {
    w->now += MASQUE_SECOND;
    for (int i = 0; i < TICKS_MAX && masque_deadline(w->proxy) <= w->now; i++) {
        masque_tick(w->proxy, w->now);
        take_proxy_events(w);
    }
    masque_tick(w->client, w->now);
    exchange(w, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_input input = {data, size};
    quic_world w;
    begin(&w);
    for (int i = 0; i < PACKETS_MAX && input.left > 0 && !w.over; i++) {
        size_t length = 4u * fuzz_byte(&input);
        if (length == 4 * 255) {
            let_time_pass(&w);
            continue;
        }
        const uint8_t *bytes = fuzz_bytes(&input, &length);
        size_t answers = w.to_client;
        send_forged(&w, bytes, length);
        /* However often frames ask: a packet is not answered by a flood. */
        FUZZ_REQUIRE(w.to_client - answers < 64);
    }
    masque_engine_free(w.client);
    masque_engine_free(w.proxy);
    return 0;
}
