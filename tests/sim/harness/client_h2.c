/*
 * harness/client_h2.c: an HTTP/2 client on nghttp2. Streams give credit only for
 * what the test lets them read; the connection's window never is what waits.
 */
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "harness/parts.h"

static sim_tun *find_tun(nghttp2_session *ng, int32_t id) {
    return nghttp2_session_get_stream_user_data(ng, id);
}

static nghttp2_ssize on_send(nghttp2_session *ng, const uint8_t *bytes, size_t length, int flags, void *user) {
    sim_conn *conn = user;
    (void)ng;
    (void)flags;
    if (sim_bytes_length(&conn->out) >= SIM_CLIENT_OUT_MAX) {
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    sim_tls_write(conn, bytes, length);
    return (nghttp2_ssize)length;
}

static nghttp2_ssize on_read(nghttp2_session *ng, int32_t id, uint8_t *bytes, size_t length, uint32_t *flags,
                             nghttp2_data_source *source, void *user) {
    sim_tun *tun = find_tun(ng, id);
    (void)source;
    (void)user;
    if (!tun) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    size_t given = sim_tun_send(tun, bytes, length);
    bool refused = tun->answered && !sim_tun_is_open(tun);
    if (refused || (tun->send_fin && tun->sent == tun->send_total)) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        tun->fin_sent = true;
        return (nghttp2_ssize)given;
    }
    return given > 0 ? (nghttp2_ssize)given : NGHTTP2_ERR_DEFERRED;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *user) {
    sim_tun *tun = find_tun(ng, frame->hd.stream_id);
    (void)flags;
    (void)user;
    if (tun) {
        sim_tun_field(tun, (const char *)name, name_length, (const char *)value, value_length);
    }
    return 0;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *bytes, size_t length, void *user) {
    sim_tun *tun = find_tun(ng, id);
    (void)flags;
    (void)user;
    nghttp2_session_consume_connection(ng, length);
    if (!tun) {
        return 0;
    }
    sim_tun_received(tun, bytes, length);
    if (tun->reading) {
        nghttp2_session_consume_stream(ng, id, length);
    } else {
        tun->unread += length;
    }
    return 0;
}

static void on_answer(sim_tun *tun, nghttp2_session *ng) {
    sim_world *w = tun->conn->world;
    SIM_CHECK(w, !tun->answered, "a second answer on stream %d", tun->stream);
    tun->answered = true;
    tun->answered_at = w->now;
    nghttp2_session_resume_data(ng, tun->stream);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user) {
    sim_conn *conn = user;
    sim_tun *tun = find_tun(ng, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        conn->goaways++;
        conn->goaway_code = frame->goaway.error_code;
        conn->goaway_last = frame->goaway.last_stream_id;
    }
    if (tun && frame->hd.type == NGHTTP2_HEADERS) {
        on_answer(tun, ng);
    }
    bool carries = frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA;
    if (tun && carries && frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        tun->got_fin = true;
    }
    /* Behind a complete answer NO_ERROR only says that no more is wanted (RFC 9113 8.1). */
    bool polite = tun && tun->got_fin && frame->rst_stream.error_code == NGHTTP2_NO_ERROR;
    if (tun && frame->hd.type == NGHTTP2_RST_STREAM && !polite) {
        tun->got_reset = true;
        tun->reset_code = frame->rst_stream.error_code;
    }
    return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *user) {
    sim_tun *tun = find_tun(ng, id);
    (void)code;
    (void)user;
    if (tun) {
        tun->closed = true;
        nghttp2_session_set_stream_user_data(ng, id, NULL);
    }
    return 0;
}

static void set_callbacks(nghttp2_session_callbacks *callbacks) {
    nghttp2_session_callbacks_set_send_callback2(callbacks, on_send);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
}

void sim_h2_open(sim_conn *conn) {
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    nghttp2_session *ng = NULL;
    nghttp2_settings_entry settings[2] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                          {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, conn->options.window}};
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    set_callbacks(callbacks);
    nghttp2_session_client_new2(&ng, callbacks, conn, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    SIM_CHECK(conn->world, ng, "no HTTP/2 client");
    conn->h2 = ng;
    nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, settings, conn->options.window ? 2 : 1);
    nghttp2_session_set_local_window_size(ng, NGHTTP2_FLAG_NONE, 0, 1 << 30);
}

void sim_h2_free(sim_conn *conn) {
    nghttp2_session_del(conn->h2);
    conn->h2 = NULL;
}

void sim_h2_input(sim_conn *conn, const uint8_t *bytes, size_t length) {
    nghttp2_ssize taken = nghttp2_session_mem_recv2(conn->h2, bytes, length);
    SIM_CHECK(conn->world, taken >= 0, "the client can't read what the proxy sent: %s", nghttp2_strerror((int)taken));
}

void sim_h2_output(sim_conn *conn) {
    int error = nghttp2_session_send(conn->h2);
    SIM_CHECK(conn->world, error == 0, "client: %s", nghttp2_strerror(error));
}

static nghttp2_nv make_field(const char *name, const char *value) {
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value)};
}

void sim_h2_request(sim_tun *tun, const sim_ask *request) {
    nghttp2_session *ng = tun->conn->h2;
    nghttp2_nv fields[256];
    char credential[SIM_TEXT] = "Preshared ";
    const char *key = request->key ? request->key : SIM_KEY;
    size_t count = 0;
    char path[512];
    fields[count++] = make_field(":method", request->method ? request->method : "CONNECT");
    if (request->udp) { /* RFC 9298 3.4 */
        sim_udp_path(request->authority, path, sizeof path);
        fields[count++] = make_field(":protocol", "connect-udp");
        fields[count++] = make_field(":scheme", "https");
        fields[count++] = make_field(":authority", "proxy.example");
        fields[count++] = make_field(":path", request->path ? request->path : path);
        fields[count++] = make_field("capsule-protocol", "?1");
    } else if (!request->no_authority) {
        fields[count++] = make_field(":authority", request->authority);
    }
    for (size_t i = 0; i < request->field_count && count < 250; i++) {
        fields[count++] = make_field(request->fields[i].name, request->fields[i].value);
    }
    if (key[0]) {
        strncat(credential, key, sizeof credential - 16);
        fields[count++] = make_field("proxy-authorization", credential);
    }
    nghttp2_data_provider2 provider = {.read_callback = on_read};
    tun->fin_sent = request->head_only;
    tun->stream = nghttp2_submit_request2(ng, NULL, fields, count, request->head_only ? NULL : &provider, tun);
    SIM_CHECK(tun->conn->world, tun->stream > 0, "no stream: %s", nghttp2_strerror(tun->stream));
}

void sim_h2_wake(sim_tun *tun) {
    nghttp2_session *ng = tun->conn->h2;
    if (!ng || tun->closed) {
        return;
    }
    nghttp2_session_resume_data(ng, tun->stream);
    if (tun->reading && tun->unread > 0) {
        nghttp2_session_consume_stream(ng, tun->stream, tun->unread);
        tun->unread = 0;
    }
}

void sim_h2_reset(sim_tun *tun) {
    if (tun->conn->h2 && !tun->closed) {
        nghttp2_submit_rst_stream(tun->conn->h2, NGHTTP2_FLAG_NONE, tun->stream, NGHTTP2_CANCEL);
    }
}
