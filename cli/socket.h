/*
 * socket.h: the few socket calls the program makes, with addresses as the library
 * has them. Everything is non-blocking and closed on exec.
 */
#ifndef CLI_SOCKET_H
#define CLI_SOCKET_H

#include <netinet/udp.h>
#include <sys/socket.h>

#include "settings.h"

/* Older headers don't have these. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

/* The largest UDP payload, and what UDP_GRO gathers at most. */
#define UDP_READ_SIZE 65535

/* False for a family that isn't IP. */
bool address_from_sockaddr(masque_address *address, const struct sockaddr *from);
socklen_t address_to_sockaddr(const masque_address *address, struct sockaddr_storage *to);

/* A listening TCP socket, or -1 with MESSAGE set. SHARED lets other sockets listen on
   the same address (SO_REUSEPORT): one for each worker. */
int socket_listen(const masque_address *address, bool shared, mqd_message *message);

/* A UDP socket for QUIC, as quic.h describes it; or -1 with MESSAGE set. */
int socket_bind_udp(const masque_address *address, bool shared, mqd_message *message);

/* PACKETS' client as the sockaddr of a socket of FAMILY; an IPv6 socket reaches IPv4 by mapped
   addresses, and PACKETS' local address becomes one then. Returns its length. */
socklen_t udp_peer(struct sockaddr_storage *to, masque_packets *packets, uint8_t family);

/* Who chooses ports of OPTIONS' range: the system, if it can. */
void socket_prepare_source(source_settings *options);

/* A socket that connects to where DIAL says, by its transport, from its source unless that has no family, as SOURCE
   says then. -1 with *RESULT set when it failed at once; else *RESULT is OK for a connection that is already there, or
   the answer comes when the socket is writable (*PENDING). */
int socket_connect(const masque_event *dial, const source_settings *source, bool *pending, masque_dial_result *result);

/* What became of it: once it is writable, or was not pending. */
masque_dial_result socket_connect_result(int fd);

/* What a client's or a target's socket gets: no delay for small writes, and a probe
   for peers that vanished. */
void socket_tune(int fd);

/* Closes; RESET sends an RST instead of a FIN. */
void socket_close(int fd, bool reset);

#endif
