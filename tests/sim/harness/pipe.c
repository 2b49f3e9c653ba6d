#include "harness/pipe.h"

#include <stdlib.h>
#include <string.h>

void sim_pipe_init(sim_pipe *pipe, size_t capacity) {
    *pipe = (sim_pipe){.bytes = malloc(capacity), .capacity = capacity};
    if (!pipe->bytes) {
        abort();
    }
}

void sim_pipe_free(sim_pipe *pipe) {
    free(pipe->bytes);
    pipe->bytes = NULL;
}

size_t sim_pipe_room(const sim_pipe *pipe) {
    return pipe->fin || pipe->reset ? 0 : pipe->capacity - pipe->length;
}

size_t sim_pipe_write(sim_pipe *pipe, const void *bytes, size_t length) {
    size_t room = sim_pipe_room(pipe);
    length = length < room ? length : room;
    size_t at = (pipe->start + pipe->length) % pipe->capacity;
    size_t first = length < pipe->capacity - at ? length : pipe->capacity - at;
    memcpy(pipe->bytes + at, bytes, first);
    memcpy(pipe->bytes, (const uint8_t *)bytes + first, length - first);
    pipe->length += length;
    pipe->written += length;
    return length;
}

size_t sim_pipe_read(sim_pipe *pipe, void *bytes, size_t length) {
    length = length < pipe->length ? length : pipe->length;
    size_t first = length < pipe->capacity - pipe->start ? length : pipe->capacity - pipe->start;
    memcpy(bytes, pipe->bytes + pipe->start, first);
    memcpy((uint8_t *)bytes + first, pipe->bytes, length - first);
    pipe->start = (pipe->start + length) % pipe->capacity;
    pipe->length -= length;
    pipe->read += length;
    return length;
}

void sim_pipe_reset(sim_pipe *pipe) {
    pipe->reset = true;
    pipe->length = 0;
}
