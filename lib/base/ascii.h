/*
 * base/ascii.h: letters without their case, whatever the locale.
 */
#ifndef MQ_BASE_ASCII_H
#define MQ_BASE_ASCII_H

static inline char mq_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

#endif
