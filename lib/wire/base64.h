/*
 * wire/base64.h: Base64 (RFC 4648 4 and 5), which Privacy Pass and Basic credentials come in.
 */
#ifndef MQ_WIRE_BASE64_H
#define MQ_WIRE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The characters for so many bytes, padding with them. */
#define MQ_BASE64_LENGTH(bytes) (((bytes) + 2) / 3 * 4)

/* Decodes TEXT into at most CAPACITY bytes; *LENGTH is how many. Either alphabet is taken, but not both in one text;
   padding may be there, whole, or not. False: anything else, bits to spare that aren't zero (3.5), or too long. */
bool mq_base64_decode(uint8_t *bytes, size_t capacity, size_t *length, const char *text, size_t text_length);

/* With the alphabet for URLs and padding, as RFC 9577 2 wants it; a final zero behind. */
void mq_base64_encode(char *text, const uint8_t *bytes, size_t length);

#endif
