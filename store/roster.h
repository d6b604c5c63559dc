#ifndef HUBBUB_STORE_ROSTER_H
#define HUBBUB_STORE_ROSTER_H

/*
 * roster: Redis' list of accounts (hubbub:{0}:accounts) becomes what PostgreSQL has.
 *
 * A name becomes an account in Redis first and in PostgreSQL then, in a transaction that holds the roster's
 * lock in shared mode; whoever dies in between leaves a name locked, and a server that lost its data leaves
 * accounts unprotected.  Both are put right here, under the same lock in exclusive mode: what is half done is
 * waited for.
 */

#include <stdbool.h>

#include "database.h"
#include "link.h"

#define ROSTER_KEY "hubbub:{0}:accounts"

/* The same lock, for who changes the list: shared, until the transaction ends. */
#define ROSTER_LOCK "1752523362, 101"
#define ROSTER_SHARE "select pg_advisory_xact_lock_shared(" ROSTER_LOCK ")"

/*
 * Makes the list equal, on the link to lane 0's server, within a transaction of the caller's; the lock is
 * held until that ends.  False if it did not work: the reason was logged, and either connection may be
 * closed.
 */
bool roster_make(struct database *database, struct link *link);

/*
 * The same in a transaction of its own, unless a look without the lock finds nothing to do.  PostgreSQL's
 * whole list is in memory meanwhile: some 70 MB for a million accounts, and for some seconds.
 */
bool roster_renew(struct database *database, struct link *link);

/* Asks for a renewal soon, since somebody does not know what became of a change of his: ingest makes it. */
void roster_want(void);

/* True, once, if somebody has asked. */
bool roster_wanted(void);

#endif
