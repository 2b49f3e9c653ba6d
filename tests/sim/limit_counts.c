/*
 * limit_counts.c: how sim_limits.c reaches each limit on a number of things or
 * bytes; see limit_rows.h.
 */
#include <stdio.h>
#include <string.h>

#include "harness/check.h"
#include "harness/frames.h"
#include "limit_rows.h"

#define FIRST_WINDOW 65535u

sim_tun *limit_open(sim_conn *conn, const char *address, unsigned port, const char *key) {
    char authority[64];
    snprintf(authority, sizeof authority, "%s:%u", address, port);
    sim_tun *tun = sim_request(conn, &(sim_ask){.authority = authority, .key = key});
    sim_settle(conn->world);
    return tun;
}

sim_conn *limit_raw_client(sim_world *w) {
    sim_bytes out = {.bytes = NULL};
    sim_conn *c = sim_connect(w, &(sim_client){.raw = true, .stubborn = true});
    sim_settle(w);
    sim_preface(&out);
    sim_send_all(c, &out);
    sim_settle(w);
    return c;
}

static bool is_shut(const sim_conn *conn) {
    return conn->finished || conn->ended;
}

static const char *client_address(unsigned i) {
    static char text[8][32];
    char *at = text[i % 8];
    snprintf(at, sizeof text[0], "198.51.%u.%u", 100 + i / 200, 1 + i % 200);
    return at;
}

/* --- heads -------------------------------------------------------------------------------- */

bool limit_header_fields(sim_world *w, uint64_t amount) {
    sim_field fields[64];
    bool shows = true;
    for (size_t i = 0; i < amount; i++) {
        fields[i] = (sim_field){.name = "x", .value = "y"};
    }
    for (int version = 1; version <= 2; version++) {
        /* The credential is one, on HTTP/1.1 Host another. */
        size_t count = (size_t)amount - (version == 1 ? 2 : 1);
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = version == 1 ? "http/1.1" : "h2"});
        sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1", .fields = fields, .field_count = count});
        sim_settle(w);
        SIM_CHECK(w, t->status == 200 || t->status == 431, "status %u", t->status);
        shows = shows && t->status == 431;
    }
    return shows;
}

bool limit_header_bytes(sim_world *w, uint64_t amount) {
    static char value[4096];
    size_t used = strlen(":method"
                         "CONNECT"
                         ":authority" SIM_QUIET ":1") +
                  strlen("proxy-authorization"
                         "Preshared " SIM_KEY) +
                  32 + 1 + 32;
    memset(value, 0, sizeof value);
    memset(value, 'v', (size_t)amount - used);
    sim_field field = {.name = "x", .value = value};
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1", .fields = &field, .field_count = 1});
    sim_settle(w);
    SIM_CHECK(w, t->status == 200 || t->status == 431, "status %u", t->status);
    return t->status == 431;
}

bool limit_continuations(sim_world *w, uint64_t amount) {
    sim_bytes out = {.bytes = NULL};
    sim_bytes block = {.bytes = NULL};
    sim_conn *c = limit_raw_client(w);
    sim_connect_block(&block, SIM_QUIET ":1", NULL);
    sim_frame(&out, SIM_FRAME_HEADERS, 0, 1, block.bytes, 10);
    for (uint64_t i = 0; i < amount; i++) {
        bool last = i + 1 == amount;
        sim_frame(&out, SIM_FRAME_CONTINUATION, last ? SIM_FLAG_END_HEADERS : 0, 1, block.bytes + 10 + i,
                  last ? block.end - 10 - i : 1);
    }
    sim_bytes_free(&block);
    sim_send_all(c, &out);
    sim_settle(w);
    SIM_CHECK(w, is_shut(c) || c->seen.status == 200, "status %u", c->seen.status);
    return is_shut(c);
}

/* --- frames --------------------------------------------------------------------------------- */

bool limit_control_frames(sim_world *w, uint64_t amount) {
    sim_bytes out = {.bytes = NULL};
    sim_conn *c = limit_raw_client(w);
    for (uint64_t i = 0; i < amount; i++) {
        sim_frame(&out, SIM_FRAME_PING, 0, 0, "12345678", 8);
    }
    sim_send_all(c, &out); /* one record: all wait at once */
    sim_settle(w);
    return is_shut(c);
}

static void reset_some(sim_conn *c, uint32_t *stream, uint64_t count) {
    sim_bytes out = {.bytes = NULL};
    for (uint64_t i = 0; i < count; i++) {
        sim_connect_frame(&out, *stream, SIM_QUIET ":1", 0);
        sim_frame32(&out, SIM_FRAME_RST_STREAM, *stream, 8);
        *stream += 2;
    }
    sim_send_all(c, &out);
    sim_settle(c->world);
}

bool limit_resets_burst(sim_world *w, uint64_t amount) {
    sim_conn *c = limit_raw_client(w);
    uint32_t stream = 1;
    reset_some(c, &stream, amount);
    return is_shut(c);
}

bool limit_resets_rate(sim_world *w, uint64_t amount) {
    sim_conn *c = limit_raw_client(w);
    uint32_t stream = 1;
    reset_some(c, &stream, w->limits.resets_burst);
    SIM_CHECK(w, !is_shut(c), "the burst is too much already");
    sim_advance(w, MASQUE_SECOND);
    reset_some(c, &stream, amount);
    return is_shut(c);
}

static void send_glitches(sim_conn *c, uint64_t count) {
    sim_bytes out = {.bytes = NULL};
    for (uint64_t i = 0; i < count; i++) {
        sim_frame(&out, SIM_FRAME_PING, 0, 0, "12345678", 8);
    }
    sim_send_all(c, &out);
    sim_settle(c->world);
}

/* One with a tunnel, which a GOAWAY leaves alone. */
static sim_conn *tunnelled_raw_client(sim_world *w) {
    sim_bytes out = {.bytes = NULL};
    sim_conn *c = limit_raw_client(w);
    sim_connect_frame(&out, 1, SIM_QUIET ":1001", 0);
    sim_send_all(c, &out);
    sim_settle(w);
    return c;
}

bool limit_glitches_burst(sim_world *w, uint64_t amount) {
    sim_conn *c = tunnelled_raw_client(w);
    send_glitches(c, amount);
    return is_shut(c);
}

bool limit_glitches_rate(sim_world *w, uint64_t amount) {
    sim_conn *c = tunnelled_raw_client(w);
    send_glitches(c, w->limits.glitches_burst);
    SIM_CHECK(w, !is_shut(c), "the burst is too much already");
    sim_advance(w, MASQUE_SECOND);
    send_glitches(c, amount);
    return is_shut(c);
}

/* --- how many of something ---------------------------------------------------------------------- */

bool limit_tunnels_per_connection(sim_world *w, uint64_t amount) {
    sim_bytes out = {.bytes = NULL};
    sim_conn *c = limit_raw_client(w);
    for (uint32_t i = 0; i < amount; i++) {
        char authority[64];
        snprintf(authority, sizeof authority, LIMIT_AUTHORITY_FORMAT, 1000 + i);
        sim_connect_frame(&out, 2 * i + 1, authority, 0);
    }
    sim_send_all(c, &out);
    sim_settle(w);
    SIM_CHECK(w, sim_stats(w).tunnels_active <= w->limits.tunnels_per_connection_max, "more tunnels than that");
    SIM_CHECK(w, !is_shut(c), "one stream too many ends the connection");
    return c->seen.frames[SIM_FRAME_RST_STREAM] > 0 || c->seen.status == 503;
}

bool limit_dials(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (unsigned i = 0; i < amount; i++) {
        limit_open(c, LIMIT_SILENT, 1000 + i, NULL);
    }
    return sim_find_site(w, LIMIT_SILENT)->dials < amount;
}

static bool any_503(sim_conn *c, uint64_t amount, unsigned port) {
    bool seen = false;
    for (unsigned i = 0; i < amount; i++) {
        sim_tun *t = limit_open(c, SIM_QUIET, port + i, NULL);
        SIM_CHECK(c->world, t->status == 200 || t->status == 503, "status %u", t->status);
        seen = seen || (t->status == 503 && strstr(t->proxy_status, "error=connection_limit_reached"));
        sim_fin(t);
        if (t->target) {
            t->target->send_fin = true;
        }
        sim_settle(c->world);
    }
    return seen;
}

/* The burst is one of the connection, and one of its source: here of two
   connections that come from the same /64. */
bool limit_requests_burst(sim_world *w, uint64_t amount) {
    sim_conn *a = sim_connect(w, &(sim_client){.alpn = "h2", .address = "2001:4860::1"});
    sim_conn *b = sim_connect(w, &(sim_client){.alpn = "h2", .address = "2001:4860::2"});
    sim_conn *alone = sim_connect(w, &(sim_client){.alpn = "h2", .address = "2001:4860:1::1"});
    bool together = any_503(a, amount / 2, 1000);
    together = any_503(b, amount - amount / 2, 2000) || together;
    SIM_CHECK(w, any_503(alone, amount, 3000) == together, "connection and source differ");
    return together;
}

bool limit_requests_rate(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    SIM_CHECK(w, !any_503(c, w->limits.requests_burst, 1000), "the burst is too much already");
    sim_advance(w, MASQUE_SECOND);
    return any_503(c, amount, 2000);
}

bool limit_connections_per_source(sim_world *w, uint64_t amount) {
    bool refused = false;
    for (unsigned i = 0; i < amount; i++) {
        sim_conn *c = sim_connect(w, &(sim_client){.address = i % 2 ? "2001:4860::1" : "2001:4860::2:1"});
        refused = refused || (!c->id && c->accept_error == MASQUE_ERR_OVERLOAD);
    }
    sim_conn *other = sim_connect(w, &(sim_client){.address = "2001:4860:0:1::1"});
    SIM_CHECK(w, other->id, "another source is refused");
    return refused;
}

bool limit_connections(sim_world *w, uint64_t amount) {
    bool refused = false;
    for (unsigned i = 0; i < amount; i++) {
        sim_conn *c = sim_connect(w, &(sim_client){.address = client_address(i)});
        refused = refused || (!c->id && c->accept_error == MASQUE_ERR_OVERLOAD);
    }
    return refused;
}

bool limit_sources(sim_world *w, uint64_t amount) {
    return limit_connections(w, amount);
}

#define IDENTITIES 20
#define IDENTITY_KEY "key-of-identity-%02u"

void limit_identity_keys(sim_world *w, masque_config *config) {
    const masque_quota each = {.method = "preshared", .tunnels_max = 9};
    for (unsigned i = 0; i < IDENTITIES; i++) {
        char key[32];
        int length = snprintf(key, sizeof key, IDENTITY_KEY, i);
        SIM_CHECK(w, masque_config_add_preshared(config, key, key, (size_t)length) == 0, "no key %u", i);
    }
    SIM_CHECK(w, masque_config_add_quota(config, &each) == 0, "no quota");
}

bool limit_identities(sim_world *w, uint64_t amount) {
    bool refused = false;
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (unsigned i = 0; i < amount; i++) {
        char key[32], authority[64];
        snprintf(key, sizeof key, IDENTITY_KEY, i % IDENTITIES);
        snprintf(authority, sizeof authority, LIMIT_AUTHORITY_FORMAT, 1000 + i);
        sim_tun *t = sim_request(c, &(sim_ask){.authority = authority, .key = key, .may_dial = true});
        sim_settle(w);
        refused = refused || t->status == 503;
    }
    return refused;
}

bool limit_tunnels(sim_world *w, uint64_t amount) {
    bool refused = false;
    for (unsigned i = 0; i < amount; i++) {
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = i % 2 ? "h2" : "http/1.1"});
        sim_tun *t = limit_open(c, SIM_QUIET, 1000 + i, NULL);
        SIM_CHECK(w, t->status == 200 || t->status == 503, "status %u", t->status);
        refused = refused || t->status == 503;
    }
    return refused;
}

bool limit_auth_failures(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (unsigned i = 0; i < amount && !is_shut(c); i++) {
        sim_tun *t = limit_open(c, SIM_QUIET, 1000, "wrong-wrong");
        SIM_CHECK(w, t->status == 403 || is_shut(c), "status %u", t->status);
    }
    return is_shut(c) && c->end_error == MASQUE_ERR_AUTH_FAILURES;
}

bool limit_addresses(sim_world *w, uint64_t amount) {
    static char text[SIM_ANSWER_MAX][32];
    sim_name name = {.text = "many.test"};
    for (unsigned i = 0; i < amount; i++) {
        snprintf(text[i], sizeof text[i], "45.60.1.%u", i + 1);
        name.ipv4[0].addresses[i] = text[i];
    }
    sim_add_name(w, name);
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = limit_open(c, "many.test", 1000, NULL);
    SIM_CHECK(w, t->status == 502, "status %u", t->status);
    return w->target_count < amount;
}

/* --- bytes ----------------------------------------------------------------------------------------- */

/* Clients over QUIC that say the first word and hear no answer. */
static void begin_handshakes(sim_world *w, uint64_t amount) {
    static const sim_link_model dark = {.dark = SIM_NEVER};
    for (uint64_t i = 0; i < amount; i++) {
        sim_connect(w, &(sim_client){.alpn = "h3", .down = &dark});
        sim_step(w);
        sim_step(w);
    }
}

bool limit_before_retry(sim_world *w, uint64_t amount) {
    begin_handshakes(w, amount);
    return sim_stats(w).retries > 0;
}

bool limit_half_open(sim_world *w, uint64_t amount) {
    begin_handshakes(w, amount);
    return sim_stats(w).connections_active < amount;
}

bool limit_tunnel_buffer(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = limit_open(c, SIM_QUIET, 1000, NULL);
    t->reading = false;
    t->target->source = FIRST_WINDOW + amount; /* the client's window takes the first part */
    sim_settle(w);
    return t->target->committed < t->target->source;
}

/* AMOUNT on top of what the target took: does it all get in? */
bool limit_stream_window(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = limit_open(c, SIM_QUIET, 1000, NULL);
    t->send_total = 4000000;
    sim_wake(t);
    sim_settle(w);
    t->target->stalls = true;
    t->send_total += amount;
    sim_wake(t);
    sim_settle(w);
    return t->sent < t->send_total;
}

/* Bytes that a connection's targets got rid of while the client takes none. */
bool limit_connection_buffer(sim_world *w, uint64_t amount) {
    enum { TUNNELS = 64 };
    sim_tun *tuns[TUNNELS];
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2", .window = 1});
    uint64_t held = 0;
    for (unsigned i = 0; i < TUNNELS; i++) {
        tuns[i] = limit_open(c, SIM_QUIET, 1000 + i, NULL);
        tuns[i]->reading = false;
    }
    for (unsigned i = 0; i < TUNNELS; i++) {
        tuns[i]->target->source = amount / TUNNELS + 2; /* one is under way */
        sim_settle(w);
        held += tuns[i]->target->committed - tuns[i]->received;
    }
    SIM_CHECK(w, held <= w->limits.connection_buffer_max, "the connection holds %llu bytes", (unsigned long long)held);
    return held < amount;
}

bool limit_engine_buffer(sim_world *w, uint64_t amount) {
    enum { CLIENTS = 40 };
    uint64_t wanted = 0;
    uint64_t held = 0;
    for (unsigned i = 0; i < CLIENTS && wanted < amount; i++) {
        sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2", .window = 1, .address = client_address(i)});
        sim_tun *t = c->id ? limit_open(c, SIM_QUIET, 1000 + i, NULL) : NULL;
        if (!t || t->status != 200) {
            SIM_CHECK(w, !t || t->status == 503, "status %u", t->status);
            break;
        }
        t->reading = false;
        uint64_t piece = amount - wanted < 32000 ? amount - wanted : 32000;
        t->target->source = piece;
        wanted += piece;
        sim_settle(w);
        held += t->target->committed;
    }
    return held < amount;
}

/* --- datagrams ---------------------------------------------------------------------------- */

/* A window of one byte keeps all the others in the queue. */
bool limit_datagram_queue(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2", .window = 1});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .udp = true, .deaf = true});
    sim_settle(w);
    sim_target_datagrams(t->target, (size_t)amount, 996);
    sim_settle(w);
    return sim_stats(w).datagrams_dropped > 0;
}

bool limit_unanswered(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .udp = true});
    sim_settle(w);
    sim_send_datagrams(t, (size_t)amount, 1200);
    sim_settle(w);
    return t->target->datagrams.received < amount;
}
