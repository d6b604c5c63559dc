#ifndef HUBBUB_FUZZ_H
#define HUBBUB_FUZZ_H

/*
 * fuzz: what the fuzz targets share.
 *
 * A target is a program with one function that takes any bytes and aborts when a promise is broken.
 * libFuzzer invents the bytes (`make fuzz`); replay.c plays those that are kept, in every build.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Holds in every build, with or without NDEBUG. */
#define REQUIRE(condition) ((condition) ? (void)0 : fuzz_fail(#condition, __FILE__, __LINE__))

static inline _Noreturn void fuzz_fail(const char *condition, const char *file, int line)
{
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
    abort();
}

/* Returns 0.  The bytes are in an allocation of their own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
