/* geo/trees.c: which pool of a country is nearest: a k-d tree over points on the sphere (pools.h). */
#include "geo/pools.h"

/* Halves of halves: more than 2^32 pools there are not. */
#define DEPTH_MAX 34u
#define LEAF 8u

static float coordinate(const mq_pool_node *node, unsigned axis) {
    return axis == 0 ? node->point.x : axis == 1 ? node->point.y : node->point.z;
}

/* By the axis, and what is equal there by its number, so that the order is one. */
static bool is_before(const mq_pool_node *a, const mq_pool_node *b, unsigned axis) {
    float first = coordinate(a, axis), second = coordinate(b, axis);
    return first < second || (!(second < first) && a->pool < b->pool);
}

static void swap(mq_pool_node *a, mq_pool_node *b) {
    mq_pool_node kept = *a;
    *a = *b;
    *b = kept;
}

/* Puts at MIDDLE what stands there in order, and nothing behind it before it (Hoare's selection). */
static void select_middle(mq_pool_node *nodes, size_t count, size_t middle, unsigned axis) {
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t at = low + (high - low) / 2;
        swap(&nodes[at], &nodes[high - 1]);
        size_t store = low;
        for (size_t i = low; i + 1 < high; i++) {
            if (is_before(&nodes[i], &nodes[high - 1], axis)) {
                swap(&nodes[i], &nodes[store++]);
            }
        }
        swap(&nodes[store], &nodes[high - 1]);
        if (store == middle) {
            return;
        }
        if (store < middle) {
            low = store + 1;
        } else {
            high = store;
        }
    }
}

/* A range that is still to be halved. */
typedef struct range {
    size_t first, end;
    unsigned axis;
    float bound; /* no point in it is nearer than that */
} range;

static void build_tree(mq_pool_node *nodes, size_t count) {
    range stack[DEPTH_MAX];
    size_t used = 0;
    stack[used++] = (range){.end = count};
    while (used > 0) {
        range one = stack[--used];
        while (one.end - one.first > 1) {
            size_t middle = (one.end - one.first) / 2;
            select_middle(nodes + one.first, one.end - one.first, middle, one.axis);
            middle += one.first;
            unsigned axis = (one.axis + 1) % 3;
            stack[used++] = (range){.first = middle + 1, .end = one.end, .axis = axis};
            one = (range){.first = one.first, .end = middle, .axis = axis};
        }
    }
}

void mq_pool_trees_build(const masque_pools *pools, mq_pool_index *index) {
    for (size_t i = 0; i < index->count; i++) {
        index->nodes[i] = (mq_pool_node){.point = pools->places[index->pools[i].place].point, .pool = (uint32_t)i};
    }
    for (unsigned country = 0; country < MQ_COUNTRIES; country++) {
        uint32_t first = index->with_geohash[country];
        build_tree(index->nodes + first, index->country[country + 1] - first);
    }
}

/* What was found nearest so far. */
typedef struct best {
    float distance;
    uint32_t pool;
} best;

static void look_at(const mq_pool_node *node, mq_point point, best *nearest) {
    float distance = mq_point_distance(node->point, point);
    if (distance < nearest->distance || (!(nearest->distance < distance) && node->pool < nearest->pool)) {
        *nearest = (best){distance, node->pool};
    }
}

uint32_t mq_pool_trees_nearest(const mq_pool_index *index, uint32_t first, uint32_t end, mq_point point) {
    range stack[DEPTH_MAX];
    const mq_pool_node wanted = {.point = point};
    best nearest = {5, UINT32_MAX}; /* the sphere's is 4 at most */
    size_t used = 0;
    stack[used++] = (range){.first = first, .end = end};
    while (used > 0) {
        range one = stack[--used];
        /* A few are looked at as they lie. */
        for (; one.end - one.first <= LEAF && one.end > one.first && one.bound <= nearest.distance; one.first++) {
            look_at(&index->nodes[one.first], point, &nearest);
        }
        if (one.end - one.first > LEAF && one.bound <= nearest.distance) {
            size_t middle = one.first + (one.end - one.first) / 2;
            const mq_pool_node *node = &index->nodes[middle];
            look_at(node, point, &nearest);
            float off = coordinate(&wanted, one.axis) - coordinate(node, one.axis);
            unsigned axis = (one.axis + 1) % 3;
            range left = {.first = one.first, .end = middle, .axis = axis, .bound = one.bound};
            range right = {.first = middle + 1, .end = one.end, .axis = axis, .bound = one.bound};
            range *far = off < 0 ? &right : &left;
            far->bound = off * off > far->bound ? off * off : far->bound;
            stack[used++] = *far;
            stack[used++] = off < 0 ? left : right;
        }
    }
    return nearest.pool;
}
