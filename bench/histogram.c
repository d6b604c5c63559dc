#include "histogram.h"

#include <string.h>

void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

/* How far a value is shifted to the right so that it is less than two times the parts. */
static unsigned shift_of(uint64_t value)
{
    return value < 2 * HISTOGRAM_PARTS ? 0 : (unsigned)(63 - __builtin_clzll(value)) - 10;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
    unsigned shift;

    if (value >> HISTOGRAM_BITS != 0)
        value = (UINT64_C(1) << HISTOGRAM_BITS) - 1;
    shift = shift_of(value);
    histogram->counts[shift * HISTOGRAM_PARTS + (value >> shift)]++;
    histogram->total++;
    if (value > histogram->max)
        histogram->max = value;
}

static uint64_t highest_of(unsigned bucket)
{
    unsigned shift = bucket < 2 * HISTOGRAM_PARTS ? 0 : bucket / HISTOGRAM_PARTS - 1;

    return ((uint64_t)(bucket - shift * HISTOGRAM_PARTS + 1) << shift) - 1;
}

uint64_t histogram_value(const struct histogram *histogram, double share)
{
    double exact = share * (double)histogram->total;
    uint64_t wanted = (uint64_t)exact, seen = 0, value = 0;

    if ((double)wanted < exact)
        wanted++;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && seen < wanted; i++) {
        seen += histogram->counts[i];
        value = highest_of(i);
    }
    return value < histogram->max ? value : histogram->max;
}
