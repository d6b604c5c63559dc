#ifndef HUBBUB_STORE_ATTEMPTS_H
#define HUBBUB_STORE_ATTEMPTS_H

/*
 * attempts: how often a password may be guessed.
 *
 * An address has 10 attempts, and gets one back every 10 s: for all names together, and so for each.  A name
 * has 100 from all addresses together, and gets one back every second; an address from which it logged in
 * within the last hour needs none of these, so that strangers cannot lock out whom they guess at.  An attempt
 * is taken before the password is looked at and given back unless it failed, so that no number of guesses at
 * once gets by.  An IPv6 address counts by its /64.
 *
 * At most 65,536 addresses and names are kept, and as many log-ins; beyond that the oldest go (some 30 MB in
 * all).  Each costs the time of a hashing, and those that have all their attempts again need not be kept: in
 * practice there are few.  All threads may call.
 */

#include <stdbool.h>
#include <stdint.h>

#include "name.h"

#define ATTEMPTS_ADDRESS_BYTES 64 /* an address has no more; what has is cut */
#define ATTEMPTS_KEY_BYTES (NAME_MAX_BYTES + ATTEMPTS_ADDRESS_BYTES + 3)

struct attempts;

/* What was taken; each is "" if it was not. */
struct attempt {
    char address[ATTEMPTS_KEY_BYTES], name[ATTEMPTS_KEY_BYTES];
};

/* NULL without memory. */
struct attempts *attempts_create(void);

/* Takes NULL. */
void attempts_destroy(struct attempts *attempts);

/*
 * Takes an attempt of `address` and one of `name` (NULL: it needs none) at `now` (of wait_now), and notes in
 * *attempt what that was.  False, and none is taken, if either has none left.
 */
bool attempts_take(struct attempts *attempts, const char *address, const char *name, int64_t now,
                   struct attempt *attempt);

/* Gives that back. */
void attempts_return(struct attempts *attempts, const struct attempt *attempt);

/* Notes that `name` has logged in from `address` at `now`. */
void attempts_know(struct attempts *attempts, const char *address, const char *name, int64_t now);

/* How many addresses and names are kept, and log-ins. */
unsigned attempts_kept(struct attempts *attempts);
unsigned attempts_known(struct attempts *attempts);

#endif
