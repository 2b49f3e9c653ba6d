/*
 * masqueproxy/base64.h: Base64 (RFC 4648 4 and 5), which the credentials of Privacy Pass and Basic come in, and the
 * keys in an issuer's directory. Any threads.
 */
#ifndef MASQUE_BASE64_H
#define MASQUE_BASE64_H

#include <masqueproxy/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The characters for so many bytes, padding with them. */
#define MASQUE_BASE64_LENGTH(bytes) (((bytes) + 2) / 3 * 4)

/* Decodes TEXT into at most CAPACITY bytes; *LENGTH is how many. Either alphabet is taken, but not both in one text;
   padding may be there, whole, or not. False: anything else, bits to spare that aren't zero (3.5), or too long. */
MASQUE_EXTERN bool masque_base64_decode(uint8_t *bytes, size_t capacity, size_t *length, const char *text,
                                        size_t text_length);

/* Writes MASQUE_BASE64_LENGTH(LENGTH) characters with the alphabet for URLs and padding, as RFC 9577 2 wants it, and a
   final zero behind. */
MASQUE_EXTERN void masque_base64_encode(char *text, const uint8_t *bytes, size_t length);

#ifdef __cplusplus
}
#endif

#endif /* MASQUE_BASE64_H */
