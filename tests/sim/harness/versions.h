/*
 * harness/versions.h: the six ways to a tunnel, for scenarios in which all have to behave the same.
 */
#ifndef SIM_VERSIONS_H
#define SIM_VERSIONS_H

#include <stdbool.h>

typedef struct row {
    const char *name;
    const char *alpn;
    bool udp;
} row;

static const row ROWS[] = {
    {"HTTP/1.1, TCP", "http/1.1", false}, {"HTTP/1.1, UDP", "http/1.1", true}, {"HTTP/2, TCP", "h2", false},
    {"HTTP/2, UDP", "h2", true},          {"HTTP/3, TCP", "h3", false},        {"HTTP/3, UDP", "h3", true},
};

#endif
