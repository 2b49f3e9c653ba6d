/*
 * limit_times.c: how sim_limits.c reaches each limit on a time; see limit_rows.h.
 * AMOUNT is in milliseconds.
 */
#include <string.h>

#include "harness/check.h"
#include "harness/frames.h"
#include "limit_rows.h"

static void pass(sim_world *w, uint64_t milliseconds) {
    sim_advance(w, milliseconds * MASQUE_MILLISECOND);
}

/* --- penalties ------------------------------------------------------------------------------ */

static void earn_penalty(sim_world *w) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    for (uint64_t i = 0; i < w->limits.auth_failures_max; i++) {
        limit_open(c, SIM_QUIET, 1000, "wrong-wrong");
    }
}

static bool is_penalised(sim_world *w) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = limit_open(c, SIM_QUIET, 1001, NULL);
    SIM_CHECK(w, t->status == 200 || t->status == 403, "status %u", t->status);
    return t->status == 403;
}

bool limit_penalty_first(sim_world *w, uint64_t amount) {
    earn_penalty(w);
    pass(w, amount);
    return is_penalised(w);
}

/* The second would last twice as long, but for this limit. */
bool limit_penalty_last(sim_world *w, uint64_t amount) {
    earn_penalty(w);
    pass(w, w->limits.penalty_first_ms);
    earn_penalty(w);
    pass(w, amount);
    return is_penalised(w);
}

/* --- the connection's ------------------------------------------------------------------------- */

bool limit_handshake(sim_world *w, uint64_t amount) {
    /* A client that says nothing, and one that says a byte a second. */
    sim_conn *silent = sim_connect(w, &(sim_client){.naked = true});
    sim_conn *slow = sim_connect(w, &(sim_client){.naked = true});
    static const uint8_t hello[] = {0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t gone = 0;
    for (size_t i = 0; i < sizeof hello && gone < amount; i++) {
        sim_raw_send(slow, hello + i, 1);
        uint64_t piece = amount - gone < 1000 ? amount - gone : 1000;
        pass(w, piece);
        gone += piece;
    }
    bool both = silent->ended && slow->ended;
    SIM_CHECK(w, both || (!silent->ended && !slow->ended), "only one is ended");
    SIM_CHECK(w, !both || silent->end_error == MASQUE_ERR_TIMEOUT, "%s", masque_error_name(silent->end_error));
    return both;
}

bool limit_headers(sim_world *w, uint64_t amount) {
    sim_bytes out = {.bytes = NULL};
    sim_conn *h2 = limit_raw_client(w);
    sim_conn *h1 = sim_connect(w, &(sim_client){.alpn = "http/1.1", .raw = true, .stubborn = true});
    sim_settle(w);
    pass(w, 5000);
    sim_frame(&out, SIM_FRAME_HEADERS, 0, 1, "\x82", 1);
    sim_send_all(h2, &out);
    uint64_t gone = 0;
    while (gone < amount) { /* a byte a second doesn't help */
        sim_raw_send(h1, "x", 1);
        uint64_t piece = amount - gone < 1000 ? amount - gone : 1000;
        pass(w, piece);
        gone += piece;
    }
    bool both = h1->finished && h2->finished;
    SIM_CHECK(w, both || (!h1->finished && !h2->finished), "only one is ended: %d %d", h1->finished, h2->finished);
    return both;
}

/* A connection without a tunnel, and one with. */
bool limit_idle(sim_world *w, uint64_t amount) {
    sim_conn *empty = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_conn *h1 = sim_connect(w, &(sim_client){.alpn = "http/1.1"});
    sim_settle(w);
    sim_conn *busy = sim_connect(w, &(sim_client){.alpn = "h2"});
    limit_open(busy, SIM_QUIET, 1000, NULL);
    pass(w, amount);
    SIM_CHECK(w, !busy->finished, "a live tunnel is idle");
    SIM_CHECK(w, empty->finished == h1->finished, "only one is ended");
    return empty->finished;
}

bool limit_write_stall(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2", .pipe = 4096, .window = 1000000});
    sim_tun *t = limit_open(c, SIM_QUIET, 1000, NULL);
    pass(w, 1000);
    c->deaf = true;
    t->target->source = 200000;
    pass(w, amount);
    SIM_CHECK(w, !c->ended || (c->end_reset && c->end_error == MASQUE_ERR_TIMEOUT), "ended by %s",
              masque_error_name(c->end_error));
    return c->ended;
}

bool limit_linger(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "http/1.1", .stubborn = true});
    sim_tun *t = limit_open(c, SIM_QUIET, 1000, "wrong-wrong");
    SIM_CHECK(w, t->status == 403 && c->finished && !c->ended, "not lingering");
    pass(w, amount);
    return c->ended;
}

/* --- a request's -------------------------------------------------------------------------------- */

static bool times_out(sim_world *w, const char *address, uint64_t amount, unsigned status, const char *type) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = limit_open(c, address, 1000, NULL);
    pass(w, amount);
    SIM_CHECK(w, !t->answered || (t->status == status && strstr(t->proxy_status, type)), "status %u, %s", t->status,
              t->proxy_status);
    return t->answered;
}

bool limit_resolve(sim_world *w, uint64_t amount) {
    sim_add_name(w, (sim_name){.text = "silent.test", .ipv6 = {{.delay = SIM_NEVER}}, .ipv4 = {{.delay = SIM_NEVER}}});
    return times_out(w, "silent.test", amount, 502, "error=dns_timeout");
}

bool limit_dial(sim_world *w, uint64_t amount) {
    return times_out(w, LIMIT_SILENT, amount, 502, "error=connection_timeout");
}

static masque_verdict ask_later(void *context, const masque_auth_request *request) {
    (void)context;
    (void)request;
    return MASQUE_AUTH_PENDING;
}

void limit_auth_method(sim_world *w, masque_config *config) {
    masque_auth_method method = {.name = "later", .check = ask_later};
    SIM_CHECK(w, masque_config_add_auth_method(config, &method) == 0, "no method");
}

bool limit_auth(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = limit_open(c, SIM_QUIET, 1000, "");
    pass(w, amount);
    SIM_CHECK(w, !t->answered || (t->status == 503 && strstr(t->proxy_status, "authentication unavailable")),
              "status %u, %s", t->status, t->proxy_status);
    return t->answered;
}

bool limit_stagger(sim_world *w, uint64_t amount) {
    sim_add_name(w, (sim_name){.text = "two.test", .ipv4 = {{.addresses = {LIMIT_SILENT, LIMIT_SILENT}}}});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    limit_open(c, "two.test", 1000, NULL);
    pass(w, amount);
    return sim_find_site(w, LIMIT_SILENT)->dials == 2;
}

bool limit_resolution_delay(sim_world *w, uint64_t amount) {
    sim_add_name(
        w, (sim_name){.text = "half.test", .ipv6 = {{.delay = SIM_NEVER}}, .ipv4 = {{.addresses = {LIMIT_SILENT}}}});
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    limit_open(c, "half.test", 1000, NULL);
    pass(w, amount);
    return sim_find_site(w, LIMIT_SILENT)->dials == 1;
}

bool limit_datagram_idle(sim_world *w, uint64_t amount) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h2"});
    sim_tun *t = sim_request(c, &(sim_ask){.authority = SIM_QUIET ":1001", .udp = true});
    sim_settle(w);
    pass(w, amount);
    return t->target->ended;
}
