/* Bytes that a socket did not take; see unsent.h. */
#include "unsent.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

bool unsent_send(struct unsent *unsent, int fd, const uint8_t *bytes, size_t length) {
    assert(unsent->bytes == NULL);
    ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        return false;
    }
    size_t taken = sent < 0 ? 0 : (size_t)sent;
    if (taken == length) {
        return true;
    }
    *unsent = (struct unsent){.bytes = malloc(length - taken), .end = length - taken};
    if (unsent->bytes == NULL) {
        return false;
    }
    memcpy(unsent->bytes, bytes + taken, length - taken);
    return true;
}

bool unsent_flush(struct unsent *unsent, int fd) {
    ssize_t sent = send(fd, unsent->bytes + unsent->start, unsent->end - unsent->start, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN;
    }
    unsent->start += (size_t)sent;
    if (unsent->start == unsent->end) {
        unsent_free(unsent);
    }
    return true;
}

void unsent_free(struct unsent *unsent) {
    free(unsent->bytes);
    *unsent = (struct unsent){.bytes = NULL};
}
