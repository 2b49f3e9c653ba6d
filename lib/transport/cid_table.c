#include "transport/cid_table.h"

#include <assert.h>
#include <string.h>

#define CHAINS_FIRST 64u

void mq_cid_table_init(mq_cid_table *table, const masque_allocator *allocator, const uint64_t seed[2]) {
    *table = (mq_cid_table){.allocator = allocator, .seed = {seed[0], seed[1]}};
}

void mq_cid_table_free(mq_cid_table *table) {
    assert(table->count == 0);
    mq_free(table->allocator, table->chains);
}

static uint64_t mix(uint64_t value) {
    value = (value ^ value >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 29) * UINT64_C(0xd6e8feb86659fd93);
    return value ^ value >> 32;
}

static size_t chain_of(const mq_cid_table *table, const uint8_t *bytes, size_t length) {
    uint64_t words[3] = {0};
    memcpy(words, bytes, length);
    /* Each word goes through the seed by itself: a sum of theirs could be aimed at. */
    uint64_t hash = mix(words[0] ^ table->seed[0]);
    hash = mix(hash + (words[1] ^ table->seed[1]));
    hash = mix(hash + (words[2] ^ table->seed[0]) + length);
    return hash & (table->chain_count - 1);
}

static mq_cid_entry **place_of(const mq_cid_table *table, const uint8_t *bytes, size_t length) {
    mq_cid_entry **place = &table->chains[chain_of(table, bytes, length)];
    while (*place && ((*place)->cid.length != length || memcmp((*place)->cid.bytes, bytes, length) != 0)) {
        place = &(*place)->next;
    }
    return place;
}

static int make_room(mq_cid_table *table) {
    if (table->count < table->chain_count) {
        return 0;
    }
    const mq_cid_table old = *table;
    size_t count = old.chain_count ? old.chain_count * 2 : CHAINS_FIRST;
    mq_cid_entry **chains = mq_zalloc(table->allocator, count * sizeof(mq_cid_entry *));
    if (!chains) {
        return old.chain_count ? 0 : MASQUE_ERR_NO_MEMORY; /* longer chains work, too */
    }
    table->chains = chains;
    table->chain_count = count;
    for (size_t i = 0; i < old.chain_count; i++) {
        for (mq_cid_entry *entry = old.chains[i]; entry;) {
            mq_cid_entry *next = entry->next;
            mq_cid_entry **place = &chains[chain_of(table, entry->cid.bytes, entry->cid.length)];
            entry->next = *place;
            *place = entry;
            entry = next;
        }
    }
    mq_free(table->allocator, old.chains);
    return 0;
}

int mq_cid_table_add(mq_cid_table *table, const mq_cid *cid, void *owner) {
    assert(cid->length <= MQ_CID_MAX);
    if (make_room(table)) {
        return MASQUE_ERR_NO_MEMORY;
    }
    mq_cid_entry **place = place_of(table, cid->bytes, cid->length);
    if (*place) {
        return MASQUE_ERR_STATE;
    }
    mq_cid_entry *entry = mq_alloc(table->allocator, sizeof *entry);
    if (!entry) {
        return MASQUE_ERR_NO_MEMORY;
    }
    *entry = (mq_cid_entry){.owner = owner, .cid = *cid};
    *place = entry;
    table->count++;
    return 0;
}

void *mq_cid_table_find(const mq_cid_table *table, const uint8_t *bytes, size_t length) {
    if (!table->chain_count || length > MQ_CID_MAX) {
        return NULL;
    }
    mq_cid_entry *entry = *place_of(table, bytes, length);
    return entry ? entry->owner : NULL;
}

bool mq_cid_table_remove(mq_cid_table *table, const mq_cid *cid, const void *owner) {
    if (!table->chain_count) {
        return false;
    }
    mq_cid_entry **place = place_of(table, cid->bytes, cid->length);
    mq_cid_entry *entry = *place;
    if (!entry || entry->owner != owner) {
        return false;
    }
    *place = entry->next;
    mq_free(table->allocator, entry);
    table->count--;
    return true;
}

void mq_cid_table_remove_all(mq_cid_table *table, const void *owner) {
    for (size_t i = 0; i < table->chain_count; i++) {
        for (mq_cid_entry **place = &table->chains[i]; *place;) {
            mq_cid_entry *entry = *place;
            if (entry->owner != owner) {
                place = &entry->next;
                continue;
            }
            *place = entry->next;
            mq_free(table->allocator, entry);
            table->count--;
        }
    }
}
