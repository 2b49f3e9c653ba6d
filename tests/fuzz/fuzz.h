/*
 * tests/fuzz/fuzz.h: what every fuzz target has. A target answers 0; what must hold is
 * said by FUZZ_REQUIRE, which stops the program.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_REQUIRE(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);                             \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* Cuts an input into numbers and pieces; an exhausted one gives zeros and nothing. */
typedef struct fuzz_input {
    const uint8_t *at;
    size_t left;
} fuzz_input;

static inline uint8_t fuzz_byte(fuzz_input *input) {
    if (input->left == 0) {
        return 0;
    }
    input->left--;
    return *input->at++;
}

/* Up to LENGTH bytes, fewer at the end; *LENGTH becomes how many. */
static inline const uint8_t *fuzz_bytes(fuzz_input *input, size_t *length) {
    const uint8_t *bytes = input->at;
    *length = *length < input->left ? *length : input->left;
    input->at += *length;
    input->left -= *length;
    return bytes;
}

#endif
