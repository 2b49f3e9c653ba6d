#include "crypto/date.h"

#include "crypto/wolfssl.h"

#define DATE_MAX 15u /* GeneralizedTime to the second */

static int64_t seconds_of(const struct tm *date) {
    /* Years begin in March here, so that a leap day is their last; 400 of them have 146,097 days. */
    int64_t month = (date->tm_mon + 10) % 12;
    int64_t year = date->tm_year + 1900 - (date->tm_mon < 2);
    int64_t days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + date->tm_mday - 1 - 719468;
    return ((days * 24 + date->tm_hour) * 60 + date->tm_min) * 60 + date->tm_sec;
}

uint64_t mq_date_seconds(uint8_t type, const uint8_t *text, size_t length) {
    struct tm parts = {.tm_year = 0};
    /* In UTC always. */
    bool good = length > 0 && length <= DATE_MAX && text[length - 1] == 'Z' &&
                wc_GetDateAsCalendarTime(text, (int)length, type, &parts) == 0;
    int64_t seconds = good ? seconds_of(&parts) : 0;
    return seconds > 0 ? (uint64_t)seconds : 0;
}
