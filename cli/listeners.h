/*
 * listeners.h: the sockets that clients come to: for each worker and each address a TCP socket, a UDP
 * socket for QUIC, or both on the same port number.
 */
#ifndef CLI_LISTENERS_H
#define CLI_LISTENERS_H

#include "settings.h"

typedef struct mqd_listeners {
    int fds[WORKERS_MAX][LISTENERS_MAX];     /* TCP; -1: none */
    int udp_fds[WORKERS_MAX][LISTENERS_MAX]; /* UDP; -1: none */
    unsigned protocols[LISTENERS_MAX];
    size_t count; /* of each worker */
} mqd_listeners;

/* Takes the sockets that systemd passed on, else binds what SETTINGS name. False with MESSAGE set. */
bool listeners_open(mqd_listeners *listeners, const mqd_settings *settings, unsigned workers, mqd_message *message);

/* " 192.0.2.1:443 …" to standard output. */
void listeners_print(const mqd_listeners *listeners);

#endif
