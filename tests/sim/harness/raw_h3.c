/* harness/raw_h3.c: requests as bytes. */
#include "harness/raw_h3.h"

sim_conn *sim_h3_client(sim_world *w, bool with_control) {
    sim_conn *c = sim_connect(w, &(sim_client){.alpn = "h3", .raw = true});
    assert_true(c->handshaken);
    if (with_control) {
        sim_stream_send(c, sim_stream_open(c, false), BYTES(CONTROL), false);
    }
    return c;
}

int64_t sim_h3_request(sim_conn *c, const void *more, size_t length, bool fin) {
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    int64_t id = sim_stream_open(c, true);
    sim_bytes_add(&block, BYTES(HEAD));
    sim_qpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
    sim_h3_frame(&out, 1, block.bytes, block.end);
    sim_bytes_add(&out, more, length);
    sim_h3_send(c, id, &out, fin);
    sim_bytes_free(&block);
    return id;
}

int64_t sim_h3_udp_request(sim_conn *c) {
    static const char *const fields[] = {":method", "CONNECT",    ":protocol",  "connect-udp", ":scheme",
                                         "https",   ":authority", "proxy.test", ":path",       UDP_PATH};
    sim_bytes block = {.bytes = NULL};
    sim_bytes out = {.bytes = NULL};
    int64_t id = sim_stream_open(c, true);
    sim_bytes_add(&block, "\0\0", 2);
    for (size_t i = 0; i < SIM_COUNT(fields); i += 2) {
        sim_qpack(&block, fields[i], fields[i + 1]);
    }
    sim_qpack(&block, "proxy-authorization", "Preshared " SIM_KEY);
    sim_h3_frame(&out, 1, block.bytes, block.end);
    sim_h3_send(c, id, &out, false);
    sim_bytes_free(&block);
    return id;
}
