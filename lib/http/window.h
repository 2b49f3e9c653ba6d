/*
 * http/window.h: how large the receive windows of a connection's streams are, for
 * HTTP/2 (RFC 9113 5.2) and HTTP/3 (RFC 9000 4.1) alike.
 *
 * Every stream begins with 64 KiB or less. Its window doubles when its target took a
 * whole window within WINDOW_PERIOD, as long as all windows that streams have or may
 * still get add up to connection_buffer_max at most. The connection's own window is
 * twice that, for credit is announced only when half a window is due: so a stalled
 * target never keeps another tunnel waiting. Only counts; sends nothing.
 */
#ifndef MQ_HTTP_WINDOW_H
#define MQ_HTTP_WINDOW_H

#include "http/session.h"

typedef struct mq_windows {
    const masque_limits *limits;
    uint32_t open_streams;
    uint64_t granted; /* sum of the open streams' windows, and untaken bytes of others */
} mq_windows;

/* What a stream begins with. */
uint32_t mq_window_initial(const masque_limits *limits);
/* What the connection has. */
uint64_t mq_window_connection(const masque_limits *limits);

void mq_windows_open(mq_windows *windows, mq_stream *stream, masque_time now);
/* The session lets go of STREAM. Bytes of it that nobody took yet still count, until
   they are credited. */
void mq_windows_close(mq_windows *windows, mq_stream *stream);
/* LENGTH bytes of STREAM were taken. Returns by how much its window should grow: 0, or
   what mq_windows_grow() is to be told once the client was. */
uint32_t mq_windows_credit(mq_windows *windows, mq_stream *stream, size_t length, masque_time now, bool may_grow);
void mq_windows_grow(mq_windows *windows, mq_stream *stream, uint32_t growth);

#endif
