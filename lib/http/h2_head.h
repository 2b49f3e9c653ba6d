/*
 * http/h2_head.h: the request head that an HTTP/2 session is reading. There is one
 * at a time, for a header block's frames stand together (RFC 9113 4.3). Used by
 * h2.c only.
 */
#ifndef MQ_HTTP_H2_HEAD_H
#define MQ_HTTP_H2_HEAD_H

#include "http/request.h"

typedef struct mq_h2_head {
    const masque_allocator *allocator;
    mq_request *request; /* NULL: none is being read */
    int32_t id;          /* of its stream */
} mq_h2_head;

/* False without memory. No head may be open. */
bool mq_h2_head_begin(mq_h2_head *head, const masque_allocator *allocator, int32_t id);

/* True while the head of stream ID is being read. */
static inline bool mq_h2_head_is(const mq_h2_head *head, int32_t id) {
    return head->request && head->id == id;
}

/* One field or pseudo-header field. False when it is so far beyond a limit that it
   isn't worth reading on for a 431. */
bool mq_h2_head_field(mq_h2_head *head, const masque_limits *limits, const char *name, size_t name_length,
                      const char *value, size_t value_length);

/* Forgets it; true if there was one. */
bool mq_h2_head_drop(mq_h2_head *head);

#endif
