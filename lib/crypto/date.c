#include "crypto/date.h"

#include <string.h>

#include "crypto/wolfssl.h"

static int64_t seconds_of(const struct tm *date) {
    /* Years begin in March here, so that a leap day is their last; 400 of them have 146,097 days. */
    int64_t month = (date->tm_mon + 10) % 12;
    int64_t year = date->tm_year + 1900 - (date->tm_mon < 2);
    int64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date->tm_mday - 1 - 719468;
    return ((days * 24 + date->tm_hour) * 60 + date->tm_min) * 60 + date->tm_sec;
}

uint64_t mq_date_seconds(const void *date) {
    const WOLFSSL_ASN1_TIME *text = date;
    struct tm parts = {.tm_year = 0};
    /* In UTC always. What stands behind it is nothing: that of a list is as long as wolfSSL's array. */
    const uint8_t *end = text && text->length > 0 ? memchr(text->data, 'Z', (size_t)text->length) : NULL;
    if (!end || wc_GetDateAsCalendarTime(text->data, (int)(end + 1 - text->data), (byte)text->type, &parts) != 0) {
        return 0;
    }
    int64_t seconds = seconds_of(&parts);
    return seconds > 0 ? (uint64_t)seconds : 0;
}
