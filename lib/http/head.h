/*
 * http/head.h: a request head that is being read field by field, by h2.c and h3.c.
 */
#ifndef MQ_HTTP_HEAD_H
#define MQ_HTTP_HEAD_H

#include "http/request.h"
#include "http/response.h"

typedef struct mq_head {
    const masque_allocator *allocator;
    mq_request *request; /* NULL: none is being read */
    int64_t id;          /* of its stream */
} mq_head;

/* False without memory. No head may be open. */
bool mq_head_begin(mq_head *head, const masque_allocator *allocator, int64_t id);

/* True while the head of stream ID is being read. */
static inline bool mq_head_is(const mq_head *head, int64_t id) {
    return head->request && head->id == id;
}

/* One field or pseudo-header field. False when it is so far beyond a limit that it
   isn't worth reading on for a 431. */
bool mq_head_field(mq_head *head, const masque_limits *limits, const char *name, size_t name_length, const char *value,
                   size_t value_length);

/* What is wrong with a complete one, as far as its session knows. */
mq_refusal mq_head_refusal(const mq_head *head);

/* Forgets it; true if there was one. */
bool mq_head_drop(mq_head *head);

#endif
