#ifndef HUBBUB_STORE_ACCOUNTS_H
#define HUBBUB_STORE_ACCOUNTS_H

/*
 * accounts: names that have a password.
 *
 * Passwords are kept as argon2id hashes in users.  Redis has the list of accounts too, so that no guest takes
 * an account's name while the store is away; a name becomes an account there first, and stops being one there
 * last (see roster.h).  Callers are workers, several at once.
 */

#include "worker.h"

#define PASSWORD_MIN 8
#define PASSWORD_MAX 128 /* bytes */

struct accounts;

/* Makes what all workers share.  Borrows the settings.  NULL without memory, also without that which a
 * password takes. */
struct accounts *accounts_create(const struct settings *settings);

/* Frees.  Takes NULL. */
void accounts_destroy(struct accounts *accounts);

/* Answer "log-in" and "register". */
ask_fn accounts_log_in, accounts_register;

/* Frees a request after overwriting what passwords are in it. */
void accounts_wipe(json_t *request);

/* True if it may be a password: its length. */
bool password_is_good(const char *password);

enum account_change {
    ACCOUNT_MADE,    /* the name has become one */
    ACCOUNT_CHANGED, /* it was one */
    ACCOUNT_NONE,    /* it is none */
    ACCOUNT_FAILED,  /* PostgreSQL or Redis did not do it; the reason was logged */
};

/* For whoever runs the store: gives the account `name` (folded; shown as `shown`) this password, and makes it
 * one if it is none. */
enum account_change accounts_set(struct worker *worker, const char *name, const char *shown,
                                 const char *password);

/* The same: makes `name` (folded) a guest's, and closes whoever is logged in.  Redis is told also if
 * PostgreSQL has no such account, so that what failed half way may be repeated. */
enum account_change accounts_forget(struct worker *worker, const char *name);

#endif
