#include "listeners.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service.h"
#include "socket.h"

static bool use_passed(mqd_listeners *listeners, int first, int count, unsigned workers, mqd_message *message) {
    for (int i = 0; i < count; i++) {
        for (unsigned worker = 0; worker < workers; worker++) {
            int fd = worker == 0 ? first + i : dup(first + i);
            if (fd < 0) {
                say(message, "can't share the sockets that were passed on: %s", strerror(errno));
                return false;
            }
            listeners->fds[worker][i] = fd;
            listeners->udp_fds[worker][i] = -1;
        }
        listeners->protocols[i] = MASQUE_PROTOCOL_ALL;
    }
    listeners->count = (size_t)count;
    return true;
}

static bool local_address(int fd, masque_address *address) {
    struct sockaddr_storage storage;
    socklen_t length = sizeof storage;
    return getsockname(fd, (struct sockaddr *)&storage, &length) == 0 &&
           address_from_sockaddr(address, (struct sockaddr *)&storage);
}

static void close_pair(int *tcp, int *udp) {
    if (*tcp >= 0) {
        close(*tcp);
    }
    if (*udp >= 0) {
        close(*udp);
    }
    *tcp = *udp = -1;
}

/* The sockets that LISTENER wants. */
static bool bind_pair(const mqd_listener *listener, bool shared, int *tcp, int *udp, mqd_message *message) {
    *tcp = *udp = -1;
    if (listener->protocols & MASQUE_PROTOCOL_ALL) {
        *tcp = socket_listen(&listener->address, shared, message);
        if (*tcp < 0) {
            return false;
        }
    }
    if (listener->protocols & MASQUE_PROTOCOL_H3) {
        *udp = socket_bind_udp(&listener->address, shared, message);
        if (*udp < 0) {
            close_pair(tcp, udp);
            return false;
        }
    }
    return true;
}

/* SO_REUSEPORT would let a second masqueproxyd of the same user in silently. */
static bool is_free(const mqd_listener *listener, mqd_message *message) {
    int tcp;
    int udp;
    if (!bind_pair(listener, false, &tcp, &udp, message)) {
        return false;
    }
    close_pair(&tcp, &udp);
    return true;
}

static bool bind_all(mqd_listeners *listeners, const mqd_settings *settings, unsigned workers, mqd_message *message) {
    for (size_t i = 0; i < settings->listener_count; i++) {
        const mqd_listener *listener = &settings->listeners[i];
        listeners->protocols[i] = listener->protocols;
        if (!is_free(listener, message)) {
            return false;
        }
        for (unsigned worker = 0; worker < workers; worker++) {
            if (!bind_pair(listener, true, &listeners->fds[worker][i], &listeners->udp_fds[worker][i], message)) {
                return false;
            }
        }
    }
    listeners->count = settings->listener_count;
    return true;
}

bool listeners_open(mqd_listeners *listeners, const mqd_settings *settings, unsigned workers, mqd_message *message) {
    int first;
    int passed = service_passed_sockets(&first);
    if (passed > 0) {
        return use_passed(listeners, first, passed, workers, message);
    }
    return bind_all(listeners, settings, workers, message);
}

void listeners_print(const mqd_listeners *listeners) {
    for (size_t i = 0; i < listeners->count; i++) {
        masque_address address;
        char text[MASQUE_ADDRESS_TEXT_MAX];
        if (local_address(listeners->fds[0][i] >= 0 ? listeners->fds[0][i] : listeners->udp_fds[0][i], &address)) {
            masque_address_format(&address, text, sizeof text);
            printf(" %s", text);
        }
    }
}
