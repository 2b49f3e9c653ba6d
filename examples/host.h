/*
 * examples/host.h: what every host of the examples needs beside its loop: clock,
 * random bytes, a configuration, sockets, names; POSIX's words in the library's, and
 * back. Failures that leave no way on end the program.
 */
#ifndef EXAMPLES_HOST_H
#define EXAMPLES_HOST_H

#include <masqueproxy/masqueproxy.h>

#include <assert.h>
#include <signal.h>
#include <stdnoreturn.h>
#include <sys/uio.h>

/* Prints both to stderr and exits. */
noreturn void host_fail(const char *what, const char *why);

/* Fails when ERROR is a masque_error. */
void host_require(int error, const char *what);

/* Fails with errno when RESULT is negative; else returns it. */
int host_checked(int result, const char *what);

/* CLOCK_MONOTONIC. */
masque_time host_now(void);

/* A timeout for poll() and its like: rounded up, -1 for MASQUE_NEVER. */
int host_milliseconds_until(masque_time deadline);

/* For masque_runtime.random: the kernel's. CONTEXT is not used. */
void host_random(void *context, uint8_t *buffer, size_t size);

/* A configuration with a certificate from two PEM files that allows targets in
   ALLOW_PREFIX (NULL: only public ones). It isn't sealed yet and needs authentication. */
masque_config *host_config(const masque_runtime *runtime, const char *chain_path, const char *key_path,
                           const char *allow_prefix);

/* Pieces are laid out like struct iovec, so that readv() and writev() take them. */
static_assert(sizeof(masque_iovec) == sizeof(struct iovec), "masque_iovec is struct iovec");
static_assert(offsetof(masque_iovec, length) == offsetof(struct iovec, iov_len), "in the same order");
static inline const struct iovec *host_iovec(const masque_iovec *pieces) {
    return (const struct iovec *)pieces;
}

/* --- sockets: never blocking, without Nagle's delay ------------------------------------ */

/* Listens on 127.0.0.1. PORT is a number in TEXT, "0" any free one; *ADDRESS becomes where. */
int host_listen(const char *port, masque_address *address);

/* -1 with errno when there is none. */
int host_accept(int listener, masque_address *from);

/* A socket that begins to connect, writable when that is decided. -1 with errno. */
int host_connect(const masque_address *to);

/* How host_connect()'s socket fared, or with FD -1 what errno says of it. */
masque_dial_result host_connected(int fd);

/* With RESET by a TCP RST. */
void host_close(int fd, bool reset);

/* --- signals ---------------------------------------------------------------------------- */

/* SIGTERM is blocked, and taken once where *BEFORE is the mask again; a second one kills.
   SIGPIPE is ignored. */
void host_take_sigterm(sigset_t *before);
bool host_was_told_to_stop(void);

/* --- names ----------------------------------------------------------------------------- */

/* Looks NAME up in both families; *COUNT is the room and becomes how many there are.
   getaddrinfo() blocks the whole loop, which only an example may do: a real host
   asks an asynchronous resolver and answers for each family as soon as it can. */
masque_lookup host_lookup(const char *name, masque_address *addresses, size_t *count);

#endif
