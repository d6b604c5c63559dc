/* histogram: its percentiles are those of the sorted values, to one in a thousand. */
#include "unit.h"

#include <stdlib.h>

#include "histogram.h"

#define COUNT 20000

static struct histogram histogram;
static uint64_t values[COUNT];

static int by_value(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* The same on each run: xorshift64. */
static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Compares every 0.01% with the array: the told value is not below the exact one, and at most 0.1% above. */
static void assert_as_sorted(void)
{
    qsort(values, COUNT, sizeof *values, by_value);
    for (int share = 1; share <= 10000; share++) {
        size_t rank = ((size_t)share * COUNT + 9999) / 10000;
        uint64_t exact = values[rank - 1], told = histogram_value(&histogram, share / 10000.0);

        /* A share may be a hair above what was meant, and then the next value is right. */
        assert_true(told >= exact);
        assert_true(told <= exact + exact / 1000 || told <= values[rank < COUNT ? rank : rank - 1] * 1.001);
    }
    assert_true(histogram_value(&histogram, 1) == values[COUNT - 1]);
}

static void fill(unsigned bits)
{
    uint64_t seed = 88172645463325252;

    histogram_clear(&histogram);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = next_random(&seed) >> (64 - bits);
        histogram_add(&histogram, values[i]);
    }
    assert_int_equal(histogram.total, COUNT);
}

static void test_evenly_spread_values(void **state)
{
    for (unsigned bits = 1; bits <= HISTOGRAM_BITS; bits++) {
        fill(bits);
        assert_as_sorted();
    }
}

static void test_values_of_all_magnitudes(void **state)
{
    uint64_t seed = 1;

    histogram_clear(&histogram);
    for (size_t i = 0; i < COUNT; i++) {
        values[i] = next_random(&seed) >> (64 - 1 - i % HISTOGRAM_BITS);
        histogram_add(&histogram, values[i]);
    }
    assert_as_sorted();
}

static void test_the_ends_of_each_power_of_two(void **state)
{
    for (unsigned bit = 1; bit < HISTOGRAM_BITS; bit++) {
        for (int off = -1; off <= 1; off++) {
            uint64_t value = (UINT64_C(1) << bit) + (uint64_t)(int64_t)off, told;

            histogram_clear(&histogram);
            histogram_add(&histogram, value);
            histogram_add(&histogram, UINT64_MAX); /* so that it is not told for being the greatest */
            told = histogram_value(&histogram, 0.5);
            assert_true(told >= value && told - value <= value / 1000);
        }
    }
}

static void test_small_values_are_exact(void **state)
{
    histogram_clear(&histogram);
    for (uint64_t value = 1; value <= 1000; value++)
        histogram_add(&histogram, value);
    assert_int_equal(histogram_value(&histogram, 0.5), 500);
    assert_int_equal(histogram_value(&histogram, 0.99), 990);
    assert_int_equal(histogram_value(&histogram, 0.999), 999);
    assert_int_equal(histogram_value(&histogram, 1), 1000);
}

static void test_a_value_beyond_the_end_counts_as_the_highest(void **state)
{
    histogram_clear(&histogram);
    histogram_add(&histogram, UINT64_MAX);
    assert_true(histogram_value(&histogram, 1) == (UINT64_C(1) << HISTOGRAM_BITS) - 1);
}

static void test_of_nothing_it_is_zero(void **state)
{
    histogram_clear(&histogram);
    assert_int_equal(histogram_value(&histogram, 0.99), 0);
    assert_int_equal(histogram_value(&histogram, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evenly_spread_values),
        cmocka_unit_test(test_values_of_all_magnitudes),
        cmocka_unit_test(test_the_ends_of_each_power_of_two),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_a_value_beyond_the_end_counts_as_the_highest),
        cmocka_unit_test(test_of_nothing_it_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
