/*
 * packets.c: a worker's UDP sockets, for QUIC. One read takes what UDP_GRO gathered, one
 * write gives a burst to UDP_SEGMENT; where the system has neither, they move single packets.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "socket.h"
#include "worker.h"

/* Reads of one socket before others have their turn. */
#define READS_MAX 16u
#define BURSTS_MAX 16
#define ECN_BITS 3

/* Room for the control messages of one call. */
typedef union udp_control {
    struct cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(int))];
} udp_control;

static void on_udp(uv_poll_t *poll, int status, int events);

static void poll_udp(worker_udp *udp) {
    watched_set(&udp->socket, UV_READABLE | (udp->writes ? UV_WRITABLE : 0), on_udp);
}

/* --- reading ---------------------------------------------------------------------------- */

static void take_control(masque_packets *packets, struct cmsghdr *header) {
    int value;
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
        struct in_pktinfo info;
        memcpy(&info, CMSG_DATA(header), sizeof info);
        packets->local.family = MASQUE_IPV4;
        memset(packets->local.ip, 0, sizeof packets->local.ip);
        memcpy(packets->local.ip, &info.ipi_addr, 4);
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
        struct in6_pktinfo info;
        memcpy(&info, CMSG_DATA(header), sizeof info);
        packets->local.family = MASQUE_IPV6;
        memcpy(packets->local.ip, &info.ipi6_addr, sizeof packets->local.ip);
    } else if (header->cmsg_level == IPPROTO_UDP && header->cmsg_type == UDP_GRO) {
        memcpy(&value, CMSG_DATA(header), sizeof value);
        packets->segment = (size_t)value;
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TOS) {
        packets->ecn = *CMSG_DATA(header) & ECN_BITS;
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_TCLASS) {
        memcpy(&value, CMSG_DATA(header), sizeof value);
        packets->ecn = (uint8_t)(value & ECN_BITS);
    }
}

/* To the worker whose connection ID they have. Another server's, and another generation's, are lost:
   no load balancer should have sent them here. */
static void hand_over(mqd_worker *worker, const masque_packets *packets, const masque_route *route) {
    bool ours = route->server == worker->server_number && route->worker < worker->worker_count;
    if (ours && route->worker != worker->number) {
        handover_give(&worker->handovers[route->worker], packets);
    }
}

/* False when nothing is left. */
static bool read_once(worker_udp *udp) {
    static _Thread_local uint8_t bytes[UDP_READ_SIZE];
    mqd_worker *worker = udp->socket.worker;
    struct sockaddr_storage from;
    udp_control control;
    struct iovec piece = {.iov_base = bytes, .iov_len = sizeof bytes};
    struct msghdr message = {.msg_name = &from,
                             .msg_namelen = sizeof from,
                             .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t length = recvmsg(udp->socket.fd, &message, 0);
    if (length < 0) {
        return errno != EAGAIN;
    }
    masque_packets packets = {.local = udp->local,
                              .listener = udp->number + 1,
                              .socket = udp->number,
                              .bytes = bytes,
                              .length = (size_t)length};
    masque_route route;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        take_control(&packets, header);
    }
    if (length > 0 && address_from_sockaddr(&packets.remote, (struct sockaddr *)&from) &&
        masque_engine_packets(worker->engine, &packets, &route, worker->now) == MASQUE_ERR_ELSEWHERE) {
        hand_over(worker, &packets, &route);
    }
    return true;
}

void packets_take_handed(mqd_worker *worker) {
    const handover_batch *batch = handover_take(&worker->handovers[worker->number]);
    masque_route route;
    for (size_t i = 0; i < batch->count; i++) {
        /* Whatever is elsewhere still is lost: it was handed on once. */
        (void)masque_engine_packets(worker->engine, &batch->packets[i], &route, worker->now);
    }
}

/* --- writing ------------------------------------------------------------------------------- */

static struct cmsghdr *put_control(struct msghdr *message, struct cmsghdr *at, int level, int type, const void *value,
                                   size_t length) {
    at->cmsg_level = level;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(at), value, length);
    message->msg_controllen += CMSG_SPACE(length);
    return (struct cmsghdr *)(void *)((uint8_t *)message->msg_control + message->msg_controllen);
}

static void fill_control(struct msghdr *message, const masque_packets *packets, bool segments) {
    struct cmsghdr *at = message->msg_control;
    int ecn = packets->ecn;
    message->msg_controllen = 0;
    if (packets->local.family == MASQUE_IPV4) {
        struct in_pktinfo info = {.ipi_ifindex = 0};
        memcpy(&info.ipi_spec_dst, packets->local.ip, 4);
        at = put_control(message, at, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    } else {
        struct in6_pktinfo info = {.ipi6_ifindex = 0};
        memcpy(&info.ipi6_addr, packets->local.ip, sizeof packets->local.ip);
        at = put_control(message, at, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    bool ipv4 = packets->local.family == MASQUE_IPV4;
    at = put_control(message, at, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TOS : IPV6_TCLASS, &ecn, sizeof ecn);
    if (segments) {
        uint16_t segment = (uint16_t)packets->segment;
        put_control(message, at, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    }
}

/* 0, or an errno. */
static int send_piece(const worker_udp *udp, const masque_packets *packets, size_t offset, size_t length) {
    udp_control control;
    struct sockaddr_storage to;
    masque_packets mapped = *packets;
    memset(&control, 0, sizeof control);
    struct iovec piece = {.iov_base = packets->bytes + offset, .iov_len = length};
    struct msghdr message = {.msg_name = &to,
                             .msg_namelen = udp_peer(&to, &mapped, udp->local.family),
                             .msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = &control};
    fill_control(&message, &mapped, length > packets->segment);
    return sendmsg(udp->socket.fd, &message, 0) < 0 ? errno : 0;
}

/* False: the socket is full. What can't be sent for another reason is lost, as on the way. */
static bool send_burst(worker_udp *udp, const masque_packets *packets) {
    bool many = packets->length > packets->segment;
    if (!many || !udp->no_segments) {
        int error = send_piece(udp, packets, 0, packets->length);
        bool has_none = many && (error == EIO || error == EINVAL || error == EOPNOTSUPP);
        if (!has_none) {
            return error != EAGAIN;
        }
        udp->no_segments = true;
    }
    for (size_t offset = 0; offset < packets->length; offset += packets->segment) {
        size_t left = packets->length - offset;
        send_piece(udp, packets, offset, left < packets->segment ? left : packets->segment);
    }
    return true;
}

void packets_send(mqd_worker *worker) {
    masque_packets bursts[BURSTS_MAX];
    size_t count;
    while ((count = masque_engine_pull_packets(worker->engine, bursts, BURSTS_MAX, worker->now)) > 0) {
        size_t sent = 0;
        while (sent < count) {
            worker_udp *udp = &worker->udps[bursts[sent].socket];
            if (udp->open && !send_burst(udp, &bursts[sent])) {
                udp->writes = true;
                poll_udp(udp);
                break;
            }
            sent++;
        }
        masque_engine_pulled_packets(worker->engine, sent, worker->now);
        if (sent < count) {
            return;
        }
    }
}

/* --- life ------------------------------------------------------------------------------------- */

/* As many reads as had something last time: with UDP_GRO one often takes all there is, and the one that
   finds nothing costs as much. What is left brings the next callback at once. */
static void read_some(worker_udp *udp) {
    unsigned done = 0;
    bool more = true;
    while (done < udp->reads && (more = read_once(udp))) {
        done++;
    }
    unsigned next = more ? 2 * udp->reads : done;
    udp->reads = next < 1 ? 1 : next > READS_MAX ? READS_MAX : next;
}

static void on_udp(uv_poll_t *poll, int status, int events) {
    worker_udp *udp = (worker_udp *)poll->data;
    mqd_worker *worker = udp->socket.worker;
    watched_take(&udp->socket, status, events);
    read_some(udp);
    if (udp->writes && events & UV_WRITABLE) {
        udp->writes = false;
        packets_send(worker);
    }
    poll_udp(udp);
    worker_run(worker);
}

static void on_udp_closed(uv_handle_t *handle) {
    (void)handle; /* lives inside the worker */
}

bool packets_init(mqd_worker *worker, const int *fds, size_t count, mqd_message *message) {
    for (size_t i = 0; i < count; i++) {
        worker_udp *udp = &worker->udps[i];
        struct sockaddr_storage storage;
        socklen_t length = sizeof storage;
        udp->number = (uint32_t)i;
        if (fds[i] < 0) {
            continue;
        }
        if (watched_init(&udp->socket, worker, fds[i], on_udp_closed) != 0 ||
            getsockname(fds[i], (struct sockaddr *)&storage, &length) != 0 ||
            !address_from_sockaddr(&udp->local, (struct sockaddr *)&storage)) {
            say(message, "worker %u can't watch a UDP socket", worker->number);
            return false;
        }
        udp->open = true;
        udp->reads = 1;
        poll_udp(udp);
    }
    return true;
}
