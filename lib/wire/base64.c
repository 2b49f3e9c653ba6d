#include "wire/base64.h"

/* 62 and 63, which have two characters each, say which alphabet it is. */
typedef enum alphabet { EITHER, STANDARD, FOR_URLS, NEITHER } alphabet;

static int value_of(char c, alphabet *kind) {
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    alphabet wanted = c == '+' || c == '/' ? STANDARD : c == '-' || c == '_' ? FOR_URLS : NEITHER;
    if (wanted == NEITHER || (*kind != EITHER && *kind != wanted)) {
        return -1;
    }
    *kind = wanted;
    return c == '+' || c == '-' ? 62 : 63;
}

bool mq_base64_decode(uint8_t *bytes, size_t capacity, size_t *length, const char *text, size_t text_length) {
    alphabet kind = EITHER;
    uint32_t bits = 0;
    unsigned count = 0; /* of bits that wait */
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
        int value = value_of(text[i], &kind);
        if (value < 0) {
            return false;
        }
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes[(*length)++] = (uint8_t)(bits >> count);
            bits &= (1u << count) - 1;
        }
    }
    return bits == 0;
}

void mq_base64_encode(char *text, const uint8_t *bytes, size_t length) {
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
