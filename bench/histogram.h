#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

/*
 * histogram: how often each value came, to three digits, in fixed memory (the idea is that of HdrHistogram).
 *
 * Values below 2,048 are counted one by one.  Above that each power of two is divided into 1,024 equal parts,
 * so a value is told with an error of 0.1% at most.
 */

#include <stdint.h>

/* Values are less than 2^40, 18 minutes of nanoseconds; larger ones count as the highest. */
#define HISTOGRAM_BITS 40
#define HISTOGRAM_PARTS 1024
#define HISTOGRAM_BUCKETS ((HISTOGRAM_BITS - 9) * HISTOGRAM_PARTS)

struct histogram {
    uint64_t total, max;
    uint64_t counts[HISTOGRAM_BUCKETS];
};

void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t value);

/* A value that at least `share` (0 to 1) of all do not exceed: the highest of its bucket.  0 if there are
 * none. */
uint64_t histogram_value(const struct histogram *histogram, double share);

#endif
