#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATA_MAX (1u << 20)

void unit_check(bool holds, const char *row, const char *condition, const char *file, int line) {
    if (!holds) {
        print_error("row “%s”: expected %s\n", row, condition);
        _fail(file, line);
    }
}

uint64_t unit_random_next(unit_random *random) {
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

size_t unit_random_below(unit_random *random, size_t limit) {
    return (size_t)(unit_random_next(random) % limit);
}

void unit_random_fill(unit_random *random, void *bytes, size_t size) {
    uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) {
        at[i] = (uint8_t)unit_random_next(random);
    }
}

void unit_random_source(void *context, uint8_t *buffer, size_t size) {
    unit_random_fill(context, buffer, size);
}

static bool may_allocate(unit_memory *memory) {
    memory->calls++;
    if (memory->left == 0) {
        return false;
    }
    memory->left -= memory->left != SIZE_MAX;
    return true;
}

static void *allocate(void *context, size_t size) {
    unit_memory *memory = context;
    void *piece = may_allocate(memory) ? malloc(size) : NULL;
    if (piece) {
        /* Nobody may count on zeros. */
        memset(piece, 0xa5, size);
        memory->pieces++;
    }
    return piece;
}

static void *resize(void *context, void *piece, size_t size) {
    assert_non_null(piece);
    return may_allocate(context) ? realloc(piece, size) : NULL;
}

static void release(void *context, void *piece) {
    unit_memory *memory = context;
    assert_non_null(piece);
    assert_true(memory->pieces > 0);
    memory->pieces--;
    free(piece);
}

void unit_memory_init(unit_memory *memory) {
    *memory = (unit_memory){.left = SIZE_MAX};
    memory->allocator =
        (masque_allocator){.allocate = allocate, .resize = resize, .release = release, .context = memory};
}

static unsigned hex_digit(char c) {
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

size_t unit_hex(uint8_t *bytes, const char *hex) {
    size_t length = strlen(hex) / 2;
    for (size_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
    }
    return length;
}

masque_address unit_address(const char *text, uint16_t port) {
    masque_address address;
    if (masque_address_parse(&address, text, strlen(text))) {
        fail_msg("“%s” is no address", text);
    }
    address.port = port;
    return address;
}

char *unit_read_data(const char *name, size_t *length) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", UNIT_DATA, name);
    FILE *file = fopen(path, "rb");
    char *text = malloc(DATA_MAX);
    if (!file || !text) {
        fail_msg("can't read %s", path);
    }
    *length = fread(text, 1, DATA_MAX - 1, file);
    text[*length] = 0;
    fclose(file);
    return text;
}
