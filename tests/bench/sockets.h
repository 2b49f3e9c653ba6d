/*
 * Sockets on 127.0.0.1, and bursts of datagrams: what UDP_GRO gathers and UDP_SEGMENT cuts.
 */
#ifndef BENCH_SOCKETS_H
#define BENCH_SOCKETS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { READ_BYTES = 65535 };

/* A socket of TYPE on 127.0.0.1, connected to PORT or, with 0, bound; *OWN is its port. Exits where there is none. */
int socket_open(int type, uint16_t port, uint16_t *own);

/* Datagrams of *SEGMENT bytes each, the last may be shorter, at most READ_BYTES in all; doesn't wait. FROM may be
   NULL. */
ssize_t socket_receive(int fd, uint8_t *bytes, size_t *segment, struct sockaddr_in *from);

/* Datagrams of SEGMENT bytes each, 0 for one; doesn't wait. TO is NULL where FD is connected. */
bool socket_send(int fd, const void *bytes, size_t length, size_t segment, const struct sockaddr_in *to);

#endif
