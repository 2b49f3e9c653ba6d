/*
 * harness/wolf.h: wolfSSL's headers, which aren't clean under our warnings. For
 * the harness's TLS client and allocator only.
 */
#ifndef SIM_WOLF_H
#define SIM_WOLF_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#include <wolfssl/options.h>

#include <wolfssl/ssl.h>
#pragma GCC diagnostic pop

#endif
