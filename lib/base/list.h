/*
 * base/list.h: a list whose links live inside its members. A link that is in no
 * list points to itself, so removing twice is harmless. The head is such a link
 * too. Allocates nothing; knows nothing of its members.
 */
#ifndef MQ_BASE_LIST_H
#define MQ_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

typedef struct mq_link {
    struct mq_link *next;
    struct mq_link *previous;
} mq_link;

/* The member that holds LINK as its FIELD. */
#define MQ_MEMBER(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

static inline void mq_link_init(mq_link *link) {
    link->next = link;
    link->previous = link;
}

static inline bool mq_link_alone(const mq_link *link) {
    return link->next == link;
}

static inline void mq_link_remove(mq_link *link) {
    link->previous->next = link->next;
    link->next->previous = link->previous;
    mq_link_init(link);
}

/* Puts LINK, which is in no list, at the end of HEAD's. */
static inline void mq_list_append(mq_link *head, mq_link *link) {
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

#endif
