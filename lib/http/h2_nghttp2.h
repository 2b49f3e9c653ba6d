/*
 * http/h2_nghttp2.h: an nghttp2 session, a server's or a client's, made with our limits: options,
 * callbacks, allocator and the first SETTINGS. Used by h2.c only.
 */
#ifndef MQ_HTTP_H2_NGHTTP2_H
#define MQ_HTTP_H2_NGHTTP2_H

#include <masqueproxy/limits.h>
#include <nghttp2/nghttp2.h>

typedef struct mq_h2_callbacks {
    nghttp2_send_callback2 send;
    nghttp2_data_source_read_length_callback2 read_length;
    nghttp2_send_data_callback send_data;
    nghttp2_on_frame_send_callback frame_sent;
    nghttp2_on_begin_headers_callback begin_headers;
    nghttp2_on_header_callback header;
    nghttp2_on_invalid_header_callback invalid_header;
    nghttp2_on_frame_recv_callback frame;
    nghttp2_on_invalid_frame_recv_callback invalid_frame;
    nghttp2_on_data_chunk_recv_callback data;
    nghttp2_on_stream_close_callback stream_close;
} mq_h2_callbacks;

/* ALLOCATOR must outlive the session. NULL without memory. */
nghttp2_session *mq_h2_nghttp2_new(const mq_h2_callbacks *callbacks, bool is_client, const masque_limits *limits,
                                   const masque_allocator *allocator, void *user);

#endif
