/*
 * transport/cid_table.h: which connection a connection ID belongs to, in one engine. A
 * hash table; clients choose the IDs of their first packets, so a random seed keeps them
 * from choosing colliding ones.
 */
#ifndef MQ_TRANSPORT_CID_TABLE_H
#define MQ_TRANSPORT_CID_TABLE_H

#include "transport/connection_id.h"

typedef struct mq_cid_entry {
    struct mq_cid_entry *next;
    void *owner;
    mq_cid cid;
} mq_cid_entry;

typedef struct mq_cid_table {
    const masque_allocator *allocator;
    mq_cid_entry **chains;
    size_t chain_count; /* a power of two, or 0 */
    size_t count;
    uint64_t seed[2];
} mq_cid_table;

void mq_cid_table_init(mq_cid_table *table, const masque_allocator *allocator, const uint64_t seed[2]);
/* Must be empty. */
void mq_cid_table_free(mq_cid_table *table);

/* 0, MASQUE_ERR_NO_MEMORY, or MASQUE_ERR_STATE: it is there already. */
int mq_cid_table_add(mq_cid_table *table, const mq_cid *cid, void *owner);
/* The owner, or NULL. */
void *mq_cid_table_find(const mq_cid_table *table, const uint8_t *bytes, size_t length);
/* Takes CID out if it is OWNER's; true if it was. */
bool mq_cid_table_remove(mq_cid_table *table, const mq_cid *cid, const void *owner);
/* Takes out all of OWNER's, by looking at every entry. */
void mq_cid_table_remove_all(mq_cid_table *table, const void *owner);

#endif
