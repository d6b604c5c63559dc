#ifndef BENCH_CARRY_H
#define BENCH_CARRY_H

/*
 * carry: finds the numbers of chats in a stream of bytes, however it was cut.
 *
 * A chat's text begins with `~` and its number in 8 hex digits, and nothing else that a server sends has a
 * `~`: so every dialect is read in the same way and at the same cost.  What may be the beginning of a number
 * at the end of a read is kept, and put in front of the next one:
 *
 *     [ CARRY_MAX bytes of room ][ what was read ]
 *                        [ kept ]
 *                        ^ at                     ^ end
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CARRY_MAX 15
#define NUMBER_LEN 9 /* `~` and the digits */

struct carry {
    char bytes[CARRY_MAX];
    uint8_t len;
};

/* Puts what was kept in front of `data`, where CARRY_MAX bytes must be free; returns where to begin. */
char *carry_put(struct carry *carry, char *data);

/* Keeps the last bytes from `at` to `end`, CARRY_MAX at most. */
void carry_keep(struct carry *carry, const char *at, const char *end);

/*
 * Takes the next number between `*at` and `end`, and moves `*at` behind it.  False: there is none, and what
 * is from
 * `*at` on is to be kept.  A `~` without 8 digits behind it has the number NUMBER_NONE.
 */
#define NUMBER_NONE UINT32_MAX
bool number_next(const char **at, const char *end, uint32_t *number);

/* Writes so many lower hex digits of `value`. */
void hex_write(uint64_t value, size_t digits, char *to);

/* Writes `number` as NUMBER_LEN bytes. */
void number_write(uint32_t number, char *to);

#endif
