/*
 * wire/base64.c: one table for both alphabets (masqueproxy/base64.h).
 */
#include <masqueproxy/base64.h>

/* Beside its six bits: the alphabet that a character is of when it is not of both; of none: both of them. A text in
   which both come together is bad. */
#define STANDARD 0x40
#define FOR_URLS 0x80
#define FLAGS (STANDARD | FOR_URLS)

/* Upside down, so that all others are of none. */
static const uint8_t VALUES[256] = {['A'] = FLAGS ^ 0,
                                    ['B'] = FLAGS ^ 1,
                                    ['C'] = FLAGS ^ 2,
                                    ['D'] = FLAGS ^ 3,
                                    ['E'] = FLAGS ^ 4,
                                    ['F'] = FLAGS ^ 5,
                                    ['G'] = FLAGS ^ 6,
                                    ['H'] = FLAGS ^ 7,
                                    ['I'] = FLAGS ^ 8,
                                    ['J'] = FLAGS ^ 9,
                                    ['K'] = FLAGS ^ 10,
                                    ['L'] = FLAGS ^ 11,
                                    ['M'] = FLAGS ^ 12,
                                    ['N'] = FLAGS ^ 13,
                                    ['O'] = FLAGS ^ 14,
                                    ['P'] = FLAGS ^ 15,
                                    ['Q'] = FLAGS ^ 16,
                                    ['R'] = FLAGS ^ 17,
                                    ['S'] = FLAGS ^ 18,
                                    ['T'] = FLAGS ^ 19,
                                    ['U'] = FLAGS ^ 20,
                                    ['V'] = FLAGS ^ 21,
                                    ['W'] = FLAGS ^ 22,
                                    ['X'] = FLAGS ^ 23,
                                    ['Y'] = FLAGS ^ 24,
                                    ['Z'] = FLAGS ^ 25,
                                    ['a'] = FLAGS ^ 26,
                                    ['b'] = FLAGS ^ 27,
                                    ['c'] = FLAGS ^ 28,
                                    ['d'] = FLAGS ^ 29,
                                    ['e'] = FLAGS ^ 30,
                                    ['f'] = FLAGS ^ 31,
                                    ['g'] = FLAGS ^ 32,
                                    ['h'] = FLAGS ^ 33,
                                    ['i'] = FLAGS ^ 34,
                                    ['j'] = FLAGS ^ 35,
                                    ['k'] = FLAGS ^ 36,
                                    ['l'] = FLAGS ^ 37,
                                    ['m'] = FLAGS ^ 38,
                                    ['n'] = FLAGS ^ 39,
                                    ['o'] = FLAGS ^ 40,
                                    ['p'] = FLAGS ^ 41,
                                    ['q'] = FLAGS ^ 42,
                                    ['r'] = FLAGS ^ 43,
                                    ['s'] = FLAGS ^ 44,
                                    ['t'] = FLAGS ^ 45,
                                    ['u'] = FLAGS ^ 46,
                                    ['v'] = FLAGS ^ 47,
                                    ['w'] = FLAGS ^ 48,
                                    ['x'] = FLAGS ^ 49,
                                    ['y'] = FLAGS ^ 50,
                                    ['z'] = FLAGS ^ 51,
                                    ['0'] = FLAGS ^ 52,
                                    ['1'] = FLAGS ^ 53,
                                    ['2'] = FLAGS ^ 54,
                                    ['3'] = FLAGS ^ 55,
                                    ['4'] = FLAGS ^ 56,
                                    ['5'] = FLAGS ^ 57,
                                    ['6'] = FLAGS ^ 58,
                                    ['7'] = FLAGS ^ 59,
                                    ['8'] = FLAGS ^ 60,
                                    ['9'] = FLAGS ^ 61,
                                    ['+'] = FLAGS ^ STANDARD ^ 62,
                                    ['/'] = FLAGS ^ STANDARD ^ 63,
                                    ['-'] = FLAGS ^ FOR_URLS ^ 62,
                                    ['_'] = FLAGS ^ FOR_URLS ^ 63};

bool masque_base64_decode(uint8_t *bytes, size_t capacity, size_t *length, const char *text, size_t text_length) {
    uint32_t bits = 0;
    unsigned count = 0; /* of bits that wait */
    unsigned flags = 0;
    size_t padding = 0;
    *length = 0;
    while (padding < 2 && text_length > 0 && text[text_length - 1] == '=') {
        text_length--;
        padding++;
    }
    size_t rest = text_length % 4;
    if (rest == 1 || (padding > 0 && rest + padding != 4) || text_length / 4 * 3 + (rest + 1) / 2 > capacity) {
        return false;
    }
    for (size_t i = 0; i < text_length; i++) {
        unsigned value = VALUES[(uint8_t)text[i]] ^ FLAGS;
        flags |= value & FLAGS;
        bits = bits << 6 | (value & 63);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes[(*length)++] = (uint8_t)(bits >> count);
        }
    }
    return flags != FLAGS && (bits & ((1u << count) - 1)) == 0;
}

void masque_base64_encode(char *text, const uint8_t *bytes, size_t length) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (size_t i = 0; i < length; i += 3) {
        size_t left = length - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? (uint32_t)bytes[i + 2] : 0);
        *text++ = digits[bits >> 18];
        *text++ = digits[bits >> 12 & 63];
        *text++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *text++ = left > 2 ? digits[bits & 63] : '=';
    }
    *text = '\0';
}
