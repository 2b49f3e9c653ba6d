/*
 * sockets.h, on Linux.
 */
#include "sockets.h"

#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SOCKET_BYTES = 4 << 20 };

int socket_open(int type, uint16_t port, uint16_t *own) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int size = SOCKET_BYTES;
    int one = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (type == SOCK_DGRAM) {
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
    }
    address.sin_port = htons(port);
    bool done =
        port ? connect(fd, (struct sockaddr *)&address, length) == 0
             : bind(fd, (struct sockaddr *)&address, length) == 0 && (type == SOCK_DGRAM || listen(fd, 128) == 0);
    if (!done || getsockname(fd, (struct sockaddr *)&address, &length) != 0) {
        perror("bench_engine: socket");
        exit(1);
    }
    *own = ntohs(address.sin_port);
    return fd;
}

ssize_t socket_receive(int fd, uint8_t *bytes, size_t *segment, struct sockaddr_in *from) {
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = bytes, .iov_len = READ_BYTES};
    struct msghdr message = {.msg_name = from,
                             .msg_namelen = from ? sizeof *from : 0,
                             .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(fd, &message, MSG_DONTWAIT);
    struct cmsghdr *at = length > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    *segment = (size_t)(length > 0 ? length : 0);
    if (at && at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO) {
        int value;
        memcpy(&value, CMSG_DATA(at), sizeof value);
        *segment = (size_t)value;
    }
    return length;
}

bool socket_send(int fd, const void *bytes, size_t length, size_t segment, const struct sockaddr_in *to) {
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = length};
    struct msghdr message = {
        .msg_name = (void *)(uintptr_t)to, .msg_namelen = to ? sizeof *to : 0, .msg_iov = &piece, .msg_iovlen = 1};
    if (segment > 0 && length > segment) {
        uint16_t value = (uint16_t)segment;
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header =
            (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof value), .cmsg_level = IPPROTO_UDP, .cmsg_type = UDP_SEGMENT};
        memcpy(CMSG_DATA(&control.header), &value, sizeof value);
    }
    return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}
