/* HTTP/2 CONNECT for the load client, by nghttp2; see connection.h. */
#include "connection.h"

#include <stdio.h>
#include <string.h>

enum {
    /* Large, so that it is the subject and not our window that sets the pace. */
    STREAM_WINDOW_BYTES = 16 * 1024 * 1024,
    CONNECTION_WINDOW_BYTES = 64 * 1024 * 1024,
    STREAMS_MAX = 1 << 20,
    /* Frames are gathered to full TLS records, four at a time. */
    GATHER_BYTES = 64 * 1024,
};

static struct tunnel *stream_tunnel(nghttp2_session *session, int32_t stream_id) {
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t length,
                         void *context) {
    (void)flags, (void)context;
    struct tunnel *tunnel = stream_tunnel(session, stream_id);
    if (tunnel != NULL) {
        tunnel->handler->on_data(tunnel, data, length);
    }
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_length,
                     const uint8_t *value, size_t value_length, uint8_t flags, void *context) {
    (void)flags;
    struct connection *connection = context;
    struct tunnel *tunnel = stream_tunnel(session, frame->hd.stream_id);
    if (tunnel == NULL || name_length != 7 || memcmp(name, ":status", 7) != 0) {
        return 0;
    }
    if (value_length == 3 && value[0] == '2') {
        tunnel_opened(tunnel);
    } else if (value_length == 3 && value[0] != '1') {
        connection->failure = "CONNECT was refused";
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context) {
    struct connection *connection = context;
    if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR) {
        connection->failure = "GOAWAY with an error";
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    bool ends = (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
                (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    struct tunnel *tunnel = ends ? stream_tunnel(session, frame->hd.stream_id) : NULL;
    if (tunnel != NULL) {
        tunnel_ended(tunnel);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *context) {
    (void)context;
    struct tunnel *tunnel = stream_tunnel(session, stream_id);
    if (tunnel != NULL) {
        nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        tunnel_closed(tunnel, error_code == NGHTTP2_NO_ERROR ? NULL : "tunnel was reset");
    }
    return 0;
}

/* A payload of 16,375 bytes and its frame header are exactly one full TLS record. */
static nghttp2_ssize frame_payload_length(nghttp2_session *session, uint8_t frame_type, int32_t stream_id,
                                          int32_t session_window, int32_t stream_window, uint32_t max_frame,
                                          void *context) {
    (void)session, (void)frame_type, (void)stream_id, (void)context;
    nghttp2_ssize length = 16384 - 9;
    length = length < session_window ? length : session_window;
    length = length < stream_window ? length : stream_window;
    return length < (nghttp2_ssize)max_frame ? length : (nghttp2_ssize)max_frame;
}

static nghttp2_ssize on_pull(nghttp2_session *session, int32_t stream_id, uint8_t *buffer, size_t capacity,
                             uint32_t *flags, nghttp2_data_source *source, void *context) {
    (void)session, (void)stream_id, (void)context;
    struct tunnel *tunnel = source->ptr;
    bool end = false;
    /* Before its answer a CONNECT is no tunnel: nothing is sent, no end either. */
    size_t length = tunnel->opened ? tunnel->handler->pull(tunnel, buffer, capacity, &end) : 0;
    if (end) {
        tunnel->ended_here = true;
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return length == 0 && !end ? NGHTTP2_ERR_DEFERRED : (nghttp2_ssize)length;
}

static nghttp2_session_callbacks *callbacks_new(void) {
    nghttp2_session_callbacks *callbacks = NULL;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return NULL;
    }
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_data_source_read_length_callback2(callbacks, frame_payload_length);
    return callbacks;
}

static bool h2_start(struct connection *connection) {
    nghttp2_session_callbacks *callbacks = callbacks_new();
    if (callbacks == NULL) {
        return false;
    }
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
    };
    int result = nghttp2_session_client_new(&connection->h2, callbacks, connection);
    nghttp2_session_callbacks_del(callbacks);
    return result == 0 && nghttp2_submit_settings(connection->h2, NGHTTP2_FLAG_NONE, settings, 2) == 0 &&
           nghttp2_session_set_local_window_size(connection->h2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW_BYTES) == 0;
}

static nghttp2_nv header(const char *name, const char *value, uint8_t flags) {
    union {
        const char *text;
        uint8_t *bytes;
    } name_cast = {name}, value_cast = {value}; /* nghttp2 doesn't write to them */
    return (nghttp2_nv){name_cast.bytes, value_cast.bytes, strlen(name), strlen(value), flags};
}

static bool h2_open_tunnel(struct connection *connection, struct tunnel *tunnel, uint16_t target_port) {
    char authority[32];
    snprintf(authority, sizeof(authority), "127.0.0.1:%u", target_port);
    const nghttp2_nv headers[] = {
        header(":method", "CONNECT", NGHTTP2_NV_FLAG_NONE),
        header(":authority", authority, NGHTTP2_NV_FLAG_NONE),
        header("proxy-authorization",
               connection->settings->authorization == NULL ? "" : connection->settings->authorization,
               NGHTTP2_NV_FLAG_NONE),
    };
    size_t count = connection->settings->authorization == NULL ? 2 : 3;
    nghttp2_data_provider2 provider = {.source.ptr = tunnel, .read_callback = on_pull};
    tunnel->stream_id = nghttp2_submit_request2(connection->h2, NULL, headers, count, &provider, tunnel);
    return tunnel->stream_id > 0;
}

static bool h2_on_bytes(struct connection *connection, const uint8_t *bytes, size_t length) {
    nghttp2_ssize taken = nghttp2_session_mem_recv2(connection->h2, bytes, length);
    if (taken != (nghttp2_ssize)length && connection->failure == NULL) {
        connection->failure = taken < 0 ? nghttp2_strerror((int)taken) : "HTTP/2 was not read to its end";
    }
    return taken == (nghttp2_ssize)length;
}

/* Tunnels that are still open end with the connection, in h2_stop(). */
static void h2_on_end(struct connection *connection) {
    (void)connection;
}

static bool gather(struct connection *connection, uint8_t *plain, size_t *length, const uint8_t *frame,
                   size_t frame_length) {
    if (*length + frame_length > GATHER_BYTES) {
        if (!channel_write(&connection->channel, plain, *length)) {
            return false;
        }
        *length = 0;
    }
    memcpy(plain + *length, frame, frame_length);
    *length += frame_length;
    return true;
}

static bool h2_produce(struct connection *connection) {
    uint8_t plain[GATHER_BYTES];
    size_t length = 0;
    while (channel_queued(&connection->channel) < CHANNEL_QUEUE_BYTES) {
        const uint8_t *frame = NULL;
        nghttp2_ssize frame_length = nghttp2_session_mem_send2(connection->h2, &frame);
        if (frame_length < 0 || frame_length > GATHER_BYTES) {
            return false;
        }
        if (frame_length == 0) {
            break;
        }
        if (!gather(connection, plain, &length, frame, (size_t)frame_length)) {
            return false;
        }
    }
    return length == 0 || channel_write(&connection->channel, plain, length);
}

static void h2_resume(struct tunnel *tunnel) {
    nghttp2_session_resume_data(tunnel->connection->h2, tunnel->stream_id);
}

static void h2_stop(struct connection *connection, const char *failure) {
    for (int32_t id = 1; connection->h2 != NULL && id < (int32_t)nghttp2_session_get_next_stream_id(connection->h2);
         id += 2) {
        struct tunnel *tunnel = stream_tunnel(connection->h2, id);
        if (tunnel != NULL) {
            nghttp2_session_set_stream_user_data(connection->h2, id, NULL);
            tunnel_closed(tunnel, failure);
        }
    }
    nghttp2_session_del(connection->h2);
    connection->h2 = NULL;
}

const struct protocol protocol_h2 = {
    .name = "h2",
    .alpn = "h2",
    .secure = true,
    .start = h2_start,
    .open_tunnel = h2_open_tunnel,
    .on_bytes = h2_on_bytes,
    .on_end = h2_on_end,
    .produce = h2_produce,
    .resume = h2_resume,
    .stop = h2_stop,
};
