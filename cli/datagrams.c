/*
 * datagrams.c: a UDP tunnel's connected socket. One read takes what UDP_GRO gathered, one write
 * gives datagrams of one size to UDP_SEGMENT.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "socket.h"
#include "worker.h"

/* Reads of one socket before others have their turn. */
#define READS_MAX 4
/* What the kernel takes in one call with UDP_SEGMENT. */
#define SEGMENTS_MAX 64
#define SEGMENTED_MAX 65000

/* ICMP's errors, as a connected socket tells them. */
static bool is_unreachable(int error) {
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == EHOSTDOWN;
}

static size_t segment_of(struct msghdr *message) {
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
            int value;
            memcpy(&value, CMSG_DATA(header), sizeof value);
            return (size_t)value;
        }
    }
    return 0;
}

/* False when nothing is left. */
static bool read_once(const mqd_watched *socket, masque_tunnel_id tunnel) {
    static _Thread_local uint8_t bytes[UDP_READ_SIZE];
    const mqd_worker *worker = socket->worker;
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec piece = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t length = recvmsg(socket->fd, &message, 0);
    if (length >= 0) {
        masque_tunnel_datagrams(worker->engine, tunnel, bytes, (size_t)length, segment_of(&message), worker->now);
        return true;
    }
    if (is_unreachable(errno)) {
        masque_tunnel_unreachable(worker->engine, tunnel, worker->now);
        return false;
    }
    if (errno != EAGAIN && errno != EINTR && errno != EMSGSIZE) {
        masque_tunnel_failed(worker->engine, tunnel, worker->now);
    }
    return false;
}

void datagrams_read(const mqd_watched *socket, masque_tunnel_id tunnel) {
    for (int i = 0; i < READS_MAX && read_once(socket, tunnel); i++) {
    }
}

/* How many of the first can go in one call: all of one size, the last may be shorter. */
static size_t run_of(const masque_iovec *datagrams, size_t count) {
    size_t size = datagrams[0].length;
    size_t total = size;
    size_t run = 1;
    while (size > 0 && run < count && datagrams[run - 1].length == size && datagrams[run].length > 0 &&
           datagrams[run].length <= size && total + datagrams[run].length <= SEGMENTED_MAX) {
        total += datagrams[run++].length;
    }
    return run;
}

/* 0, or an errno. */
static int send_run(int fd, masque_iovec *datagrams, size_t count) {
    union {
        struct cmsghdr header;
        uint8_t bytes[CMSG_SPACE(sizeof(uint16_t))];
    } control;
    struct msghdr message = {.msg_iov = (struct iovec *)(void *)datagrams, .msg_iovlen = count};
    if (count > 1) {
        uint16_t segment = (uint16_t)datagrams[0].length;
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = IPPROTO_UDP;
        header->cmsg_type = UDP_SEGMENT;
        header->cmsg_len = CMSG_LEN(sizeof segment);
        memcpy(CMSG_DATA(header), &segment, sizeof segment);
    }
    return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

bool datagrams_write(mqd_watched *socket, masque_tunnel_id tunnel) {
    const mqd_worker *worker = socket->worker;
    masque_iovec datagrams[SEGMENTS_MAX];
    size_t count;
    while ((count = masque_tunnel_pull_datagrams(worker->engine, tunnel, datagrams, SEGMENTS_MAX)) > 0) {
        size_t run = run_of(datagrams, count);
        int error = send_run(socket->fd, datagrams, run);
        if (run > 1 && error != 0 && error != EAGAIN && !is_unreachable(error)) {
            run = 1; /* no UDP_SEGMENT here, or one of them is too big: singly */
            error = send_run(socket->fd, datagrams, run);
        }
        if (error == EAGAIN) {
            return true;
        }
        if (is_unreachable(error)) {
            /* That told of an earlier one; these were not sent. Not later: the engine may take them back. */
            send_run(socket->fd, datagrams, run);
            masque_tunnel_unreachable(worker->engine, tunnel, worker->now);
        }
        masque_tunnel_pulled_datagrams(worker->engine, tunnel, run, error == EMSGSIZE ? run : 0, worker->now);
    }
    return false;
}
