#ifndef HUBBUB_TESTS_UNIT_H
#define HUBBUB_TESTS_UNIT_H

/* unit: cmocka.h and what it wants before it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
