#ifndef HUBBUB_STORE_RECORDS_H
#define HUBBUB_STORE_RECORDS_H

/*
 * records: session records become rows of sessions, however often they are read.
 *
 * An opening that is not newer than the row's changes nothing; a newer one means that the session lives on.
 * A closing counts only if it is newer than the opening.
 */

#include "database.h"
#include "entry.h"

/* Applies the session records among the `n` entries, whose senders are resolved.  To be called in a
 * transaction. */
enum answer records_store(struct database *database, const struct entry *entries, size_t n);

/* Closes every session that was opened up to `id`: Redis, and with it everybody's presence, began anew then.
 */
enum answer records_close_all(struct database *database, event_id id);

#endif
