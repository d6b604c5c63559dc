#ifndef HUBBUB_STORE_ACCOUNTS_H
#define HUBBUB_STORE_ACCOUNTS_H

/*
 * accounts: names that have a password.
 *
 * Passwords are kept as argon2id hashes in users.  Redis has the list of accounts too, so that no guest takes
 * an account's name while the store is away; a name becomes an account there first, and stops being one there
 * last (docs/REQUESTS.md).  Callers are workers, several at once.
 */

#include "worker.h"

#define PASSWORD_MIN 8
#define PASSWORD_MAX 128 /* bytes */

struct accounts;

/* Makes what all workers share.  Borrows the settings.  NULL without memory. */
struct accounts *accounts_create(const struct settings *settings);

/* Frees.  Takes NULL. */
void accounts_destroy(struct accounts *accounts);

/* Answer "log-in" and "register". */
ask_fn accounts_log_in, accounts_register;

/* Frees a request after overwriting what passwords are in it. */
void accounts_wipe(json_t *request);

#endif
