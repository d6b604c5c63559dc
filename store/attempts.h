#ifndef HUBBUB_STORE_ATTEMPTS_H
#define HUBBUB_STORE_ATTEMPTS_H

/*
 * attempts: how often a password may be guessed, per address and per name.
 *
 * Each has 10 attempts, and gets one back every 10 s.  An attempt is taken before the password is looked at
 * and given back unless it failed, so that no number of guesses at once gets by.  All threads may call.
 */

#include <stdbool.h>
#include <stdint.h>

struct attempts;

/* NULL without memory. */
struct attempts *attempts_create(void);

/* Takes NULL. */
void attempts_destroy(struct attempts *attempts);

/*
 * Takes an attempt of `address` (an IPv6 address counts by its /64) and of `name`, at `now` (of wait_now).
 * False, and none is taken, if either has none left.
 */
bool attempts_take(struct attempts *attempts, const char *address, const char *name, int64_t now);

/* Gives that attempt back. */
void attempts_return(struct attempts *attempts, const char *address, const char *name);

/* How many addresses and names are kept; one that has all its attempts need not be. */
unsigned attempts_kept(struct attempts *attempts);

#endif
