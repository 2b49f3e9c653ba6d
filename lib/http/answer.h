/*
 * http/answer.h: the head of an answer to a request of ours, as a client. Every field is kept,
 * within the limits that heads of requests have.
 */
#ifndef MQ_HTTP_ANSWER_H
#define MQ_HTTP_ANSWER_H

#include <masqueproxy/limits.h>

#include "base/memory.h"

typedef struct mq_answer {
    const masque_allocator *allocator; /* NULL: nothing was read yet */
    unsigned status;                   /* 0: not yet */
    masque_field *fields;              /* name and value in one piece of memory, the name's */
    size_t count;
    size_t capacity;
    uint64_t byte_count; /* names and values, 32 for each field */
} mq_answer;

/* One field, its name in any case, or :status. 0, MASQUE_ERR_NO_MEMORY, MASQUE_ERR_FLOOD (a limit is passed), or
   MASQUE_ERR_PROTOCOL (a status that is none). */
int mq_answer_field(mq_answer *answer, const masque_allocator *allocator, const masque_limits *limits, const char *name,
                    size_t name_length, const char *value, size_t value_length);

/* Is it a 1xx that the real one follows (RFC 9110 15.2)? 101 ends HTTP/1.1's part: it is none. */
static inline bool mq_answer_is_interim(const mq_answer *answer) {
    return answer->status >= 100 && answer->status < 200 && answer->status != 101;
}

/* Does an answer that opens a tunnel of datagrams say what it must? RFC 9297 3.2: no content, nor a status that is
   about it. With UPGRADE, HTTP/1.1's 101, it names the protocol too (RFC 9298 3.3). */
bool mq_answer_opens_capsules(const mq_answer *answer, bool upgrade);

/* Frees what it holds; it can be read again. */
void mq_answer_free(mq_answer *answer);

#endif
