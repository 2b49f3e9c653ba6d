/*
 * harness/pipe.h: one direction of a byte stream in memory, as a kernel's socket
 * buffer: bounded, ends with FIN or reset. Who reads and who writes is the
 * harness's; chance is theirs too.
 */
#ifndef SIM_PIPE_H
#define SIM_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sim_pipe {
    uint8_t *bytes; /* a ring */
    size_t capacity;
    size_t start;
    size_t length;
    uint64_t written; /* in all */
    uint64_t read;
    bool fin;   /* nothing follows */
    bool reset; /* what wasn't read is lost */
} sim_pipe;

void sim_pipe_init(sim_pipe *pipe, size_t capacity);
void sim_pipe_free(sim_pipe *pipe);
size_t sim_pipe_room(const sim_pipe *pipe);
/* Takes what fits; returns how much. */
size_t sim_pipe_write(sim_pipe *pipe, const void *bytes, size_t length);
/* Gives up to LENGTH bytes. */
size_t sim_pipe_read(sim_pipe *pipe, void *bytes, size_t length);
/* Loses what is in it. */
void sim_pipe_reset(sim_pipe *pipe);

#endif
