/*
 * bench/measure.h: for benchmarks of a single process: CPU time, medians, and what has to hold.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPEATS 5u

/* Microseconds of the process's CPU time. */
static inline double cpu_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Ends the program with WHAT unless that holds. */
static inline void need(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "bench: %s\n", what);
        exit(1);
    }
}

static inline int by_size(const void *a, const void *b) {
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

/* Of REPEATS values, which are sorted by it. */
static inline double median(double *values) {
    qsort(values, REPEATS, sizeof *values, by_size);
    return values[REPEATS / 2];
}

#endif
