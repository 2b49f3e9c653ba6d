/* policy/limits.c: the limits' list as data (limits.h holds the list). */
#include <masqueproxy/limits.h>

#include <string.h>

typedef struct limit_row {
    const char *key;
    size_t offset; /* in masque_limits */
    uint64_t standard;
    uint64_t least;
    uint64_t most;
} limit_row;

static const limit_row ROWS[] = {
#define MASQUE_X(field, key, standard, least, most)                                                                    \
    {(key), offsetof(masque_limits, field), (standard), (least), (most)},
    MASQUE_LIMITS(MASQUE_X)
#undef MASQUE_X
};

#define ROW_COUNT (sizeof ROWS / sizeof ROWS[0])

static uint64_t *field_of(masque_limits *limits, const limit_row *row) {
    return (uint64_t *)(void *)((char *)limits + row->offset);
}

void masque_limits_init(masque_limits *limits) {
    for (size_t i = 0; i < ROW_COUNT; i++) {
        *field_of(limits, &ROWS[i]) = ROWS[i].standard;
    }
}

int masque_limits_set(masque_limits *limits, const char *key, uint64_t value, uint64_t *least, uint64_t *most) {
    *least = *most = 0;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if (strcmp(ROWS[i].key, key) != 0) {
            continue;
        }
        *least = ROWS[i].least;
        *most = ROWS[i].most;
        if (value < *least || value > *most) {
            return MASQUE_ERR_INVALID;
        }
        *field_of(limits, &ROWS[i]) = value;
        return 0;
    }
    return MASQUE_ERR_INVALID;
}

const char *masque_limits_check(const masque_limits *limits) {
    masque_limits copy = *limits;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        uint64_t value = *field_of(&copy, &ROWS[i]);
        if (value < ROWS[i].least || value > ROWS[i].most) {
            return ROWS[i].key;
        }
    }
    /* Or stalled tunnels could keep the others waiting. */
    bool enough = limits->connection_buffer_max / MASQUE_TUNNEL_SHARE_MIN >= limits->tunnels_per_connection_max;
    return enough ? NULL : "connection-buffer";
}
