#include "http/window.h"

#include <assert.h>

#define WINDOW_MAX 65535u
#define WINDOW_MIN MASQUE_TUNNEL_SHARE_MIN
/* A window taken in this time may be what limits the client: good up to a round
   trip of a second. */
#define WINDOW_PERIOD MASQUE_SECOND

uint32_t mq_window_initial(const masque_limits *limits) {
    uint64_t share = limits->connection_buffer_max / limits->tunnels_per_connection_max;
    share = share < WINDOW_MAX ? share : WINDOW_MAX;
    return (uint32_t)(share > WINDOW_MIN ? share : WINDOW_MIN);
}

uint64_t mq_window_connection(const masque_limits *limits) {
    uint64_t window = limits->connection_buffer_max * 2;
    return window < INT32_MAX ? window : INT32_MAX;
}

void mq_windows_open(mq_windows *windows, mq_stream *stream, masque_time now) {
    stream->window = mq_window_initial(windows->limits);
    stream->window_since = now;
    windows->granted += stream->window;
    windows->open_streams++;
}

void mq_windows_close(mq_windows *windows, mq_stream *stream) {
    assert(windows->granted >= stream->window && windows->open_streams > 0);
    windows->granted = windows->granted - stream->window + stream->untaken;
    windows->open_streams--;
}

static uint32_t growth_of(const mq_windows *windows, const mq_stream *stream) {
    const masque_limits *limits = windows->limits;
    uint64_t wanted = (uint64_t)stream->window * 2;
    wanted = wanted < limits->stream_window_max ? wanted : limits->stream_window_max;
    uint64_t idle_streams = limits->tunnels_per_connection_max - windows->open_streams;
    uint64_t committed = windows->granted + idle_streams * mq_window_initial(limits);
    bool fits = wanted > stream->window && committed + (wanted - stream->window) <= limits->connection_buffer_max;
    return fits ? (uint32_t)(wanted - stream->window) : 0;
}

uint32_t mq_windows_credit(mq_windows *windows, mq_stream *stream, size_t length, masque_time now, bool may_grow) {
    uint32_t growth = 0;
    assert(length <= stream->untaken);
    stream->untaken -= length;
    if (!stream->session) {
        windows->granted -= length;
        return 0;
    }
    stream->window_taken += (uint32_t)length;
    if (stream->window_taken < stream->window) {
        return 0;
    }
    if (may_grow && now - stream->window_since < WINDOW_PERIOD) {
        growth = growth_of(windows, stream);
    }
    stream->window_taken = 0;
    stream->window_since = now;
    return growth;
}

void mq_windows_grow(mq_windows *windows, mq_stream *stream, uint32_t growth) {
    windows->granted += growth;
    stream->window += growth;
}
