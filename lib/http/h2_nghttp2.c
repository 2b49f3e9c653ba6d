#include "http/h2_nghttp2.h"

#include "base/memory.h"
#include "http/window.h"

#define NEVER_REACHED (UINT64_C(1) << 40)
#define GLITCH_MARGIN 10

/* What a SETTINGS frame may carry, theirs; we send five. */
#define SETTINGS_ENTRIES_MAX 32

static nghttp2_session_callbacks *make_callbacks(const mq_h2_callbacks *ours) {
    nghttp2_session_callbacks *callbacks;
    if (nghttp2_session_callbacks_new(&callbacks) != 0) {
        return NULL;
    }
    nghttp2_session_callbacks_set_send_callback2(callbacks, ours->send);
    nghttp2_session_callbacks_set_data_source_read_length_callback2(callbacks, ours->read_length);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, ours->send_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, ours->frame_sent);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, ours->begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, ours->header);
    nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, ours->invalid_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, ours->frame);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, ours->invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, ours->data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, ours->stream_close);
    return callbacks;
}

static nghttp2_option *make_options(const masque_limits *limits) {
    nghttp2_option *options;
    if (nghttp2_option_new(&options) != 0) {
        return NULL;
    }
    /* Credit follows what targets take. */
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_max_continuations(options, limits->continuations_max);
    nghttp2_option_set_max_outbound_ack(options, limits->control_frames_max);
    nghttp2_option_set_max_settings(options, SETTINGS_ENTRIES_MAX);
    /* These read the system's clock. h2.c counts in the host's time; what only nghttp2
       can see is left to it, further out. */
    nghttp2_option_set_stream_reset_rate_limit(options, NEVER_REACHED, NEVER_REACHED);
    nghttp2_option_set_glitch_rate_limit(options, GLITCH_MARGIN * limits->glitches_burst,
                                         GLITCH_MARGIN * limits->glitches_rate);
    /* Our answers are short and differ: a compression table would only cost memory. */
    nghttp2_option_set_max_deflate_dynamic_table_size(options, 0);
    return options;
}

static int announce(nghttp2_session *session, bool is_client, const masque_limits *limits) {
    /* The first two are a server's: a client allows no pushes, and so no streams. */
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, is_client ? 0 : (uint32_t)limits->tunnels_per_connection_max},
        {is_client ? NGHTTP2_SETTINGS_ENABLE_PUSH : NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, is_client ? 0 : 1},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, mq_window_initial(limits)},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)limits->header_bytes_max},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    if (nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof settings[0]) != 0) {
        return -1;
    }
    return nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0, (int32_t)mq_window_connection(limits));
}

nghttp2_session *mq_h2_nghttp2_new(const mq_h2_callbacks *ours, bool is_client, const masque_limits *limits,
                                   const masque_allocator *allocator, void *user) {
    nghttp2_mem memory = {.mem_user_data = (void *)(uintptr_t)allocator,
                          .malloc = mq_library_malloc,
                          .free = mq_library_free,
                          .calloc = mq_library_calloc,
                          .realloc = mq_library_realloc};
    nghttp2_session_callbacks *callbacks = make_callbacks(ours);
    nghttp2_option *options = make_options(limits);
    nghttp2_session *session = NULL;
    if (callbacks && options) {
        int code = is_client ? nghttp2_session_client_new3(&session, callbacks, user, options, &memory)
                             : nghttp2_session_server_new3(&session, callbacks, user, options, &memory);
        session = code ? NULL : session;
    }
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    if (session && announce(session, is_client, limits) != 0) {
        nghttp2_session_del(session);
        session = NULL;
    }
    return session;
}
