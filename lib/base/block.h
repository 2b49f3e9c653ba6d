/*
 * base/block.h: the memory that tunnelled bytes live in.
 *
 * A block holds what one full TLS record carries. Blocks are counted: a record
 * with data of several streams is shared by their queues. A queue is a list of
 * slices of blocks, in order. Whoever writes the bytes (a target's readv(), or
 * wolfSSL) writes them into a block; from there on only references move, but
 * for pieces under MQ_COPY_MAX, which are gathered so that a peer can't pin a
 * block a byte.
 *
 * A block read from a target begins its payload after MQ_BLOCK_HEADROOM bytes:
 * room for the HTTP/2 frame header (RFC 9113 4.1), so that header and payload
 * go to TLS as one piece that fills one record (RFC 8446 5.1).
 */
#ifndef MQ_BASE_BLOCK_H
#define MQ_BASE_BLOCK_H

#include "base/memory.h"

#define MQ_BLOCK_SIZE 16384u
#define MQ_BLOCK_HEADROOM 9u
#define MQ_BLOCK_PAYLOAD (MQ_BLOCK_SIZE - MQ_BLOCK_HEADROOM)
/* Pieces up to this size are copied behind the last slice where they can be;
   a bound on memory held a byte: 8 times at worst. */
#define MQ_COPY_MAX 4096u
/* A first piece up to this size gets a block of its own of that size: what a stalled
   tunnel holds for a byte or two is no full block. Room for the headroom beside it. */
#define MQ_SMALL_MAX 1024u
/* Blocks a pool keeps for reuse: 1 MiB. */
#define MQ_POOL_SPARE_MAX 64u
/* Slices of a queue's first ring, and such rings a pool keeps for reuse: 4 KiB. A queue that
   is empty between bursts then allocates nothing for each. */
#define MQ_RING_FIRST 4u
#define MQ_POOL_RINGS_MAX 64u

typedef struct mq_block {
    struct mq_block *next; /* in the pool */
    uint32_t references;
    uint32_t used;     /* end of the bytes written, <= capacity */
    uint32_t capacity; /* MQ_BLOCK_SIZE, or less in a small block */
    uint8_t bytes[];
} mq_block;

typedef union mq_ring mq_ring;

typedef struct mq_pool {
    const masque_allocator *allocator;
    mq_block *spare;
    size_t spare_count; /* <= MQ_POOL_SPARE_MAX */
    mq_ring *rings;
    size_t ring_count; /* <= MQ_POOL_RINGS_MAX */
    size_t live;       /* blocks in use */
    size_t live_bytes; /* their memory, and mq_pool_resize()'s */
} mq_pool;

void mq_pool_init(mq_pool *pool, const masque_allocator *allocator);
/* No block may be in use. */
void mq_pool_free(mq_pool *pool);

/* Memory beside the blocks that holds bytes on their way, counted with theirs: from FROM
   to TO bytes, as realloc(); NULL without memory, and nothing has changed. TO 0 frees. */
void *mq_pool_resize(mq_pool *pool, void *memory, size_t from, size_t to);

/* A block with one reference and nothing used, or NULL. */
mq_block *mq_block_new(mq_pool *pool);
/* The same with room for LENGTH <= MQ_SMALL_MAX bytes behind the headroom. */
mq_block *mq_block_new_small(mq_pool *pool, uint32_t length);
void mq_block_release(mq_pool *pool, mq_block *block);

typedef struct mq_slice {
    mq_block *block;
    uint32_t start; /* <= end <= block->used */
    uint32_t end;
} mq_slice;

typedef struct mq_queue {
    mq_slice *slices;  /* a ring; NULL while empty */
    uint32_t capacity; /* a power of two */
    uint32_t head;
    uint32_t count;
    size_t bytes;
} mq_queue;

/* Drops everything. A queue of all zero is an empty one. */
void mq_queue_clear(mq_queue *queue, mq_pool *pool);

/* Appends bytes START..END of BLOCK; takes a reference of its own or copies.
   Returns 0 or MASQUE_ERR_NO_MEMORY (nothing appended). */
int mq_queue_append(mq_queue *queue, mq_pool *pool, mq_block *block, uint32_t start, uint32_t end);

/* Appends LENGTH <= MQ_BLOCK_PAYLOAD bytes in one piece, in a block of the queue's own, for the
   caller to write; NULL without memory (nothing appended). MAY_BE_SMALL: that block needs no room
   for more. */
uint8_t *mq_queue_extend(mq_queue *queue, mq_pool *pool, uint32_t length, bool may_be_small);

/* Appends a copy of LENGTH <= MQ_COPY_MAX bytes. */
int mq_queue_copy(mq_queue *queue, mq_pool *pool, const uint8_t *bytes, uint32_t length);

/* Appends BLOCK's bytes START..END and takes over the caller's reference on success. */
int mq_queue_push(mq_queue *queue, mq_pool *pool, mq_block *block, uint32_t start, uint32_t end);

/* The block after whose last byte the queue may go on writing, or NULL: the last
   slice's, when nobody else has it and it has room. */
mq_block *mq_queue_open_tail(const mq_queue *queue);
/* Is BLOCK, up to its end, what the last slice ends with? */
bool mq_queue_ends_with(const mq_queue *queue, const mq_block *block);
/* LENGTH bytes were written there. */
void mq_queue_extend_tail(mq_queue *queue, uint32_t length);

/* Fills at most COUNT pieces from the front; returns how many. */
size_t mq_queue_pieces(const mq_queue *queue, masque_iovec *pieces, size_t count);

/* The place of slice INDEX < capacity, from the front. */
static inline mq_slice *mq_queue_at(const mq_queue *queue, uint32_t index) {
    return &queue->slices[(queue->head + index) & (queue->capacity - 1)];
}

/* The first slice, or NULL. */
static inline const mq_slice *mq_queue_first(const mq_queue *queue) {
    return queue->count ? mq_queue_at(queue, 0) : NULL;
}

/* Moves the first slice of FROM to the end of TO. 0 or MASQUE_ERR_NO_MEMORY (nothing moved). */
int mq_queue_move(mq_queue *to, mq_queue *from, mq_pool *pool);

/* Drops LENGTH <= bytes from the front. */
void mq_queue_drop(mq_queue *queue, mq_pool *pool, size_t length);

#endif
