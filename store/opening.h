#ifndef HUBBUB_STORE_OPENING_H
#define HUBBUB_STORE_OPENING_H

/*
 * opening: a lane of a new or wiped Redis gets its floor, once, even if two stores want to give it one.
 *
 * It takes a lock in PostgreSQL, looks again, notes the opening there, and only then opens the lane.  The
 * lock is held by a transaction at every moment, so that a store that freezes half way loses it
 * (idle_in_transaction_session_timeout) and another one can go on.
 */

#include "history.h"
#include "lane.h"
#include "link.h"

enum opening {
    OPENING_DONE, /* by this store or another: the lane is open */
    OPENING_FAILED,
};

/* Opens `lane`, which lives on `link`.  After OPENING_FAILED the link, the database or both may be down. */
enum opening opening_make(struct history *history, struct link *link, struct lane *lane);

#endif
