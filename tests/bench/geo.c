/*
 * tests/bench/geo.c: what an egress decision costs, with few pools and with many, how long a large geofeed takes to
 * load, and what a signed hint costs, with the reading of its key from PEM.
 *
 *   bench_geo [DECISIONS [PREFIXES]]
 *
 * DECISIONS (200,000) of each; PREFIXES (1,000,000) are loaded. Each line is the median of five, in CPU time.
 */
#include <masqueproxy/masqueproxy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/hint_key.h"
#include "measure.h"

#define COUNTRIES 50u
#define CLIENTS_MAX 4096u /* whose pools no cache holds, if there are many pools */
#define CLIENTS_FEW 64u

static const char ALPHABET[] = "0123456789bcdefghjkmnpqrstuvwxyz";

static uint64_t next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* --- memory ------------------------------------------------------------------------------ */

static size_t live, peak, calls;

static void *resize(void *context, void *memory, size_t size) {
    size_t *block = memory ? (size_t *)memory - 2 : NULL;
    size_t before = block ? block[0] : 0;
    (void)context;
    calls++;
    size_t *fresh = realloc(block, size + 2 * sizeof *fresh);
    need(fresh, "no memory");
    fresh[0] = size;
    live += size - before;
    peak = live > peak ? live : peak;
    return fresh + 2;
}

static void *allocate(void *context, size_t size) {
    return resize(context, NULL, size);
}

static void release(void *context, void *memory) {
    (void)context;
    if (memory) {
        size_t *block = (size_t *)memory - 2;
        live -= block[0];
        free(block);
    }
}

/* --- pools -------------------------------------------------------------------------------- */

static void write_place(uint64_t *state, char country[3], char geohash[8]) {
    unsigned number = (unsigned)(next(state) % COUNTRIES);
    country[0] = (char)('A' + number / 7);
    country[1] = (char)('A' + number % 7);
    country[2] = 0;
    for (size_t i = 0; i < 6; i++) {
        geohash[i] = ALPHABET[next(state) % 32];
    }
    geohash[6] = 0;
}

/* A feed of so many prefixes in so many places, half of IPv4. */
static char *write_feed(size_t prefixes, size_t places, size_t *length) {
    char *text = malloc(prefixes * 64 + 1);
    need(text, "no memory");
    *length = 0;
    for (size_t i = 0; i < prefixes; i++) {
        char country[3], geohash[8];
        uint64_t place = i % places * 7919 + 1;
        write_place(&place, country, geohash);
        char *at = text + *length;
        int written = i % 2 ? snprintf(at, 64, "2001:%zx:%zx::/64,%s,,%zu,,%s\n", i >> 16, i & 0xffff, country,
                                       i % places, geohash)
                            : snprintf(at, 64, "%zu.%zu.%zu.%zu,%s,,%zu,,%s\n", 1 + (i >> 24), i >> 16 & 255,
                                       i >> 8 & 255, i & 255, country, i % places, geohash);
        *length += (size_t)written;
    }
    return text;
}

static masque_pools *load(const char *text, size_t length) {
    const masque_runtime runtime = {.allocator = {.allocate = allocate, .resize = resize, .release = release}};
    masque_pools *pools = masque_pools_new(&runtime);
    need(pools && masque_pools_add_geofeed(pools, text, length, NULL) == 0 && masque_pools_seal(pools, NULL) == 0,
         "the feed can't be loaded");
    return pools;
}

static double decide(const masque_pools *pools, size_t decisions, size_t places, size_t client_count, bool city) {
    const masque_geo geo = {.precision = 6, .city_precision = 4};
    double times[REPEATS];
    masque_place *clients = calloc(client_count, sizeof *clients);
    uint64_t state = 5;
    unsigned levels = 0;
    for (size_t i = 0; i < client_count; i++) {
        char geohash[8];
        uint64_t place = city ? next(&state) % places * 7919 + 1 : next(&state) + 12345;
        write_place(&place, clients[i].country, geohash);
        memcpy(clients[i].geohash, geohash, 7);
    }
    size_t before = calls;
    for (size_t repeat = 0; repeat < REPEATS; repeat++) {
        double start = cpu_us();
        for (size_t i = 0; i < decisions; i++) {
            masque_geo_choice choice;
            levels += masque_pools_choose(pools, &geo, &clients[i % client_count], i % 2 ? MASQUE_IPV6 : MASQUE_IPV4, i,
                                          0, &choice);
        }
        times[repeat] = (cpu_us() - start) / (double)decisions;
    }
    need(levels > 0 && calls == before, "a decision allocates");
    free(clients);
    return median(times);
}

static void measure_hints(size_t times) {
    const masque_runtime runtime = {.random = NULL};
    const masque_hint hint = {.place = {.geohash = "xn76c", .country = "JP"},
                              .expires = 1900000000,
                              .audience = "b.example.net",
                              .kid = "a1"};
    char text[MASQUE_HINT_MAX];
    double costs[2][REPEATS];
    for (size_t r = 0; r < REPEATS; r++) {
        double start = cpu_us();
        for (size_t i = 0; i < times; i++) {
            need(masque_hint_sign(&runtime, &hint, HINT_SECRET_PEM, strlen(HINT_SECRET_PEM), text) == 0,
                 "a hint can't be signed");
        }
        costs[0][r] = (cpu_us() - start) / (double)times;
        start = cpu_us();
        for (size_t i = 0; i < times; i++) {
            need(masque_hint_verify(&runtime, text, strlen(text), HINT_PUBLIC_PEM, strlen(HINT_PUBLIC_PEM)) == 0,
                 "a good hint is none");
        }
        costs[1][r] = (cpu_us() - start) / (double)times;
    }
    printf("a hint is signed in %.0f us, verified in %.0f us\n", median(costs[0]), median(costs[1]));
}

int main(int count, char **arguments) {
    size_t decisions = count > 1 ? strtoul(arguments[1], NULL, 10) : 200000;
    size_t prefixes = count > 2 ? strtoul(arguments[2], NULL, 10) : 1000000;
    need(decisions > 0 && prefixes >= 100, "usage: bench_geo [DECISIONS [PREFIXES]]");
    printf("%-32s %21s %21s\n", "us a decision", "of 64 clients", "of 4096 clients");
    printf("%-32s %10s %10s %10s %10s\n", "", "in a city", "elsewhere", "in a city", "elsewhere");
    for (size_t places = 10; places <= 100000 && places * 10 <= prefixes; places *= 10) {
        size_t length;
        char *text = write_feed(places * 10, places, &length);
        masque_pools *pools = load(text, length);
        printf("%8zu pools, 10 prefixes each  ", places);
        for (size_t i = 0; i < 4; i++) {
            printf(" %10.3f", decide(pools, decisions, places, i < 2 ? CLIENTS_FEW : CLIENTS_MAX, i % 2 == 0));
        }
        putchar('\n');
        masque_pools_release(pools);
        free(text);
    }
    size_t length;
    char *text = write_feed(prefixes, prefixes / 10, &length);
    live = peak = 0;
    double start = cpu_us();
    masque_pools *pools = load(text, length);
    printf("%zu prefixes loaded in %.2f s, %.0f MB at most, %.0f MB in the end\n", prefixes, (cpu_us() - start) / 1e6,
           (double)peak / 1e6, (double)live / 1e6);
    masque_pools_release(pools);
    free(text);
    measure_hints(decisions / 200);
    return 0;
}
